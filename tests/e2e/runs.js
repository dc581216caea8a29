// Which runs and messages are open, folded from the events, so that the page asks only when nothing is under way.

const ENDS = new Set(["agent_completed", "agent_cancelled", "agent_died"]);

/** What the events up to a position say. It can be stored with that position, and made again from what was stored. */
export class Runs {
	/** Runs that started and did not end. */
	#open;
	/** Messages that no run has claimed. */
	#waiting;

	constructor({ open = [], waiting = [] } = {}) {
		this.#open = new Set(open);
		this.#waiting = new Set(waiting);
	}

	get open() {
		return this.#open.size;
	}

	get waiting() {
		return this.#waiting.size;
	}

	apply(event) {
		if (event.type === "user_message") {
			if (event.sendId !== undefined) this.#waiting.add(event.sendId);
		} else if (event.type === "agent_started") {
			this.#open.add(event.runId);
			if (event.sendId !== undefined) this.#waiting.delete(event.sendId);
		} else if (ENDS.has(event.type) || (event.type === "agent_error" && event.recoverable !== true)) {
			this.#open.delete(event.runId);
		}
	}

	/** The epoch has ended: what is in the new one follows. */
	reset() {
		this.#open.clear();
		this.#waiting.clear();
	}

	toJSON() {
		return { open: [...this.#open], waiting: [...this.#waiting] };
	}
}

// Which runs and messages are open, folded from the events, so that the page asks only when nothing is under way.

const ENDS = new Set(["agent_completed", "agent_cancelled", "agent_died"]);

export class Runs {
	/** Runs that started and did not end. */
	#open;
	/** Messages that no run has taken up. */
	#waiting;

	/** With the value of an earlier `saved()`, goes on from there. */
	constructor(saved = { open: [], waiting: [] }) {
		this.#open = new Set(saved.open);
		this.#waiting = new Set(saved.waiting);
	}

	saved() {
		return { open: [...this.#open], waiting: [...this.#waiting] };
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
			return;
		}
		if (event.runId === undefined) return;
		if (ENDS.has(event.type) || (event.type === "agent_error" && event.recoverable !== true)) {
			this.#open.delete(event.runId);
		} else if (event.type === "agent_started") {
			this.#open.add(event.runId);
			if (event.sendId !== undefined) this.#waiting.delete(event.sendId);
		}
	}
}

// Which runs and messages are open, folded from the events, so that the page asks only when nothing is under way.

const ENDS = new Set(["agent_completed", "agent_cancelled", "agent_died"]);
const KEY = "recorder.runs";

/**
 * With a storage, the fold belongs to the stored position and goes on in the next life: it is written when the page
 * leaves, and with each event that is still handed over after that, as the position is.
 */
export class Runs {
	/** Runs that started and did not end. */
	#open;
	/** Messages that no run has taken up. */
	#waiting;
	#storage;
	#left = false;

	constructor(storage) {
		this.#storage = storage;
		const { open, waiting } = JSON.parse(storage?.getItem(KEY) ?? '{"open":[],"waiting":[]}');
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
		this.#fold(event);
		if (this.#left) this.#save();
	}

	leave() {
		this.#left = true;
		this.#save();
	}

	#fold(event) {
		if (event.type === "user_message") {
			if (event.sendId !== undefined) this.#waiting.add(event.sendId);
		} else if (event.type === "agent_started") {
			this.#open.add(event.runId);
			if (event.sendId !== undefined) this.#waiting.delete(event.sendId);
		} else if (ENDS.has(event.type) || (event.type === "agent_error" && event.recoverable !== true)) {
			this.#open.delete(event.runId);
		}
	}

	#save() {
		this.#storage?.setItem(KEY, JSON.stringify({ open: [...this.#open], waiting: [...this.#waiting] }));
	}
}

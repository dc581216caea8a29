/** Which messages of users were claimed by runs of this process. */
import type { Message } from "./types.js";

export class Claims {
	readonly #waiting: Map<string, Set<() => void>> = new Map();

	/** Calls `then` when a run claims the message, until the returned function is called. */
	watch(message: Message, then: () => void): () => void {
		const name = nameOf(message);
		const waiting = this.#waiting.get(name) ?? new Set();
		this.#waiting.set(name, waiting.add(then));
		return () => {
			waiting.delete(then);
			if (waiting.size === 0 && this.#waiting.get(name) === waiting) this.#waiting.delete(name);
		};
	}

	/** A run has claimed the message. */
	made(message: Message): void {
		for (const then of [...(this.#waiting.get(nameOf(message)) ?? [])]) then();
	}
}

/** Not the object: a handler may pass a copy. */
const nameOf = ({ thread, sendId, offset }: Message): string => JSON.stringify([thread.key, sendId, offset]);

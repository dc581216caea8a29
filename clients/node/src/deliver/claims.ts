/** Which messages of users were claimed by runs of this process. */
import type { Message } from "./types.js";

export interface Watcher {
	/** A run is about to claim the message; it waits for this. */
	readonly before: () => Promise<void>;
	/** A run has claimed the message. */
	readonly made: () => void;
}

export class Claims {
	readonly #watchers: Map<string, Set<Watcher>> = new Map();

	/** Reports the claim of a message, until the returned function is called. */
	watch(message: Message, watcher: Watcher): () => void {
		const name = nameOf(message);
		const watchers = this.#watchers.get(name) ?? new Set();
		this.#watchers.set(name, watchers.add(watcher));
		return () => {
			watchers.delete(watcher);
			if (watchers.size === 0 && this.#watchers.get(name) === watchers) this.#watchers.delete(name);
		};
	}

	async before(message: Message): Promise<void> {
		await Promise.all(this.#of(message).map(({ before }) => before()));
	}

	made(message: Message): void {
		for (const { made } of this.#of(message)) made();
	}

	#of(message: Message): readonly Watcher[] {
		return [...(this.#watchers.get(nameOf(message)) ?? [])];
	}
}

/** Not the object: a handler may pass a copy. */
const nameOf = ({ thread, sendId, offset }: Message): string => JSON.stringify([thread.key, sendId, offset]);

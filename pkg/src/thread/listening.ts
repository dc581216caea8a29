/** The handlers of a stream, which are one consumer together. */
import { type Entry, Listeners } from "../shared/listeners.js";
import type { Gap, Resumed } from "./facts.js";
import type { BatchHandler, EventHandler } from "./thread.js";

export class ThreadListeners {
	readonly every: Listeners<EventHandler> = new Listeners();
	readonly batches: Listeners<BatchHandler> = new Listeners();
	readonly gaps: Listeners<(gap: Gap) => unknown> = new Listeners();
	readonly resumes: Listeners<(resumed: Resumed) => unknown> = new Listeners();
	readonly #typed = new Map<string, Listeners<EventHandler>>();

	get isEmpty(): boolean {
		return this.#typed.size === 0 && [this.every, this.batches, this.gaps, this.resumes].every(({ list }) => list.length === 0);
	}

	/** Does anybody get single events? */
	get hasEventHandlers(): boolean {
		return this.#typed.size > 0 || this.every.list.length > 0;
	}

	/** The handlers of one type. */
	ofType(type: string): readonly Entry<EventHandler>[] | undefined {
		return this.#typed.get(type)?.list;
	}

	/** Adds a handler of one type. The result removes it. */
	addTyped(type: string, handler: EventHandler): () => void {
		let listeners = this.#typed.get(type);
		if (listeners === undefined) this.#typed.set(type, (listeners = new Listeners()));
		const remove = this.addTo(listeners, handler);
		return () => {
			remove();
			// A page may use any number of types.
			if (listeners.list.length === 0 && this.#typed.get(type) === listeners) this.#typed.delete(type);
		};
	}

	/** Adds a handler to one of the lists. The result removes it. */
	addTo<H>(listeners: Listeners<H>, handler: H): () => void {
		const entry = listeners.add(handler);
		return () => listeners.remove(entry);
	}

	clear(): void {
		for (const listeners of [this.every, this.batches, this.gaps, this.resumes, ...this.#typed.values()]) listeners.clear();
		this.#typed.clear();
	}
}

/** The handlers of a stream, which are one consumer together. */
import { type Entry, Listeners } from "../shared/listeners.js";
import type { Gap, Resumed } from "./facts.js";
import type { BatchHandler, EventHandler } from "./thread.js";

/** The handlers of one type of event. */
interface TypedListeners {
	readonly type: string;
	readonly listeners: Listeners<EventHandler>;
}

export class ThreadListeners {
	readonly every: Listeners<EventHandler> = new Listeners();
	readonly batches: Listeners<BatchHandler> = new Listeners();
	readonly gaps: Listeners<(gap: Gap) => unknown> = new Listeners();
	readonly resumes: Listeners<(resumed: Resumed) => unknown> = new Listeners();
	/**
	 * A list and no map: the type of a parsed event is a new string each time, and a map would have to hash it first. To compare it with
	 * the few types that a page listens to takes a third of that.
	 */
	#typed: readonly TypedListeners[] = [];

	get isEmpty(): boolean {
		return this.#typed.length === 0 && [this.every, this.batches, this.gaps, this.resumes].every(({ list }) => list.length === 0);
	}

	/** Does anybody get single events? */
	get hasEventHandlers(): boolean {
		return this.#typed.length > 0 || this.every.list.length > 0;
	}

	/** The handlers of one type. */
	ofType(type: string): readonly Entry<EventHandler>[] | undefined {
		for (const typed of this.#typed) if (typed.type === type) return typed.listeners.list;
		return undefined;
	}

	/** Adds a handler of one type. The result removes it. */
	addTyped(type: string, handler: EventHandler): () => void {
		let typed = this.#typed.find((known) => known.type === type);
		if (typed === undefined) this.#typed = [...this.#typed, (typed = { type, listeners: new Listeners() })];
		const { listeners } = typed;
		const remove = this.addTo(listeners, handler);
		return () => {
			remove();
			// A page may use any number of types.
			if (listeners.list.length === 0) this.#typed = this.#typed.filter((known) => known !== typed);
		};
	}

	/** Adds a handler to one of the lists. The result removes it. */
	addTo<H>(listeners: Listeners<H>, handler: H): () => void {
		const entry = listeners.add(handler);
		return () => listeners.remove(entry);
	}

	clear(): void {
		for (const listeners of [this.every, this.batches, this.gaps, this.resumes, ...this.#typed.map((typed) => typed.listeners)]) listeners.clear();
		this.#typed = [];
	}
}

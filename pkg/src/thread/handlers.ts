/**
 * The hot path: hands the events of a frame to the handlers of a thread, one after another, before it returns.
 */
import type { Consumer, Start } from "./consumer.js";
import type { AgentEvent } from "./events.js";
import { eventsOf, type ParsedEvent } from "./frames.js";
import { type Entry, type Failed, Listeners, run } from "./listeners.js";
import type { RawEventsFrame, RawGap } from "./raw.js";

/** The event handlers of a stream: those of one type, and those of every event. */
export class EventListeners {
	readonly #every = new Listeners<AgentEvent>();
	readonly #typed = new Map<string, Listeners<AgentEvent>>();
	#size = 0;

	get size(): number {
		return this.#size;
	}

	/** Adds a handler of one type, or of every event for `"event"`. The result removes it and says whether it was there. */
	add(type: string, handler: (event: AgentEvent) => unknown): () => boolean {
		const listeners = type === "event" ? this.#every : this.#ofType(type);
		const entry = listeners.add(handler);
		this.#size += 1;
		return () => {
			if (!listeners.remove(entry)) return false;
			this.#size -= 1;
			return true;
		};
	}

	clear(): void {
		this.#every.clear();
		for (const listeners of this.#typed.values()) listeners.clear();
		this.#typed.clear();
		this.#size = 0;
	}

	emit(event: AgentEvent, failed: Failed): void {
		// Both lists are taken before the first call: what is added by a handler gets the next event.
		const typed: readonly Entry<AgentEvent>[] | undefined = this.#typed.get(event.type)?.list;
		const every = this.#every.list;
		if (typed !== undefined) run(typed, event, failed);
		run(every, event, failed);
	}

	#ofType(type: string): Listeners<AgentEvent> {
		let listeners = this.#typed.get(type);
		if (listeners === undefined) this.#typed.set(type, (listeners = new Listeners()));
		return listeners;
	}
}

/** Sets what every handed event carries. An object that several consumers share gets the same values from each. */
export function stamp(event: ParsedEvent, offset: number, epoch: string, replayThrough: number): AgentEvent {
	event["offset"] = offset;
	event["epoch"] = epoch;
	event["delivery"] = offset <= replayThrough ? "replay" : "live";
	return event as AgentEvent;
}

/** The one consumer behind all event handlers of a stream. */
export class HandlerConsumer implements Consumer {
	id: number;
	start: Start = { open: 0, epoch: undefined, offset: -1 };
	epoch: string | undefined;
	offset: number | undefined;
	readonly #listeners: EventListeners;
	readonly #failed: Failed;
	readonly #onGap: (gap: RawGap) => void;
	#active = true;
	#dispatching = false;
	#after: (() => void) | undefined;

	constructor(id: number, listeners: EventListeners, failed: Failed, onGap: (gap: RawGap) => void) {
		this.id = id;
		this.#listeners = listeners;
		this.#failed = failed;
		this.#onGap = onGap;
	}

	get reached(): number | undefined {
		return this.offset;
	}

	deliver(frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number {
		const events = eventsOf(frame);
		const epoch = this.epoch ?? "";
		this.#dispatching = true;
		let handed = 0;
		while (handed < take && this.#active) {
			const event = events[skip + handed];
			if (event === undefined) break;
			const at = offset + handed;
			// Before the calls: a handler that leaves and one that joins meanwhile both count from here.
			this.offset = at;
			handed += 1;
			this.#listeners.emit(stamp(event, at, epoch, replayThrough), this.#failed);
		}
		this.#dispatching = false;
		this.#after?.();
		this.#after = undefined;
		return handed;
	}

	gap(gap: RawGap): boolean {
		this.epoch = gap.epoch ?? this.epoch;
		this.offset = gap.next - 1;
		this.#onGap(gap);
		return true;
	}

	rewind(): void {
		// Nothing is held: what was delivered was handed over.
	}

	afterHandlers(action: () => void): void {
		if (this.#dispatching) this.#after = action;
		else action();
	}

	end(): void {
		this.#active = false;
	}
}

/**
 * The hot path: delivers the events of a frame to the handlers of a thread, one after another, before it returns.
 */
import type { RawEventsFrame, RawGap, RawResumeResult } from "../core/raw.js";
import type { Start } from "../core/supervisor.js";
import { type Entry, emit, emitWith, type Failed } from "../shared/listeners.js";
import { at, type Consumer } from "./consumer.js";
import type { AgentEvent } from "./events.js";
import { batchMetaOf, gapOf, metaOf, resumedOf } from "./facts.js";
import { eventsOf } from "./frames.js";
import type { ThreadListeners } from "./listening.js";
import type { Position } from "./position.js";
import type { BatchHandler } from "./thread.js";

/** The one consumer behind all handlers of a stream. */
export class HandlerConsumer implements Consumer {
	readonly id: number;
	readonly maxQueued = 0;
	start: Start = { open: 0, epoch: undefined, offset: -1 };
	epoch: string | undefined;
	offset: number | undefined;
	readonly #listeners: ThreadListeners;
	readonly #isAlone: () => boolean;
	readonly #failed: Failed;
	#active = true;
	/** While handlers run: what was delivered before. */
	#before: { readonly epoch: string | undefined; offset: number | undefined } | undefined;
	/** Batch handlers that were added while the events of a frame are being delivered, with the last event before that. */
	readonly #late = new Map<Entry<BatchHandler>, number>();

	/** `isAlone` answers whether no other consumer of the stream holds the frame too. */
	constructor(id: number, listeners: ThreadListeners, isAlone: () => boolean, failed: Failed) {
		this.id = id;
		this.#listeners = listeners;
		this.#isAlone = isAlone;
		this.#failed = failed;
	}

	get delivered(): Position | undefined {
		const { epoch, offset } = this.#before ?? this;
		return at(epoch, offset);
	}

	get front(): Position | undefined {
		return at(this.epoch, this.offset);
	}

	/** Takes note of a batch handler: one that is added within a frame gets what comes after the running event. */
	noteBatch(entry: Entry<BatchHandler>): void {
		if (this.#before !== undefined) this.#late.set(entry, this.offset ?? 0);
	}

	deliver(frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number {
		const events = eventsOf(frame) as readonly AgentEvent[];
		const before = { epoch: this.epoch, offset: this.offset };
		this.#before = before;
		const end = Math.min(skip + take, events.length);
		let index = skip;
		if (!this.#listeners.hasEventHandlers) {
			// Batch handlers get the whole part of the frame below.
			index = Math.max(index, end);
			this.offset = offset + index - skip - 1;
			if (this.#listeners.batches.list.length === 0) before.offset = this.offset;
		}
		while (index < end && this.#active) {
			// Before the calls: a handler that leaves and one that joins meanwhile both count from here.
			const place = offset + index - skip;
			this.offset = place;
			this.#deliverOne(events[index] as AgentEvent, place, replayThrough);
			index += 1;
			// With batch handlers, an event is delivered when they got it too.
			if (this.#listeners.batches.list.length === 0) before.offset = place;
		}
		if (this.#active && index > skip && this.#listeners.batches.list.length > 0) this.#deliverBatch(events, skip, index - skip, offset, replayThrough);
		// To clear a map costs as much as the delivery of two events, also where it is empty.
		if (this.#late.size > 0) this.#late.clear();
		this.#before = undefined;
		return index - skip;
	}

	gap(gap: RawGap): boolean {
		const fact = gapOf(gap, this.epoch ?? "");
		this.#before = { epoch: this.epoch, offset: this.offset };
		this.epoch = fact.position.epoch;
		this.offset = fact.position.offset;
		emit(this.#listeners.gaps.list, fact, this.#failed);
		this.#before = undefined;
		return true;
	}

	resumed(result: RawResumeResult): void {
		if (this.#active) emit(this.#listeners.resumes.list, resumedOf(result, this.front), this.#failed);
	}

	rewind(): void {
		// Nothing waits here.
	}

	end(): void {
		this.#active = false;
	}

	#deliverOne(event: AgentEvent, offset: number, replayThrough: number): void {
		// Both lists are taken before the first call: what is added by a handler gets the next event. And nothing is read of an
		// event after a handler had it.
		const typed = this.#listeners.ofType(event.type);
		const every = this.#listeners.every.list;
		if (typed === undefined && every.length === 0) return;
		const meta = metaOf(this.epoch ?? "", offset, replayThrough);
		if (typed !== undefined) emitWith(typed, event, meta, this.#failed);
		if (every.length > 0) emitWith(every, event, meta, this.#failed);
	}

	#deliverBatch(events: readonly AgentEvent[], skip: number, count: number, first: number, replayThrough: number): void {
		const { list } = this.#listeners.batches;
		const epoch = this.epoch ?? "";
		// The frame's own array only where nobody else reads it: a handler may change it.
		const whole = skip === 0 && count === events.length && this.#isAlone() ? events : events.slice(skip, skip + count);
		const meta = batchMetaOf(epoch, first, count, replayThrough);
		if (this.#late.size === 0) return emitWith(list, whole, meta, this.#failed);
		for (const entry of list) {
			const missed = Math.max(0, (this.#late.get(entry) ?? 0) - first + 1);
			if (missed === 0) emitWith([entry], whole, meta, this.#failed);
			else if (missed < count)
				emitWith([entry], events.slice(skip + missed, skip + count), batchMetaOf(epoch, first + missed, count - missed, replayThrough), this.#failed);
		}
	}
}

/**
 * An async iterator over a stream: a consumer of its own, whose queue is bounded by the window, because the core
 * acknowledges only what was pulled.
 */
import type { Consumer, Start } from "./consumer.js";
import { stamp } from "./dispatch.js";
import type { GapItem, ThreadItem } from "./events.js";
import { eventsOf, type ParsedEvent } from "./frames.js";
import { gapOf } from "./gap.js";
import type { RawEventsFrame, RawGap } from "./raw.js";

/** What an iterator needs of the stream it reads. */
export interface IteratorPort {
	attach(consumer: Consumer): void;
	detach(consumer: Consumer): void;
	handedOver(consumer: Consumer, offset: number): void;
}

/** A part of a frame that was not pulled yet. */
interface Chunk {
	readonly events: readonly ParsedEvent[];
	index: number;
	readonly end: number;
	offset: number;
	readonly replayThrough: number;
}

/** A gap that was not pulled yet. */
interface QueuedGap {
	readonly item: GapItem;
	readonly epoch: string | undefined;
	readonly through: number;
}

interface Waiter {
	resolve(result: IteratorResult<ThreadItem, undefined>): void;
	reject(error: unknown): void;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * Attaches with the first `next()`, so that an iterator nobody reads holds nothing up. `return()`, which `break` calls,
 * detaches it.
 */
export class ThreadIterator implements AsyncIterableIterator<ThreadItem, undefined, undefined>, Consumer {
	id: number;
	start: Start = { open: 0, epoch: undefined, offset: -1 };
	epoch: string | undefined;
	offset: number | undefined;
	readonly #port: IteratorPort;
	readonly #signal: AbortSignal | undefined;
	readonly #onAbort: () => void;
	#queue: (Chunk | QueuedGap)[] = [];
	#waiters: Waiter[] = [];
	#phase: "new" | "attached" | "ended" = "new";
	/** Thrown once, when the queue is empty. */
	#failure: { readonly error: unknown } | undefined;

	constructor(id: number, port: IteratorPort, signal: AbortSignal | undefined) {
		this.id = id;
		this.#port = port;
		this.#signal = signal;
		this.#onAbort = () => this.#stop({ error: signal?.reason });
		if (signal?.aborted === true) this.#onAbort();
		else signal?.addEventListener("abort", this.#onAbort, { once: true });
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	next(): Promise<IteratorResult<ThreadItem, undefined>> {
		if (this.#phase === "new") {
			this.#phase = "attached";
			this.#port.attach(this);
		}
		const item = this.#waiters.length === 0 ? this.#pull() : undefined;
		if (item !== undefined) return Promise.resolve({ done: false, value: item });
		if (this.#phase === "ended") return this.#last();
		return new Promise((resolve, reject) => {
			this.#waiters.push({ resolve, reject });
		});
	}

	return(): Promise<IteratorReturnResult<undefined>> {
		this.#queue = [];
		this.#failure = undefined;
		this.#stop(undefined);
		return Promise.resolve(DONE);
	}

	get reached(): number | undefined {
		const last = this.#queue.at(-1);
		if (last === undefined) return this.offset;
		return "item" in last ? last.through : last.offset + (last.end - last.index) - 1;
	}

	deliver(frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number {
		if (this.#phase !== "attached") return 0;
		this.#queue.push({ events: eventsOf(frame), index: skip, end: skip + take, offset, replayThrough });
		this.#serve();
		return 0;
	}

	gap(gap: RawGap): boolean {
		if (this.#phase !== "attached") return true;
		// What waits belongs to an epoch that is over, and is lost with it.
		if (gap.epoch !== undefined) this.#queue = [];
		this.#queue.push({ item: { type: "gap", ...gapOf(gap) }, epoch: gap.epoch, through: gap.next - 1 });
		this.#serve();
		return false;
	}

	rewind(): void {
		this.#queue = [];
	}

	afterHandlers(action: () => void): void {
		action();
	}

	end(error: Error | undefined): void {
		if (error === undefined) return this.#stop(undefined);
		if (this.#phase === "ended") return;
		// What was received before the end is still handed over.
		this.#failure = { error };
		this.#leave();
		this.#settleWaiters();
	}

	#serve(): void {
		while (this.#waiters.length > 0) {
			const item = this.#pull();
			if (item === undefined) return;
			this.#waiters.shift()?.resolve({ done: false, value: item });
		}
	}

	#pull(): ThreadItem | undefined {
		const first = this.#queue[0];
		if (first === undefined) return undefined;
		if ("item" in first) {
			this.#queue.shift();
			this.epoch = first.epoch ?? this.epoch;
			this.#moved(first.through);
			return first.item;
		}
		const event = first.events[first.index];
		const offset = first.offset;
		first.index += 1;
		first.offset += 1;
		if (first.index >= first.end) this.#queue.shift();
		if (event === undefined) return this.#pull();
		const stamped = stamp(event, offset, this.epoch ?? "", first.replayThrough);
		this.#moved(offset);
		return stamped;
	}

	#moved(offset: number): void {
		this.offset = offset;
		if (this.#phase === "attached") this.#port.handedOver(this, offset);
	}

	#stop(failure: { readonly error: unknown } | undefined): void {
		if (this.#phase === "ended") return;
		this.#queue = [];
		this.#failure = failure;
		this.#leave();
		this.#settleWaiters();
	}

	#leave(): void {
		this.#phase = "ended";
		this.#signal?.removeEventListener("abort", this.#onAbort);
		this.#port.detach(this);
	}

	#settleWaiters(): void {
		const waiters = this.#waiters;
		this.#waiters = [];
		for (const waiter of waiters) this.#last().then(waiter.resolve, waiter.reject);
	}

	#last(): Promise<IteratorReturnResult<undefined>> {
		const failure = this.#failure;
		this.#failure = undefined;
		return failure === undefined ? Promise.resolve(DONE) : Promise.reject(failure.error);
	}
}

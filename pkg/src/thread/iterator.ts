/**
 * An async iterator over a stream: a consumer of its own, with a queue of its own. The core knows the bound of the queue: it drops
 * what comes beyond it, and asks for it again when there is room.
 */
import type { RawEventsFrame, RawGap, RawResumeResult } from "../core/raw.js";
import type { Start } from "../core/supervisor.js";
import { type Deferred, deferred } from "../shared/deferred.js";
import { at, type Consumer } from "./consumer.js";
import type { ThreadItem } from "./facts.js";
import type { Position } from "./position.js";
import { Queue } from "./queue.js";

/** What an iterator needs of the stream it reads. */
export interface IteratorPort {
	attach(consumer: Consumer): void;
	detach(consumer: Consumer): void;
	/** Everything up to `offset` was pulled, in the epoch that `life` counts. */
	delivered(consumer: Consumer, life: number, offset: number): void;
}

type Result = IteratorResult<ThreadItem, undefined>;

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/**
 * Attaches with the first `next()`, so that an iterator nobody reads holds nothing up. `return()`, which `break` calls,
 * detaches it.
 */
export class ThreadIterator implements AsyncIterableIterator<ThreadItem, undefined, undefined>, Consumer {
	readonly id: number;
	readonly maxQueued: number;
	start: Start = { open: 0, epoch: undefined, offset: -1 };
	epoch: string | undefined;
	offset: number | undefined;
	readonly #port: IteratorPort;
	readonly #signal: AbortSignal | undefined;
	readonly #onAbort: () => void;
	readonly #queue = new Queue();
	/** Where the last gap of an ended epoch begins for this iterator. */
	#resetFrom: number | undefined;
	/** The calls of `next()` that wait for an item. */
	#waiters: Deferred<Result>[] = [];
	#phase: "new" | "attached" | "ended" = "new";
	/** Thrown once, when the queue is empty. */
	#failure: { readonly error: unknown } | undefined;

	constructor(id: number, port: IteratorPort, maxQueued: number, signal: AbortSignal | undefined) {
		this.id = id;
		this.maxQueued = maxQueued;
		this.#port = port;
		this.#signal = signal;
		this.#onAbort = () => this.#stop({ error: signal?.reason });
		if (signal?.aborted === true) this.#onAbort();
		else signal?.addEventListener("abort", this.#onAbort, { once: true });
	}

	// --- what the application calls ---

	[Symbol.asyncIterator](): this {
		return this;
	}

	next(): Promise<Result> {
		if (this.#phase === "new") {
			this.#phase = "attached";
			this.#port.attach(this);
		}
		const item = this.#waiters.length === 0 ? this.#pull() : undefined;
		if (item !== undefined) return Promise.resolve({ done: false, value: item });
		if (this.#phase === "ended") return this.#last();
		const waiter = deferred<Result>();
		this.#waiters.push(waiter);
		return waiter.promise;
	}

	return(): Promise<IteratorReturnResult<undefined>> {
		this.#queue.clear();
		this.#failure = undefined;
		this.#stop(undefined);
		return Promise.resolve(DONE);
	}

	// --- what the stream and the core's host call ---

	get delivered(): Position | undefined {
		return at(this.epoch, this.offset);
	}

	get front(): Position | undefined {
		return this.#queue.front ?? this.delivered;
	}

	deliver(frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number {
		if (this.#phase !== "attached") return 0;
		this.#queue.events(frame, skip, take, this.epoch ?? "", offset, replayThrough);
		this.#serve();
		return 0;
	}

	gap(gap: RawGap): boolean {
		if (this.#phase !== "attached") return true;
		// A handler of another consumer may have pulled after the core took note of the end of the epoch.
		const own = gap.epoch === undefined || this.offset === undefined ? gap : { ...gap, from: this.offset + 1 };
		if (own.epoch !== undefined) this.#resetFrom = own.from;
		this.#queue.gap(own, this.epoch ?? "");
		this.#serve();
		return false;
	}

	resumed(given: RawResumeResult): void {
		if (this.#phase !== "attached") return;
		const { gap } = given;
		const result = gap?.epoch === undefined || this.#resetFrom === undefined ? given : { ...given, gap: { ...gap, from: this.#resetFrom } };
		this.#queue.resumed(result, this.delivered);
		this.#serve();
	}

	rewind(): void {
		this.#queue.restart();
	}

	end(error: Error | undefined): void {
		if (error === undefined) return this.#stop(undefined);
		if (this.#phase === "ended") return;
		// What came before the end is still delivered.
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
		const item = this.#queue.pull();
		if (item === undefined || item.kind === "resumed") return item;
		const { position } = item.kind === "event" ? item.meta : item.gap;
		this.epoch = position.epoch;
		this.offset = position.offset;
		if (this.#phase === "attached") this.#port.delivered(this, this.#queue.life, position.offset);
		return item;
	}

	#stop(failure: { readonly error: unknown } | undefined): void {
		if (this.#phase === "ended") return;
		this.#queue.clear();
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

/** The two kinds of consumer of a stream, as the stream and the client see them. */
import type { RawEventsFrame, RawGap } from "./raw.js";

/** Where a consumer begins, in the words of `RawClient.subscribe`. */
export interface Start {
	/** 0: the start; -1: live; n: the last n events. */
	readonly open: number;
	readonly epoch: string | undefined;
	/** -1: as `open` says, or at the stream's position. */
	readonly offset: number;
}

/** Gets the events of a stream from the core. */
export interface Consumer {
	/** Changes only when the stream begins anew. */
	id: number;
	/** Where it began, and where it would begin again as long as it has no position. */
	start: Start;
	/** The epoch of `offset`; unknown until the core has placed one that began without an epoch. */
	epoch: string | undefined;
	/** The last offset it got (a handler was called, an item was pulled), or after which it begins; known with `epoch`. */
	offset: number | undefined;
	/** The last offset that the core delivered to it: ahead of `offset` by what waits in a queue. */
	readonly reached: number | undefined;
	deliver(frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number;
	/** Answers whether it was handed over at once. */
	gap(gap: RawGap): boolean;
	/** Forgets what it holds beyond `offset`: it comes again. */
	rewind(): void;
	/** Runs `action` as soon as none of its handlers is running. */
	afterHandlers(action: () => void): void;
	/** No event will come any more: because of `error`, or because the application closed the thread. */
	end(error: Error | undefined): void;
}

/** The two kinds of consumer of a stream, as the stream and the core's host see them. */
import type { RawEventsFrame, RawGap, RawResumeResult } from "../core/raw.js";
import type { Start } from "../core/supervisor.js";
import type { Position } from "./position.js";

/** Gets the events of a stream from the core. */
export interface Consumer {
	readonly id: number;
	/** Events that may wait to be delivered to it; 0 for one that takes everything at once. */
	readonly maxQueued: number;
	/** Where it began, and where it begins again as long as it has no position. */
	start: Start;
	/** The epoch of `offset`. `undefined` until the core has placed a consumer that began without an epoch. */
	epoch: string | undefined;
	/** The last offset it got, or after which it begins: the event that a handler is being called with counts. Known with `epoch`. */
	offset: number | undefined;
	/** The last event that was delivered: every handler has returned, or the item was pulled. */
	readonly delivered: Position | undefined;
	/** The last offset that the core brought, with its epoch: further than `offset` by what waits in a queue. */
	readonly front: Position | undefined;
	/** Returns how many were delivered before it returned. */
	deliver(frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number;
	/** Returns whether the gap was delivered at once. */
	gap(gap: RawGap): boolean;
	resumed(result: RawResumeResult): void;
	/** Forgets what it holds beyond `offset`: a new core brings it again, and counts its lives anew. */
	rewind(): void;
	/** No event will come any more: because of `error`, or because the application closed the thread. */
	end(error: Error | undefined): void;
}

/** A position, where both parts of it are known. */
export function at(epoch: string | undefined, offset: number | undefined): Position | undefined {
	return epoch === undefined || offset === undefined ? undefined : { epoch, offset };
}

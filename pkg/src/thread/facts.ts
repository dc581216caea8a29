/** What a thread tells beside its events: where an event belongs, what is missing, and how a catch-up ended. */
import type { RawGap, RawResumeResult } from "../core/raw.js";
import type { AgentEvent } from "./events.js";
import type { Position } from "./position.js";

/** Where an event belongs. */
export interface EventMeta {
	/** Place in the stream, counted from 1. */
	readonly offset: number;
	/** The life of the log that the offset counts in. */
	readonly epoch: string;
	/** `replay`: the event was in the log before the page subscribed on this connection. */
	readonly delivery: "live" | "replay";
	/** The position that the event leads to: a page that continues from it gets the next event. */
	readonly position: Position;
}

/** Where the events of one frame belong. */
export interface BatchMeta {
	/** Offset of the first event; the others follow without a hole. */
	readonly first: number;
	/** The epoch that the offsets count in. */
	readonly epoch: string;
	/** So many of the first events are replays. */
	readonly replays: number;
	/** The position after the last event. */
	readonly position: Position;
}

/** Offsets that will never come, as the server declared (GAP-5). */
export interface Gap {
	/** The first offset that is missing. */
	readonly from: number;
	/** The last offset that is missing. `undefined`: the rest of the epoch. */
	readonly to: number | undefined;
	/** `trimmed`, `epoch`, `ahead` (the page had more than the server knows of: it starts over, in the same epoch), `forbidden` or another. */
	readonly reason: string;
	/** `refetch`: what is shown stays valid. `reset`: drop what is shown of this thread: the events that still exist come next, from where `from` asks. */
	readonly remedy: "refetch" | "reset";
	/** The epoch that follows, when this one ended or starts over. */
	readonly epoch: string | undefined;
	/** The position that the gap leads to. */
	readonly position: Position;
}

/** The end of one catch-up (I3). */
export interface Resumed {
	/** False when something was lost: a gap was delivered. */
	readonly recovered: boolean;
	/** The epoch that the stream is in. */
	readonly epoch: string;
	/** The first offset that was missing. */
	readonly from: number;
	/** The last offset of the catch-up: the head when the page subscribed. `from - 1`: nothing was missing. */
	readonly to: number;
	/** Number of events that were replayed. */
	readonly replayed: number;
	/** Events that the page had already and that came again. */
	readonly duplicatesDropped: number;
	/** Requests that the catch-up took. */
	readonly attempts: number;
	/** Ids of the runs that are open at `to`, in the order they started. `undefined`: the server did not say. */
	readonly openRuns: readonly string[] | undefined;
	/** The last gap of this catch-up. */
	readonly gap: Gap | undefined;
	/** Offsets of a new epoch that exist and are not delivered, because the thread was opened with `"live"` or `{ last: n }`. */
	readonly skipped: { readonly from: number; readonly to: number } | undefined;
	/** The position that the catch-up leads to. */
	readonly position: Position;
}

/** The server ended the subscription for good. */
export interface Ended {
	/** `forbidden`, `unknown_stream`, `too_many_streams`, `deleted` or another. */
	readonly reason: string;
	/** Where the thread was left. */
	readonly position: Position | undefined;
}

/** What an iterator of a thread yields, each in its place. */
export type ThreadItem =
	| { readonly kind: "event"; readonly event: AgentEvent; readonly meta: EventMeta }
	| { readonly kind: "gap"; readonly gap: Gap }
	| { readonly kind: "resumed"; readonly resumed: Resumed };

/** Where the event at `offset` belongs; offsets up to `replayThrough` are replays. */
export function metaOf(epoch: string, offset: number, replayThrough: number): EventMeta {
	return { offset, epoch, delivery: offset <= replayThrough ? "replay" : "live", position: { epoch, offset } };
}

/** Where `count` events belong, the first of them at `first`. */
export function batchMetaOf(epoch: string, first: number, count: number, replayThrough: number): BatchMeta {
	const replays = Math.min(count, Math.max(0, replayThrough - first + 1));
	return { first, epoch, replays, position: { epoch, offset: first + count - 1 } };
}

/** A gap as the page sees it; `epoch` is the one that the consumer was in. */
export function gapOf(gap: RawGap, epoch: string): Gap {
	const remedy = gap.epoch === undefined ? "refetch" : "reset";
	return { from: gap.from, to: gap.to, reason: gap.reason, remedy, epoch: gap.epoch, position: { epoch: gap.epoch ?? epoch, offset: gap.next - 1 } };
}

/** The end of a catch-up as the page sees it; `position` is where the consumer then is: a gap can lead beyond the end. */
export function resumedOf(result: RawResumeResult, position: Position | undefined): Resumed {
	const { recovered, epoch, from, to, replayed, duplicatesDropped, attempts, openRuns, gap, skipped } = result;
	return {
		recovered,
		epoch,
		from,
		to,
		replayed,
		duplicatesDropped,
		attempts,
		openRuns: openRuns && [...openRuns],
		gap: gap && gapOf(gap, epoch),
		skipped: skipped && { from: skipped.from, to: skipped.to },
		position: position ?? { epoch, offset: to },
	};
}

/**
 * The events of a frame. A `deltas` frame is expanded (DLT-1), once, so that nothing behind this file knows that it
 * exists (DLT-2).
 */
import type { RawEventsFrame } from "../core/raw.js";

/** An event as `JSON.parse` made it. */
export type ParsedEvent = Record<string, unknown>;

/** What `deltas` frames stand for, expanded once. Not kept in the frame: a field `events` there is one that nobody knows (GEN-3). */
const expansions = new WeakMap<RawEventsFrame, readonly ParsedEvent[]>();

/** The events that `frame` carries or stands for. The same list for the same frame, so that consumers share them. */
export function eventsOf(frame: RawEventsFrame): readonly ParsedEvent[] {
	if (frame.type === "events") return frame.events ?? [];
	return expansions.get(frame) ?? expand(frame);
}

function expand(frame: RawEventsFrame): readonly ParsedEvent[] {
	const { head, times, texts } = frame;
	if (head === undefined || times === undefined || texts === undefined) return [];
	// Events share the nested values of the head: what is delivered is read-only.
	const events = texts.map((text, index) => ({ ...head, time: times[index], text }));
	expansions.set(frame, events);
	return events;
}

/** Frames of events: the only ones that come often, so they are not read by the table of `frames.ts`. */
import { isInteger, MAX_CH } from "./frames.js";
import type { RawEventsFrame } from "./raw.js";

const MAX_COUNT = 10_000;

/** Is it a frame of events by its type? */
export function isOfEvents(frame: object): frame is RawEventsFrame {
	const { type } = frame as { readonly type?: unknown };
	return type === "events" || type === "deltas";
}

/** Are the numbers of a frame of events in their ranges, and is each event what EVT-1 says, or the parts of a `deltas` frame what DLT-1 says? */
export function isWellFormed(frame: RawEventsFrame): boolean {
	const { type, ch, first, count, events, head, times, texts } = frame;
	if (!isInteger(ch, 1, MAX_CH) || !isInteger(count, 1, MAX_COUNT) || !isInteger(first, 1, Number.MAX_SAFE_INTEGER - count + 1)) return false;
	if (type === "events") return isListOf(events, count, isTyped);
	return isTyped(head) && !("time" in (head as object)) && !("text" in (head as object)) && isListOf(times, count, isTime) && isListOf(texts, count, isText);
}

function isListOf(list: unknown, count: number, is: (value: unknown) => boolean): boolean {
	if (!Array.isArray(list) || list.length !== count) return false;
	for (let index = 0; index < count; index += 1) if (!is(list[index])) return false;
	return true;
}

/** Is it an object with a text `type`? No list that `JSON.parse` makes has one. */
function isTyped(value: unknown): boolean {
	return typeof value === "object" && value !== null && typeof (value as { readonly type?: unknown }).type === "string";
}

function isTime(value: unknown): boolean {
	return isInteger(value, 0, Number.MAX_SAFE_INTEGER);
}

function isText(value: unknown): boolean {
	return typeof value === "string";
}

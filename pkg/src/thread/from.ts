/** Where a thread begins. */
import type { RawOpen } from "../core/raw.js";
import { integer, refuse } from "../shared/check.js";
import { isPosition, type Position } from "./position.js";

/** The start, what comes from now on, the last n events (n from 1 to 100,000), or after a position. */
export type From = "start" | "live" | { readonly last: number } | Position;

/** A copy of a `from`, which later changes by the caller do not reach. Throws `invalid_option`. */
export function checkFrom(from: unknown): From {
	if (from === "start" || from === "live") return from;
	if (isPosition(from)) return { epoch: from.epoch, offset: from.offset };
	if (typeof from === "object" && from !== null && "last" in from) return { last: integer("from.last", from.last, 1, 100_000) };
	return refuse("from", from, '"start", "live", { last: n } or a position { epoch, offset }');
}

/** `from` in the words of `RawClient.subscribe`. */
export function openOf(from: From): RawOpen {
	if (from === "live") return -1;
	return typeof from === "object" && "last" in from ? from.last : 0;
}

/** Do two `from` say the same? */
export function isSameFrom(one: From, other: From): boolean {
	return showFrom(one) === showFrom(other);
}

/** As the caller wrote it. */
export function showFrom(from: From): string {
	if (typeof from !== "object") return JSON.stringify(from);
	if ("last" in from) return `{ last: ${from.last} }`;
	return `{ epoch: ${JSON.stringify(from.epoch)}, offset: ${from.offset} }`;
}

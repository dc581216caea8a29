/** Runs of deltas in their compact form (DLT-1). */
import type { Body } from "./log.js";
import type { Frame } from "./socket.js";

/** The frames that stand for `events`: `deltas` where neighbours differ in `time` and `text` only, else `events`. */
export function compacted(ch: number, first: number, events: readonly Body[]): Frame[] {
	const frames: Frame[] = [];
	let at = 0;
	while (at < events.length) {
		const head = headOf(events[at]);
		let end = at + 1;
		while (end < events.length && (headOf(events[end]) ?? end) === (head ?? -1)) end += 1;
		const part = events.slice(at, end);
		if (head === undefined) frames.push({ type: "events", ch, first: first + at, count: part.length, events: part });
		else
			frames.push({
				type: "deltas",
				ch,
				first: first + at,
				count: part.length,
				head: JSON.parse(head) as Body,
				times: part.map((event) => event["time"]),
				texts: part.map((event) => event["text"]),
			});
		at = end;
	}
	return frames;
}

/** The JSON of what neighbours must share. The order of keys is that of the expansion: `time` and `text` last. */
function headOf(event: Body | undefined): string | undefined {
	if (event === undefined || event["type"] !== "message_delta" || typeof event["text"] !== "string" || typeof event["time"] !== "number") return undefined;
	const { time: _time, text: _text, ...head } = event;
	return JSON.stringify(head);
}

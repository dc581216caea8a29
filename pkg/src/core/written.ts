/** Frames of the page, written from the numbers that the core gives. The kinds are those of `PageKind` in `src/proto/wire/numbers.rs`. */
import { randomId } from "../shared/names.js";
import type { Slots } from "./slots.js";
import type { Texts } from "./texts.js";

const ACK = 0;
const APPROVE = 1;
const CANCEL = 2;
const EDIT = 3;
const SEND = 4;
const WITHDRAW = 5;
const HELLO = 6;
const PING = 7;
const PONG = 8;
const REFRESH = 9;
const REPLAY = 10;
const SIGNAL = 11;
const SUBSCRIBE = 12;

/** The names of the frames that settle by a receipt. */
const KEYED: Readonly<Record<number, string>> = { [APPROVE]: "approve", [CANCEL]: "cancel", [EDIT]: "edit", [SEND]: "send", [WITHDRAW]: "withdraw" };

/** Names this life of the page, for the logs of servers. Made when it is needed: an import must touch nothing. */
let instance: string | undefined;

/** What frames are written with. */
export interface Writing {
	readonly texts: Texts;
	readonly slots: Slots;
	/** Named in `hello`. */
	readonly version: string;
	/** The application's name for the device. */
	readonly device: string | undefined;
}

/** Does a frame of this kind settle by a receipt? */
export function isKeyed(kind: number): boolean {
	return kind in KEYED;
}

/** The frame of a kind. */
export function frameOf(kind: number, numbers: readonly number[], { texts, slots, version, device }: Writing): object {
	const [first = 0, second = 0, third = 0, fourth = 0] = numbers;
	const value = (slot: number): unknown => slots.get(slot);
	if (isKeyed(kind)) {
		const key = { type: KEYED[kind], id: texts.text(first), stream: texts.text(second) };
		// The body brings the rest and cannot replace the key.
		return { ...key, ...(value(third) as object), ...key, ...(fourth < 0 ? {} : { firstSentAt: fourth }) };
	}
	switch (kind) {
		case ACK:
			return { type: "ack", offsets: Object.fromEntries(inGroups(numbers, 2)) };
		case HELLO:
			instance ??= randomId();
			return {
				type: "hello",
				token: value(first),
				client: { name: "agentwire-js", version, instance, ...(device === undefined ? {} : { device }) },
				features: ["deltas"],
				window: { events: second, bytes: third, totalBytes: fourth },
				streams: requests(numbers.slice(4), texts),
			};
		case PING:
		case PONG:
			return { type: kind === PING ? "ping" : "pong", n: first };
		case REFRESH:
			return { type: "refresh", token: value(first) };
		case REPLAY:
			return { type: "replay", req: first, ch: second, from: third, to: fourth };
		case SIGNAL:
			return { type: "signal", stream: texts.text(first), signal: value(second) };
		case SUBSCRIBE:
			return { type: "subscribe", streams: requests(numbers, texts) };
		default:
			return { type: "unsubscribe", ch: first };
	}
}

/** Requests of streams (SUB-1): name, epoch, offset, seen, seal and `open` of each; -1 is none, or live. */
function requests(numbers: readonly number[], texts: Texts): object[] {
	return inGroups(numbers, 6).map(([name = 0, epoch = 0, offset = 0, seen = 0, seal = 0, open = 0]) => ({
		name: texts.text(name),
		...(epoch < 0 ? {} : { position: { epoch: texts.text(epoch), offset } }),
		...(seen < 0 ? {} : { seen }),
		...(seal < 0 ? {} : { seal: texts.text(seal) }),
		open: open > 0 ? { last: open } : { from: open === 0 ? "start" : "live" },
	}));
}

function inGroups(numbers: readonly number[], size: number): number[][] {
	return Array.from({ length: numbers.length / size }, (_, group) => numbers.slice(group * size, (group + 1) * size));
}

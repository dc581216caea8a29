/**
 * What our client does for an event, taken apart. Each layer does what the one before it does and one thing more, so that the difference
 * of two layers is the cost of that thing; what is left between the last one and the client is how the client is made.
 *
 * - `unread`: gets the frames and does not look into them: what a page pays for messages that it ignores. Tokens only.
 * - `envelope`: parses frames and calls the callback
 * - `handlers`: finds the handlers of each event by its type
 * - `checks`: and checks the numbers of the frame and the type of each event first
 * - `wasm`: and takes the numbers through a core that knows nothing, with the time of the message
 * - `meta`: and tells each handler where its event belongs
 *
 * They speak agentwire.v1, and lose, repeat and reorder what the network does.
 */
import "../start.js";
import { T0, TYPES, token } from "../../shared/events.js";
import { address, begin, take, use } from "../harness.js";

const LAYERS = ["envelope", "handlers", "checks", "wasm", "meta"];
const [hasHandlers, hasChecks, hasWasm, hasMeta] = LAYERS.slice(1).map((layer) => LAYERS.indexOf(use) >= LAYERS.indexOf(layer));

/** Events between two acknowledgements: a quarter of the window, as in the client. */
const ACK_EVENTS = 8_192;
const HELLO = { type: "hello", window: { events: 32_768, bytes: 8_388_608, totalBytes: 16_777_216 }, streams: [{ name: "bench" }] };

/** One handler per type, as the application has them. */
const handlers = TYPES.map((type) => ({ type, list: [{ handler: take, active: true }] }));

/**
 * (module
 *   (import "h" "d" (func (param i32 i32 f64) (result i32)))
 *   (func (export "e") (param i32 i32 f64) (result i32) local.get 0 local.get 1 local.get 2 call 0))
 */
const MODULE = new Uint8Array([
	0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 127, 127, 124, 1, 127, 2, 7, 1, 1, 104, 1, 100, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 101, 0, 1, 10, 12, 1, 10, 0, 32, 0,
	32, 1, 32, 2, 16, 0, 11,
]);

begin(async () => {
	const frames = [];
	const host = { d: (slot, skip, first) => deliver(frames[slot], skip, first) };
	const { instance } = await WebAssembly.instantiate(MODULE, { h: host });
	const core = instance.exports.e;
	const socket = new WebSocket(address.url("agentwire"), "agentwire.v1");
	socket.onopen = () => socket.send(JSON.stringify(HELLO));
	let acked = 0;
	/** When the last message came. */
	// biome-ignore lint/correctness/noUnusedVariables: reading the clock is a part of what is measured
	let heard = 0;
	socket.onmessage = (event) => {
		const last = use === "unread" ? skim(event.data) : read(event.data);
		if (last - acked < ACK_EVENTS) return;
		acked = last;
		socket.send(JSON.stringify({ type: "ack", offsets: { 1: last } }));
	};

	function read(text) {
		const frame = JSON.parse(text);
		if (frame.type !== "events") return 0;
		if (hasChecks && !isWellFormed(frame)) throw new Error("the frame is wrong");
		if (hasWasm) {
			heard = Date.now();
			frames[0] = frame;
			core(0, 0, frame.first);
			frames[0] = undefined;
		} else deliver(frame, 0, frame.first);
		return frame.first + frame.count - 1;
	}
});

/** Reads the two numbers of a frame, and calls the callback with what must be in it. */
function skim(text) {
	const [, first, count] = /^\{"type":"events","ch":1,"first":(\d+),"count":(\d+),/.exec(text) ?? [];
	if (first === undefined) return 0;
	const last = Number(first) + Number(count) - 1;
	for (let n = Number(first); n <= last; n += 1) take({ time: T0 + n, text: token(n) });
	return last;
}

function isWellFormed({ ch, first, count, events }) {
	if (!isInteger(ch, 1, 2 ** 31 - 1) || !isInteger(count, 1, 10_000) || !isInteger(first, 1, Number.MAX_SAFE_INTEGER)) return false;
	return (
		Array.isArray(events) && events.length === count && events.every((event) => typeof event === "object" && event !== null && typeof event.type === "string")
	);
}

function isInteger(value, min, max) {
	return typeof value === "number" && value >= min && value <= max && Number.isInteger(value);
}

function deliver({ events }, skip, first) {
	for (let index = skip; index < events.length; index += 1) {
		const event = events[index];
		if (!hasHandlers) take(event);
		else deliverOne(event, first + index);
	}
	return events.length;
}

function deliverOne(event, offset) {
	const list = handlers.find(({ type }) => type === event.type)?.list;
	if (list === undefined) return;
	const meta = hasMeta ? { offset, epoch: "e1", delivery: "live", position: { epoch: "e1", offset } } : undefined;
	for (const { handler, active } of list) if (active) handler(event, meta);
}

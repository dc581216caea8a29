/**
 * agentwire.v1, one stream. A burst travels in one frame, as the bridge sends it: live events wait 4 ms for others, and a frame holds
 * up to 512. The window of `hello` is kept (FLO-1).
 */
import { T0, TOKEN_HEAD, token } from "../events.js";

const CH = 1;
/** Most events that the bridge puts into one frame by default. */
const PAGE_EVENTS = 512;
/** Frames that can be on their way: more than the window has events. */
const RING = 2 ** 16;

/** @param {string} name @param {(events: string[], first: number) => string} encode */
const dialect = (name, encode) => ({ name, burst: (/** @type {number} */ size) => Math.min(size, PAGE_EVENTS), encode, session });

export const agentwire = dialect(
	"agentwire",
	(events, first) => `{"type":"events","ch":${CH},"first":${first},"count":${events.length},"events":[${events.join(",")}]}`,
);

/** Token events as a `deltas` frame (DLT-1), which the page offers and the bridge does not send yet. */
export const agentwireDeltas = dialect("agentwire-deltas", (events, first) => {
	const numbers = events.map((_, index) => first + index);
	const times = numbers.map((n) => T0 + n);
	const texts = numbers.map((n) => JSON.stringify(token(n)));
	return `{"type":"deltas","ch":${CH},"first":${first},"count":${events.length},"head":${TOKEN_HEAD},"times":[${times.join(",")}],"texts":[${texts.join(",")}]}`;
});

function session({ send, subscribed, fail, history }) {
	let window = { events: 0, bytes: 0 };
	let acked = 0;
	/**
	 * Frames that were sent and are not acknowledged: the last number of each, and the bytes up to its end. Rings of plain numbers,
	 * because in the synthetic dispatch the page pays for them: an object for each frame cost more than the client that was measured.
	 */
	const lasts = new Float64Array(RING);
	const sums = new Float64Array(RING);
	let sentFrames = 0;
	let sentBytes = 0;
	/** How many of them are acknowledged, and their bytes. */
	let ackedFrames = 0;
	let ackedBytes = 0;
	let caughtUp = history === 0;

	function subscribe(requests) {
		if (requests.length === 0) return;
		if (requests.length > 1 || requests[0].name !== "bench" || requests[0].position !== undefined)
			return fail(`the page asked for ${JSON.stringify(requests)}`);
		send(`{"type":"subscribed","ch":${CH},"name":"bench","epoch":"e1","oldest":1,"head":${history},"next":1,"recovered":true}`);
		if (caughtUp) send(`{"type":"caughtUp","ch":${CH},"offset":0,"openRuns":[]}`);
		subscribed();
	}

	return {
		opened() {},
		received(text) {
			const frame = JSON.parse(text);
			switch (frame.type) {
				case "hello":
					window = frame.window;
					send(
						'{"type":"welcome","session":"s-1","subject":"ada","heartbeatMs":60000,"maxFrameBytes":1048576,"maxStreams":64,"sendHorizonMs":86400000,"features":[]}',
					);
					return subscribe(frame.streams);
				case "subscribe":
					return subscribe(frame.streams);
				case "ack": {
					acked = Math.max(acked, frame.offsets[CH] ?? 0);
					while (ackedFrames < sentFrames && lasts[ackedFrames % RING] <= acked) {
						ackedBytes = sums[ackedFrames % RING];
						ackedFrames += 1;
					}
					return;
				}
				case "ping":
					return send(`{"type":"pong","n":${frame.n}}`);
				case "replay":
					return fail(`the page asked for ${text} again`);
			}
		},
		sent(last, bytes) {
			sentBytes += bytes;
			lasts[sentFrames % RING] = last;
			sums[sentFrames % RING] = sentBytes;
			sentFrames += 1;
			if (caughtUp || last < history) return;
			caughtUp = true;
			send(`{"type":"caughtUp","ch":${CH},"offset":${history},"openRuns":[]}`);
		},
		room: (first, count, bytes) => first + count - 1 - acked <= window.events && (sentBytes - ackedBytes + bytes <= window.bytes || ackedFrames === sentFrames),
	};
}

/**
 * The loads. `measure` says how one is run (`measures.js`):
 * - `network`: frames from the server at a pace; main-thread CPU of the renderer per event,
 * - `dispatch`: the same without a network, by the synthetic dispatch,
 * - `time`: wall time from the start of the page's script to its first or last event,
 * - `memory`: growth of the heap per event, and the linear memory of modules at rest.
 *
 * `compare` says what is printed beside the value: its `ratio` to raw of the same round, or how far it is `over` it.
 *
 * `warm` events come first and are not measured. `quick` replaces fields for `--quick`, which measures nothing.
 */

/**
 * @typedef {object} Load
 * @property {string} id
 * @property {string} title
 * @property {"network" | "dispatch" | "time" | "memory"} measure
 * @property {string} unit
 * @property {number} digits Of a printed value.
 * @property {"ratio" | "over"} compare
 * @property {"events" | "tokens"} kind
 * @property {number} perFrame Events per frame, or per burst if `natural`.
 * @property {boolean} [natural] Frames as each protocol's server makes them of a burst.
 * @property {{ events: number, everyMs: number }} [pace]
 * @property {number} warm
 * @property {number} count Measured events; of each part, where there are several.
 * @property {number} [parts] As many events as a page can keep ready are measured so many times, one after the other.
 * @property {number} [roundTrip] Of the delay line, in milliseconds.
 * @property {"first" | "last"} [moment] The event whose time counts.
 * @property {number} [maxRounds]
 * @property {string[]} [clients] Only these.
 * @property {number} seconds The limit of one run.
 * @property {Partial<Load>} quick
 */

const OURS = ["agentwire", "agentwire-batch", "agentwire-iterator"];

/** `frames` of `perFrame` events each millisecond. */
const network = (id, title, perFrame, frames, count, rest = {}) => ({
	id,
	title,
	measure: "network",
	unit: "µs/event",
	digits: 2,
	compare: "ratio",
	kind: "events",
	perFrame,
	pace: { events: frames * perFrame, everyMs: 1 },
	warm: count / 5,
	count,
	seconds: 40,
	quick: { warm: perFrame * 2, count: perFrame * 20 },
	...rest,
});

const dispatch = (id, title, perFrame, count) => ({
	id,
	title,
	measure: "dispatch",
	unit: "µs/event",
	digits: 2,
	compare: "over",
	kind: "events",
	perFrame,
	// The compiler has threads of its own, which a busy machine holds up.
	warm: count,
	count,
	parts: 3,
	seconds: 60,
	quick: { warm: perFrame * 2, count: perFrame * 20, parts: 2, ...(perFrame === 1 ? { clients: ["raw", ...OURS] } : {}) },
});

const time = (id, title, unit, digits, moment, count, perFrame, roundTrip, rest = {}) => ({
	id,
	title,
	measure: "time",
	unit,
	digits,
	compare: "over",
	kind: "events",
	perFrame,
	moment,
	warm: 0,
	count,
	roundTrip,
	seconds: 90,
	quick: {},
	...rest,
});

/** @type {Load[]} */
export const LOADS = [
	// So many frames that waking up for them is not what is measured: at 1 frame per millisecond it costs four times the frame.
	network("frames-1", "live, 1 event per frame, 10,000 events/s", 1, 10, 20_000),
	network("frames-10", "live, 10 events per frame, 20,000 events/s", 10, 2, 40_000, { quick: { warm: 20, count: 200, clients: ["raw", "agentwire"] } }),
	network("frames-50", "live, 50 events per frame, 50,000 events/s", 50, 1, 100_000),
	network("tokens", "bursts of 50 tokens each 5 ms, natural framing", 50, 1, 20_000, {
		kind: "tokens",
		natural: true,
		pace: { events: 50, everyMs: 5 },
		quick: { warm: 50, count: 200, clients: ["centrifuge", "agentwire", "agentwire-deltas"] },
	}),
	dispatch("dispatch-1", "own cost by synthetic dispatch, 1 event per frame", 1, 40_000),
	dispatch("dispatch-50", "own cost by synthetic dispatch, 50 events per frame", 50, 100_000),
	time("catchup-50", "script start to event 100,000 of a catch-up, 50 ms round trip", "s", 2, "last", 100_000, 50, 50, {
		maxRounds: 5,
		quick: { count: 2_000, clients: ["raw", "agentwire"] },
	}),
	time("catchup-200", "script start to event 100,000 of a catch-up, 200 ms round trip", "s", 2, "last", 100_000, 50, 200, {
		maxRounds: 5,
		quick: { count: 500, clients: ["agentwire"] },
	}),
	time("startup", "script start to first event, loopback", "ms", 1, "first", 1, 1, undefined, {
		quick: { clients: ["raw", "socketio", "agentwire", "agentwire-inline"] },
	}),
	time("startup-50", "script start to first event, 50 ms round trip", "ms", 1, "first", 1, 1, 50, { quick: { clients: ["agentwire"] } }),
	{
		id: "memory",
		title: "growth of the heap over 1,000,000 events",
		measure: "memory",
		unit: "B/event",
		digits: 3,
		compare: "over",
		kind: "events",
		perFrame: 50,
		warm: 100_000,
		count: 1_000_000,
		maxRounds: 3,
		clients: ["raw", ...OURS],
		seconds: 180,
		quick: { warm: 1_000, count: 2_000, clients: ["agentwire"] },
	},
];

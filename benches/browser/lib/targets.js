/** The targets, and what the measured figures are worth against them. */

/** How far the interval of a ratio may reach above *must*. */
const INTERVAL_SLACK = 0.06;

/**
 * @typedef {object} Target
 * @property {string} what
 * @property {string} unit
 * @property {number} digits
 * @property {number} must
 * @property {number} [aim] Without it, what meets *must* meets the aim.
 * @property {boolean} [isRatio] Its interval counts too.
 * @property {"most" | "least"} limit Whether figures must be at most or at least this.
 * @property {(results: import("./results.js").Results) => import("./stats.js").Estimate | undefined} of
 */

const most = (what, unit, digits, must, aim, of, isRatio = false) => ({ what, unit, digits, must, aim, of, isRatio, limit: "most" });

/** @type {Target[]} */
export const TARGETS = [
	most("1 event per frame, own cost over raw", "µs", 2, 1.2, 0.6, (results) => results.over("dispatch-1", "agentwire")),
	most("50 per frame, own cost over raw", "µs", 2, 0.15, 0.08, (results) => results.over("dispatch-50", "agentwire")),
	most("50 per frame, on(type), CPU of raw", "×", 2, 1.15, 1.08, (results) => results.ratio("frames-50", "agentwire"), true),
	most("50 per frame, onBatch, CPU of raw", "×", 2, 1.06, 1.03, (results) => results.ratio("frames-50", "agentwire-batch"), true),
	most("50 per frame, async iterator, CPU of raw", "×", 2, 1.5, 1.3, (results) => results.ratio("frames-50", "agentwire-iterator"), true),
	most("catch-up of 100,000 events, 50 ms round trip", "s", 2, 1.2, 0.8, (results) => results.value("catchup-50", "agentwire")),
	most("catch-up of 100,000 events, 200 ms round trip", "s", 2, 3.0, 2.0, (results) => results.value("catchup-200", "agentwire")),
	most("script start to first event, 50 ms round trip", "ms", 0, 175, 170, (results) => results.value("startup-50", "agentwire")),
	most("script start to first event, loopback", "ms", 0, 40, 32, (results) => results.value("startup", "agentwire")),
	most("the same, inline entry over default entry", "ms", 1, 5, undefined, (results) => results.over("startup", "agentwire-inline", "agentwire")),
	{
		what: "token bursts, CPU of peers that send a message per event",
		unit: "×",
		digits: 1,
		must: 8,
		aim: undefined,
		limit: "least",
		of: (results) => results.leastTokens(),
	},
	most("linear memory at rest", "KiB", 0, 384, 256, (results) => results.extra("memory", "agentwire", "linearKiB")),
	most("growth of the heap over 1,000,000 events", "B/event", 3, 0.1, undefined, (results) => results.value("memory", "agentwire")),
];

/** @param {Target} target @param {import("./stats.js").Estimate} estimate @returns {"aim" | "must" | "missed"} */
export function judge({ must, aim = must, isRatio, limit }, { point, high }) {
	const meets = (bound) => (limit === "most" ? point <= bound : point >= bound);
	if (!meets(must) || (isRatio && high >= must + INTERVAL_SLACK)) return "missed";
	return meets(aim) ? "aim" : "must";
}

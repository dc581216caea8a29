/**
 * What every page has in common: the callback that counts, sums and checks the order, and what the driver calls (`globalThis.bench`).
 *
 * The query of the page says `run`, the number under which the server knows it, and, for loads that measure time, `until`: the page
 * then connects by itself and reports when that event has come.
 */
import "./start.js";
import { T0 } from "../shared/events.js";

const query = new URLSearchParams(location.search);
const run = query.get("run") ?? "0";

const seen = { count: 0, sum: 0, disorder: 0, next: 1 };
const times = { start: globalThis.scriptStart, first: 0, last: 0 };
/** The number of the event that somebody waits for. */
let mark = 1;
let until = Number(query.get("until") ?? 0);
let arrived = () => {};

/** The callback that every client calls with each event. */
export function take(event) {
	const n = event.time - T0;
	if (n !== seen.next) seen.disorder += 1;
	seen.next = n + 1;
	seen.count += 1;
	seen.sum += n + event.text.length;
	if (n >= mark) reached(n);
}

function reached(n) {
	if (times.first === 0) times.first = performance.now();
	if (n < until || until === 0) {
		mark = until || Infinity;
		return;
	}
	times.last = performance.now();
	mark = Infinity;
	arrived();
}

const result = () => ({ ...seen, ...times });

/** @type {string[]} */
const errors = [];
for (const type of ["error", "unhandledrejection"])
	addEventListener(type, (event) => errors.push(String(event.reason?.stack ?? event.reason ?? event.message)));

/** The way in which a page uses its client, if there are several. */
export const use = query.get("use") ?? "";
/** Where this run's server is, for the client called `name`. */
export const address = {
	run,
	host: location.host,
	origin: location.origin,
	path: (/** @type {string} */ name) => `/${name}/${run}`,
	url: (/** @type {string} */ name) => `ws://${location.host}/${name}/${run}`,
};
/** Tells the driver what went wrong, which makes the run fail. */
export const report = (/** @type {unknown} */ problem) => errors.push(String(/** @type {any} */ (problem)?.stack ?? problem));

/** Makes `connect` what the driver calls, or calls it now. */
export function begin(/** @type {() => unknown} */ connect) {
	globalThis.bench = {
		connect: () => void connect(),
		result,
		errors: () => errors,
		/** Resolves when event `n` has come. */
		expect: (/** @type {number} */ n) =>
			new Promise((resolve) => {
				arrived = () => resolve(result());
				until = n;
				mark = Math.min(mark, n);
				if (seen.next > n) arrived();
			}),
	};
	if (until === 0) return;
	arrived = () => void fetch(`/report/${run}`, { method: "POST", body: JSON.stringify({ ...result(), errors }) });
	connect();
}

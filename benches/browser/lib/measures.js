/**
 * One run of one client under one load: a fresh page, the load, and a figure, but only if the page saw every event once and in order.
 */
import { expectedSum } from "../shared/events.js";
import { mainThreadNs } from "./cpu.js";
import { sleep, within } from "./deadline.js";

/** What comes after the last event counts too, as an acknowledgement may: so long, in milliseconds. */
const TAIL_MS = 100;
/** Before a measurement the page is left alone for so long. */
const REST_MS = 50;

/** Pages that were opened: each has a host of its own. */
let pages = 0;

/** @type {Map<string, number>} */
const sums = new Map();

/** The sum that a page must have after `count` events. */
function sumOf(kind, count) {
	const key = `${kind} ${count}`;
	let sum = sums.get(key);
	if (sum === undefined) sums.set(key, (sum = expectedSum(kind, count)));
	return sum;
}

/** Fails unless `seen` is what a page has seen that got every event once and in order. */
export function check(seen, kind, total) {
	const expected = { count: total, sum: sumOf(kind, total), disorder: 0 };
	const wrong = Object.keys(expected).filter((key) => seen[key] !== expected[key]);
	if (wrong.length > 0) throw new Error(`the counts are wrong: ${wrong.map((key) => `${key} is ${seen[key]} instead of ${expected[key]}`).join(", ")}`);
}

/**
 * Runs `client` under `load`.
 *
 * @returns {Promise<{ value: number, [more: string]: number }>} The figure in the unit of the load, and what else was seen.
 */
export async function measure(bench, client, load) {
	const total = load.warm + load.count;
	const plan = {
		dialect: client.dialect,
		kind: load.kind,
		perFrame: load.perFrame,
		natural: load.natural ?? false,
		total,
		atOnce: load.measure === "time",
	};
	// The page has the server in itself.
	const run = load.measure === "dispatch" ? undefined : await bench.server.prepare(plan);
	try {
		return await MEASURES[load.measure](bench, client, load, run);
	} finally {
		if (run !== undefined) bench.server.forget(run);
	}
}

const MEASURES = { network, dispatch, time, memory };

async function network(bench, client, load, run) {
	const page = await open(bench, client, load, { run });
	try {
		return await explained(page, bench, run, async () => {
			const cpu = await ready(page, bench, run, load);
			await warm(page, bench, run, load);
			const { ms, ns } = await measured(
				page,
				cpu,
				bench,
				load,
				() => bench.server.go(run, load.count, load.pace),
				async () => (await bench.server.wait(run, "sent", load.seconds)).ms,
			);
			return { value: ns / load.count / 1000, sentMs: ms };
		});
	} finally {
		await page.close();
	}
}

async function dispatch(bench, client, load) {
	const page = await open(bench, client, load, { run: "0", dialect: client.dialect, before: "synthetic" });
	try {
		return await explained(page, bench, undefined, async () => {
			await page.until("typeof bench === 'object'");
			const cpu = await clock(page, bench);
			await page.evaluate("bench.connect()");
			await within(load.seconds, page.evaluate("synthetic.ready"), () => "the client did not subscribe");
			const prepare = (count) => page.evaluate(`synthetic.prepare("${load.kind}", ${count}, ${load.perFrame})`);
			const play = () => within(load.seconds, page.evaluate(`synthetic.play(${load.perFrame})`), () => "the events did not all come");
			await prepare(load.warm);
			await play();
			let ns = 0;
			for (let part = 0; part < load.parts; part += 1) {
				await prepare(load.count);
				await page.collectGarbage();
				await sleep(bench.quick ? 0 : REST_MS);
				const before = cpu();
				await play();
				await sleep(bench.quick ? 0 : TAIL_MS);
				ns += cpu() - before;
			}
			const count = load.parts * load.count;
			check(await page.evaluate("bench.result()"), load.kind, load.warm + count);
			return { value: ns / count / 1000 };
		});
	} finally {
		await page.close();
	}
}

async function time(bench, client, load, run) {
	const url = await address(bench, client, load, { run, until: String(load.count) });
	// Nothing may disturb the page, so it reports by itself.
	const page = await bench.browser.openUnwatched(url);
	try {
		const { result } = await bench.server.wait(run, "report", load.seconds);
		const problem = result.errors[0] ?? bench.server.failure(run);
		if (problem !== undefined) throw new Error(problem);
		check(result, load.kind, load.count);
		const first = result.first - result.start;
		const last = result.last - result.start;
		return load.moment === "first" ? { value: first } : { value: last / 1000, firstS: first / 1000 };
	} finally {
		await page.close();
	}
}

async function memory(bench, client, load, run) {
	const page = await open(bench, client, load, { run, before: "memory-probe" });
	try {
		return await explained(page, bench, run, async () => {
			await ready(page, bench, run, load);
			const linear = await page.evaluate("linearMemory()");
			await warm(page, bench, run, load);
			const before = await heap(page);
			const all = expecting(page, load.warm + load.count);
			bench.server.go(run, load.count, undefined);
			check(await within(load.seconds, all, () => "the events did not all come"), load.kind, load.warm + load.count);
			await sleep(bench.quick ? 0 : TAIL_MS);
			const after = await heap(page);
			const more = await page.evaluate("linearMemory()");
			return { value: (after + more - before - linear) / load.count, linearKiB: linear / 1024, linearAfterKiB: more / 1024 };
		});
	} finally {
		await page.close();
	}
}

/** Bytes of the heap after everything that can be collected was collected. */
async function heap(page) {
	await page.collectGarbage();
	await page.collectGarbage();
	return page.heapBytes();
}

async function address(bench, client, load, query) {
	const more = client.use === undefined ? query : { ...query, use: client.use };
	return `${await bench.server.origin(load.roundTrip, `page${++pages}.localhost`)}/page/${client.page}?${new URLSearchParams(more)}`;
}

async function open(bench, client, load, query) {
	return bench.browser.open(await address(bench, client, load, query));
}

/** Connects the page and answers the clock of its main thread. */
async function ready(page, bench, run, load) {
	await page.until("typeof bench === 'object'");
	const cpu = await clock(page, bench);
	await page.evaluate("bench.connect()");
	await bench.server.wait(run, "subscribed", load.seconds);
	return cpu;
}

/**
 * A function that answers how long the main thread of the page has run, in nanoseconds. Where several pages run at a time and nothing is
 * measured, it is no clock.
 */
async function clock(page, bench) {
	if (bench.quick) return () => 0;
	const process = await page.process();
	return () => mainThreadNs(process);
}

/** Sends what comes before the measurement, as fast as it goes. */
async function warm(page, bench, run, load) {
	const all = expecting(page, load.warm);
	bench.server.go(run, load.warm, undefined);
	await within(load.seconds, all, () => "the events before the measurement did not all come");
}

/** Resolves when event `n` has come. What fails before somebody waits for it makes that wait fail, or nothing. */
function expecting(page, n) {
	const all = page.evaluate(`bench.expect(${n})`);
	all.catch(() => undefined);
	return all;
}

/** CPU of the main thread from `go()` until all events have come, and what `sent()` answers. */
async function measured(page, cpu, bench, load, go, sent) {
	await page.collectGarbage();
	const all = expecting(page, load.warm + load.count);
	await sleep(bench.quick ? 0 : REST_MS);
	const before = cpu();
	go();
	const [, ms] = await Promise.all([within(load.seconds, all, () => "the events did not all come"), sent()]);
	await sleep(bench.quick ? 0 : TAIL_MS);
	const ns = cpu() - before;
	check(await page.evaluate("bench.result()"), load.kind, load.warm + load.count);
	return { ns, ms };
}

/** Adds to a failure what the page and the server know about it; what they noticed is a failure also where the counts are right. */
async function explained(page, bench, run, work) {
	let problem;
	let result;
	try {
		result = await work();
	} catch (error) {
		problem = error;
	}
	const errors = await page.evaluate("bench.errors()").catch(() => []);
	const noticed = [...(errors ?? []), run === undefined ? undefined : bench.server.failure(run)].filter(Boolean);
	if (problem === undefined && noticed.length === 0) return result;
	const seen = problem === undefined ? undefined : await page.evaluate("JSON.stringify(bench.result())").catch(() => undefined);
	throw new Error([problem?.message, ...noticed, seen && `the page saw ${seen}`].filter(Boolean).join("; "));
}

/**
 * Measures the clients in a real browser. `cargo xtask bench` builds and installs the package first, and then runs this.
 *
 * usage: node bench.js [--quick] [--only LOAD,…] [--clients CLIENT,…] [--rounds N] [--seed N] [--minutes N] [--json FILE] [--commit NAME] [--svg FILE] [--markdown FILE] [--list]
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { bundle } from "./lib/bundle.js";
import { chart } from "./lib/chart.js";
import { Chromium, findChromium } from "./lib/chromium.js";
import { CLIENTS, CONTROL, REFERENCE } from "./lib/clients.js";
import { checkProc } from "./lib/cpu.js";
import { LOADS } from "./lib/loads.js";
import { machine } from "./lib/machine.js";
import { replaced } from "./lib/markdown.js";
import { measure } from "./lib/measures.js";
import { randomFrom, shuffled } from "./lib/random.js";
import { judged, tables, verdicts } from "./lib/report.js";
import { Results } from "./lib/results.js";
import { Server } from "./lib/server.js";

/** Pages that run side by side with `--quick`, which measures nothing. */
const QUICK_LANES = 3;

const OPTIONS = /** @type {const} */ ({
	quick: { type: "boolean", default: false },
	only: { type: "string" },
	clients: { type: "string" },
	rounds: { type: "string" },
	seed: { type: "string", default: "1" },
	minutes: { type: "string", default: "120" },
	json: { type: "string" },
	commit: { type: "string" },
	svg: { type: "string" },
	markdown: { type: "string" },
	list: { type: "boolean", default: false },
});

let options;
try {
	options = parseArgs({ options: OPTIONS }).values;
	await main();
} catch (error) {
	console.error(`error: ${error.message}`);
	process.exitCode = 1;
}

async function main() {
	if (options.list) {
		for (const { id, title } of LOADS) console.log(`load    ${id.padEnd(24)} ${title}`);
		for (const { id, label } of CLIENTS) console.log(`client  ${id.padEnd(24)} ${label}`);
		return;
	}
	checkProc();
	const chromium = findChromium();
	const rounds = options.quick ? 1 : number("rounds", options.rounds ?? "8");
	const seed = number("seed", options.seed);
	const jobs = plan();
	const clients = [...new Set(jobs.flatMap((job) => job.clients))];

	const started = Date.now();
	const pages = fileURLToPath(new URL("../../target/xtask/bench/pages", import.meta.url));
	await bundle([...new Set(clients.map(({ page }) => page))], pages);
	console.log(`  bundled the pages of ${clients.length} clients in ${seconds(started)} s`);

	const results = new Results(seed);
	const bench = await start(pages, chromium);
	const limit = deadline(bench);
	try {
		if (options.quick) await quick(bench, jobs, results);
		else await inRounds(bench, jobs, results, rounds, seed);
	} finally {
		clearTimeout(limit);
		await bench.close();
	}
	await finish(results, bench.browser.version, { rounds, seed, started });
}

function number(name, text) {
	const value = Number(text);
	if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a whole number from 1, not ${text}`);
	return value;
}

/** The named parts of `all`; an unknown name is an error that lists them. */
function chosen(all, names, what) {
	if (names === undefined) return all;
	const wanted = names.split(",").map((name) => name.trim());
	const unknown = wanted.find((name) => !all.some(({ id }) => id === name));
	if (unknown !== undefined) throw new Error(`there is no ${what} called ${unknown}; there are ${all.map(({ id }) => id).join(", ")}`);
	return all.filter(({ id }) => wanted.includes(id));
}

/** The loads with their clients. Raw is always one of them, as nothing can be compared without it. */
function plan() {
	const clients = options.clients === undefined ? CLIENTS.filter(({ isExperiment }) => isExperiment !== true) : chosen(CLIENTS, options.clients, "client");
	const withReference = CLIENTS.filter((client) => client.id === REFERENCE || client.id === CONTROL || clients.includes(client));
	return chosen(LOADS, options.only, "load").map((load) => {
		const used = options.quick ? { ...load, ...load.quick } : load;
		const fits = ({ id, only }) => (only?.includes(load.id) ?? true) && (used.clients?.includes(id) ?? true);
		// Equal pages need no second proof that they run.
		return { load: used, clients: withReference.filter((client) => fits(client) && !(options.quick && client.id === CONTROL)) };
	});
}

/** The browser and the server, and how to end both. */
async function start(pages, chromium) {
	const server = await Server.start(pages);
	let browser;
	try {
		browser = await Chromium.start(chromium);
	} catch (error) {
		await server.close();
		throw error;
	}
	const bench = { server, browser, close, isEnding: false };
	async function close() {
		bench.isEnding = true;
		await Promise.all([server.close(), browser.close()]);
	}
	for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
		process.once(signal, () => {
			console.error("error: interrupted");
			close().finally(() => process.exit(130));
		});
	}
	process.once("exit", () => browser.kill());
	return bench;
}

/** Ends everything when the whole takes too long. */
function deadline(bench) {
	const minutes = number("minutes", options.minutes);
	return setTimeout(() => {
		console.error(`error: the benchmark took longer than ${minutes} minutes (--minutes)`);
		bench.close().finally(() => process.exit(1));
	}, minutes * 60_000);
}

/** Each round runs every client once under every load, in an order of its own. */
async function inRounds(bench, jobs, results, rounds, seed) {
	const random = randomFrom(seed);
	await bench.browser.settle();
	for (let round = 0; round < rounds; round += 1) {
		for (const { load, clients } of jobs) {
			if (round >= (load.maxRounds ?? rounds)) continue;
			const began = Date.now();
			const shown = [];
			for (const client of shuffled(clients, random)) {
				try {
					const measured = await measure(bench, client, load);
					results.add(load.id, client.id, round, measured);
					shown.push([client.id, measured.value.toFixed(load.digits)]);
				} catch (error) {
					await failed(bench, results, load, client, round, error);
				}
			}
			const order = clients.map(({ id }) => id);
			shown.sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
			console.log(
				`  round ${round + 1}/${Math.min(rounds, load.maxRounds ?? rounds)} ${load.id} (${load.unit}): ${shown.map((pair) => pair.join(" ")).join(", ")} in ${seconds(began)} s`,
			);
		}
	}
}

/** Every client once under every load, with few events and several at a time: only the counts are looked at. */
async function quick(bench, jobs, results) {
	const runs = jobs.flatMap(({ load, clients }) => clients.map((client) => ({ load, client })));
	const lane = async () => {
		for (let run = runs.shift(); run !== undefined; run = runs.shift()) {
			try {
				results.add(run.load.id, run.client.id, 0, await measure({ ...bench, quick: true }, run.client, run.load));
			} catch (error) {
				await failed(bench, results, run.load, run.client, 0, error);
			}
		}
	};
	await Promise.all(Array.from({ length: QUICK_LANES }, lane));
}

/** Notes a failed run. Without a browser or a server there is no next one. */
async function failed(bench, results, load, client, round, error) {
	// The interrupt or the time limit ends the program.
	if (bench.isEnding) await new Promise(() => undefined);
	const lost = bench.browser.lost ?? bench.server.lost;
	if (lost !== undefined) throw lost;
	results.fail(load.id, client.id, round, error.message);
	console.log(`  FAILED: ${load.id}, ${client.id}, round ${round + 1}: ${error.message}`);
}

async function finish(results, chromium, { rounds, seed, started }) {
	const failures = results.errors.length;
	if (options.quick) {
		const right = results.loads().reduce((sum, load) => sum + results.clients(load).length, 0);
		console.log(`bench: ${right} runs delivered every event once and in order, ${failures} failed in ${seconds(started)} s`);
	} else {
		const system = machine(chromium);
		const report = {
			date: new Date().toISOString(),
			commit: options.commit,
			machine: system,
			rounds,
			seed,
			loads: LOADS.filter(({ id }) => results.loads().includes(id)),
			results,
			targets: judged(results),
			errors: results.errors,
		};
		if (options.json !== undefined) await write(options.json, `${JSON.stringify(report, undefined, "\t")}\n`);
		if (options.svg !== undefined) await write(options.svg, chart(results, system));
		if (options.markdown !== undefined) await write(options.markdown, replaced(await readFile(options.markdown, "utf8"), results, report));
		console.log(tables(results));
		console.log(verdicts(results));
	}
	if (failures > 0) {
		console.error(`error: ${failures} runs failed; their figures are left out`);
		process.exitCode = 1;
	}
}

async function write(file, text) {
	const path = resolve(file);
	await mkdir(dirname(path), { recursive: true });
	await writeFile(path, text);
	console.log(`  wrote ${path}`);
}

function seconds(since) {
	return ((Date.now() - since) / 1000).toFixed(1);
}

/**
 * Random scenarios of the package on the real module, judged by what the model server's logs say. A seed decides everything in
 * a scenario. `AGENTWIRE_SCENARIOS` is how many, `AGENTWIRE_FIRST_SEED` where they begin; `AGENTWIRE_SEED` runs one again and
 * shows every frame of it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { Tally } from "./random/journal.js";
import { runScenario } from "./random/scenario.js";

const COUNT = Number(process.env["AGENTWIRE_SCENARIOS"] ?? 2_000);
const FIRST = Number(process.env["AGENTWIRE_FIRST_SEED"] ?? 1);
const ONE = process.env["AGENTWIRE_SEED"];
const THREADS = 2;

/** What must have happened, how often at least per thousand scenarios: faults that do not take effect prove nothing. */
const LEAST: Readonly<Record<string, number>> = {
	scenarios: 1_000,
	items: 10_000,
	handlers: 800,
	iterators: 1_300,
	messages: 350,
	cut: 400,
	dead: 400,
	down: 400,
	trims: 800,
	restores: 800,
	crashes: 350,
	ends: 50,
	traps: 350,
	"traps in handlers": 40,
	"pulls in handlers": 40,
	"stops in handlers": 40,
	"closes in handlers": 40,
	retries: 20,
	reloads: 400,
};

interface Outcome {
	readonly failures: readonly string[];
	readonly counts: readonly (readonly [string, number])[];
}

function half(seeds: readonly number[]): Promise<Outcome> {
	return new Promise((resolve, reject) => {
		const worker = new Worker(new URL("./random/worker.js", import.meta.url), { workerData: { seeds } });
		worker.once("message", resolve);
		worker.once("error", reject);
	});
}

if (ONE === undefined) {
	test(`${COUNT} random scenarios keep the promise`, async (t) => {
		const seeds = Array.from({ length: COUNT }, (_, index) => FIRST + index);
		const outcomes = await Promise.all(Array.from({ length: THREADS }, (_, thread) => half(seeds.filter((_seed, index) => index % THREADS === thread))));
		const tally = new Tally();
		for (const { counts } of outcomes) for (const [what, count] of counts) tally.add(what, count);
		t.diagnostic(
			[...tally.counts]
				.sort()
				.map(([what, count]) => `${what} ${count}`)
				.join(", "),
		);
		const failures = outcomes.flatMap((outcome) => outcome.failures);
		if (failures.length > 0) assert.fail(`${failures.length} scenarios failed; AGENTWIRE_SEED=<seed> runs one again\n${failures.join("\n")}\n`);
		for (const [what, least] of Object.entries(LEAST)) assert.ok((tally.counts.get(what) ?? 0) >= (least * COUNT) / 1_000, `too few: ${what}`);
	});
} else {
	test(`scenario ${ONE} keeps the promise`, async () => {
		const { broken, wire } = await runScenario(Number(ONE), new Tally(), true);
		if (broken !== undefined) assert.fail(`${wire}\nseed ${ONE}: ${broken}\n`);
	});
}

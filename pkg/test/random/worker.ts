/** Runs scenarios in a thread of its own: beside the other half, and outside of the test runner's hooks. */
import { parentPort, workerData } from "node:worker_threads";
import { Tally } from "./journal.js";
import { runScenario } from "./scenario.js";

const { seeds } = workerData as { readonly seeds: readonly number[] };
const tally = new Tally();
const failures: string[] = [];
for (const seed of seeds) {
	const { broken } = await runScenario(seed, tally, false);
	if (broken !== undefined) failures.push(`seed ${seed}: ${broken}`);
	if (failures.length >= 3) break;
}
parentPort?.postMessage({ failures, counts: [...tally.counts] });

// A backend in Node.js: the same as backend.py.
import { openSync, writeSync } from "node:fs";
import { Bridge } from "../../clients/node/dist/index.js";

const { SIDECAR_STEPS, SIDECAR_URL, SIDECAR_KEY, SIDECAR_TOLD } = process.env;
const STEPS = Number(SIDECAR_STEPS);
const bridge = new Bridge({ url: SIDECAR_URL, key: SIDECAR_KEY });
const told = openSync(SIDECAR_TOLD, "a");

const note = (run, step) => writeSync(told, `${JSON.stringify({ run, step })}\n`);

console.log("ready");
await bridge.work({ max: 8 }, (message) =>
	bridge.run(message, { agent: "node", leaseMs: 3_000 }, (run) =>
		run.message(async (text) => {
			for (let step = 0; step < STEPS; step += 1) {
				await text.delta(`${step} `);
				await run.publish({ type: "step", n: step });
				note(run.id, step);
				if (step === STEPS >> 1) await run.tool("count", { to: step }, () => ({ counted: step }));
			}
		}),
	),
);

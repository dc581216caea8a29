/** Whatever the network and the server do: every event is stored once and in order. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { Fault } from "./support/fake.js";
import { fake, random } from "./support/until.js";

const RUNS = 3;
const DELTAS = 80;
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

const NAME = "lost, cut, copied and slow requests, refusals and restarts lose and repeat nothing";

describe(NAME, { concurrency: 4 }, () => {
	for (const seed of SEEDS) test(`seed ${seed}`, (t) => oneWorld(t, seed));
});

async function oneWorld(t: TestContext, seed: number): Promise<void> {
	const server = await fake(t);
	const chance = random(seed);
	const faults: readonly Fault[] = ["lost", "cut", "copied", "slow", { status: 503 }, { status: 429, retryAfter: "0" }];
	let injected = 0;
	server.fault = () => {
		if (chance() > 0.3) return "none";
		injected++;
		return faults[Math.floor(chance() * faults.length)] ?? "none";
	};
	let restarts = 0;
	server.on("request", () => {
		if (server.seen.length % 25 !== 0 || restarts === 2) return;
		restarts++;
		void server.restart();
	});
	const bridge = server.bridge({ batchMs: 1, requestTimeoutMs: 2_000 });
	const run = (n: number): Promise<void> =>
		bridge.run("ada/plan", { agent: `agent-${n}`, runId: `r${n}` }, async (run) => {
			const message = run.writer("m1");
			for (let delta = 0; delta < DELTAS; delta++) {
				await message.delta(`${delta} `);
				if (chance() < 0.1) await run.tool("step", { delta }, () => delta, { toolCallId: `c${delta}` });
				if (chance() < 0.3) await new Promise(setImmediate);
			}
			await message.complete();
		});
	await Promise.all(Array.from({ length: RUNS }, (_, n) => run(n)));
	assert.ok(injected > 5, `only ${injected} faults`);
	assert.equal(restarts, 2);
	assert.equal(server.mostAtOnce, 1);
	for (let n = 0; n < RUNS; n++) {
		const events = server.store.eventsOf("ada/plan", `r${n}`);
		const texts = events.filter(({ type }) => type === "message_delta").map((delta) => delta["text"]);
		assert.deepEqual(
			texts,
			Array.from({ length: DELTAS }, (_, delta) => `${delta} `),
		);
		assert.equal(events[0]?.type, "agent_started");
		assert.equal(events.at(-2)?.["content"], texts.join(""));
		assert.equal(events.at(-1)?.type, "agent_completed");
		const calls = events.filter(({ type }) => type.startsWith("tool_")).map(({ type, toolCallId }) => `${type} ${toolCallId}`);
		assert.equal(new Set(calls).size, calls.length);
	}
}

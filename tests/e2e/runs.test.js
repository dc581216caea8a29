import assert from "node:assert/strict";
import { test } from "node:test";

import { Runs } from "./runs.js";

const started = (runId, sendId) => ({ type: "agent_started", runId, ...(sendId && { sendId }) });

test("a message waits until a run claims it, and a run is open until it ends", () => {
	const runs = new Runs();
	runs.apply({ type: "user_message", sendId: "s1" });
	assert.deepEqual([runs.waiting, runs.open], [1, 0]);
	runs.apply(started("r1", "s1"));
	assert.deepEqual([runs.waiting, runs.open], [0, 1]);
	runs.apply({ type: "agent_error", runId: "r1", recoverable: true });
	assert.equal(runs.open, 1);
	runs.apply({ type: "agent_died", runId: "r1", cause: "restarted" });
	assert.equal(runs.open, 0);
});

test("what was stored goes on in the next life", () => {
	const former = new Runs();
	former.apply({ type: "user_message", sendId: "s2" });
	former.apply(started("r1"));
	const next = new Runs(JSON.parse(JSON.stringify(former)));
	assert.deepEqual([next.open, next.waiting], [1, 1]);
	next.apply({ type: "agent_completed", runId: "r1" });
	next.apply(started("r2", "s2"));
	assert.deepEqual([next.open, next.waiting], [1, 0]);
	assert.equal(former.open, 1);
});

test("a new epoch begins with nothing", () => {
	const runs = new Runs({ open: ["r1"], waiting: ["s1"] });
	runs.reset();
	assert.deepEqual([runs.open, runs.waiting], [0, 0]);
});

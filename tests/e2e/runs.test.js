import assert from "node:assert/strict";
import { test } from "node:test";

import { Runs } from "./runs.js";

function storage() {
	const items = new Map();
	return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value) };
}

const started = (runId, sendId) => ({ type: "agent_started", runId, ...(sendId && { sendId }) });

test("a message waits until a run takes it up, and a run is open until it ends", () => {
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

test("the next life goes on where the former left", () => {
	const items = storage();
	const former = new Runs(items);
	former.apply(started("r1"));
	former.leave();
	assert.equal(new Runs(items).open, 1);
});

test("an event that is handed over after the page left counts for the next life", () => {
	const items = storage();
	const former = new Runs(items);
	former.apply(started("r1"));
	former.leave();
	former.apply({ type: "agent_completed", runId: "r1" });
	assert.equal(new Runs(items).open, 0);
});

test("without a storage every life begins with nothing", () => {
	const former = new Runs();
	former.apply(started("r1"));
	former.leave();
	assert.equal(new Runs().open, 0);
});

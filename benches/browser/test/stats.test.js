import assert from "node:assert/strict";
import { test } from "node:test";
import { Results } from "../lib/results.js";
import { estimate, median, paired } from "../lib/stats.js";
import { judge, TARGETS } from "../lib/targets.js";

test("the median of an even number of values is between the middle ones", () => {
	assert.equal(median([4, 1, 3, 2]), 2.5);
	assert.equal(median([3, 1, 2]), 2);
});

test("an interval holds its point, is the same for the same seed, and is narrow for equal values", () => {
	const values = [1.02, 0.98, 1.1, 1.0, 0.95, 1.05, 1.01, 0.99];
	const found = estimate(values, 7);
	assert.ok(found !== undefined && found.low <= found.point && found.point <= found.high && found.low < found.high);
	assert.deepEqual(estimate(values, 7), found);
	assert.deepEqual(estimate([2, 2, 2], 1), { point: 2, low: 2, high: 2, rounds: 3 });
	assert.equal(estimate([], 1), undefined);
});

test("rounds in which one of the two failed are left out of a pairing", () => {
	assert.deepEqual(
		paired([2, undefined, 6], [1, 5, undefined], (value, other) => value / other),
		[2],
	);
});

test("a ratio whose interval reaches above the slack is missed, another figure is judged by its point", () => {
	const target = { must: 1.15, aim: 1.08, isRatio: true, limit: "most" };
	assert.equal(judge(target, { point: 1.05, low: 1, high: 1.2, rounds: 8 }), "aim");
	assert.equal(judge(target, { point: 1.1, low: 1, high: 1.2, rounds: 8 }), "must");
	assert.equal(judge(target, { point: 1.1, low: 1, high: 1.21, rounds: 8 }), "missed");
	assert.equal(judge(target, { point: 1.16, low: 1.1, high: 1.17, rounds: 8 }), "missed");
	assert.equal(judge({ ...target, isRatio: false }, { point: 1.1, low: 1, high: 9, rounds: 8 }), "must");
});

test("a target without an aim is met as a whole, and one from below counts upwards", () => {
	const target = { must: 8, limit: "least" };
	assert.equal(judge(target, { point: 8.1, low: 1, high: 9, rounds: 8 }), "aim");
	assert.equal(judge(target, { point: 7.9, low: 1, high: 9, rounds: 8 }), "missed");
});

test("the token target is about the cheapest peer that sends a message per event", () => {
	const results = new Results(1);
	for (const [client, value] of Object.entries({ raw: 20, "raw-again": 3, phoenix: 18, centrifuge: 4, agentwire: 2 }))
		results.add("tokens", client, 0, { value });
	assert.equal(results.leastTokens()?.point, 9);
});

test("a client is compared with the mean of both runs of raw, and these with each other", () => {
	const results = new Results(1);
	for (const [client, value] of Object.entries({ raw: 2, "raw-again": 4, phoenix: 6 })) results.add("frames-50", client, 0, { value });
	assert.equal(results.ratio("frames-50", "phoenix")?.point, 2);
	assert.equal(results.over("frames-50", "phoenix")?.point, 3);
	assert.equal(results.ratio("frames-50", "raw-again")?.point, 2);
});

test("a run that failed leaves its round out", () => {
	const results = new Results(1);
	results.add("frames-50", "raw", 1, { value: 2 });
	results.add("frames-50", "phoenix", 0, { value: 6 });
	results.add("frames-50", "phoenix", 1, { value: 8 });
	assert.deepEqual(results.ratio("frames-50", "phoenix"), { point: 4, low: 4, high: 4, rounds: 1 });
});

test("what was not measured is no figure", () => {
	for (const target of TARGETS) assert.equal(target.of(new Results(1)), undefined);
});

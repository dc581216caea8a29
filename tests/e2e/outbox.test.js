import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Outbox } from "./outbox.js";

/** What the page sent, in order; `answer` ends the request that is under way. */
let posted;
let beacons;
let answer;
let fail;
let outbox;

beforeEach(() => {
	posted = [];
	beacons = [];
	globalThis.fetch = (_url, { body }) => {
		posted.push(JSON.parse(body));
		return new Promise((resolve, reject) => {
			fail = () => reject(new TypeError("no network"));
			answer = () => resolve({ ok: true, json: async () => ({ ask: true }) });
		});
	};
	Object.defineProperty(globalThis, "navigator", {
		configurable: true,
		value: { sendBeacon: (_url, body) => beacons.push(JSON.parse(body)) },
	});
});

afterEach(() => outbox.leave());

async function until(condition) {
	const deadline = performance.now() + 5000;
	while (!condition()) {
		assert.ok(performance.now() < deadline, "the deadline has passed");
		await new Promise(setImmediate);
	}
}

const make = () => {
	outbox = new Outbox(
		3,
		() => ({}),
		() => {},
	);
};
const record = (offset) => outbox.record(offset, "e1", false, "00", "{}");

test("a batch that was not answered when the page left goes again, and the last one says so", async () => {
	make();
	record(1);
	outbox.fact({ kind: "started" });
	await until(() => posted.length === 1);
	record(2);
	outbox.leave();
	assert.deepEqual(
		beacons.map(({ seq, final }) => [seq, final]),
		[
			[0, false],
			[1, true],
		],
	);
	assert.deepEqual(
		beacons.flatMap(({ records }) => records.map(([offset]) => offset)),
		[1, 2],
	);
});

test("a batch that was answered does not go again, and the good-bye comes all the same", async () => {
	make();
	record(1);
	outbox.fact({ kind: "started" });
	await until(() => posted.length === 1);
	answer();
	await until(() => posted.length === 2);
	answer();
	outbox.leave();
	assert.equal(posted[0].records.length, 1);
	assert.equal(posted[0].digest.length, 64);
	assert.equal(beacons.at(-1).final, true);
	assert.ok(beacons.every(({ seq }) => seq > 0));
});

test("what comes after the good-bye goes by beacon at once, with the next number", () => {
	make();
	outbox.leave();
	record(7);
	assert.deepEqual(
		beacons.map(({ seq, final }) => [seq, final]),
		[
			[0, true],
			[1, true],
		],
	);
	assert.equal(beacons[1].records[0][0], 7);
});

test("many records are split, so that no beacon is too large", () => {
	make();
	for (let offset = 1; offset <= 2500; offset += 1) record(offset);
	outbox.leave();
	const offsets = beacons.flatMap(({ records }) => records.map(([offset]) => offset));
	assert.deepEqual(
		offsets,
		Array.from({ length: 2500 }, (_, index) => index + 1),
	);
	assert.ok(beacons.every(({ records }) => records.length <= 1000));
});

test("a batch that could not be sent goes again, before what is newer", async (context) => {
	const said = context.mock.method(console, "error", () => {});
	make();
	record(1);
	outbox.fact({ kind: "started" });
	for (let count = 1; count <= 3; count += 1) {
		await until(() => posted.length === count);
		if (count === 1) outbox.fact({ kind: "later" });
		fail();
	}
	await until(() => posted.length === 4);
	assert.ok(posted.every(({ seq }) => seq === 0));
	assert.equal(said.mock.callCount(), 1);
	answer();
	await until(() => posted.length === 5);
	assert.deepEqual([posted[4].seq, posted[4].facts], [1, [{ kind: "later" }]]);
	answer();
});

test("a page that is back after its good-bye posts again, and says good-bye again", async () => {
	make();
	record(1);
	outbox.leave();
	outbox.back();
	record(2);
	outbox.fact({ kind: "signal" });
	await until(() => posted.length === 1);
	assert.deepEqual([posted[0].seq, posted[0].records[0][0]], [1, 2]);
	answer();
	outbox.leave();
	assert.deepEqual(
		beacons.map(({ final }) => final),
		[true, true],
	);
});

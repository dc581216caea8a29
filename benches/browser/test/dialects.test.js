import assert from "node:assert/strict";
import { test } from "node:test";
import { check } from "../lib/measures.js";
import { DIALECTS } from "../shared/dialects/index.js";
import { eventText, expectedSum, T0, textOf, tokenText } from "../shared/events.js";

test("events have 255 to 340 bytes of ASCII and carry their number as time", () => {
	const sizes = new Set();
	for (let n = 1; n <= 5000; n += 1) {
		const text = eventText(n);
		assert.match(text, /^[\x20-\x7e]+$/);
		sizes.add(text.length);
		assert.equal(JSON.parse(text).time - T0, n);
	}
	assert.equal(Math.min(...sizes), 255);
	assert.equal(Math.max(...sizes), 340);
});

test("the expected sum is what a page counts", () => {
	for (const kind of /** @type {const} */ (["events", "tokens"])) {
		let sum = 0;
		for (let n = 1; n <= 300; n += 1) sum += n + JSON.parse(textOf(kind, n)).text.length;
		assert.equal(expectedSum(kind, 300), sum);
	}
});

test("a lost, a doubled and a swapped event are errors and no figures", () => {
	const seen = { count: 10, sum: expectedSum("events", 10), disorder: 0 };
	check(seen, "events", 10);
	assert.throws(() => check({ ...seen, count: 9 }, "events", 10), /count is 9 instead of 10/);
	assert.throws(() => check({ ...seen, sum: seen.sum + 1 }, "events", 10), /the counts are wrong: sum/);
	assert.throws(() => check({ ...seen, disorder: 1 }, "events", 10), /disorder is 1 instead of 0/);
});

test("a deltas frame stands for the events it was made of", () => {
	const events = [1, 2, 3].map(tokenText);
	const frame = JSON.parse(DIALECTS["agentwire-deltas"].encode(events, 1));
	const expanded = frame.texts.map((text, index) => ({ ...frame.head, time: frame.times[index], text }));
	assert.deepEqual(
		expanded,
		events.map((event) => JSON.parse(event)),
	);
	assert.equal(frame.count, 3);
});

test("ably's data is text inside the message", () => {
	const { messages } = JSON.parse(DIALECTS["ably"].encode([eventText(1)], 1));
	assert.deepEqual(JSON.parse(messages[0].data), JSON.parse(eventText(1)));
});

test("only servers that batch put a burst into fewer frames", () => {
	const bursts = Object.fromEntries(Object.values(DIALECTS).map(({ name, burst }) => [name, burst(50)]));
	assert.deepEqual(bursts, { raw: 1, phoenix: 1, socketio: 1, centrifuge: 4, signalr: 1, ably: 1, agentwire: 50, "agentwire-deltas": 50 });
});

test("the agentwire server keeps the window and sends caughtUp at the head", () => {
	const sent = [];
	let subscribed = 0;
	const session = DIALECTS["agentwire"].session({
		send: (text) => sent.push(JSON.parse(text).type),
		subscribed: () => (subscribed += 1),
		fail: assert.fail,
		history: 100,
	});
	session.received(JSON.stringify({ type: "hello", window: { events: 60, bytes: 1000 }, streams: [{ name: "bench" }] }));
	assert.deepEqual(sent, ["welcome", "subscribed"]);
	assert.equal(subscribed, 1);
	assert.ok(session.room(1, 50, 900));
	session.sent(50, 900);
	assert.ok(!session.room(51, 50, 10), "60 events may be on their way, not 100");
	assert.ok(!session.room(51, 5, 200), "1,000 bytes may be on their way, not 1,100");
	session.received(JSON.stringify({ type: "ack", offsets: { 1: 50 } }));
	assert.ok(session.room(51, 50, 2000), "alone, a frame may be larger than the window's bytes");
	session.sent(100, 2000);
	assert.deepEqual(sent, ["welcome", "subscribed", "caughtUp"]);
});

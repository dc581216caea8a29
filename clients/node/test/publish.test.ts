/** How events are sent: batches, limits, repeats and refusals. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BridgeError, isBridgeError } from "../src/index.js";
import { event, fake, gate } from "./support/until.js";

const KEY = "ada/plan";
const isCode =
	(code: string) =>
	(error: unknown): boolean =>
		isBridgeError(error, code);

test("deltas that are written at once share requests, and one request is under way at a time", async (t) => {
	const server = await fake(t);
	server.fault = () => "slow";
	await server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		await run.message(async (message) => {
			await Promise.all(Array.from({ length: 60 }, (_, n) => message.delta(`${n} `)));
		});
	});
	// Start, deltas, the end of the message, end of the run.
	assert.ok(server.requests("/events").length <= 4, `${server.requests("/events").length} requests`);
	assert.equal(server.mostAtOnce, 1);
	const deltas = server.store.eventsOf(KEY, "r1").filter(({ type }) => type === "message_delta");
	assert.deepEqual(
		deltas.map((delta) => delta["text"]),
		Array.from({ length: 60 }, (_, n) => `${n} `),
	);
});

test("one delta alone is sent after its time, without another call", async (t) => {
	const server = await fake(t);
	const run = await server.bridge().start(KEY, { agent: "a", runId: "r1" });
	await run.writer("m1").delta("alone");
	await event(server, "answered", () => server.store.eventsOf(KEY, "r1").length === 2);
	await run.complete();
});

test("a full queue makes its callers wait, and refuses those that don't", async (t) => {
	const server = await fake(t);
	const run = await server.bridge({ maxQueuedEvents: 10 }).start(KEY, { agent: "a", runId: "r1" });
	const closed = gate();
	server.hold = closed.promise;
	const message = run.writer("m1");
	let queued = 0;
	const deltas = Array.from({ length: 100 }, async (_, n) => {
		await message.delta(`${n} `);
		queued++;
	});
	await assert.rejects(message.delta("one too many"), isCode("queue_full"));
	assert.equal(queued, 9);
	closed.open();
	await Promise.all(deltas);
	await run.complete();
	assert.equal(server.store.eventsOf(KEY, "r1").length, 102);
});

test("408, 429 and 5xx are repeated; Retry-After is obeyed", async (t) => {
	const server = await fake(t);
	const answers = [{ status: 408 }, { status: 429, retryAfter: "1" }, { status: 500 }, { status: 503, retryAfter: "0" }];
	server.fault = ({ path }) => (path.endsWith("/events") ? (answers.shift() ?? "none") : "none");
	await server.bridge().run(KEY, { agent: "a", runId: "r1" }, async () => {});
	const times = server.requests("/events").map(({ at }) => at);
	assert.equal(times.length, 6);
	assert.ok((times[2] ?? 0) - (times[1] ?? 0) >= 990, "the second repeat came before its time");
	assert.equal(server.store.thread(KEY).events.length, 2);
});

test("other refusals come again and are not repeated", async (t) => {
	const server = await fake(t);
	const refused = server.bridge({ key: "another" }).start(KEY, { agent: "a" });
	await assert.rejects(
		refused,
		(error: BridgeError) => error.code === "key_invalid" && error.status === 401 && !error.retryable && !error.message.includes("another"),
	);
	assert.equal(server.requests("/events").length, 1);
});

test("after the deadline a request fails, and so does its run", async (t) => {
	const server = await fake(t);
	const bridge = server.bridge({ deadlineMs: 400 });
	const run = await bridge.start(KEY, { agent: "a", runId: "r1" });
	await server.stop();
	const failed = (error: BridgeError): boolean => error.code === "unreachable" && error.retryable;
	await assert.rejects(run.respond("hello?"), failed);
	assert.ok(run.signal.aborted);
	await assert.rejects(run.complete(), failed);
	await assert.rejects(
		bridge.run(KEY, { agent: "a" }, async () => {}),
		failed,
	);
});

test("an answer that takes too long is given up and the batch repeated, once in the log", async (t) => {
	const server = await fake(t);
	const closed = gate();
	server.hold = closed.promise;
	const starting = server.bridge({ requestTimeoutMs: 100 }).start(KEY, { agent: "a", runId: "r1" });
	await event(server, "request", () => server.requests("/events").length === 2);
	server.hold = undefined;
	closed.open();
	const run = await starting;
	await run.complete();
	assert.equal(server.store.eventsOf(KEY, "r1").length, 2);
});

test("a thought that is not valid is reported by a later call, and the others are written", async (t) => {
	const server = await fake(t);
	const running = server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		await Promise.all([run.thinking("one"), run.thinking({ text: "two", progress: 140 }), run.thinking("three")]);
	});
	await assert.rejects(running, (error: BridgeError) => error.code === "invalid_event" && error.index === 1);
	const texts = server.store.eventsOf(KEY, "r1").map(({ type, text }) => text ?? type);
	assert.deepEqual(texts, ["agent_started", "one", "three", "agent_error"]);
});

test("an event that is not valid is refused alone, and the run goes on", async (t) => {
	const server = await fake(t);
	await server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		// @ts-expect-error -- `toolName` is missing
		await assert.rejects(run.publish({ type: "tool_executing", toolCallId: "c1" }), isCode("invalid_event"));
		await assert.rejects(run.publish({ type: "odd", value: 1n }), isCode("invalid_event"));
		await run.respond("goes on");
	});
	assert.equal(server.store.eventsOf(KEY, "r1").length, 3);
});

test("a server that lost the last events gets them again from `expected` on", async (t) => {
	const server = await fake(t);
	await server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		for (const text of ["one", "two", "three"]) await run.respond(text);
		// As after a restore of a backup: the last two are gone.
		const thread = server.store.thread(KEY);
		thread.events.splice(-2);
		for (const [id, seq] of thread.producers) thread.producers.set(id, seq - 2);
		await run.respond("four");
	});
	const contents = server.store.eventsOf(KEY, "r1").map(({ type, content }) => content ?? type);
	assert.deepEqual(contents, ["agent_started", "one", "two", "three", "four", "agent_completed"]);
});

test("a gap that can't be closed ends the run with producer_gap", async (t) => {
	const server = await fake(t);
	const run = await server.bridge().start(KEY, { agent: "a", runId: "r1" });
	for (const id of server.store.thread(KEY).producers.keys()) server.store.thread(KEY).producers.set(id, -3);
	await assert.rejects(run.respond("x"), isCode("producer_gap"));
	assert.ok(run.isEnded);
});

test("a batch that is too large is cut; an event that is too large is refused alone", async (t) => {
	const server = await fake(t);
	server.fault = ({ body }) => (JSON.stringify(body).length > 40_000 ? { status: 413, code: "too_large" } : "none");
	await server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		const message = run.writer("m1");
		await Promise.all(Array.from({ length: 20 }, () => message.delta("x".repeat(5_000))));
		await run.flush();
		await assert.rejects(run.respond("x".repeat(50_000)), isCode("too_large"));
	});
	assert.equal(server.store.eventsOf(KEY, "r1").length, 22);
});

test("options out of range are refused with bad_option", async (t) => {
	const server = await fake(t);
	for (const options of [{ url: "ftp://x" }, { url: "http://u:p@x" }, { key: "with\nline" }, { deadlineMs: 0 }, { batchMs: 1.5 }]) {
		assert.throws(() => server.bridge(options), isCode("bad_option"));
	}
	await assert.rejects(server.bridge().start(KEY, { agent: "a", leaseMs: 10 }), isCode("bad_option"));
	assert.equal(server.seen.length, 0);
});

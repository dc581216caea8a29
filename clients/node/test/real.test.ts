/** The library against the real server: `AGENTWIRE_BRIDGE_BIN` names the binary `agentwire-bridge`. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { type BridgeError, isBridgeError, nodeHandler } from "../src/index.js";
import { DEV_SECRET, RealServer } from "./support/server.js";
import type { StoredEvent } from "./support/store.js";
import { event, gate } from "./support/until.js";

const binary = process.env["AGENTWIRE_BRIDGE_BIN"] ?? "";
const real = binary === "" ? { skip: "set AGENTWIRE_BRIDGE_BIN to the binary agentwire-bridge (cargo build -p agentwire-server)" } : { timeout: 60_000 };

async function started(t: TestContext, more: readonly string[] = []): Promise<RealServer> {
	const server = new RealServer(binary, more);
	t.after(() => server.close());
	await server.start();
	return server;
}

/** Stops a worker with its test, also when that fails. */
function stopper(t: TestContext): AbortController {
	const stop = new AbortController();
	t.after(() => stop.abort());
	return stop;
}

const ofRun = (events: readonly StoredEvent[], runId: string): readonly StoredEvent[] => events.filter((one) => one.runId === runId);
const types = (events: readonly StoredEvent[]): readonly string[] => events.map(({ type }) => type);

test("a page's messages are worked on one after the other, and its answers are in the log", real, async (t) => {
	const server = await started(t);
	const page = await server.page(t, "ada", "a/b %");
	const stop = stopper(t);
	const bridge = server.bridge();
	const second = gate();
	const working = bridge.work({ signal: stop.signal }, async (message) => {
		await bridge.run(message, { agent: "echo", task: "Echo", runId: `run of ${message.content}` }, async (run) => {
			await run.thinking({ text: "Thinking", progress: 50 });
			await run.tool("search", { q: message.content }, () => ({ found: 1 }));
			await run.message((writer) => writer.delta(`You said: ${message.content}`));
		});
		if (message.content === "two") second.open();
	});
	const one = await page.say("one");
	await page.say("two");
	await second.promise;
	stop.abort();
	await working;
	const events = await server.events(page.key);
	const first = ofRun(events, "run of one");
	assert.deepEqual(types(first), [
		"agent_started",
		"agent_thinking",
		"tool_executing",
		"tool_completed",
		"message_delta",
		"message_completed",
		"agent_completed",
	]);
	assert.equal(first[0]?.["sendId"], one);
	assert.equal(first[5]?.["content"], "You said: one");
	const order = events.filter(({ type }) => type === "agent_started" || type === "agent_completed").map(({ runId }) => runId);
	assert.deepEqual(order, ["run of one", "run of one", "run of two", "run of two"]);
});

test("cancels, answers and steering of a page reach the run", real, async (t) => {
	const server = await started(t);
	const page = await server.page(t, "ada", "plan");
	const bridge = server.bridge();
	const running = bridge.run(page.key, { agent: "a", runId: "r1" }, async (run) => {
		const asking = run.ask({ prompt: "Send it?", approvalId: "ap-1", args: { n: 1 } });
		await run.flush();
		await page.ask({ type: "approve", runId: "r1", approvalId: "ap-1", decision: "approved", reason: "fine", payload: { n: 2 } });
		const { decision, user, reason, payload } = await asking;
		assert.deepEqual({ decision, user, reason, payload }, { decision: "approved", user: "ada", reason: "fine", payload: { n: 2 } });
		const sendId = await page.say("Only the last week", { mode: "steer", runId: "r1" });
		for await (const message of run.steering()) {
			assert.equal(message.sendId, sendId);
			assert.equal(message.content, "Only the last week");
			break;
		}
		const aborted = event(run.signal, "abort");
		await page.ask({ type: "cancel", runId: "r1" });
		await aborted;
		run.signal.throwIfAborted();
	});
	await assert.rejects(running, (error) => isBridgeError(error, "cancelled"));
	const ours = ofRun(await server.events(page.key), "r1");
	assert.equal(types(ours).at(-1), "agent_cancelled");
	assert.ok(types(ours).includes("steering_taken"));
});

test("a server that is killed twice while runs write has every event once and in order", real, async (t) => {
	const server = await started(t);
	const bridge = server.bridge({ batchMs: 1 });
	const expected = Array.from({ length: 400 }, (_, n) => `${n} `);
	let restarting = Promise.resolve();
	const write = (runId: string): Promise<void> =>
		bridge.run("ada/plan", { agent: "a", runId }, async (run) => {
			const message = run.writer("m1");
			for (const [n, text] of expected.entries()) {
				await message.delta(text);
				if (n % 10 === 0) await run.flush();
				if (runId === "r0" && (n === 100 || n === 250)) restarting = restarting.then(() => server.kill()).then(() => server.start());
			}
			await message.complete();
			await restarting;
		});
	await Promise.all(["r0", "r1", "r2"].map(write));
	const events = await server.events("ada/plan");
	for (const runId of ["r0", "r1", "r2"]) {
		const ours = ofRun(events, runId);
		assert.deepEqual(
			ours.filter(({ type }) => type === "message_delta").map((delta) => delta["text"]),
			expected,
		);
		assert.deepEqual([ours[0]?.type, ours.at(-1)?.type], ["agent_started", "agent_completed"]);
	}
});

test("heartbeats keep a silent run beyond its lease, and a run without them ends", real, async (t) => {
	const server = await started(t);
	let beats = 0;
	const four = gate();
	const counting: typeof fetch = async (input, init) => {
		const answer = await fetch(input, init);
		if (String(input).endsWith("/heartbeat") && ++beats === 4) four.open();
		return answer;
	};
	await server.bridge({ fetch: counting }).run("ada/plan", { agent: "a", runId: "kept", leaseMs: 1_000 }, () => four.promise);
	const deaf: typeof fetch = (input, init) => (String(input).endsWith("/heartbeat") ? Promise.reject(new Error("lost")) : fetch(input, init));
	const run = await server.bridge({ fetch: deaf }).start("ada/plan", { agent: "a", runId: "lost", leaseMs: 1_000 });
	await event(run.signal, "abort");
	assert.equal(run.signal.reason.code, "run_over");
	const events = await server.events("ada/plan");
	assert.deepEqual(types(ofRun(events, "kept")), ["agent_started", "agent_completed"]);
	assert.equal(ofRun(events, "lost").at(-1)?.["cause"], "no_heartbeat");
});

test("what the server refuses comes as typed errors, and nothing else is lost", real, async (t) => {
	const server = await started(t);
	const code =
		(expected: string) =>
		(error: unknown): boolean =>
			isBridgeError(error, expected);
	await assert.rejects(server.bridge({ key: "another" }).start("ada/plan", { agent: "a" }), code("key_invalid"));
	const bridge = server.bridge();
	const running = bridge.run("ada/plan", { agent: "a", runId: "r1" }, async (run) => {
		await run.ask({ prompt: "?", approvalId: "ap-1", expiresAt: Date.now() + 1 }).then(({ decision }) => assert.equal(decision, "expired"));
		await assert.rejects(run.ask({ prompt: "?", approvalId: "ap-1" }), code("approval_conflict"));
		await assert.rejects(run.respond("x".repeat(2_000_000)), code("too_large"));
		await Promise.all([run.thinking("one"), run.thinking({ text: "two", progress: 140 }), run.thinking("three")]);
	});
	await assert.rejects(running, (error: BridgeError) => error.code === "invalid_event" && error.index === 1);
	const ours = ofRun(await server.events("ada/plan"), "r1");
	assert.deepEqual(
		ours.filter(({ type }) => type === "agent_thinking").map(({ text }) => text),
		["one", "three"],
	);
	assert.equal(ours.at(-1)?.["code"], "agent_failed");
	await assert.rejects(bridge.start("ada/plan", { agent: "a", runId: "r1" }), code("run_over"));
});

test("a message that is edited before its run begins is answered with its new text", real, async (t) => {
	const server = await started(t);
	const page = await server.page(t, "ada", "plan");
	const bridge = server.bridge();
	const stop = stopper(t);
	const done = gate();
	const contents: string[] = [];
	const working = bridge.work({ signal: stop.signal }, async (message) => {
		contents.push(message.content);
		if (contents.length === 1) await page.ask({ type: "edit", sendId: message.sendId, message: { type: "user_message", content: "new" } });
		await bridge.run(message, { agent: "a" }, (run) => run.respond(`to ${message.content}`));
		done.open();
	});
	await page.say("old");
	await done.promise;
	stop.abort();
	await working;
	assert.deepEqual(contents, ["old", "new"]);
	const answers = (await server.events(page.key)).filter(({ type }) => type === "agent_response");
	assert.deepEqual(
		answers.map(({ content }) => content),
		["to new"],
	);
});

test("a message that is left without a run makes room for the next one at once", real, async (t) => {
	const server = await started(t);
	const page = await server.page(t, "ada", "plan");
	const stop = stopper(t);
	const contents: string[] = [];
	const two = gate();
	const working = server.bridge().work({ signal: stop.signal, max: 1 }, ({ content }) => {
		if (contents.push(content) === 2) two.open();
	});
	await page.say("one");
	await page.say("two");
	await two.promise;
	stop.abort();
	await working;
	assert.deepEqual(contents, ["one", "two"]);
});

test("the webhook of the server is verified and answered", real, async (t) => {
	const http = createServer().listen(0, "127.0.0.1");
	t.after(() => http.close());
	await once(http, "listening");
	const server = await started(t, ["--webhook", `http://127.0.0.1:${(http.address() as AddressInfo).port}/hook`]);
	const bridge = server.bridge();
	const done = gate();
	let calls = 0;
	const serve = nodeHandler(
		bridge.webhook({ secret: DEV_SECRET }, async (message) => {
			// The first attempt fails before a run, and comes again.
			if (++calls === 1) throw new Error("the database is away");
			await bridge.run(message, { agent: "a", runId: `r-${randomUUID()}` }, (run) => run.respond(`to ${message.content}`));
			done.open();
		}),
	);
	http.on("request", (request, response) => void serve(request, response));
	const page = await server.page(t, "ada", "plan");
	await page.say("hello");
	await done.promise;
	const answers = (await server.events(page.key)).filter(({ type }) => type === "agent_response");
	assert.deepEqual(
		answers.map(({ content }) => content),
		["to hello"],
	);
});

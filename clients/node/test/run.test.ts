/** What a run publishes, and how it ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BridgeError, isBridgeError, threadKey } from "../src/index.js";
import { event, fake, gate } from "./support/until.js";

const KEY = threadKey("ada", "plan");
const types = (events: readonly { readonly type: string }[]): readonly string[] => events.map(({ type }) => type);

test("a run publishes its events in order and ends when its function ends", async (t) => {
	const server = await fake(t);
	const result = await server.bridge().run(KEY, { agent: "planner", task: "Plan it", runId: "r1" }, async (run) => {
		await run.thinking({ text: "Looking it up", progress: 10 });
		const found = await run.tool("search", { q: "monday" }, async () => ["a", "b"], { purpose: "to find it" });
		await run.message(async (message) => {
			await message.delta("Hel");
			await message.delta("lo");
		});
		await run.respond("Bye");
		await run.report({ code: "slow_model" });
		await run.publish({ type: "invoice_ready", amount: 7 });
		return found.length;
	});
	assert.equal(result, 2);
	const events = server.store.eventsOf(KEY, "r1");
	assert.deepEqual(types(events), [
		"agent_started",
		"agent_thinking",
		"tool_executing",
		"tool_completed",
		"message_delta",
		"message_delta",
		"message_completed",
		"agent_response",
		"agent_error",
		"invoice_ready",
		"agent_completed",
	]);
	const [started, , executing, completed, delta, , whole] = events;
	assert.equal(started?.["task"], "Plan it");
	assert.ok(events.every((one) => one["agent"] === "planner" && typeof one["time"] === "number"));
	assert.equal(executing?.["toolName"], "search");
	assert.deepEqual(executing?.["args"], { q: "monday" });
	assert.equal(completed?.["toolCallId"], executing?.["toolCallId"]);
	assert.deepEqual(completed?.["result"], ["a", "b"]);
	assert.equal(whole?.["content"], "Hello");
	assert.equal(whole?.["messageId"], delta?.["messageId"]);
	assert.ok(server.seen.some(({ path }) => path === "/v1/threads/ada%2Fplan/events"));
});

test("an exception ends the run with agent_error, without a stack, and is thrown again", async (t) => {
	const server = await fake(t);
	const fault = new TypeError("no such city");
	const running = server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		await run.tool("weather", {}, () => {
			throw fault;
		});
	});
	await assert.rejects(running, fault);
	const events = server.store.eventsOf(KEY, "r1");
	assert.deepEqual(types(events), ["agent_started", "tool_executing", "tool_completed", "agent_error"]);
	assert.equal(events[2]?.["success"], false);
	const end = events[3];
	assert.deepEqual(
		{ code: end?.["code"], message: end?.["message"], recoverable: end?.["recoverable"], severity: end?.["severity"] },
		{ code: "agent_failed", message: "no such city", recoverable: false, severity: "high" },
	);
	assert.ok(!JSON.stringify(events).includes(".test.js"));
});

test("a user's cancel aborts the signal, interrupts the message and ends the run as cancelled", async (t) => {
	const server = await fake(t);
	const running = server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		await run.message(async (message) => {
			await message.delta("Once upon");
			await run.flush();
			server.signal(KEY, "r1", { type: "cancelled" });
			await event(run.signal, "abort");
			run.signal.throwIfAborted();
		});
	});
	await assert.rejects(running, (error) => isBridgeError(error, "cancelled"));
	const events = server.store.eventsOf(KEY, "r1");
	assert.deepEqual(types(events), ["agent_started", "message_delta", "message_completed", "agent_cancelled"]);
	assert.equal(events[2]?.["interrupted"], true);
});

test("the answer to a publish reports a cancel, too", async (t) => {
	const server = await fake(t);
	// No signals, so that only the answer can say it.
	server.fault = ({ path }) => (path.endsWith("/signals") ? { status: 503 } : "none");
	await server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		server.store.run(KEY, "r1").isCancelled = true;
		await run.respond("still here");
		assert.ok(run.isCancelled);
		assert.ok(run.signal.aborted);
	});
	assert.deepEqual(types(server.store.eventsOf(KEY, "r1")), ["agent_started", "agent_response", "agent_cancelled"]);
});

test("a function that ignores the cancel does not keep the run beyond the grace", async (t) => {
	const server = await fake(t);
	const end = gate();
	const running = server.bridge({ cancelGraceMs: 1 }).run(KEY, { agent: "a", runId: "r1" }, async () => {
		server.signal(KEY, "r1", { type: "cancelled" });
		await end.promise;
		return "late";
	});
	await event(server, "answered", () => !server.store.run(KEY, "r1").isOpen);
	end.open();
	assert.equal(await running, "late");
	assert.deepEqual(types(server.store.eventsOf(KEY, "r1")), ["agent_started", "agent_cancelled"]);
});

test("ask resolves with the answer of a person, also if it came before the connection did", async (t) => {
	const server = await fake(t);
	server.on("answered", ({ body }: { readonly body: { readonly events?: readonly { readonly type: string }[] } }) => {
		if (body.events?.[0]?.type !== "approval_requested") return;
		server.signal(KEY, "r1", { type: "approval_resolved", approvalId: "ap-1", decision: "approved", editedArgs: { n: 2 }, reason: "fine", user: "ada" });
		server.signal(KEY, "r1", { type: "approval_resolved", approvalId: "ap-1", decision: "denied", user: "bob" });
	});
	const answer = await server
		.bridge()
		.run(KEY, { agent: "a", runId: "r1" }, (run) => run.ask({ prompt: "Send it?", approvalId: "ap-1", args: { n: 1 }, editable: true }));
	assert.deepEqual(answer, { decision: "approved", payload: undefined, editedArgs: { n: 2 }, reason: "fine", user: "ada" });
});

test("ask rejects when the run is cancelled, and approval_conflict concerns only the question", async (t) => {
	const server = await fake(t);
	const running = server.bridge().run(KEY, { agent: "a", runId: "r1" }, async (run) => {
		const first = run.ask({ prompt: "Really?", approvalId: "ap-1" });
		await assert.rejects(run.ask({ prompt: "Really?", approvalId: "ap-1" }), (error) => isBridgeError(error, "approval_conflict"));
		await run.respond("goes on");
		server.signal(KEY, "r1", { type: "cancelled" });
		await first;
	});
	await assert.rejects(running, (error) => isBridgeError(error, "cancelled"));
	assert.deepEqual(types(server.store.eventsOf(KEY, "r1")), ["agent_started", "approval_requested", "agent_response", "agent_cancelled"]);
});

test("steering yields each message once, takes it before, and ends with the run", async (t) => {
	const server = await fake(t);
	const run = await server.bridge().start(KEY, { agent: "a", runId: "r1" });
	const one = { type: "steering", sendId: "s1", offset: 5, text: 5, user: "ada", content: "Only the last week", event: {} };
	server.signal(KEY, "r1", one);
	server.signal(KEY, "r1", one);
	server.signal(KEY, "r1", { ...one, sendId: "s2", offset: 6, content: "and May" });
	const got: string[] = [];
	for await (const message of run.steering()) {
		got.push(message.content);
		assert.equal(server.store.eventsOf(KEY, "r1").at(-1)?.["sendId"], message.sendId);
		if (got.length === 2) await run.complete({ summary: "done" });
	}
	assert.deepEqual(got, ["Only the last week", "and May"]);
	assert.deepEqual(types(server.store.eventsOf(KEY, "r1")), ["agent_started", "steering_taken", "steering_taken", "agent_completed"]);
});

test("a child starts after what its parent published, and is aborted with it", async (t) => {
	const server = await fake(t);
	const running = server.bridge().run(KEY, { agent: "boss", runId: "r1" }, async (run) => {
		await run.thinking("I need help");
		await run.child({ agent: "clerk", runId: "r2" }, async (child) => {
			await child.thinking("Working");
			server.signal(KEY, "r1", { type: "cancelled" });
			await event(child.signal, "abort");
			child.signal.throwIfAborted();
		});
	});
	await assert.rejects(running, (error) => isBridgeError(error, "cancelled"));
	const all = server.store.thread(KEY).events.map(({ type, runId }) => `${runId} ${type}`);
	assert.deepEqual(all, ["r1 agent_started", "r1 agent_thinking", "r2 agent_started", "r2 agent_thinking", "r2 agent_cancelled", "r1 agent_cancelled"]);
	assert.equal(server.store.eventsOf(KEY, "r2")[0]?.["parentRunId"], "r1");
});

test("`await using` ends a run that was left without an end", async (t) => {
	const server = await fake(t);
	const bridge = server.bridge();
	{
		await using run = await bridge.start(KEY, { agent: "a", runId: "r1" });
		await run.complete({ result: 1 });
	}
	{
		await using _left = await bridge.start(KEY, { agent: "a", runId: "r2" });
	}
	assert.deepEqual(types(server.store.eventsOf(KEY, "r1")), ["agent_started", "agent_completed"]);
	assert.deepEqual(types(server.store.eventsOf(KEY, "r2")), ["agent_started", "agent_error"]);
});

test("a run that is silent is kept alive, and one that the server ended is aborted", async (t) => {
	const server = await fake(t);
	server.fault = ({ path }) => (path.endsWith("/signals") ? { status: 503 } : "none");
	const running = server.bridge().run(KEY, { agent: "a", runId: "r1", leaseMs: 1_000 }, async (run) => {
		await event<{ readonly path: string }>(server, "request", ({ path }) => path.endsWith("/heartbeat"));
		await event<{ readonly path: string }>(server, "request", ({ path }) => path.endsWith("/heartbeat"));
		server.store.run(KEY, "r1").isOpen = false;
		await event(run.signal, "abort");
		await run.respond("too late");
	});
	await assert.rejects(running, (error) => isBridgeError(error, "run_over"));
	const begun = server.requests("/events")[0]?.at ?? 0;
	const [first, second] = server.requests("/heartbeat").map(({ at }) => at - begun);
	assert.ok(first !== undefined && first > 300, `the first heartbeat came after ${first} ms`);
	assert.ok(second !== undefined && second > 600, `the second heartbeat came after ${second} ms`);
});

test("after its end a run refuses everything with run_over", async (t) => {
	const server = await fake(t);
	const run = await server.bridge().start(KEY, { agent: "a", runId: "r1" });
	await run.fail({ code: "model_unavailable", userMessage: "Try again later" });
	for (const call of [() => run.thinking("x"), () => run.complete(), () => run.ask({ prompt: "?" })]) {
		await assert.rejects(call, (error) => error instanceof BridgeError && error.code === "run_over");
	}
	assert.deepEqual(types(server.store.eventsOf(KEY, "r1")), ["agent_started", "agent_error"]);
});

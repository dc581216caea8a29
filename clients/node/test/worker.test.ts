/** Deliveries over a connection of the worker. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isBridgeError, type Message, type Notice, Refusal } from "../src/index.js";
import { KEY, message } from "./support/delivery.js";
import { event, fake, gate } from "./support/until.js";

/** Waits until the fake got an answer for a delivery; returns its body. */
async function answered(server: Parameters<typeof event>[0], kind: "accept" | "refuse", id: string): Promise<void> {
	await event(server, kind, (one: string) => one === id);
}

test("a message is claimed by the run of its handler, and accepted", async (t) => {
	const server = await fake(t);
	const bridge = server.bridge();
	const stop = new AbortController();
	server.deliver(message(1));
	const accepted = answered(server, "accept", "dlv-1");
	const working = bridge.work({ signal: stop.signal }, (one) => bridge.run(one, { agent: "a", runId: "r1" }, (run) => run.respond(`to ${one.content}`)));
	await accepted;
	stop.abort();
	await working;
	const [started, answer, completed] = server.store.eventsOf(KEY, "r1");
	assert.equal(started?.["sendId"], "s-1");
	assert.equal(answer?.["content"], "to question 1");
	assert.equal(completed?.type, "agent_completed");
	assert.deepEqual(server.requests("/events")[0]?.body["claim"], { sendId: "s-1", offset: 1, text: 1 });
	assert.deepEqual(server.requests("/accept")[0]?.body, { attempt: 1 });
});

test("a handler without a run leaves its message; a Refusal refuses it; an exception answers nothing", async (t) => {
	const server = await fake(t);
	const stop = new AbortController();
	const errors: unknown[] = [];
	const fault = new Error("the database is away");
	const left = answered(server, "accept", "dlv-1");
	const refused = answered(server, "refuse", "dlv-2");
	const failed = gate();
	const bridge = server.bridge({
		onError: (error) => {
			errors.push(error);
			failed.open();
		},
	});
	for (const n of [1, 2, 3]) server.deliver(message(n));
	const working = bridge.work({ signal: stop.signal }, ({ offset }) => {
		if (offset === 2) throw new Refusal("not for us");
		if (offset === 3) throw fault;
	});
	await Promise.all([left, refused, failed.promise]);
	stop.abort();
	await working;
	assert.deepEqual(server.requests("/dlv-1/accept")[0]?.body, { attempt: 1, done: true });
	assert.deepEqual(server.requests("/dlv-2/refuse")[0]?.body, { attempt: 1, message: "not for us" });
	assert.deepEqual([...server.deliveries.keys()], ["dlv-3"]);
	assert.deepEqual(errors, [fault]);
});

test("a message that was edited meanwhile is left to its next delivery, without an error", async (t) => {
	const server = await fake(t);
	const errors: unknown[] = [];
	const bridge = server.bridge({ onError: (error) => errors.push(error) });
	const stop = new AbortController();
	server.store.thread(KEY).outdated.add("s-1");
	server.deliver(message(1));
	const accepted = answered(server, "accept", "dlv-1");
	const working = bridge.work({ signal: stop.signal }, (one) => bridge.run(one, { agent: "a" }, () => assert.fail("it has no claim")));
	await accepted;
	stop.abort();
	await working;
	assert.deepEqual(errors, []);
	assert.equal(server.store.thread(KEY).events.length, 0);
});

test("not more than `max` handlers work at once, and the signal waits for those", async (t) => {
	const server = await fake(t);
	const stop = new AbortController();
	const closed = gate();
	const full = gate();
	const begun: number[] = [];
	let ended = 0;
	for (const n of [1, 2, 3, 4]) server.deliver(message(n));
	const working = server.bridge().work({ max: 2, signal: stop.signal }, async ({ offset }) => {
		if (begun.push(offset) === 2) full.open();
		await closed.promise;
		ended++;
	});
	await full.promise;
	assert.equal(server.requests("/v1/deliveries").length, 1);
	stop.abort();
	closed.open();
	await working;
	assert.deepEqual(begun, [1, 2]);
	assert.equal(ended, 2);
	assert.deepEqual([...server.deliveries.keys()], ["dlv-3", "dlv-4"]);
});

test("all messages are worked on in the end, `max` at once", async (t) => {
	const server = await fake(t);
	const stop = new AbortController();
	let active = 0;
	let most = 0;
	for (const n of [1, 2, 3, 4, 5, 6]) server.deliver(message(n));
	const last = answered(server, "accept", "dlv-6");
	const working = server.bridge().work({ max: 2, signal: stop.signal }, async () => {
		most = Math.max(most, ++active);
		// The work of a handler: the lines of the others are here long before its end.
		await new Promise((resolve) => setTimeout(resolve, 20));
		active--;
	});
	await last;
	stop.abort();
	await working;
	assert.equal(most, 2);
	assert.equal(server.deliveries.size, 0);
});

test("a worker comes back after a restart, and begins a delivery once that comes again", async (t) => {
	const server = await fake(t);
	const bridge = server.bridge();
	const stop = new AbortController();
	const begun: string[] = [];
	const first = gate();
	const again = gate();
	server.deliver(message(1));
	const working = bridge.work({ signal: stop.signal }, async (one) => {
		begun.push(one.id);
		if (one.id === "dlv-1") {
			first.open();
			await again.promise;
		}
		await bridge.run(one, { agent: "a", runId: one.id }, async () => {});
	});
	await first.promise;
	await server.restart();
	// The copy is accepted while the handler works.
	await answered(server, "accept", "dlv-1");
	again.open();
	const second = answered(server, "accept", "dlv-2");
	server.deliver(message(2));
	await second;
	stop.abort();
	await working;
	assert.deepEqual(begun, ["dlv-1", "dlv-2"]);
});

test("other deliveries go to onNotice and are accepted", async (t) => {
	const server = await fake(t);
	const stop = new AbortController();
	const got: Notice[] = [];
	const { id, attempt, time, thread } = message(7);
	server.deliver({ id, attempt, time, thread, type: "run_cancelled", runId: "r1" });
	const accepted = answered(server, "accept", id);
	const working = server.bridge().work({ signal: stop.signal, onNotice: (notice) => got.push(notice) }, () => assert.fail("it is no message"));
	await accepted;
	stop.abort();
	await working;
	assert.equal(got[0]?.type, "run_cancelled");
});

test("a worker whose key is refused rejects", async (t) => {
	const server = await fake(t);
	const working = server.bridge({ key: "another" }).work({}, (_: Message) => {});
	await assert.rejects(working, (error) => isBridgeError(error, "key_invalid"));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentwireError } from "../src/errors.js";
import type { Message, MessageContent } from "../src/message.js";
import { rig, type RigOptions, settled } from "./fake.js";

function connected(options: RigOptions = {}) {
	const made = rig(options);
	const thread = made.client.thread("t");
	made.core().welcome();
	return { ...made, thread };
}

const ACCEPTED = { type: "receipt", status: "accepted", position: { epoch: "e1", offset: 7 } };

test("a message is pending at once and sent with its receipt", async () => {
	const { thread, core } = connected();
	const message = thread.send({ content: "Hi", metadata: { a: [1] } });
	assert.equal(message.state, "pending");
	assert.match(message.id, /^[0-9a-f-]{36}$/);
	assert.deepEqual(core().sent[0], { kind: 0, id: message.id, stream: "t", body: { message: { type: "user_message", content: "Hi", metadata: { a: [1] } } }, sentAgoMs: -1 });
	core().settle(message.id, ACCEPTED);
	assert.deepEqual(await message.receipt, { id: message.id, status: "accepted", position: { epoch: "e1", offset: 7 } });
	assert.equal(message.state, "sent");
	assert.equal(message.error, undefined);
});

test("a refusal fails the message with the server's error", async () => {
	const { thread, core } = connected();
	const message = thread.send({ content: "Hi" });
	core().settle(message.id, { status: "rejected", error: { code: "conflict", message: "used", retryable: false, remediation: "Use a new id." } });
	await assert.rejects(message.receipt, (error: unknown) => {
		assert.ok(error instanceof AgentwireError);
		assert.deepEqual([error.code, error.message, error.retryable, error.remediation], ["conflict", "used", false, "Use a new id."]);
		return true;
	});
	assert.equal(message.state, "failed");
	assert.equal(message.error?.code, "conflict");
});

test("a message settles once, whatever comes later", async () => {
	const { client, thread, core } = connected();
	const message = thread.send({ content: "Hi" });
	const states: string[] = [];
	message.on("change", ({ state }) => states.push(state));
	core().settle(message.id, undefined, "outcome_unknown");
	core().settle(message.id, ACCEPTED);
	core().host.settled(message.id, ACCEPTED, undefined);
	client.close();
	await settled();
	assert.deepEqual(states, ["failed"]);
	assert.equal(message.error?.code, "outcome_unknown");
});

test("a failure that nobody looks at is not an unhandled rejection", async () => {
	const unhandled: unknown[] = [];
	const note = (error: unknown): void => void unhandled.push(error);
	process.on("unhandledRejection", note);
	try {
		const { client, thread } = connected();
		thread.send({ content: "Hi" });
		thread.send({ content: "Hi" }, { signal: AbortSignal.abort() });
		client.close();
		await settled();
		await settled();
	} finally {
		process.off("unhandledRejection", note);
	}
	assert.deepEqual(unhandled, []);
});

test("what was given is copied: a later change does not change the message", () => {
	const { thread, core } = connected();
	const content: { content: string; references: string[] } = { content: "Hi", references: ["a"] };
	thread.send(content);
	content.content = "Bye";
	content.references.push("b");
	assert.deepEqual(core().sent[0]?.body, { message: { type: "user_message", content: "Hi", references: ["a"] } });
});

test("bad messages throw where the caller reads it", async (t) => {
	const { thread, core } = connected();
	const circular: Record<string, unknown> = { type: "x" };
	circular["self"] = circular;
	const cases: readonly [string, unknown, string][] = [
		["nothing", undefined, "invalid_message"],
		["text", "Hi", "invalid_message"],
		["a list", [], "invalid_message"],
		["no content", {}, "invalid_message"],
		["empty content", { content: "" }, "invalid_message"],
		["a number as type", { type: 7 }, "invalid_message"],
		["circular", circular, "invalid_message"],
		["bigint", { type: "x", n: 1n }, "invalid_message"],
	];
	for (const [name, content, code] of cases) await t.test(name, () => assert.throws(() => thread.send(content as MessageContent), { code }));
	assert.throws(() => thread.send({ content: "x" }, { id: "" }), { code: "invalid_option" });
	assert.throws(() => thread.send({ content: "x" }, { id: "é".repeat(65) }), { code: "invalid_option" });
	assert.throws(() => thread.send({ content: "x" }, { idd: "a" } as object), /send options\.idd is not an option, did you mean id\?/);
	assert.equal(core().sent.length, 0);
});

test("the outbox is bounded and says so", async () => {
	const { thread, core } = connected({ maxPendingSends: 2 });
	const messages = ["a", "b", "c"].map((id) => thread.send({ content: id }, { id }));
	await assert.rejects(messages[2]?.receipt ?? Promise.resolve(), { code: "outbox_full", retryable: true });
	assert.equal(core().sent.length, 2);
	core().settle("a", ACCEPTED);
	assert.equal(thread.send({ content: "d" }, { id: "d" }).state, "pending");
	assert.deepEqual(core().sent.map(({ id }) => id), ["b", "d"]);
});

test("an id that is pending is not sent twice", async () => {
	const { thread, core } = connected();
	thread.send({ content: "one" }, { id: "m" });
	await assert.rejects(thread.send({ content: "two" }, { id: "m" }).receipt, { code: "conflict" });
	assert.equal(core().sent.length, 1);
});

test("abort before the call fails the message; later only the waiting ends", async () => {
	const { thread, core } = connected();
	const never = thread.send({ content: "x" }, { signal: AbortSignal.abort() });
	await assert.rejects(never.receipt, { code: "aborted" });
	assert.equal(never.state, "failed");
	assert.equal(core().sent.length, 0);
	const controller = new AbortController();
	const message = thread.send({ content: "x" }, { signal: controller.signal });
	controller.abort();
	await assert.rejects(message.receipt, { name: "AbortError" });
	assert.equal(message.state, "pending");
	core().settle(message.id, ACCEPTED);
	await settled();
	assert.equal(message.state, "sent");
});

test("messages before the core is there wait, and go out in order", async () => {
	const { client, core } = rig({ autoConnect: false });
	const thread = client.thread("t");
	const messages = ["a", "b", "c"].map((id) => thread.send({ content: id }, { id }));
	client.connect();
	assert.deepEqual(core().sent.map(({ id }) => id), ["a", "b", "c"]);
	assert.deepEqual(messages.map(({ state }) => state), ["pending", "pending", "pending"]);
});

test("closing settles what is pending, also before there is a core", async () => {
	const early = rig({ autoConnect: false });
	const waiting = early.client.thread("t").send({ content: "x" });
	early.client.close();
	await assert.rejects(waiting.receipt, { code: "closed" });
	const { client, thread } = connected();
	const message = thread.send({ content: "x" });
	client.close();
	await assert.rejects(message.receipt, { code: "closed" });
	assert.throws(() => client.thread("t"), { code: "closed" });
});

test("cancel and approve resolve to the server's word", async () => {
	const { thread, core } = connected();
	const answer = (receipt: object): void => core().settle(core().sent[0]?.id ?? "", receipt);
	for (const word of ["cancelled", "already_finished", "unknown_run"] as const) {
		const outcome = thread.cancel("r1");
		assert.deepEqual([core().sent[0]?.kind, core().sent[0]?.body], [1, { runId: "r1" }]);
		answer({ status: word });
		assert.equal(await outcome, word);
	}
	for (const word of ["accepted", "already_resolved", "unknown_approval"] as const) {
		const outcome = thread.approve("a1", "denied");
		assert.deepEqual([core().sent[0]?.kind, core().sent[0]?.body], [2, { approvalId: "a1", decision: "denied" }]);
		answer({ status: word });
		assert.equal(await outcome, word);
	}
	const refused = thread.cancel("r2");
	answer({ status: "rejected", error: { code: "forbidden", message: "no", retryable: false } });
	await assert.rejects(refused, { code: "forbidden" });
	const odd = thread.cancel("r3");
	answer({ status: "perhaps" });
	await assert.rejects(odd, /unknown status "perhaps"/);
	await assert.rejects(thread.approve("a1", "maybe" as "denied"), { code: "invalid_option" });
	await assert.rejects(thread.cancel(""), { code: "invalid_option" });
});

test("change handlers may be removed, aborted, and throw", async () => {
	const { thread, core, errors } = connected();
	const message = thread.send({ content: "x" });
	const seen: Message[] = [];
	message.subscribe(() => assert.fail("was removed"))();
	message.on("change", () => assert.fail("was aborted"), { signal: AbortSignal.abort() });
	message.on("change", () => {
		throw new Error("boom");
	});
	message.subscribe((changed) => seen.push(changed));
	core().settle(message.id, ACCEPTED);
	await settled();
	assert.deepEqual(seen, [message]);
	assert.deepEqual(errors.map(({ code }) => code), ["handler_threw"]);
});

test("a signal goes out as it is, and needs a type", () => {
	const { thread, core } = connected();
	thread.signal({ type: "typing", active: true });
	assert.equal(core().calls.at(-1), 'signal t {"type":"typing","active":true}');
	assert.throws(() => thread.signal({} as { type: string }), { code: "invalid_message" });
});

test("ids are drawn also where there is no randomUUID", () => {
	const uuid = crypto.randomUUID;
	Object.defineProperty(crypto, "randomUUID", { value: undefined, configurable: true });
	try {
		const { thread } = connected();
		const ids = new Set(Array.from({ length: 50 }, () => thread.send({ content: "x" }).id));
		assert.equal(ids.size, 50);
		for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
	} finally {
		Object.defineProperty(crypto, "randomUUID", { value: uuid, configurable: true });
	}
});

/** Objects in each other, in so many levels. */
function nested(levels: number): Record<string, unknown> {
	let value: Record<string, unknown> = {};
	for (let level = 1; level < levels; level += 1) value = { in: level % 2 === 0 ? value : [value] };
	return value;
}

// PROTOCOL: GEN-8
test("what is nested deeper than a server takes is refused at once (GEN-8)", () => {
	const { thread, core } = connected();
	const wrapped = (levels: number): Record<string, unknown> => {
		let value: unknown = 1;
		for (let level = 0; level < levels; level += 1) value = [value];
		return { type: "form", value };
	};
	const deepest = wrapped(98);
	thread.send(deepest as MessageContent);
	assert.equal(depthOf(JSON.stringify({ message: deepest })), 100);
	assert.throws(() => thread.send(wrapped(99) as MessageContent), { code: "invalid_message", message: /the message is nested deeper than 99 levels: a frame has at most 100/ });
	assert.throws(() => thread.send(wrapped(5_000) as MessageContent), { code: "invalid_message" });
	assert.throws(() => thread.send({ content: "x", metadata: nested(80) }), { code: "invalid_message" });
	thread.signal(deepest as { type: string });
	assert.throws(() => thread.signal(wrapped(99) as { type: string }), { code: "invalid_message", message: /the signal is nested/ });
	assert.equal(core().sent.length, 1);
});

/** As the bridge counts it. */
function depthOf(text: string): number {
	let [depth, most] = [0, 0];
	for (const letter of text.replaceAll(/"[^"]*"/g, "")) {
		if ("[{".includes(letter)) most = Math.max(most, (depth += 1));
		else if ("]}".includes(letter)) depth -= 1;
	}
	return most;
}

// PROTOCOL: SIG-1
test("a signal has a type of 1 to 64 bytes and at most 4,096 bytes of JSON (SIG-1)", () => {
	const { thread, core } = connected();
	const before = core().calls.length;
	for (const type of ["", "é".repeat(33), "\ud800", 7, undefined]) {
		assert.throws(() => thread.signal({ type } as { type: string }), { code: "invalid_message", message: /1 to 64 bytes/ });
	}
	const empty = JSON.stringify({ type: "t", text: "" }).length;
	assert.throws(() => thread.signal({ type: "t", text: "x".repeat(4_097 - empty) }), { code: "message_too_large", message: /4097 bytes/ });
	assert.throws(() => thread.signal({ type: "t", text: "é".repeat(2_048) }), { code: "message_too_large" });
	assert.equal(core().calls.length, before);
	thread.signal({ type: "t", text: "x".repeat(4_096 - empty) });
	thread.signal({ type: "é".repeat(32) });
	thread.signal({ type: "user_message" });
	assert.equal(core().calls.length, before + 3);
});

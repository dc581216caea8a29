/** Messages, cancels, approvals and signals: each settles once (I6). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { poison } from "./support/core.js";
import { type AgentwireError, isAgentwireError, type Message, type MessageContent } from "./support/package.js";
import { type Rig, type RigOptions, rig } from "./support/rig.js";
import { inWorld, microtasks, type World } from "./support/world.js";

async function connectedTo(world: World, options: RigOptions = {}): Promise<Rig & { thread: ReturnType<Rig["client"]["thread"]> }> {
	const made = rig(world, options);
	await made.connected();
	return { ...made, thread: made.client.thread("t") };
}

/** Answers the next sends of any kind with these receipts, in order. */
function answerWith(made: Rig, ...receipts: readonly Readonly<Record<string, unknown>>[]): void {
	const left = [...receipts];
	made.server.incoming = (frame, session) => {
		if (!["send", "cancel", "approve", "withdraw", "edit"].includes(frame.type)) return false;
		const receipt = left.shift();
		if (receipt === undefined) return false;
		session.peer.send({ type: "receipt", id: frame["id"], stream: frame["stream"], ...receipt });
		return true;
	};
}

const refused = (code: string, retryable: boolean, more: Readonly<Record<string, unknown>> = {}) => ({
	status: "rejected",
	error: { code, message: "used", retryable, ...more },
});

test(
	"a message is shown at once and stored with its receipt",
	inWorld(async (world) => {
		const { thread, server, sent } = await connectedTo(world);
		const message = thread.send({ content: "Hi", metadata: { a: [1] } });
		assert.equal(message.state, "sending");
		assert.match(message.id, /^[0-9a-f-]{36}$/);
		await world.settle();
		assert.deepEqual(sent("send"), [{ type: "send", id: message.id, stream: "t", message: { type: "user_message", content: "Hi", metadata: { a: [1] } } }]);
		assert.deepEqual(await message.receipt, { id: message.id, status: "accepted", position: { epoch: "e1", offset: 1 } });
		assert.deepEqual([message.state, message.error], ["stored", undefined]);
		assert.deepEqual(server.log("t").at(1), { time: 1, type: "user_message", content: "Hi", metadata: { a: [1] }, sendId: message.id, user: "ada" });
	}),
);

test(
	"a refusal fails the message with the server's error",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		answerWith(made, refused("conflict", false, { remediation: "Use a new id." }));
		const message = made.thread.send({ content: "Hi" });
		await world.settle();
		await assert.rejects(message.receipt, (error: unknown) => {
			assert.ok(isAgentwireError(error));
			assert.deepEqual([error.code, error.message, error.retryable, error.remediation], ["conflict", "used", false, "Use a new id."]);
			return true;
		});
		assert.deepEqual([message.state, message.error?.code], ["failed", "conflict"]);
	}),
);

test(
	"a message settles once, whatever comes later",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		const { client, thread, server } = made;
		answerWith(made, refused("forbidden", false));
		const message = thread.send({ content: "Hi" });
		const states: string[] = [];
		message.on("change", ({ state }) => states.push(state));
		await world.settle();
		server.tell({ type: "receipt", id: message.id, stream: "t", status: "accepted", position: { epoch: "e1", offset: 7 } });
		await world.settle();
		client.close();
		await world.settle();
		assert.deepEqual(states, ["failed"]);
		assert.equal(message.error?.code, "forbidden");
	}),
);

test(
	"a failure that nobody looks at is not an unhandled rejection",
	inWorld(async (world) => {
		const unhandled: unknown[] = [];
		const note = (error: unknown): void => void unhandled.push(error);
		process.on("unhandledRejection", note);
		try {
			const { client, thread } = await connectedTo(world);
			thread.send({ content: "Hi" });
			thread.send({ content: "Hi" }, { signal: AbortSignal.abort() });
			client.close();
			await microtasks();
			await microtasks();
		} finally {
			process.off("unhandledRejection", note);
		}
		assert.deepEqual(unhandled, []);
	}),
);

test(
	"what was given is copied: a later change does not change the message",
	inWorld(async (world) => {
		const { thread, sent } = await connectedTo(world);
		const content: { content: string; references: string[] } = { content: "Hi", references: ["a"] };
		thread.send(content);
		content.content = "Bye";
		content.references.push("b");
		await world.settle();
		assert.deepEqual(sent("send")[0]?.["message"], { type: "user_message", content: "Hi", references: ["a"] });
	}),
);

test(
	"bad messages throw where the caller reads it",
	inWorld(async (world) => {
		const { thread, sent } = await connectedTo(world);
		const circular: Record<string, unknown> = { type: "x" };
		circular["self"] = circular;
		const cases: readonly [string, unknown][] = [
			["nothing", undefined],
			["text", "Hi"],
			["a list", []],
			["no content", {}],
			["empty content", { content: "" }],
			["a number as type", { type: 7 }],
			["circular", circular],
			["bigint", { type: "x", n: 1n }],
		];
		for (const [name, content] of cases) assert.throws(() => thread.send(content as MessageContent), { code: "invalid_message" }, name);
		assert.throws(() => thread.send({ content: "x" }, { id: "" }), { code: "invalid_option" });
		assert.throws(() => thread.send({ content: "x" }, { id: "é".repeat(65) }), { code: "invalid_option" });
		assert.throws(() => thread.send({ content: "x" }, { idd: "a" } as object), /send options\.idd is not an option, did you mean id\?/);
		await world.settle();
		assert.deepEqual(sent("send"), []);
	}),
);

test(
	"the outbox is bounded, and a message too many fails at once",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, { maxPendingSends: 2 });
		const messages = ["a", "b", "c"].map((id) => thread.send({ content: id }, { id }));
		await assert.rejects(messages[2]?.receipt ?? Promise.resolve(), { code: "outbox_full", retryable: true });
		await world.settle();
		assert.equal(thread.send({ content: "d" }, { id: "d" }).state, "sending");
		await world.settle();
		assert.deepEqual(
			server.applied.map(({ id }) => id),
			["a", "b", "d"],
		);
	}),
);

// --- giving up ---

test(
	"abort before the call fails the message",
	inWorld(async (world) => {
		const { thread, client } = await connectedTo(world);
		const never = thread.send({ content: "x" }, { signal: AbortSignal.abort() });
		await assert.rejects(never.receipt, { code: "aborted" });
		assert.equal(never.state, "failed");
		assert.deepEqual(client.outbox(), []);
	}),
);

test(
	"a message that may have been transmitted goes on when it is given up, and its error says so",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world);
		const controller = new AbortController();
		const aborted = thread.send({ content: "x" }, { signal: controller.signal, timeoutMs: 1 });
		const late = thread.send({ content: "y" }, { timeoutMs: 1_000 });
		const reason = new Error("the user left");
		controller.abort(reason);
		const unsure = { message: /may still be stored/ };
		await assert.rejects(aborted.receipt, { code: "aborted", cause: reason, ...unsure });
		assert.deepEqual([aborted.state, aborted.error], ["sending", undefined]);
		server.withholdReceipts = true;
		await world.advance(1_000);
		await assert.rejects(late.receipt, { code: "timeout", ...unsure });
		assert.equal(late.state, "sending");
		server.withholdReceipts = false;
		server.cut();
		await world.advance(10_000);
		assert.deepEqual([aborted.state, late.state], ["stored", "stored"]);
		assert.equal(server.applied.length, 2);
	}),
);

for (const [name, giveUp] of [
	["aborted", async (_world: World, controller: AbortController) => controller.abort("left")],
	["timeout", async (world: World) => world.advance(5_000)],
] as const) {
	test(
		`a message that was never transmitted is taken back for certain: ${name}`,
		inWorld(async (world) => {
			const made = rig(world, { autoConnect: false });
			const thread = made.client.thread("t");
			const controller = new AbortController();
			const wanted = thread.send({ content: "a" });
			const message = thread.send({ content: "b" }, name === "aborted" ? { signal: controller.signal } : { timeoutMs: 5_000 });
			const states: string[] = [];
			message.on("change", ({ state }) => states.push(state));
			await giveUp(world, controller);
			await assert.rejects(message.receipt, { code: name, message: /never transmitted/, retryable: name === "timeout" });
			assert.deepEqual([message.state, message.error?.code, states], ["failed", name, ["failed"]]);
			assert.deepEqual(made.client.outbox(), [wanted]);
			made.client.connect();
			await made.connected();
			await world.settle();
			assert.deepEqual(
				made.server.applied.map(({ id }) => id),
				[wanted.id],
			);
			void message.retry();
			await world.settle();
			assert.deepEqual([message.state, made.server.applied.length], ["stored", 2]);
		}),
	);
}

test(
	"a message that waits in the core is taken back too: behind one that was put off, and while the connection is lost",
	inWorld(async (world) => {
		const { thread, server, client, connected } = await connectedTo(world, { maxPendingSends: 3 });
		server.overloaded = 1;
		const first = thread.send({ content: "a" }, { id: "a" });
		await world.settle();
		const behind = thread.send({ content: "b" }, { id: "b", timeoutMs: 100 });
		assert.deepEqual([first.state, behind.state], ["sending", "queued"]);
		await world.advance(100);
		assert.equal(behind.error?.code, "timeout");
		server.cut();
		await world.settle();
		assert.equal(first.state, "queued", "the socket that it was written on is lost");
		for (const id of ["c", "d", "e", "f"]) {
			const message = thread.send({ content: id }, { id });
			message.discard();
			assert.equal(client.stats().sendsPending, 1, "the core forgets it too");
		}
		const last = thread.send({ content: "g" }, { id: "g" });
		await connected();
		await world.advance(5_000);
		assert.deepEqual([first.state, last.state], ["stored", "stored"]);
		assert.deepEqual(
			server.received("send").map(({ id }) => id),
			["a", "a", "g"],
		);
	}),
);

test(
	"a message that is given up while its frame is on its way to the socket may have been transmitted",
	inWorld(async (world) => {
		const made = rig(world, { autoConnect: false });
		const message = made.client.thread("t").send({ content: "x" });
		made.client.on("state", ({ to }) => {
			if (to === "connected") message.discard();
		});
		made.client.connect();
		await made.connected();
		await assert.rejects(message.receipt, { code: "aborted", message: /may still be stored/ });
		await world.settle();
		assert.deepEqual([message.state, made.server.applied.length], ["stored", 1]);
	}),
);

test(
	"a message that is being taken back when the core is lost is not sent",
	inWorld(async (world) => {
		const made = rig(world, { autoConnect: false });
		const thread = made.client.thread("t");
		made.server.down = true;
		made.client.connect();
		await world.settle();
		const message = thread.send({ content: "x" });
		made.page.faults.trapOn = "withdraw";
		message.discard();
		await assert.rejects(message.receipt, { code: "aborted", message: /never transmitted/ });
		made.server.down = false;
		await made.connected();
		await world.settle();
		assert.deepEqual(made.server.applied, []);
	}),
);

test(
	"a message that is given up in a handler, and whose core is lost before it hears of that, is not sent",
	inWorld(async (world) => {
		const { client, thread, server, connected, page } = await connectedTo(world);
		server.cut();
		await world.settle();
		const message = thread.send({ content: "x" });
		client.on("state", ({ to }) => {
			if (to !== "connecting" || page.faults.resets > 0) return;
			message.discard();
			poison();
		});
		await world.until(() => page.faults.resets > 0, "a new core");
		await connected();
		await world.settle();
		assert.deepEqual([message.state, message.error?.code, server.applied], ["failed", "aborted", []]);
		world.takeUncaught();
	}),
);

test(
	"a message that was sent twice is taken back only when both callers give it up",
	inWorld(async (world) => {
		const { client } = rig(world, { autoConnect: false });
		const thread = client.thread("t");
		const one = thread.send({ content: "x" }, { id: "m" });
		const two = thread.send({ content: "x" }, { id: "m" });
		assert.deepEqual(client.outbox(), [one]);
		one.discard();
		one.discard();
		await assert.rejects(one.receipt, { code: "aborted", message: /may still be stored/ });
		assert.deepEqual([one.state, two.state], ["queued", "queued"]);
		two.discard();
		await assert.rejects(two.receipt, { code: "aborted", message: /never transmitted/ });
		assert.deepEqual([one.state, two.state, client.outbox()], ["failed", "failed", []]);
	}),
);

test(
	"a timeout of a message that is settled does nothing, and bad timeouts throw",
	inWorld(async (world) => {
		const { thread } = await connectedTo(world);
		const message = thread.send({ content: "x" }, { timeoutMs: 1_000 });
		await world.advance(2_000);
		assert.equal(message.state, "stored");
		for (const timeoutMs of [0, -1, 1.5, Number.NaN, 2 ** 31, "1" as unknown as number]) {
			assert.throws(() => thread.send({ content: "x" }, { timeoutMs }), { code: "invalid_option", message: /^timeoutMs is/ });
		}
	}),
);

// --- what is on its way ---

test(
	"the outbox lists what is not settled, in order, and reports each change",
	inWorld(async (world) => {
		const made = rig(world, { autoConnect: false });
		const { client, server } = made;
		const seen: string[] = [];
		client.on("outbox", (messages) => seen.push(messages.map(({ id }) => id).join()));
		const messages = ["a", "b"].map((id) => client.thread(`thread-${id}`).send({ content: id }, { id }));
		assert.deepEqual(client.outbox(), messages);
		assert.deepEqual(
			client.outbox().map(({ thread, state, content }) => [thread, state, content["content"]]),
			[
				["thread-a", "queued", "a"],
				["thread-b", "queued", "b"],
			],
		);
		server.forbidden.add("a");
		client.connect();
		await made.connected();
		await world.settle();
		assert.deepEqual(client.outbox(), []);
		void messages[0]?.retry();
		assert.deepEqual(client.outbox(), [messages[0]]);
		client.close();
		assert.deepEqual(seen, ["a", "a,b", "b", "", "a", ""]);
	}),
);

test(
	"the outbox is bounded in bytes of JSON",
	inWorld(async (world) => {
		const { thread } = await connectedTo(world, { maxPendingBytes: 1_024 });
		const empty = Buffer.byteLength(JSON.stringify({ message: { type: "user_message", content: "" } }));
		const tooLarge = thread.send({ content: "é".repeat((1_024 - empty) / 2 + 1) });
		await assert.rejects(tooLarge.receipt, { code: "message_too_large", message: /maxPendingBytes is 1024/ });
		const half = "x".repeat(512 - empty);
		const messages = [half, half, "x"].map((content) => thread.send({ content }));
		assert.deepEqual(
			messages.map(({ state }) => state),
			["sending", "sending", "queued"],
		);
		await assert.rejects(messages[2]?.receipt ?? Promise.resolve(), {
			code: "outbox_full",
			message: /^2 messages with 1024 bytes of JSON are pending/,
			retryable: true,
		});
		await world.settle();
		void messages[2]?.retry();
		await world.settle();
		assert.equal(messages[2]?.state, "stored");
	}),
);

test(
	"messages that were sent before the connection wait, and go out in order",
	inWorld(async (world) => {
		const { client, server } = rig(world, { autoConnect: false });
		const thread = client.thread("t");
		const messages = ["a", "b", "c"].map((id) => thread.send({ content: id }, { id }));
		await world.settle();
		assert.deepEqual(
			messages.map(({ state }) => state),
			["queued", "queued", "queued"],
		);
		client.connect();
		await world.settle();
		assert.deepEqual(
			server.applied.map(({ id }) => id),
			["a", "b", "c"],
		);
	}),
);

test(
	"closing settles what is pending, also before there is a core",
	inWorld(async (world) => {
		const early = rig(world, { autoConnect: false });
		const waiting = early.client.thread("t").send({ content: "x" });
		early.client.close();
		await assert.rejects(waiting.receipt, { code: "closed" });
		const { client, thread, server } = await connectedTo(world);
		server.withholdReceipts = true;
		const message = thread.send({ content: "x" });
		client.close();
		await assert.rejects(message.receipt, { code: "closed" });
		assert.throws(() => client.thread("t"), { code: "closed" });
	}),
);

test(
	"a message without a receipt goes out again on the next socket, and is applied once",
	inWorld(async (world) => {
		const { thread, server, connected } = await connectedTo(world);
		server.withholdReceipts = true;
		const message = thread.send({ content: "x" });
		await world.settle();
		server.withholdReceipts = false;
		server.cut();
		await world.settle();
		await connected();
		assert.deepEqual(await message.receipt, { id: message.id, status: "accepted", position: { epoch: "e1", offset: 1 } });
		assert.equal(server.applied.length, 1);
	}),
);

test(
	"messages that the server puts off come again in their order",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world);
		server.overloaded = 2;
		const messages = ["a", "b", "c"].map((id) => thread.send({ content: id }, { id }));
		await world.advance(10_000);
		assert.deepEqual(
			messages.map(({ state }) => state),
			["stored", "stored", "stored"],
		);
		assert.deepEqual(
			server.applied.map(({ id }) => id),
			["a", "b", "c"],
		);
	}),
);

test(
	"cancel and approve resolve to the server's word",
	inWorld(async (world) => {
		const { thread, server, sent } = await connectedTo(world);
		const answers: unknown[] = [];
		const ask = async (question: Promise<unknown>): Promise<void> => {
			void question.then((answer) => answers.push(answer));
			await world.settle();
		};
		await ask(thread.cancel("r1"));
		server.append("t", { type: "agent_started", runId: "r1", agent: "a" });
		await ask(thread.cancel("r1"));
		await ask(thread.cancel("r1"));
		assert.deepEqual(answers.splice(0), ["unknown_run", "cancelled", "already_finished"]);
		await ask(thread.approve("r2", "a1", { decision: "denied" }));
		for (const runId of ["r2", "r3", "r4"]) server.append("t", { type: "agent_started", runId, agent: "a" });
		for (const runId of ["r2", "r3", "r4"]) server.append("t", { type: "approval_requested", runId, approvalId: "a1", prompt: "?" });
		await ask(thread.approve("r2", "a1", { decision: "denied" }));
		await ask(thread.approve("r2", "a1", { decision: "approved" }));
		// Two runs ask under one id.
		await ask(thread.approve("r3", "a1", { decision: "approved" }));
		server.append("t", { type: "agent_completed", runId: "r4" });
		await ask(thread.approve("r4", "a1", { decision: "approved" }));
		const nothing = { decision: undefined, by: undefined };
		assert.deepEqual(answers, [
			{ status: "unknown_approval", ...nothing },
			{ status: "accepted", decision: "denied", by: "ada" },
			{ status: "already_resolved", decision: "denied", by: "ada" },
			{ status: "accepted", decision: "approved", by: "ada" },
			{ status: "run_over", ...nothing },
		]);
		assert.deepEqual(
			sent("approve").map(({ runId, approvalId, decision }) => [runId, approvalId, decision]),
			[
				["r2", "a1", "denied"],
				["r2", "a1", "denied"],
				["r2", "a1", "approved"],
				["r3", "a1", "approved"],
				["r4", "a1", "approved"],
			],
		);
		await assert.rejects(thread.approve("r2", "a1", { decision: "maybe" as "denied" }), { code: "invalid_option" });
		await assert.rejects(thread.approve("r2", "", { decision: "denied" }), { code: "invalid_option" });
		await assert.rejects(thread.cancel(""), { code: "invalid_option" });
	}),
);

// PROTOCOL: SND-18
test(
	"a message carries how it is sent, and keeps it when it goes again",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		answerWith(made, refused("ambiguous_run", false));
		const { thread, sent } = made;
		const message = thread.send({ content: "x" }, { id: "m1", mode: "steer", runId: "r1" });
		await world.settle();
		await assert.rejects(message.receipt, { code: "ambiguous_run" });
		void message.retry();
		thread.send({ content: "y" }, { id: "m2", mode: "interrupt" });
		thread.send({ content: "z" }, { id: "m3", mode: "queue" });
		await world.settle();
		assert.deepEqual(
			sent("send").map(({ id, mode, runId }) => [id, mode, runId]),
			[
				["m1", "steer", "r1"],
				["m1", "steer", "r1"],
				["m2", "interrupt", undefined],
				["m3", "queue", undefined],
			],
		);
		for (const odd of [{ mode: "now" }, { runId: "r1" }, { mode: "interrupt", runId: "r1" }, { mode: "steer", runId: "" }]) {
			assert.throws(() => thread.send({ content: "x" }, odd as never), { code: "invalid_option" });
		}
	}),
);

// PROTOCOL: SND-7, SND-11, SND-14, SND-15
test(
	"a message is cancelled, withdrawn and edited by its id",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		const position = { epoch: "e1", offset: 3 };
		answerWith(made, { status: "unknown_send" }, { status: "withdrawn" }, { status: "already_claimed" }, { status: "accepted", position });
		const { thread, sent } = made;
		const answers = Promise.all([
			thread.cancel({ sendId: "m" }),
			thread.withdraw("m"),
			thread.edit("m", { content: "x" }),
			thread.edit("m", { content: "y", metadata: {} }),
		]);
		await world.settle();
		assert.deepEqual(await answers, ["unknown_send", "withdrawn", "already_claimed", "accepted"]);
		const frames = ["cancel", "withdraw", "edit"].flatMap((type) => sent(type)).map(({ id, ...frame }) => frame);
		assert.deepEqual(frames, [
			{ type: "cancel", stream: "t", sendId: "m" },
			{ type: "withdraw", stream: "t", sendId: "m" },
			{ type: "edit", stream: "t", sendId: "m", message: { type: "user_message", content: "x" } },
			{ type: "edit", stream: "t", sendId: "m", message: { type: "user_message", content: "y", metadata: {} } },
		]);
		for (const what of ["", {}, { sendId: "" }, { runId: "r" }]) await assert.rejects(thread.cancel(what as never), { code: "invalid_option" });
		await assert.rejects(thread.withdraw(""), { code: "invalid_option" });
		await assert.rejects(thread.edit("m", { content: "" }), { code: "invalid_message" });
	}),
);

// PROTOCOL: SND-12
test(
	"an approval carries what the person filled in, and one that does not fit rejects",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		answerWith(made, refused("invalid_answer", false));
		const answer = { decision: "approved", payload: { n: 1 }, editedArgs: ["x"], reason: "", argsHash: "9f86" } as const;
		const unfit = assert.rejects(made.thread.approve("r", "a", answer), { code: "invalid_answer", retryable: false });
		await world.settle();
		await unfit;
		const [{ id, ...frame } = { id: undefined }] = made.sent("approve");
		assert.equal(typeof id, "string");
		assert.deepEqual(frame, { type: "approve", stream: "t", runId: "r", approvalId: "a", ...answer });
		for (const odd of [{ reason: 7 }, { argsHash: "" }, { edited: 1 }, { decision: undefined }]) {
			await assert.rejects(made.thread.approve("r", "a", { ...answer, ...odd } as never), { code: "invalid_option" });
		}
		await assert.rejects(made.thread.approve("r", "a", { ...answer, payload: 1n }), { code: "invalid_message" });
		assert.equal(made.sent("approve").length, 1);
	}),
);

test(
	"a refused cancel rejects with the server's error",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		answerWith(made, refused("forbidden", false));
		const settled = assert.rejects(made.thread.cancel("r2"), { code: "forbidden" });
		await world.settle();
		await settled;
		assert.deepEqual(made.server.violations, []);
	}),
);

// PROTOCOL: SND-11, GEN-4
for (const [what, receipt] of [
	["a status of another frame", { status: "unknown_run" }],
	["an unknown status", { status: "stored" }],
	["accepted without a position", { status: "accepted" }],
] as const) {
	test(
		`a receipt with ${what} is malformed: the message is not sent, and goes again`,
		inWorld(async (world) => {
			const made = await connectedTo(world);
			answerWith(made, receipt);
			const message = made.thread.send({ content: "x" });
			await world.settle();
			assert.equal(world.peers[0]?.closedWith, 4480);
			assert.equal(message.state, "queued");
			assert.deepEqual(made.codes(), ["bad_server_frame"]);
			await world.advance(10_000);
			assert.equal((await message.receipt).status, "accepted");
			assert.equal(made.server.applied.length, 1);
		}),
	);
}

test(
	"change handlers may be removed, aborted, and throw",
	inWorld(async (world) => {
		const { thread, codes } = await connectedTo(world);
		const message = thread.send({ content: "x" });
		const seen: Message[] = [];
		message.subscribe(() => assert.fail("was removed"))();
		message.on("change", () => assert.fail("was aborted"), { signal: AbortSignal.abort() });
		message.on("change", () => {
			throw new Error("boom");
		});
		message.subscribe((changed) => seen.push(changed));
		await world.settle();
		assert.deepEqual(seen, [message]);
		assert.deepEqual(codes(), ["handler_threw"]);
	}),
);

test(
	"ids are drawn also where there is no randomUUID",
	inWorld(async (world) => {
		const { thread } = await connectedTo(world, { maxPendingSends: 64 });
		world.define("randomUUID", undefined, crypto);
		const ids = new Set(Array.from({ length: 50 }, () => thread.send({ content: "x" }).id));
		assert.equal(ids.size, 50);
		for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
	}),
);

// --- the same id (C1), and again (C2) ---

test(
	"C1: sending a pending id with the same content joins that message",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world);
		const first = thread.send({ content: "one", metadata: { a: 1, b: 2 } }, { id: "m" });
		const again = thread.send({ metadata: { b: 2, a: 1 }, content: "one", type: "user_message" }, { id: "m" });
		assert.deepEqual([again.id, again.state], ["m", "sending"]);
		await world.settle();
		assert.deepEqual(await again.receipt, await first.receipt);
		assert.deepEqual([first.state, again.state], ["stored", "stored"]);
		assert.equal(server.received("send").length, 1);
		assert.equal(server.applied.length, 1);
	}),
);

test(
	"C1: sending a pending id with other content is a conflict, and harms the pending one not",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world);
		const first = thread.send({ content: "one" }, { id: "m" });
		const other = thread.send({ content: "two" }, { id: "m" });
		await assert.rejects(other.receipt, { code: "conflict" });
		assert.equal(other.state, "failed");
		await world.settle();
		assert.equal(first.state, "stored");
		assert.deepEqual(
			server.applied.map(({ body }) => JSON.parse(body).content),
			["one"],
		);
	}),
);

test(
	"C1: a message that joined settles with the other, also when it fails",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		answerWith(made, refused("forbidden", false));
		const first = made.thread.send({ content: "one" }, { id: "m" });
		const again = made.thread.send({ content: "one" }, { id: "m" });
		await world.settle();
		await assert.rejects(first.receipt, { code: "forbidden" });
		await assert.rejects(again.receipt, { code: "forbidden" });
		assert.deepEqual([first.state, again.state], ["failed", "failed"]);
	}),
);

test(
	"C2: retry sends a failed message again under its id",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		answerWith(made, refused("forbidden", false));
		const message = made.thread.send({ content: "x" });
		const states: string[] = [];
		message.on("change", ({ state }) => states.push(state));
		await world.settle();
		const first = message.receipt;
		const receipt = message.retry();
		assert.deepEqual([message.state, message.error, message.receipt], ["sending", undefined, receipt]);
		await world.settle();
		assert.deepEqual(await receipt, { id: message.id, status: "accepted", position: { epoch: "e1", offset: 1 } });
		assert.equal(message.state, "stored");
		assert.deepEqual(
			made.sent("send").map(({ id }) => id),
			[message.id, message.id],
		);
		assert.deepEqual(states, ["failed", "queued", "sending", "stored"]);
		await assert.rejects(first, { code: "forbidden" }, "a receipt settles once");
	}),
);

test(
	"C2: retry of a pending or a stored message gives its receipt and sends nothing",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world);
		const message = thread.send({ content: "x" });
		const early = message.retry();
		await world.settle();
		const late = message.retry();
		const [one, two, three] = await Promise.all([message.receipt, early, late]);
		assert.deepEqual([two, three], [one, one]);
		assert.equal(server.received("send").length, 1);
	}),
);

test(
	"C2: retry keeps the time of the first transmission: beyond the horizon the outcome stays unknown",
	inWorld(async (world) => {
		const { client, thread, server, connected } = await connectedTo(world);
		server.sendHorizonMs = 60_000;
		server.cut();
		await world.settle();
		await connected();
		server.withholdReceipts = true;
		const message = thread.send({ content: "x" });
		await world.settle();
		server.cut();
		server.down = true;
		await world.advance(61_000);
		server.down = false;
		await world.until(() => message.error !== undefined, "settled");
		assert.equal(message.error?.code, "outcome_unknown");
		message.retry().catch(() => undefined);
		await world.until(() => message.state === "failed", "settled again");
		assert.deepEqual([message.state, message.error?.code], ["failed", "outcome_unknown"]);
		assert.equal(server.applied.length, 1, "there is one message");
		assert.equal(server.received("send").length, 1, "and it was sent once");
		assert.equal(client.state.name, "connected");
	}),
);

test(
	"C2: within the horizon a retry after outcome-preserving failure is applied once",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		const { thread, server } = made;
		// The server applied it, and then said that it is not allowed.
		server.withholdReceipts = true;
		const message = thread.send({ content: "x" });
		await world.settle();
		server.withholdReceipts = false;
		server.tell({ type: "receipt", id: message.id, stream: "t", ...refused("forbidden", false) });
		await world.settle();
		assert.equal(message.state, "failed");
		const receipt = message.retry();
		await world.settle();
		assert.equal((await receipt).status, "accepted");
		assert.equal(server.applied.length, 1);
	}),
);

test(
	"C2: retry after the client was closed fails with the reason",
	inWorld(async (world) => {
		const { client, thread } = await connectedTo(world);
		const message = thread.send({ content: "x" }, { signal: AbortSignal.abort() });
		await microtasks();
		assert.equal(message.state, "failed");
		client.close();
		await assert.rejects(message.retry(), { code: "closed" });
	}),
);

// PROTOCOL: SND-5
test(
	"C2: a message that joined a pending one knows since when the server may know it",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world);
		server.sendHorizonMs = 60_000;
		server.withholdReceipts = true;
		server.cut();
		await world.settle();
		thread.send({ content: "x" }, { id: "m" });
		const joined = thread.send({ content: "x" }, { id: "m" });
		await world.until(() => joined.state === "sending", "sending");
		server.down = true;
		server.cut();
		await world.advance(61_000);
		server.down = false;
		await world.until(() => joined.state === "failed", "settled");
		assert.equal(joined.error?.code, "outcome_unknown");
		await world.advance(3_600_000 * 25);
		joined.retry().catch(() => undefined);
		await world.settle();
		assert.equal(server.applied.length, 1);
	}),
);

test(
	"C2: two calls of retry are one",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		answerWith(made, refused("forbidden", false));
		const message = made.thread.send({ content: "x" });
		await world.settle();
		const receipts = [message.retry(), message.retry()];
		await world.settle();
		const [one, two] = await Promise.all(receipts);
		assert.deepEqual(one, two);
		assert.equal(made.sent("send").length, 2);
	}),
);

test(
	"C2: a retry survives a trap of the core",
	inWorld(async (world) => {
		const made = await connectedTo(world);
		answerWith(made, refused("forbidden", false));
		const message = made.thread.send({ content: "x" });
		await world.settle();
		made.page.faults.trapOn = "send";
		const receipt = message.retry();
		await world.settle();
		await made.connected();
		assert.equal((await receipt).status, "accepted");
		assert.deepEqual(made.codes(), ["internal"]);
	}),
);

// --- bodies ---

/** Objects in each other, in so many levels. */
function nested(levels: number): Record<string, unknown> {
	let value: Record<string, unknown> = {};
	for (let level = 1; level < levels; level += 1) value = { in: level % 2 === 0 ? value : [value] };
	return value;
}

// PROTOCOL: GEN-8
test(
	"what is nested deeper than a server takes is refused at once (GEN-8)",
	inWorld(async (world) => {
		const { thread, sent } = await connectedTo(world);
		const wrapped = (levels: number): Record<string, unknown> => {
			let value: unknown = 1;
			for (let level = 0; level < levels; level += 1) value = [value];
			return { type: "form", value };
		};
		const deepest = wrapped(98);
		thread.send(deepest as MessageContent);
		assert.equal(depthOf(JSON.stringify({ message: deepest })), 100);
		assert.throws(() => thread.send(wrapped(99) as MessageContent), {
			code: "invalid_message",
			message: /the message is nested deeper than 99 levels: a frame has at most 100/,
		});
		assert.throws(() => thread.send(wrapped(5_000) as MessageContent), { code: "invalid_message" });
		assert.throws(() => thread.send({ content: "x", metadata: nested(80) }), { code: "invalid_message" });
		thread.signal(deepest as { type: string });
		assert.throws(() => thread.signal(wrapped(99) as { type: string }), { code: "invalid_message", message: /the signal is nested/ });
		await world.settle();
		assert.deepEqual([sent("send").length, sent("signal").length], [1, 1]);
	}),
);

/** As the bridge counts it. */
function depthOf(text: string): number {
	let [depth, most] = [0, 0];
	for (const letter of text.replaceAll(/"[^"]*"/g, "")) {
		if ("[{".includes(letter)) most = Math.max(most, (depth += 1));
		else if ("]}".includes(letter)) depth -= 1;
	}
	return most;
}

// PROTOCOL: GEN-7
test(
	"a message that does not fit into a frame of the server is refused before it is sent (GEN-7)",
	inWorld(async (world) => {
		const { thread, server, connected } = await connectedTo(world);
		server.maxFrameBytes = 4_096;
		server.cut();
		await world.settle();
		await connected();
		const message = thread.send({ content: "x".repeat(5_000) });
		const small = thread.send({ content: "x" });
		await world.settle();
		await assert.rejects(message.receipt, { code: "message_too_large" });
		assert.equal(small.state, "stored");
	}),
);

// PROTOCOL: SIG-1
test(
	"a signal goes to the others as it is; it has a type of 1 to 64 bytes and at most 4,096 bytes of JSON (SIG-1)",
	inWorld(async (world) => {
		const { thread, server, sent } = await connectedTo(world);
		const other = rig(world, { server });
		const heard: unknown[] = [];
		other.client.on("signal", ({ signal }) => heard.push(signal));
		other.client.thread("t").onEvent(() => {});
		await world.settle();
		for (const type of ["", "é".repeat(33), "\ud800", 7, undefined]) {
			assert.throws(() => thread.signal({ type } as { type: string }), { code: "invalid_message", message: /1 to 64 bytes/ });
		}
		const empty = JSON.stringify({ type: "t", text: "" }).length;
		assert.throws(() => thread.signal({ type: "t", text: "x".repeat(4_097 - empty) }), { code: "message_too_large", message: /4097 bytes/ });
		assert.throws(() => thread.signal({ type: "t", text: "é".repeat(2_048) }), { code: "message_too_large" });
		await world.settle();
		assert.deepEqual(sent("signal"), []);
		const good = [{ type: "t", text: "x".repeat(4_096 - empty) }, { type: "é".repeat(32) }, { type: "user_message" }];
		for (const signal of good) thread.signal(signal);
		await world.settle();
		assert.deepEqual(heard, good);
	}),
);

test(
	"a signal while disconnected is lost, and harms nothing",
	inWorld(async (world) => {
		const { thread, server, sent, connected } = await connectedTo(world);
		server.cut();
		await world.settle();
		thread.signal({ type: "typing" });
		await connected();
		await world.settle();
		assert.deepEqual(sent("signal"), []);
	}),
);

test(
	"errors of a message are errors of the package",
	inWorld(async (world) => {
		const { thread } = await connectedTo(world);
		const message = thread.send({ content: "x" }, { signal: AbortSignal.abort() });
		const error = await message.receipt.then(
			() => undefined,
			(thrown: unknown) => thrown as AgentwireError,
		);
		assert.ok(isAgentwireError(error));
		assert.equal(message.error, error);
	}),
);

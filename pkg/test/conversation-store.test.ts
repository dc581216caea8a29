/** The store on the real module: what a page sees of a thread, and when it hears of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConversationOptions, type ConversationStore, conversation, deliveryOf, type Item, type Part, runOf } from "../src/conversation.js";
import { outline } from "./support/conversation.js";
import { isAgentwireError } from "./support/package.js";
import { type Rig, rig } from "./support/rig.js";
import { inWorld, type World } from "./support/world.js";

interface Watched {
	readonly chat: ConversationStore;
	/** What was shown at each notification. */
	readonly shown: string[][];
}

/** A conversation whose notifications are noted. It is disposed of with the world. */
function watch(world: World, { client }: Rig, options: ConversationOptions = {}): Watched {
	const chat = conversation(client.thread("t"), options);
	const shown: string[][] = [];
	chat.subscribe(() => shown.push(lines(chat)));
	world.atEnd(() => chat.dispose());
	return { chat, shown };
}

/** What is shown, with how far messages are that are on their way. */
function lines(chat: ConversationStore): string[] {
	const { conversation: folded, items } = chat.getSnapshot();
	const local = items.flatMap((item) => (item.kind === "user_message" && item.sending !== undefined ? [`${item.content}: ${stateOf(item)}`] : []));
	return [...outline(folded), ...local];
}

function stateOf({ sending }: Extract<Item, { kind: "user_message" }>): string {
	const { state, error } = sending ?? { state: "none" };
	return error === undefined ? state : `${state} ${isAgentwireError(error) ? error.code : "?"}`;
}

const started = { type: "agent_started", runId: "r1", agent: "a" };
const delta = (text: string) => ({ type: "message_delta", runId: "r1", messageId: "m1", text });

test(
	"a message is shown at once, and is the same item when its event comes",
	inWorld(async (world) => {
		const made = rig(world);
		const { chat, shown } = watch(world, made);
		const message = chat.send("Hi", { id: "s1" });
		assert.equal(message.id, "s1");
		const [before] = chat.getSnapshot().items;
		assert.deepEqual([before?.key, before?.offset, shown], ["message:s1", undefined, [["Hi: queued"]]]);
		await made.connected();
		await world.advance(100);
		const { items } = chat.getSnapshot();
		assert.deepEqual(
			items.map(({ key, offset }) => [key, offset]),
			[[before?.key, 1]],
		);
		assert.deepEqual(lines(chat), ["ada: Hi"]);
		// The event came before the receipt, which changes nothing more.
		assert.deepEqual(await message.receipt.then(({ status }) => status), "accepted");
		assert.deepEqual(shown.at(-1), ["ada: Hi"]);
		assert.ok(shown.every((lines) => lines.length === 1));
	}),
);

test(
	"a message keeps its place behind what comes before its event",
	inWorld(async (world) => {
		const made = rig(world);
		const { server } = made;
		server.append("t", { type: "user_message", content: "Old", user: "bob" });
		server.withholdReceipts = true;
		const { chat, shown } = watch(world, made);
		await made.connected();
		server.incoming = (frame) => frame.type === "send";
		chat.send("Mine", { id: "s1" });
		await world.settle();
		server.append("t", { type: "user_message", content: "Other", user: "bob" }, { type: "message_queued", sendId: "s1", ahead: 1 });
		await world.settle();
		assert.deepEqual(lines(chat), ["bob: Old", "bob: Other", "Mine: sending"]);
		server.append("t", { type: "user_message", content: "Mine", sendId: "s1", user: "ada" });
		await world.settle();
		assert.deepEqual(shown.at(-1), ["bob: Old", "bob: Other", "ada: Mine"]);
	}),
);

// C2
test(
	"a message that failed stays, is sent again under its id, or is discarded",
	inWorld(async (world) => {
		const made = rig(world);
		const { server } = made;
		const { chat } = watch(world, made);
		await made.connected();
		server.forbidden.add("s1").add("s2");
		chat.send("One", { id: "s1" });
		chat.send("Two", { id: "s2" });
		await world.advance(50);
		assert.deepEqual(lines(chat), ["One: failed forbidden", "Two: failed forbidden"]);
		const receipt = chat.retry("s1");
		await world.advance(50);
		assert.equal((await receipt)?.status, "accepted");
		assert.deepEqual(lines(chat), ["ada: One", "Two: failed forbidden"]);
		chat.discard("s2");
		assert.deepEqual(lines(chat), ["ada: One"]);
		assert.deepEqual(
			made.sent("send").map(({ id }) => id),
			["s1", "s2", "s1"],
		);
		assert.equal(chat.retry("s2"), undefined);
		// One whose event has come is not shown twice.
		chat.send("One", { id: "s1" });
		assert.deepEqual(lines(chat), ["ada: One"]);
		await world.advance(50);
	}),
);

test(
	"a message of another type of the application is on its way until its event comes",
	inWorld(async (world) => {
		const made = rig(world);
		const { chat } = watch(world, made);
		chat.send({ type: "form", answers: [1] }, { id: "s1" });
		assert.equal(chat.getSnapshot().items.length, 1);
		await made.connected();
		await world.advance(50);
		assert.equal(chat.getSnapshot().items.length, 0);
	}),
);

test(
	"a message that was not transmitted is taken back, another one by the server",
	inWorld(async (world) => {
		const made = rig(world);
		const { server } = made;
		const { chat } = watch(world, made);
		chat.send("One", { id: "s1" });
		const taken = chat.withdraw("s1");
		await world.settle();
		assert.equal(await taken, "withdrawn");
		assert.deepEqual(lines(chat), []);
		await made.connected();
		chat.send("Two", { id: "s2" });
		await world.settle();
		server.incoming = ({ type, id, sendId }, session) => {
			if (type !== "withdraw") return false;
			session.send({ type: "receipt", id, stream: "t", status: sendId === "s2" ? "already_claimed" : "unknown_send" });
			return true;
		};
		const outcome = chat.withdraw("s2");
		await world.advance(50);
		assert.equal(await outcome, "already_claimed");
		assert.equal(made.sent("send").length, 1);
	}),
);

test(
	"the messages of a page that was reloaded are shown too, those of another thread are not",
	inWorld(async (world) => {
		const made = rig(world);
		const { client } = made;
		client.thread("t").send({ content: "Kept" }, { id: "s1" });
		client.thread("u").send({ content: "Other" }, { id: "s2" });
		const { chat, shown } = watch(world, made);
		assert.deepEqual(lines(chat), ["Kept: queued"]);
		client.thread("u").send({ content: "Another" });
		assert.deepEqual(shown, []);
		client.thread("t").send({ content: "Later" }, { id: "s3" });
		assert.deepEqual(lines(chat), ["Kept: queued", "Later: queued"]);
		await made.connected();
		await world.advance(50);
		assert.deepEqual(lines(chat), ["ada: Kept", "ada: Later"]);
	}),
);

test(
	"there is one notification for each frame of events, and none without a change",
	inWorld(async (world) => {
		const made = rig(world);
		const { server } = made;
		server.batch = 100;
		const { chat, shown } = watch(world, made);
		await made.connected();
		const before = shown.length;
		const snapshot = chat.getSnapshot();
		assert.equal(chat.getSnapshot(), snapshot);
		server.append("t", started, ...Array.from({ length: 50 }, () => delta("x")), { type: "agent_completed", runId: "r1" });
		await world.settle();
		assert.equal(shown.length - before, 1);
		server.heartbeatMs = 100;
		await world.advance(1_000);
		assert.equal(shown.length - before, 1);
		assert.notEqual(chat.getSnapshot(), snapshot);
		assert.equal(chat.getServerSnapshot().items.length, 0);
		assert.equal(chat.getServerSnapshot(), chat.getServerSnapshot());
	}),
);

test(
	"text waits for the next frame, and nothing else waits or overtakes it",
	inWorld(async (world) => {
		const made = rig(world);
		const { server } = made;
		const { shown } = watch(world, made);
		await made.connected();
		server.append("t", started);
		await world.settle();
		shown.length = 0;
		const text = async (letter: string) => {
			server.append("t", delta(letter));
			await world.settle();
		};
		await text("a");
		// The first one is shown at once.
		assert.deepEqual(shown.at(-1)?.[1], '  "a" streaming');
		for (const letter of "bcdef") await text(letter);
		assert.equal(shown.length, 1);
		await world.advance(16);
		assert.deepEqual([shown.length, shown.at(-1)?.[1]], [2, '  "abcdef" streaming']);
		await text("g");
		assert.equal(shown.length, 2);
		server.append("t", { type: "tool_executing", runId: "r1", toolCallId: "t1", toolName: "n" });
		await world.settle();
		assert.deepEqual(shown.at(-1)?.slice(1), ['  "abcdefg" streaming', "  t1 n: running"]);
		await world.advance(1_000);
		assert.equal(shown.length, 3);
	}),
);

test(
	"without merging each frame is notified",
	inWorld(async (world) => {
		const made = rig(world);
		const { shown } = watch(world, made, { mergeDeltas: false });
		await made.connected();
		made.server.append("t", started);
		await world.settle();
		shown.length = 0;
		for (const letter of "abc") {
			made.server.append("t", delta(letter));
			await world.settle();
		}
		assert.deepEqual(
			shown.map((lines) => lines[1]),
			['  "a" streaming', '  "ab" streaming', '  "abc" streaming'],
		);
	}),
);

test(
	"a visible page takes the frames of the screen, a hidden one a timer",
	inWorld(async (world) => {
		let frames: (() => void)[] = [];
		world.define("requestAnimationFrame", (run: () => void) => frames.push(run));
		world.define("cancelAnimationFrame", () => (frames = []));
		const made = rig(world);
		const { shown } = watch(world, made);
		await made.connected();
		made.server.append("t", started);
		await world.settle();
		shown.length = 0;
		for (const letter of "abc") {
			made.server.append("t", delta(letter));
			await world.settle();
		}
		assert.equal(shown.length, 1);
		for (const run of frames.splice(0)) run();
		assert.equal(shown.length, 2);
		made.server.append("t", delta("d"));
		await world.settle();
		await world.advance(249);
		assert.equal(shown.length, 2);
		await world.advance(1);
		assert.deepEqual([shown.length, shown.at(-1)?.[1]], [3, '  "abcd" streaming']);
	}),
);

test(
	"a long replay is notified a few times, and says when it is over",
	inWorld(async (world) => {
		const made = rig(world);
		const { server } = made;
		world.latency = 1;
		server.append("t", started, ...Array.from({ length: 5_000 }, () => ({ type: "agent_thinking", runId: "r1", text: "Hm" })));
		const { chat, shown } = watch(world, made);
		const caughtUp: boolean[] = [];
		chat.onCaughtUp(() => caughtUp.push(chat.getSnapshot().caughtUp));
		assert.equal(chat.getSnapshot().caughtUp, false);
		await made.connected();
		await world.advance(1_000);
		assert.deepEqual([caughtUp, chat.getSnapshot().replayedThrough], [[true], 5_001]);
		assert.ok(shown.length <= 60, `${shown.length} notifications`);
		server.append("t", { type: "agent_completed", runId: "r1" }, { type: "agent_started", runId: "r2", agent: "a" });
		await world.advance(10);
		const snapshot = chat.getSnapshot();
		assert.deepEqual(
			["r1", "r2"].map((runId) => deliveryOf(snapshot, runOf(snapshot.conversation, runId) ?? { offset: undefined })),
			["replay", "live"],
		);
		chat.send("Hi");
		assert.equal(deliveryOf(chat.getSnapshot(), chat.getSnapshot().items.at(-1) as Item), "local");
		const { chat: eager } = watch(world, made, { mergeDeltas: false });
		await world.advance(1_000);
		const states: boolean[] = [];
		eager.subscribe(() => states.push(eager.getSnapshot().caughtUp));
		server.cut();
		server.append("t", ...Array.from({ length: 50 }, () => ({ type: "agent_thinking", runId: "r2", text: "Hm" })));
		await world.advance(5_000);
		assert.deepEqual([states.includes(false), states.at(-1), caughtUp], [true, true, [true, true]]);
	}),
);

test(
	"facts keep their place among the events: a run that ended in a gap is lost, once the server says so",
	inWorld(async (world) => {
		const made = rig(world);
		const { server } = made;
		const { chat } = watch(world, made);
		await made.connected();
		server.append("t", started, delta("half"), { type: "agent_started", runId: "r2", agent: "a" });
		await world.settle();
		server.cut();
		server.append("t", { type: "agent_completed", runId: "r1" }, { type: "tick" }, { type: "tick" }, { type: "agent_started", runId: "r3", agent: "a" });
		server.trim("t", 6);
		await world.settle();
		await made.connected();
		await world.settle();
		assert.deepEqual(lines(chat), ["r1 a: lost (gap) gapped", '  "half" interrupted gapped', "r2 a: running gapped", "gap 4-6 trimmed", "r3 a: running"]);
		server.restore("t", 7, "e2", { type: "user_message", content: "Anew" });
		await world.advance(1_000);
		assert.deepEqual(lines(chat)[0], "reset e2/0 epoch lost r2,r3");
		assert.equal(lines(chat).at(-1), "user: Anew");
	}),
);

// PROTOCOL: SND-8, SND-12
test(
	"an answer carries the hash of what is shown, and says what counts",
	inWorld(async (world) => {
		const made = rig(world);
		const { server } = made;
		const { chat } = watch(world, made);
		await made.connected();
		server.append("t", started, { type: "approval_requested", runId: "r1", approvalId: "a1", prompt: "?", argsHash: "h1" });
		server.append("t", { type: "approval_requested", runId: "r1", approvalId: "a2", prompt: "?" });
		await world.settle();
		const [first, second] = [chat.approve("r1", "a1", "denied"), chat.approve("r1", "a2", { decision: "approved", reason: "ok" })];
		const late = chat.approve("r1", "a1", { decision: "approved", argsHash: "mine" });
		await world.advance(50);
		assert.deepEqual(
			[await first, await second, await late].map(({ status, decision }) => `${status} ${decision}`),
			["accepted denied", "accepted approved", "already_resolved denied"],
		);
		assert.deepEqual(
			made.sent("approve").map(({ argsHash, reason }) => [argsHash, reason]),
			[
				["h1", undefined],
				[undefined, "ok"],
				["mine", undefined],
			],
		);
		const cancelled = chat.cancel("r1");
		await world.settle();
		assert.equal(await cancelled, "cancelled");
		assert.equal(lines(chat)[0], "r1 a: cancelled");
	}),
);

// I10
test(
	"listeners may throw and call anything, and hear of what they did with the next frame",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		const chat = conversation(client.thread("t"));
		world.atEnd(() => chat.dispose());
		const heard: string[] = [];
		let sends = 0;
		chat.subscribe(() => {
			throw new Error("mine");
		});
		const off = chat.subscribe(() => {
			heard.push("a");
			if (sends < 3) chat.send(`m${(sends += 1)}`);
			else off();
		});
		chat.subscribe(async () => {
			heard.push("b");
			throw new Error("mine too");
		});
		await made.connected();
		server.append("t", started);
		await world.advance(100);
		assert.equal(lines(chat).filter((line) => line.includes("m")).length, 3);
		assert.ok(heard.filter((one) => one === "a").length === 4 && heard.filter((one) => one === "b").length > 4, heard.join());
		assert.ok(made.codes().length > 0 && made.codes().every((code) => code === "handler_threw"));
	}),
);

test(
	"a listener that answers every change with another one does not stop the page",
	inWorld(async (world) => {
		const made = rig(world);
		const { chat } = watch(world, made);
		let calls = 0;
		chat.subscribe(() => {
			calls += 1;
			chat.discard(chat.send("again", { id: `s${calls}`, signal: AbortSignal.abort() }).id);
		});
		await made.connected();
		await world.advance(1_000);
		assert.ok(calls < 200, `${calls} calls`);
	}),
);

test(
	"disposed of within a listener, it notifies nobody and leaves no timer; the thread stays open",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		const thread = client.thread("t");
		const chat = conversation(thread);
		const heard: string[] = [];
		chat.subscribe(() => {
			heard.push("first");
			chat.dispose();
			chat.dispose();
		});
		chat.subscribe(() => heard.push("second"));
		const message = chat.send("Hi");
		assert.deepEqual(heard, ["first"]);
		const snapshot = chat.getSnapshot();
		await made.connected();
		server.append("t", started);
		await world.advance(100);
		assert.equal(chat.getSnapshot(), snapshot);
		assert.equal(message.state, "stored");
		for (const call of [() => chat.send("x"), () => chat.subscribe(() => undefined), () => chat.onCaughtUp(() => undefined)])
			assert.throws(call, { code: "closed" });
		for (const call of [() => chat.edit("s", "x"), () => chat.withdraw("s"), () => chat.cancel("r"), () => chat.approve("r", "a", "denied")])
			await assert.rejects(call, { code: "closed" });
		thread.send({ content: "on" });
		// It does not come back with the next handler.
		thread.onGap(() => undefined)();
		await world.advance(100);
		assert.equal(server.session.sub("t"), undefined);
	}),
);

test(
	"the end of a subscription is in the snapshot until it goes on",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		const { chat } = watch(world, made);
		await made.connected();
		server.append("t", started);
		await world.settle();
		server.end("t", "forbidden");
		await world.settle();
		assert.deepEqual(chat.getSnapshot().ended?.reason, "forbidden");
		client.thread("t").onEvent(() => undefined);
		await world.advance(100);
		assert.equal(chat.getSnapshot().ended, undefined);
		server.append("t", { type: "agent_completed", runId: "r1" });
		await world.settle();
		assert.deepEqual(lines(chat), ["r1 a: completed"]);
	}),
);

// I4
test(
	"a conversation that was stored goes on from its position",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		server.append("t", { type: "user_message", content: "Hi", user: "ada" }, started, delta("one "));
		const first = conversation(client.thread("t"));
		await made.connected();
		const initial = JSON.parse(JSON.stringify(first.getSnapshot().conversation));
		first.dispose();
		const second = rig(world, { server });
		const chat = conversation(second.client.thread("t", { from: initial.position }), { initial });
		world.atEnd(() => chat.dispose());
		assert.equal(lines(chat).length, 3);
		assert.equal(chat.getServerSnapshot(), chat.getSnapshot());
		const delivery = () => chat.getSnapshot().items.map((item) => deliveryOf(chat.getSnapshot(), item));
		assert.deepEqual(delivery(), ["replay", "replay"]);
		await second.connected();
		server.append("t", delta("two"));
		await world.settle();
		assert.deepEqual(delivery(), ["replay", "replay"]);
		assert.deepEqual(lines(chat), ["ada: Hi", "r1 a: running, responding", '  "one two" streaming']);
	}),
);

test(
	"a conversation that begins later, or again, has everything from where the thread begins",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		const thread = client.thread("t");
		const seen: number[] = [];
		thread.onEvent((_event, { offset }) => seen.push(offset));
		server.append("t", { type: "user_message", content: "Hi", user: "ada" }, started, delta("one "));
		await made.connected();
		const first = watch(world, made).chat;
		await world.advance(50);
		const shown = ["ada: Hi", "r1 a: running, responding", '  "one " streaming'];
		assert.deepEqual(lines(first), shown);
		first.dispose();
		const again = watch(world, made).chat;
		const other = conversation(thread);
		await world.advance(50);
		assert.deepEqual([lines(again), lines(other)], [shown, shown]);
		server.end("t", "forbidden");
		await world.settle();
		server.append("t", delta("two"));
		thread.onGap(() => undefined);
		await world.advance(100);
		assert.deepEqual([lines(again).at(-1), lines(other).at(-1)], ['  "one two" streaming', '  "one two" streaming']);
		assert.deepEqual(seen, [1, 2, 3, 4]);
		assert.equal(again.getSnapshot().conversation.duplicates, 0);
		// With the handle, everything that was made on it ends.
		thread.close();
		server.append("t", { type: "agent_completed", runId: "r1" });
		await world.advance(50);
		assert.deepEqual([lines(again)[1], lines(other)[1]], ["r1 a: completed", "r1 a: running, responding"]);
		other.dispose();
	}),
);

// C2: a client that failed and connects again
test(
	"after the client has failed, its conversations go on",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		const { chat } = watch(world, made);
		await made.connected();
		server.append("t", started);
		await world.settle();
		server.close(4403);
		await world.settle();
		assert.equal(client.state.name, "failed");
		server.append("t", { type: "agent_completed", runId: "r1" });
		await world.advance(5_000);
		client.reconnect();
		await made.connected();
		await world.advance(50);
		assert.deepEqual(lines(chat), ["r1 a: completed"]);
	}),
);

test(
	"options that are none are refused",
	inWorld(async (world) => {
		const { client } = rig(world);
		const thread = client.thread("t");
		for (const options of [
			{ limits: { maxItems: 0 } },
			{ stalls: {} },
			{ mergeDeltas: 1 },
			{ cache: {} },
			{ client: {} },
			{ item: 50 },
			{ customEvents: {} },
		] as object[])
			assert.throws(() => conversation(thread, options), { code: "invalid_option" }, JSON.stringify(options));
		assert.throws(() => conversation({} as never), { code: "invalid_option" });
		const chat = conversation(thread);
		assert.throws(() => chat.subscribe("x" as never), { code: "invalid_option" });
		assert.throws(() => chat.send(""), { code: "invalid_message" });
		assert.deepEqual(chat.getSnapshot().items, []);
		chat.dispose();
	}),
);

test(
	"a page that renders one token renders one part",
	inWorld(async (world) => {
		const made = rig(world);
		const { chat } = watch(world, made);
		await made.connected();
		const { server } = made;
		server.append("t", { type: "user_message", content: "Hi" }, started, { type: "agent_started", runId: "r2", agent: "b", parentRunId: "r1" }, delta("a"));
		await world.advance(100);
		const before = chat.getSnapshot();
		const of = (runId: string, snapshot = before): readonly Part[] => runOf(snapshot.conversation, runId)?.parts ?? [];
		server.append("t", { ...delta("b"), runId: "r2" });
		await world.advance(100);
		const after = chat.getSnapshot();
		assert.equal(after.items, before.items);
		assert.equal(of("r1", after), of("r1"));
		assert.notEqual(of("r2", after), of("r2"));
	}),
);

import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentwireError } from "../src/errors.js";
import { numbered, rig, settled } from "./fake.js";

const conflict = (error: unknown): boolean => error instanceof AgentwireError && error.code === "stream_conflict";

test("handles of one name share the stream: one subscription, everyone gets all", () => {
	const { client, core, server } = rig();
	const got: string[] = [];
	server.append("t", ...numbered(2));
	client.thread("t").on("tick", ({ offset }) => got.push(`a${offset}`));
	client.thread("t", { from: "start" }).on("tick", ({ offset }) => got.push(`b${offset}`));
	core().welcome();
	assert.deepEqual(got, ["a1", "b1", "a2", "b2"]);
	assert.equal(core().calls.filter((call) => call.startsWith("subscribe")).length, 1);
});

test("another explicit from is stream_conflict; the same, or none, is not", () => {
	const { client } = rig();
	const thread = client.thread("t", { from: { last: 5 } });
	thread.on("event", () => {});
	client.thread("t");
	client.thread("t", { from: { last: 5 } });
	assert.throws(() => client.thread("t", { from: { last: 6 } }), conflict);
	assert.throws(() => client.thread("t", { from: "live" }), conflict);
	assert.throws(() => client.thread("t", { from: { epoch: "e1", offset: 5 } }), /open with from \{ last: 5 \}, not \{ epoch: "e1", offset: 5 \}/);
});

test("without a from, the first explicit one counts until somebody consumes", () => {
	const { client, core } = rig();
	const plain = client.thread("t");
	client.thread("t", { from: "live" });
	plain.on("event", () => {});
	assert.ok(core().calls.includes("subscribe t -1 - -1"));
	assert.throws(() => client.thread("t", { from: "start" }), conflict);
});

test("a refused handle does not hold the thread open", () => {
	const { client, core } = rig();
	const thread = client.thread("t", { from: "live" });
	const off = thread.on("event", () => {});
	assert.throws(() => client.thread("t", { from: "start" }), conflict);
	off();
	thread.close();
	client.thread("t", { from: "start" }).on("event", () => {});
	assert.equal(core().calls.at(-1), "subscribe t 0 - -1");
});

test("each from reaches the core in its words", async (t) => {
	const cases = [
		["start", "subscribe t 0 - -1"],
		["live", "subscribe t -1 - -1"],
		[{ last: 7 }, "subscribe t 7 - -1"],
		[{ epoch: "e9", offset: 3 }, "subscribe t 0 e9 3"],
	] as const;
	for (const [from, call] of cases) {
		await t.test(JSON.stringify(from), () => {
			const { client, core } = rig();
			client.thread("t", { from }).on("event", () => {});
			assert.equal(core().calls.at(-1), call);
		});
	}
});

test("a late handler starts at the current position", () => {
	const { client, core, server } = rig();
	const thread = client.thread("t");
	const late: number[] = [];
	server.append("t", ...numbered(5));
	thread.on("event", () => {});
	core().welcome();
	client.thread("t").on("tick", ({ offset }) => late.push(offset));
	server.append("t", ...numbered(2, 6));
	core().flush();
	assert.deepEqual(late, [6, 7]);
});

test("a late iterator starts at the current position, or at its own from by replay", async () => {
	const { client, core, server } = rig();
	const thread = client.thread("t");
	server.append("t", ...numbered(5));
	thread.on("event", () => {});
	core().welcome();
	const fromStart = thread.events({ from: "start" });
	assert.equal((await fromStart.next()).value?.offset, 1);
	const last = thread.events({ from: { last: 2 } });
	assert.equal((await last.next()).value?.offset, 4);
	const after = thread.events({ from: { epoch: "e1", offset: 2 } });
	assert.equal((await after.next()).value?.offset, 3);
	const now = thread.events().next();
	server.append("t", ...numbered(1, 6));
	core().flush();
	assert.equal((await now).value?.offset, 6);
});

test("an iterator that is made inside a handler starts with the next event", async () => {
	const { client, core, server } = rig();
	const thread = client.thread("t");
	server.append("t", ...numbered(4));
	let first: Promise<IteratorResult<unknown, undefined>> | undefined;
	thread.on("tick", ({ offset }) => {
		if (offset === 2) first = thread.events().next();
	});
	core().welcome();
	core().flush();
	assert.equal(((await first)?.value as { offset: number }).offset, 3);
});

test("a thread that was closed can be opened again, at the start or where the store says", () => {
	const { client, core, server } = rig();
	server.append("t", ...numbered(3));
	const first = client.thread("t");
	const off: number[] = [];
	first.on("tick", ({ offset }) => off.push(offset));
	core().welcome();
	first.close();
	const again: number[] = [];
	client.thread("t").on("tick", ({ offset }) => again.push(offset));
	assert.deepEqual([off, again], [[1, 2, 3], [1, 2, 3]]);
});

test("closing one handle leaves the handlers of the other", () => {
	const { client, core, server } = rig();
	const one = client.thread("t");
	const two = client.thread("t");
	const got: string[] = [];
	one.on("tick", ({ offset }) => got.push(`one${offset}`));
	two.on("tick", ({ offset }) => got.push(`two${offset}`));
	server.append("t", ...numbered(1));
	core().welcome();
	one.close();
	one.close();
	server.append("t", ...numbered(1, 2));
	core().flush();
	assert.deepEqual(got, ["one1", "two1", "two2"]);
	assert.throws(() => one.on("tick", () => {}), { code: "closed" });
	assert.throws(() => one.send({ content: "x" }), { code: "closed" });
	assert.throws(() => one.events(), { code: "closed" });
});

test("the inbox is the stream of that name", () => {
	const { client, core } = rig();
	client.inbox({ from: "live" }).on("event", () => {});
	assert.equal(core().calls.at(-1), "subscribe inbox -1 - -1");
});

// PROTOCOL: SUB-9
test("a live thread keeps its position from the subscription on (SUB-9)", async () => {
	const { client, core, server } = rig();
	server.append("t", ...numbered(4));
	const thread = client.thread("t", { from: "live" });
	thread.on("event", () => {});
	core().welcome();
	await settled();
	assert.deepEqual(thread.position, { epoch: "e1", offset: 4 });
});

test("an epoch that ends resets the handlers of the thread", () => {
	const { client, core, server } = rig();
	const thread = client.thread("t");
	const seen: string[] = [];
	server.append("t", ...numbered(3));
	thread.on("event", ({ epoch, offset }) => seen.push(`${epoch}/${offset}`));
	thread.on("gap", ({ from, to, remedy, epoch }) => seen.push(`gap ${from}-${to ?? ""} ${remedy} ${epoch ?? ""}`));
	core().welcome();
	core().newEpoch("t", "e2");
	server.append("t", ...numbered(2));
	core().flush();
	assert.deepEqual(seen, ["e1/1", "e1/2", "e1/3", "gap 4- reset e2", "e2/1", "e2/2"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentwireError } from "../src/errors.js";
import type { Client } from "../src/client.js";
import type { Position, ThreadItem } from "../src/events.js";
import { type PositionStore, SafePositions } from "../src/positions.js";
import { Reporter } from "../src/report.js";
import { MAX_LEFT_STREAMS, Streams } from "../src/streams.js";
import { Supervisor } from "../src/supervisor.js";
import type { Thread, ThreadOptions } from "../src/thread.js";
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
	assert.equal(core().calls.at(-1), "subscribe t 0 - 0");
});

test("each from reaches the core in its words", async (t) => {
	const cases = [
		["start", "subscribe t 0 - 0"],
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

/** A store that remembers what it was given. */
function store() {
	const saved = new Map<string, Position>();
	const positions: PositionStore = { load: (stream) => saved.get(stream), save: (stream, { epoch, offset }) => void saved.set(stream, { epoch, offset }), clear: () => saved.clear() };
	return { saved, positions };
}

async function pull(iterator: AsyncIterator<ThreadItem, undefined>, count: number): Promise<ThreadItem[]> {
	const items: ThreadItem[] = [];
	for (let index = 0; index < count; index += 1) {
		const { value } = await iterator.next();
		if (value !== undefined) items.push(value);
	}
	return items;
}

for (const [what, leave] of [
	["the client", ({ client }: { client: Client; thread: Thread }) => client.close()],
	["the thread", ({ thread }: { client: Client; thread: Thread }) => thread.close()],
] as const) {
	test(`closing ${what} stores the slowest consumer's position, whoever leaves last (I4)`, async () => {
		const { saved, positions } = store();
		const { client, core, server } = rig({ positions });
		server.append("t", ...numbered(9));
		const thread = client.thread("t");
		const slow = thread.events();
		const fast = thread.events();
		const first = Promise.all([pull(slow, 2), pull(fast, 1)]);
		thread.on("event", () => {});
		core().welcome();
		await first;
		await pull(fast, 5);
		assert.deepEqual(saved.get("t"), { epoch: "e1", offset: 2 });
		leave({ client, thread });
		assert.deepEqual(saved.get("t"), { epoch: "e1", offset: 2 });
		await settled();
		assert.deepEqual(saved.get("t"), { epoch: "e1", offset: 2 });
	});
}

test("closing the client inside a handler counts the running event, and waits for nobody else", async () => {
	const { saved, positions } = store();
	const { client, core, server } = rig({ positions });
	server.append("t", ...numbered(9));
	let inside: number | undefined;
	client.thread("t").on("event", ({ offset }) => {
		if (offset !== 3) return;
		client.close();
		inside = saved.get("t")?.offset;
	});
	core().welcome();
	assert.deepEqual([inside, saved.get("t")?.offset], [0, 3], "handed over is what the handler returned from");
});

test("what is stored of a page that is left before an iterator heard of the new epoch is in the old one", async () => {
	const { saved, positions } = store();
	const { client, core, server } = rig({ positions });
	server.append("t", ...numbered(9));
	const thread = client.thread("t");
	thread.on("event", () => {});
	const slow = pull(thread.events(), 2);
	core().welcome();
	await slow;
	core().newEpoch("t", "e2");
	server.append("t", ...numbered(1));
	core().flush();
	client.close();
	assert.deepEqual(saved.get("t"), { epoch: "e1", offset: 2 });
});

test("a live iterator is where it was placed, not where the slowest consumer is", async () => {
	const { saved, positions } = store();
	const { client, core, server } = rig({ positions });
	server.append("t", ...numbered(9));
	const thread = client.thread("t");
	const slow = thread.events();
	const begun = pull(slow, 4);
	const off = thread.on("event", () => {});
	core().welcome();
	await begun;
	void thread.events({ from: "live" }).next();
	await pull(slow, 1);
	assert.deepEqual(thread.position, { epoch: "e1", offset: 5 });
	await slow.return?.();
	off();
	thread.close();
	assert.deepEqual(saved.get("t"), { epoch: "e1", offset: 9 });
});

test("a live handler beside an iterator from the start is where live is", async () => {
	const { saved, positions } = store();
	const { client, core, server } = rig({ positions });
	server.append("t", ...numbered(4));
	const thread = client.thread("t", { from: "live" });
	thread.on("event", () => {});
	const all = thread.events({ from: "start" });
	const first = pull(all, 1);
	core().welcome();
	await first;
	await all.return?.();
	thread.close();
	assert.deepEqual(saved.get("t"), { epoch: "e1", offset: 4 });
});

test("the last n are counted from live, also beside an iterator from the start", async () => {
	const { client, core, server } = rig();
	server.append("t", ...numbered(9));
	const thread = client.thread("t", { from: "live" });
	thread.on("event", () => {});
	const first = pull(thread.events({ from: "start" }), 1);
	const items = pull(thread.events({ from: { last: 2 } }), 2);
	core().welcome();
	await first;
	assert.deepEqual((await items).map((item) => item.type !== "gap" && item.offset), [8, 9]);
});

test("a thread that is closed before the core placed a consumer is stored where that one would begin", () => {
	const { saved, positions } = store();
	const { client, core, server } = rig({ positions });
	server.append("t", ...numbered(4));
	const thread = client.thread("t");
	thread.on("event", ({ offset }) => {
		if (offset !== 3) return;
		void thread.events({ from: "start" }).next();
		thread.close();
	});
	core().welcome();
	assert.deepEqual(saved.get("t"), { epoch: "e1", offset: 0 });
});

test("a thread that is opened again elsewhere is there for all that consume it", () => {
	const { client, core } = rig({ autoConnect: false });
	const first = client.thread("t", { from: { epoch: "e1", offset: 5 } });
	first.on("event", () => {});
	first.close();
	const thread = client.thread("t", { from: "start" });
	thread.on("event", () => {});
	void thread.events().next();
	client.connect();
	assert.deepEqual(core().calls.filter((call) => call.startsWith("subscribe")), ["subscribe t 0 e1 0", "subscribe t 0 e1 0"]);
});

test("a consumer that leaves while others stay moves the stored position no further than the core says", async () => {
	const { saved, positions } = store();
	const { client, core, server } = rig({ positions });
	server.append("t", ...numbered(9));
	const thread = client.thread("t");
	const slow = thread.events();
	const fast = client.thread("t").events();
	const begun = Promise.all([pull(slow, 1), pull(fast, 4)]);
	core().welcome();
	await begun;
	await slow.return?.();
	assert.deepEqual([saved.get("t"), thread.position], [{ epoch: "e1", offset: 4 }, { epoch: "e1", offset: 4 }]);
});

test("from start begins at the start, also before the thread has a position", async () => {
	const { client, core, server } = rig();
	server.append("t", ...numbered(5));
	const thread = client.thread("t", { from: "live" });
	const live: number[] = [];
	thread.on("tick", ({ offset }) => live.push(offset));
	const first = pull(thread.events({ from: "start" }), 2);
	core().welcome();
	assert.deepEqual((await first).map((item) => item.type !== "gap" && item.offset), [1, 2]);
	server.append("t", ...numbered(1, 6));
	core().flush();
	assert.deepEqual(live, [6]);
});

test("the last n before a position that is not known yet are counted as soon as it is", async () => {
	const { client, core, server } = rig();
	server.append("t", ...numbered(9));
	const thread = client.thread("t", { from: "live" });
	const live: number[] = [];
	thread.on("tick", ({ offset }) => live.push(offset));
	const items = pull(thread.events({ from: { last: 3 } }), 4);
	core().welcome();
	server.append("t", ...numbered(1, 10));
	core().flush();
	assert.deepEqual((await items).map((item) => item.type !== "gap" && item.offset), [7, 8, 9, 10]);
	assert.deepEqual(live, [10]);
});

test("an iterator that waits for a position begins alone when the others have left", async () => {
	const { client, core, server } = rig({ autoConnect: false });
	server.append("t", ...numbered(9));
	const thread = client.thread("t");
	const off = thread.on("tick", () => {});
	const items = pull(thread.events({ from: { last: 3 } }), 2);
	off();
	client.connect();
	core().welcome();
	assert.deepEqual((await items).map((item) => item.type !== "gap" && item.offset), [7, 8]);
});

test("an iterator's own from does not replace the one that a handle named", async () => {
	const { client, core, server } = rig();
	server.append("t", ...numbered(4));
	const thread = client.thread("t", { from: "start" });
	const live = pull(thread.events({ from: "live" }), 1);
	client.thread("t", { from: "start" });
	assert.throws(() => client.thread("t", { from: "live" }), conflict);
	const got: number[] = [];
	thread.on("tick", ({ offset }) => got.push(offset));
	core().welcome();
	assert.deepEqual(got, [1, 2, 3, 4]);
	server.append("t", ...numbered(1, 5));
	core().flush();
	assert.deepEqual((await live).map((item) => item.type !== "gap" && item.offset), [5]);

	const other = rig({ server });
	const named = other.client.thread("t", { from: "live" });
	const all = pull(named.events({ from: "start" }), 5);
	const late: number[] = [];
	named.on("tick", ({ offset }) => late.push(offset));
	other.core().welcome();
	assert.deepEqual((await all).map((item) => item.type !== "gap" && item.offset), [1, 2, 3, 4, 5]);
	assert.deepEqual(late, []);
});

test("live is what comes next, also beside an iterator that is far behind", async () => {
	const { client, core, server } = rig({ window: { events: 4 } });
	server.append("t", ...numbered(50));
	const thread = client.thread("t", { from: "live" });
	const slow = pull(thread.events({ from: "start" }), 1);
	core().welcome();
	await slow;
	thread.on("tick", () => {});
	assert.equal(core().calls.at(-1), "subscribe t -1 - -1");
});

test("an iterator that is opened in a gap handler begins in the new epoch", async () => {
	const { client, core, server } = rig();
	const thread = client.thread("t");
	server.append("t", ...numbered(6));
	thread.on("event", () => {});
	const slow = thread.events();
	const begun = pull(slow, 1);
	let inside: Promise<ThreadItem[]> | undefined;
	thread.on("gap", () => (inside ??= pull(thread.events(), 2)));
	core().welcome();
	await begun;
	await pull(slow, 4);
	core().newEpoch("t", "e2");
	server.append("t", ...numbered(2));
	core().flush();
	assert.deepEqual(core().calls.filter((call) => call.startsWith("subscribe")).at(-1), "subscribe t 0 e2 0");
	assert.deepEqual((await inside)?.map((item) => item.type !== "gap" && `${item.epoch}/${item.offset}`), ["e2/1", "e2/2"]);
});

test("a thread that is closed and opened again is the same to the core, and begins anew as it is asked to", async () => {
	const { client, core, server } = rig();
	server.append("t", ...numbered(4));
	const got: Record<string, number[]> = {};
	const open = (name: string, options: ThreadOptions): Thread => {
		const thread = client.thread("t", options);
		thread.on("tick", ({ offset }) => (got[name] ??= []).push(offset));
		return thread;
	};
	const first = open("first", {});
	core().welcome();
	first.close();
	server.append("t", ...numbered(2, 5));
	open("live", { from: "live" }).close();
	open("last", { from: { last: 1 } }).close();
	open("plain", {}).close();
	assert.deepEqual(got, { first: [1, 2, 3, 4], live: [5, 6], last: [6], plain: [1, 2, 3, 4, 5, 6] });
	assert.equal(core().streams.length, 1);
});

test("with a store, a thread that is opened again goes on where it was left, even inside a handler", () => {
	const { positions } = store();
	const { client, core, server } = rig({ positions });
	server.append("t", ...numbered(9));
	const got: string[] = [];
	const first = client.thread("t");
	first.on("tick", ({ offset }) => {
		got.push(`a${offset}`);
		if (offset !== 3) return;
		first.close();
		client.thread("t").on("tick", (event) => got.push(`b${event.offset}`));
	});
	core().welcome();
	assert.deepEqual(got, ["a1", "a2", "a3", "b4", "b5", "b6", "b7", "b8", "b9"]);
});

test("of closed threads only a bounded number of positions is kept", () => {
	const context = { supervisor: new Supervisor(), positions: new SafePositions(undefined, new Reporter(undefined)), reporter: new Reporter(undefined), consumers: new Map(), nextId: ((id) => () => (id += 1))(0) };
	const streams = new Streams();
	const visit = (name: string): number => {
		const stream = streams.enter(name, { epoch: "e", offset: 5 }, context);
		const off = stream.listen("event", () => {});
		off();
		streams.leave(stream);
		return stream.id;
	};
	const first = visit("first");
	assert.equal(visit("first"), first, "the core knows it under this id");
	assert.equal(streams.byId.size, 0);
	for (let index = 0; index < MAX_LEFT_STREAMS; index += 1) visit(`t${index}`);
	assert.notEqual(visit("first"), first);
});

test("a thread that is closed is dropped: what comes for it reaches nobody", () => {
	const { client, core, errors } = rig();
	const thread = client.thread("t");
	thread.on("event", () => {});
	core().welcome();
	const id = core().streams[0]?.id ?? 0;
	thread.close();
	const reopened = client.thread("t");
	core().host.position(id, "e1", 7);
	assert.equal(reopened.position?.offset, 0, "nobody consumes it: it is where it was left");
	reopened.close();
	core().host.position(id, "e1", 8);
	core().host.ended(id, "deleted");
	assert.deepEqual(errors, []);
});

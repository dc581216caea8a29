import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import type { Client } from "../src/client.js";
import type { Position, ThreadItem } from "../src/events.js";
import { localPositions, MAX_STORED_STREAMS, type PositionStore, sessionPositions, type StoredPosition } from "../src/positions.js";
import type { Thread } from "../src/thread.js";
import { FakeServer, numbered, rig } from "./fake.js";

/** A storage of a browser, as far as it is used. */
class FakeStorage {
	readonly entries = new Map<string, string>();
	readonly written: string[] = [];
	full = false;

	get length(): number {
		return this.entries.size;
	}

	key(index: number): string | null {
		return [...this.entries.keys()][index] ?? null;
	}

	getItem(key: string): string | null {
		return this.entries.get(key) ?? null;
	}

	setItem(key: string, value: string): void {
		this.written.push(value);
		if (this.full) throw new DOMException("full", "QuotaExceededError");
		this.entries.set(key, value);
	}

	removeItem(key: string): void {
		this.entries.delete(key);
	}
}

function storage(kind: "sessionStorage" | "localStorage", get: () => unknown): void {
	Object.defineProperty(globalThis, kind, { get, configurable: true });
}

afterEach(() => {
	for (const kind of ["sessionStorage", "localStorage"]) Reflect.deleteProperty(globalThis, kind);
});

// PROTOCOL: LIF-2
test("lives of a page add up to the log (LIF-2)", () => {
	const kept = new FakeStorage();
	storage("sessionStorage", () => kept);
	const server = new FakeServer();
	const lives: number[][] = [];
	for (let life = 0; life < 4; life += 1) {
		const { client, core } = rig({ server, positions: sessionPositions() });
		const got: number[] = [];
		lives.push(got);
		server.append("t", ...numbered(5));
		client.thread("t").on("event", ({ offset }) => {
			got.push(offset);
			// Left in the middle of a frame.
			if (life === 1 && offset === 7) client.close();
		});
		core().welcome();
		client.close();
	}
	assert.deepEqual(lives.flat(), Array.from({ length: 20 }, (_, index) => index + 1));
	assert.deepEqual(lives[1], [6, 7]);
});

test("an explicit from wins over the store", () => {
	const kept = new FakeStorage();
	storage("sessionStorage", () => kept);
	const first = rig({ positions: sessionPositions() });
	first.server.append("t", ...numbered(3));
	first.client.thread("t").on("event", () => {});
	first.core().welcome();
	const { client, core } = rig({ positions: sessionPositions() });
	client.thread("t", { from: "start" }).on("event", () => {});
	assert.equal(core().calls.at(-1), "subscribe t 0 - 0");
});

test("a stored position is where the next page begins", () => {
	const kept = new FakeStorage();
	storage("localStorage", () => kept);
	const one = rig({ positions: localPositions() });
	one.server.append("t", ...numbered(3));
	one.client.thread("t").on("event", () => {});
	one.core().welcome();
	one.client.close();
	const two = rig({ positions: localPositions() });
	assert.equal(two.client.thread("t").position, undefined, "nothing is loaded before somebody consumes");
	two.client.thread("t").on("event", () => {});
	assert.equal(two.core().calls.at(-1), "subscribe t 0 e1 3");
});

test("positions of another server or key are not mixed up", () => {
	const kept = new FakeStorage();
	storage("sessionStorage", () => kept);
	const scope = (positions: PositionStore, url: string): PositionStore => {
		positions.scope?.({ url, subject: "ada", report: assert.fail });
		return positions;
	};
	scope(sessionPositions(), "wss://a/ws").save("t", { epoch: "e", offset: 1, subject: "ada" });
	assert.deepEqual(scope(sessionPositions(), "wss://a/ws").load("t"), { epoch: "e", offset: 1, subject: "ada" });
	assert.equal(scope(sessionPositions(), "wss://b/ws").load("t"), undefined);
	assert.equal(scope(sessionPositions({ key: "other" }), "wss://a/ws").load("t"), undefined);
	assert.equal(scope(sessionPositions(), "wss://a/ws").load("T"), undefined);
});

test("positions of another user are forgotten, and the thread begins at its start", () => {
	const kept = new FakeStorage();
	storage("sessionStorage", () => kept);
	const server = new FakeServer();
	server.append("t", ...numbered(4));
	const ada = rig({ server, positions: sessionPositions() });
	server.append("u", ...numbered(1));
	for (const name of ["t", "u"]) ada.client.thread(name).on("event", () => {});
	ada.core().welcome("ada");
	ada.client.close();
	assert.equal(kept.entries.size, 3);
	const bob = rig({ server, positions: sessionPositions() });
	const got: number[] = [];
	bob.client.thread("t").on("event", ({ offset }) => got.push(offset));
	bob.core().welcome("bob");
	assert.deepEqual(got, [1, 2, 3, 4]);
	assert.ok(![...kept.entries.values()].includes("ada"));
	bob.client.close();
	assert.equal(kept.entries.size, 2, "nothing is left of the other thread");
});

// PROTOCOL: HEL-6
test("a change of user on one client clears the store for good", () => {
	const saved = new Map<string, Position>();
	const positions: PositionStore = { load: (stream) => saved.get(stream), save: (stream, position) => void saved.set(stream, position), clear: () => saved.clear() };
	const { client, core, server } = rig({ positions });
	server.append("t", ...numbered(4));
	client.thread("t").on("event", () => {});
	core().welcome("ada");
	assert.equal(saved.size, 1);
	const message = client.thread("t").send({ content: "x" });
	core().fail("subject_changed");
	assert.equal(saved.size, 0);
	assert.equal(client.state.name, "failed");
	return assert.rejects(message.receipt, { code: "subject_changed" });
});

for (const [name, get] of [
	["missing", () => undefined],
	["forbidden", () => { throw new DOMException("denied", "SecurityError"); }],
	["full", () => Object.assign(new FakeStorage(), { full: true })],
] as const) {
	test(`a storage that is ${name} is replaced by memory and reported once`, () => {
		storage("sessionStorage", get);
		const positions = sessionPositions();
		const { client, core, server, errors } = rig({ positions });
		server.append("t", ...numbered(9));
		client.thread("t").on("event", () => {});
		core().welcome();
		assert.deepEqual(errors.map(({ code }) => code), ["position_store_failed"]);
		assert.deepEqual(positions.load("t"), { epoch: "e1", offset: 9, subject: "ada" });
	});
}

test("a store of the application that throws or answers nonsense hurts nothing", () => {
	const broken: PositionStore = {
		load: () => ({ epoch: "", offset: -3 }),
		save() {
			throw new Error("disk");
		},
		clear() {
			throw new Error("disk");
		},
	};
	const { client, core, server, errors } = rig({ positions: broken });
	server.append("t", ...numbered(3));
	const got: number[] = [];
	client.thread("t").on("event", ({ offset }) => got.push(offset));
	core().welcome();
	assert.deepEqual(got, [1, 2, 3]);
	assert.deepEqual(errors.map(({ code }) => code), ["position_store_failed"]);
});

test("damaged entries count as none", () => {
	const kept = new FakeStorage();
	storage("sessionStorage", () => kept);
	const positions = sessionPositions();
	positions.scope?.({ url: "wss://a/ws", subject: "ada", report: assert.fail });
	positions.save("t", { epoch: "e", offset: 1, subject: "ada" });
	const key = [...kept.entries.keys()].find((name) => name.endsWith("/t")) ?? "";
	assert.deepEqual(positions.load("t")?.offset, 1);
	for (const text of ["", "{", "null", "[1,2,3]", '["e",-1,0]', '["e",1.5,0]', '["",1,0]']) {
		kept.entries.set(key, text);
		assert.equal(positions.load("t"), undefined, text);
	}
});

test("the number of stored threads is bounded; the oldest go first", (t) => {
	t.mock.timers.enable({ apis: ["Date"], now: 1_000 });
	const kept = new FakeStorage();
	storage("localStorage", () => kept);
	const positions = localPositions();
	positions.scope?.({ url: "wss://a/ws", subject: "ada", report: assert.fail });
	for (let index = 0; index < MAX_STORED_STREAMS + 10; index += 1) {
		t.mock.timers.tick(1);
		positions.save(`t${index}`, { epoch: "e", offset: 1, subject: "ada" });
	}
	assert.equal(kept.entries.size, MAX_STORED_STREAMS + 1, "and whose they are");
	assert.equal(positions.load("t9"), undefined);
	assert.deepEqual(positions.load("t10"), { epoch: "e", offset: 1, subject: "ada" });
	positions.clear();
	assert.equal(kept.entries.size, 0);
});

// PROTOCOL: HEL-6
test("a former user's client that saves late writes nothing under the new user's name (HEL-6)", () => {
	const kept = new FakeStorage();
	storage("sessionStorage", () => kept);
	const server = new FakeServer();
	server.append("t", ...numbered(5));
	for (const shared of [sessionPositions(), undefined]) {
		const positions = (): PositionStore => shared ?? sessionPositions();
		const ada = rig({ server, positions: positions() });
		ada.client.thread("t").on("event", () => {});
		ada.core().welcome("ada");
		const bob = rig({ server, positions: positions() });
		bob.client.thread("t", { from: { epoch: "e1", offset: 1 } }).on("event", () => {});
		bob.core().welcome("bob");
		ada.core().host.position(ada.core().streams[0]?.id ?? 0, "e1", 2);
		const next = rig({ server, positions: positions() });
		next.client.thread("t").on("event", () => {});
		assert.equal(next.core().calls.at(-1), "subscribe t 0 e1 5", "where bob was");
		next.core().welcome("bob");
		for (const { client } of [ada, bob, next]) client.close();
	}
});

// PROTOCOL: HEL-6
test("a position of another user is nobody's loss: no gap, no position in its epoch, and the thread from its start (HEL-6)", async () => {
	const kept = new FakeStorage();
	storage("localStorage", () => kept);
	const server = new FakeServer();
	server.append("inbox", ...numbered(5));
	const ada = rig({ server, positions: localPositions() });
	ada.client.inbox().on("event", () => {});
	ada.core().welcome("ada");
	ada.client.close();
	kept.written.length = 0;
	const own = new FakeServer();
	own.log("inbox").epoch = "e-bob";
	own.append("inbox", ...numbered(3));
	const bob = rig({ server: own, positions: localPositions() });
	const inbox = bob.client.inbox();
	const seen: string[] = [];
	inbox.on("event", ({ epoch, offset }) => seen.push(`${epoch}/${offset}`));
	inbox.on("gap", ({ from, to }) => seen.push(`gap ${from}-${to ?? ""}`));
	inbox.on("resumed", ({ recovered, gap }) => seen.push(`resumed ${recovered} ${gap === undefined}`));
	const pulled = inbox.events();
	const first = pulled.next();
	bob.core().welcome("bob");
	const item = (await first).value;
	assert.deepEqual(seen, ["e-bob/1", "e-bob/2", "e-bob/3", "resumed true true"]);
	assert.deepEqual([item?.type, item?.type !== "gap" && item?.epoch], ["tick", "e-bob"]);
	assert.ok(![...kept.entries].some(([key, value]) => key.includes("ada") || value.includes("e1") || value === "ada"), "nothing of ada is left");
	assert.ok(!kept.written.some((value) => value.includes("e1")), "nor was anything written in her epoch");
	bob.core().newEpoch("inbox", "e-2");
	assert.equal(seen.at(-1), "gap 4-", "what is lost later is told");
});

test("another user's position is forgotten also where its thread was closed before the user was known", () => {
	const { server } = adaLeft(4);
	const bob = rig({ server, positions: sessionPositions() });
	const early = bob.client.thread("t");
	early.on("event", () => assert.fail("it was closed"));
	early.close();
	bob.core().welcome("bob");
	const got: number[] = [];
	bob.client.thread("t").on("event", ({ offset }) => got.push(offset));
	assert.deepEqual(got, [1, 2, 3, 4]);
});

/** Ada was in this browser, and left it with thread "t" at the end of its events. */
function adaLeft(count: number) {
	const kept = new FakeStorage();
	storage("sessionStorage", () => kept);
	const server = new FakeServer();
	server.append("t", ...numbered(count));
	const ada = rig({ server, positions: sessionPositions() });
	ada.client.thread("t").on("event", () => {});
	ada.core().welcome("ada");
	ada.client.close();
	return { kept, server };
}

/** A page of bob's, after ada left `positions` in this browser with thread "t" at e1/5; in bob's log, events of `epoch`. */
function afterAda(epoch: string, count = 3) {
	const { kept } = adaLeft(5);
	kept.written.length = 0;
	const own = new FakeServer();
	own.log("t").epoch = epoch;
	own.append("t", ...numbered(count));
	const page = () => rig({ server: own, positions: sessionPositions() });
	return { kept, page, bob: page() };
}

/** Notes what a thread tells, from now on. */
function heard(thread: Thread): string[] {
	const seen: string[] = [];
	thread.on("gap", ({ from, to }) => seen.push(`gap ${from}-${to ?? ""}`));
	thread.on("event", ({ epoch, offset }) => seen.push(`${epoch}/${offset}`));
	return seen;
}

for (const [what, leave] of [
	["thread", (_client: Client, thread: Thread) => thread.close()],
	["client", (client: Client) => client.close()],
	["thread, with a consumer that has just come,", (_client: Client, thread: Thread) => {
		void thread.events().next();
		thread.close();
	}],
	["thread, with nobody but a live consumer,", (_client: Client, thread: Thread, off: () => void) => {
		void thread.events({ from: "live" }).next();
		off();
		thread.close();
	}],
] as const) {
	// HEL-6, by each way to leave
	test(`a ${what} that is closed as soon as another user is known leaves no position of the former one (HEL-6)`, () => {
		const { kept, page, bob } = afterAda("e-bob");
		const thread = bob.client.thread("t");
		const off = thread.on("event", () => assert.fail("it was closed"));
		bob.client.on("subject", () => leave(bob.client, thread, off));
		bob.core().welcome("bob");
		assert.ok(!kept.written.some((value) => value.includes("e1")), "nothing was written in her epoch");
		const next = bob.client.state.name === "closed" ? page() : bob;
		const again = next.client.thread("t");
		assert.equal(again.position, undefined);
		const seen = heard(again);
		if (next !== bob) next.core().welcome("bob");
		assert.deepEqual(seen, ["e-bob/1", "e-bob/2", "e-bob/3"]);
		next.core().newEpoch("t", "e-2");
		assert.equal(seen.at(-1), "gap 4-", "what is lost later is told");
	});
}

// PROTOCOL: HEL-6
test("a thread that is closed and opened again as soon as another user is known is told no gap (HEL-6)", () => {
	const { kept, bob } = afterAda("e-bob");
	const thread = bob.client.thread("t");
	thread.on("event", () => assert.fail("it was closed"));
	let seen: string[] = [];
	bob.client.on("subject", () => {
		thread.close();
		seen = heard(bob.client.thread("t"));
	});
	bob.core().welcome("bob");
	assert.deepEqual(seen, ["e-bob/1", "e-bob/2", "e-bob/3"]);
	assert.ok(!kept.written.some((value) => value.includes("e1")));
});

// PROTOCOL: HEL-6
test("who joins while a thread begins anew is told no gap either, and stores nothing in the former epoch (HEL-6)", async () => {
	const { kept, bob } = afterAda("e-bob");
	const thread = bob.client.thread("t");
	const off = thread.on("event", () => assert.fail("it was removed"));
	let first: Promise<IteratorResult<ThreadItem, undefined>> | undefined;
	bob.client.on("subject", () => {
		first = thread.events().next();
		off();
	});
	bob.core().welcome("bob");
	const item = (await first)?.value;
	assert.deepEqual([item?.type, item?.type !== "gap" && item?.offset], ["tick", 1]);
	assert.ok(!kept.written.some((value) => value.includes("e1")));
});

test("a gap from a position that the application named is told, whoever the user is", async () => {
	const { bob } = afterAda("e-bob");
	const thread = bob.client.thread("t");
	thread.on("event", () => {});
	let first: Promise<IteratorResult<ThreadItem, undefined>> | undefined;
	bob.client.on("subject", () => {
		first = thread.events({ from: { epoch: "e1", offset: 0 } }).next();
	});
	bob.core().welcome("bob");
	assert.equal((await first)?.value?.type, "gap");
});

test("what is lost after a thread began anew is told, also to who got nothing yet", async () => {
	const { bob } = afterAda("e-bob", 0);
	const thread = bob.client.thread("t");
	thread.on("event", () => {});
	bob.core().welcome("bob");
	const first = thread.events({ from: "start" }).next();
	bob.core().newEpoch("t", "e-2");
	assert.equal((await first).value?.type, "gap");
});

test("a thread that was closed before another user was known tells that one no gap", () => {
	const { bob } = afterAda("e-bob");
	const early = bob.client.thread("t");
	early.on("event", () => assert.fail("it was closed"));
	early.close();
	bob.core().welcome("bob");
	assert.deepEqual(heard(bob.client.thread("t")), ["e-bob/1", "e-bob/2", "e-bob/3"]);
});

test("a thread that began anew and is closed in the middle is stored with the event that runs", () => {
	const { page, bob } = afterAda("e1");
	const thread = bob.client.thread("t");
	thread.on("event", ({ offset }) => {
		if (offset === 2) thread.close();
	});
	bob.core().welcome("bob");
	assert.deepEqual(heard(bob.client.thread("t")), ["e1/3"]);
	bob.client.close();
	const next = page();
	next.client.thread("t").on("event", () => {});
	assert.equal(next.core().calls.at(-1), "subscribe t 0 e1 3");
});

for (const [what, open] of [
	["left", (client: Client) => {
		const thread = client.thread("t");
		thread.on("event", () => assert.fail("it was removed"))();
		return thread;
	}],
	["closed and opened again", (client: Client) => {
		const early = client.thread("t");
		early.on("event", () => assert.fail("it was closed"));
		early.close();
		return client.thread("t");
	}],
] as const) {
	test(`a thread that all had ${what} before another user was known is nowhere then`, () => {
		const { bob } = afterAda("e-bob");
		const thread = open(bob.client);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 5 });
		bob.core().welcome("bob");
		assert.equal(thread.position, undefined);
		const seen = heard(thread);
		assert.equal(bob.core().calls.at(-1), "subscribe t 0 - 0");
		assert.deepEqual(seen, ["e-bob/1", "e-bob/2", "e-bob/3"]);
	});
}

test("of a trimmed thread, another user's position hides no gap", () => {
	adaLeft(5);
	const own = new FakeServer();
	Object.assign(own.log("t"), { epoch: "e-bob", oldest: 3 });
	own.append("t", ...numbered(4));
	const bob = rig({ server: own, positions: sessionPositions() });
	const seen: string[] = [];
	bob.client.thread("t").on("event", ({ offset }) => seen.push(String(offset)));
	bob.client.thread("t").on("gap", ({ from, to, reason }) => seen.push(`gap ${from}-${to ?? ""} ${reason}`));
	bob.core().welcome("bob");
	assert.deepEqual(seen, ["gap 1-2 trimmed", "3", "4"]);
});

test("a store that gives back the subject keeps users apart without knowing how", () => {
	const saved = new Map<string, StoredPosition>();
	const positions: PositionStore = { load: (stream) => saved.get(stream), save: (stream, position) => void saved.set(stream, position), clear: () => saved.clear() };
	const server = new FakeServer();
	server.append("t", ...numbered(4));
	const ada = rig({ server, positions });
	ada.client.thread("t").on("event", () => {});
	ada.core().welcome("ada");
	ada.client.close();
	assert.deepEqual(saved.get("t"), { epoch: "e1", offset: 4, subject: "ada" });
	const bob = rig({ server, positions });
	const got: number[] = [];
	bob.client.thread("t").on("event", ({ offset }) => got.push(offset));
	bob.core().welcome("bob");
	assert.deepEqual(got, [1, 2, 3, 4]);
	saved.set("u", { epoch: "e1", offset: 2, subject: "ada" });
	bob.client.thread("u").on("event", () => {});
	assert.equal(bob.core().calls.at(-1), "subscribe u 0 - 0", "nor what is asked for later");
});

test("nothing is stored before the server has named the user", () => {
	const saved: string[] = [];
	const positions: PositionStore = { load: () => undefined, save: (stream) => void saved.push(stream), clear() {} };
	const { client } = rig({ positions });
	const thread = client.thread("t", { from: { epoch: "e1", offset: 3 } });
	thread.on("event", () => {});
	thread.close();
	client.close();
	assert.deepEqual(saved, []);
});

test("entries of the former format are dropped, and hurt nobody", () => {
	const kept = new FakeStorage();
	storage("sessionStorage", () => kept);
	const prefix = `agentwire/default/${encodeURIComponent("wss://chat.example.com/ws")}/`;
	kept.entries.set(`${prefix}subject`, "ada");
	kept.entries.set(`${prefix}stream/t`, '["e1",3,1000]');
	kept.entries.set("of the application", "kept");
	const { client, core, server, errors } = rig({ positions: sessionPositions() });
	server.append("t", ...numbered(4));
	const got: number[] = [];
	client.thread("t").on("event", ({ offset }) => got.push(offset));
	core().welcome("ada");
	assert.deepEqual(got, [1, 2, 3, 4]);
	assert.deepEqual(errors, []);
	assert.deepEqual([...kept.entries.keys()].sort(), [`${prefix}subject`, `${prefix}user/ada/t`, "of the application"]);
});

// PROTOCOL: GEN-6
test("an epoch has 1 to 64 bytes (GEN-6)", () => {
	const { client } = rig();
	const from = (epoch: string): unknown => client.thread(`thread ${epoch}`, { from: { epoch, offset: 1 } });
	for (const epoch of ["e", "é".repeat(32), "x".repeat(64)]) from(epoch);
	for (const epoch of ["", "é".repeat(33), "x".repeat(65), "\ud800"]) assert.throws(() => from(epoch), { code: "invalid_option" }, JSON.stringify(epoch));
});

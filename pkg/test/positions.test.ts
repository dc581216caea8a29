import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import type { Position } from "../src/events.js";
import { localPositions, MAX_STORED_STREAMS, type PositionStore, sessionPositions } from "../src/positions.js";
import { FakeServer, numbered, rig } from "./fake.js";

/** A storage of a browser, as far as it is used. */
class FakeStorage {
	readonly entries = new Map<string, string>();
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
	const positions = sessionPositions();
	positions.save("t", { epoch: "e1", offset: 3 });
	const { client, core } = rig({ positions });
	client.thread("t", { from: "start" }).on("event", () => {});
	assert.equal(core().calls.at(-1), "subscribe t 0 - -1");
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
		positions.scope?.({ url, subject: undefined, report: assert.fail });
		return positions;
	};
	scope(sessionPositions(), "wss://a/ws").save("t", { epoch: "e", offset: 1 });
	assert.deepEqual(scope(sessionPositions(), "wss://a/ws").load("t"), { epoch: "e", offset: 1 });
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
		assert.deepEqual(positions.load("t"), { epoch: "e1", offset: 9 });
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
	positions.save("t", { epoch: "e", offset: 1 });
	const [key = ""] = kept.entries.keys();
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
	for (let index = 0; index < MAX_STORED_STREAMS + 10; index += 1) {
		t.mock.timers.tick(1);
		positions.save(`t${index}`, { epoch: "e", offset: 1 });
	}
	assert.equal(kept.entries.size, MAX_STORED_STREAMS);
	assert.equal(positions.load("t9"), undefined);
	assert.deepEqual(positions.load("t10"), { epoch: "e", offset: 1 });
	positions.clear();
	assert.equal(kept.entries.size, 0);
});

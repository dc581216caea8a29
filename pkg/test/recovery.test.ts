import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeRaw, FakeServer, FakeSocket, fakeEngine, numbered, rig, settled } from "./fake.js";
import type { Position, ThreadItem } from "../src/events.js";
import type { PositionStore } from "../src/positions.js";
import { Instance, MAX_REBUILDS } from "../src/supervisor.js";

const place = (item: ThreadItem | undefined): string => (item?.type === "gap" ? `gap ${item.from}-${item.to ?? ""}` : `${item?.epoch}/${item?.offset}`);

/** Lets a trapped core be replaced and welcomed. */
async function recovered(made: { core(): FakeRaw }): Promise<void> {
	await settled();
	made.core().welcome();
}

test("after a trap everybody goes on with the next event, and the outbox goes out again", async () => {
	const made = rig();
	const { client, server, core } = made;
	const thread = client.thread("t");
	const got: number[] = [];
	server.append("t", ...numbered(5));
	thread.on("event", ({ offset }) => got.push(offset));
	core().welcome();
	const pulled: unknown[] = [];
	const iterator = thread.events({ from: "start" });
	pulled.push((await iterator.next()).value?.offset, (await iterator.next()).value?.offset);
	const first = thread.send({ content: "a" }, { id: "a" });
	const former = core();
	former.trapOn = "send";
	const second = thread.send({ content: "b" }, { id: "b" });
	assert.equal(made.cores.length, 1, "not while the trapped core may be on the stack");
	server.append("t", ...numbered(3, 6));
	await recovered(made);
	assert.equal(made.cores.length, 2);
	assert.equal(made.resets, 1);
	assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7, 8]);
	for (let index = 0; index < 6; index += 1) pulled.push((await iterator.next()).value?.offset);
	assert.deepEqual(pulled, [1, 2, 3, 4, 5, 6, 7, 8], "what waited in the queue came again, once");
	assert.deepEqual(core().sent.map(({ id }) => id), ["a", "b"]);
	core().settle("a", { status: "accepted" });
	core().settle("b", { status: "accepted" });
	await Promise.all([first.receipt, second.receipt]);
	assert.deepEqual(made.errors.map(({ code }) => code), ["internal"]);
	assert.ok(made.states.some((state) => state.endsWith(">connecting internal")));
	assert.equal(client.stats().rebuilds, 1);
	assert.ok(core().calls.includes("subscribe t 0 e1 2"));
	assert.ok(core().calls.includes("subscribe t 0 e1 5"));
});

// PROTOCOL: CLS-2
test("the socket of a lost core is detached and closed with 4486", async () => {
	const made = rig();
	await settled();
	const socket = made.core().socket;
	assert.ok(socket);
	made.core().trapOn = "stats";
	made.core().dead = true;
	made.client.stats();
	assert.equal(socket.closedWith, 4486);
	assert.deepEqual([socket.onopen, socket.onmessage, socket.onerror, socket.onclose], [null, null, null, null]);
});

test("a lost core is not heard any more", async () => {
	const made = rig();
	const got: number[] = [];
	made.client.thread("t").on("event", ({ offset }) => got.push(offset));
	made.core().welcome();
	const former = made.core();
	const { host } = former;
	former.dead = true;
	made.client.stats();
	const id = former.streams[0]?.consumers[0]?.id ?? 0;
	assert.equal(host.deliver(id, { type: "events", ch: 1, first: 1, count: 1, events: [{ type: "x" }] }, 0, 1, 1, 0), 0);
	host.position(former.streams[0]?.id ?? 0, "e9", 99);
	host.placed(id, "e9", 99);
	host.state("failed", "nonsense", undefined, 0);
	await settled();
	assert.deepEqual(got, []);
	assert.notEqual(made.client.state.name, "failed");
	assert.deepEqual(made.core().calls.filter((call) => call.startsWith("subscribe")), ["subscribe t 0 e1 0"]);
});

test("a live iterator that got nothing yet goes on where it was placed, also alone", async () => {
	const made = rig();
	const { client, server, core } = made;
	const thread = client.thread("t");
	server.append("t", ...numbered(5));
	const off = thread.on("event", () => {});
	core().welcome();
	const iterator = thread.events({ from: "live" });
	const first = iterator.next();
	off();
	core().dead = true;
	client.stats();
	server.append("t", ...numbered(2, 6));
	await recovered(made);
	assert.equal(core().calls[0], "subscribe t -1 e1 5");
	assert.deepEqual([place((await first).value), place((await iterator.next()).value)], ["e1/6", "e1/7"]);
});

test("a consumer that is attached while there is no core begins where it was asked to", async () => {
	const made = rig();
	const { client, server, core } = made;
	const thread = client.thread("t");
	server.append("t", ...numbered(3));
	thread.on("event", () => {});
	core().welcome();
	let first: Promise<IteratorResult<ThreadItem, undefined>> | undefined;
	client.on("state", ({ reason }) => {
		if (reason === "internal") first = thread.events({ from: "start" }).next();
	});
	core().dead = true;
	client.stats();
	await recovered(made);
	assert.deepEqual(core().calls.filter((call) => call.startsWith("subscribe")), ["subscribe t 0 e1 3", "subscribe t 0 e1 0"]);
	assert.equal(place((await first)?.value), "e1/1");
});

test("a trap inside a handler's call leaves the running frame whole", async () => {
	const made = rig();
	const got: number[] = [];
	made.server.append("t", ...numbered(6));
	const thread = made.client.thread("t");
	thread.on("event", ({ offset }) => {
		got.push(offset);
		if (offset !== 2) return;
		made.core().trapOn = "send";
		thread.send({ content: "x" }, { id: "x" });
	});
	made.core().welcome();
	await recovered(made);
	assert.deepEqual(got, [1, 2, 3, 4, 5, 6]);
	assert.deepEqual(made.core().sent.map(({ id }) => id), ["x"]);
});

test("an error of the glue counts as a trap too", async () => {
	const made = rig();
	made.core().freed = true; // "null pointer passed to rust"
	made.client.thread("t").send({ content: "x" }, { id: "x" });
	await settled();
	assert.equal(made.cores.length, 2);
	assert.deepEqual(made.core().sent.map(({ id }) => id), ["x"]);
});

test("a trap that only the page's error event tells of is noticed", async () => {
	const page = new EventTarget();
	const globals = globalThis as unknown as Record<string, unknown>;
	globals["addEventListener"] = page.addEventListener.bind(page);
	globals["removeEventListener"] = page.removeEventListener.bind(page);
	const tell = (error: Error): boolean => page.dispatchEvent(Object.assign(new Event("error", { cancelable: true }), { error }));
	try {
		const made = rig();
		tell(new Error("of the application"));
		tell(new WebAssembly.RuntimeError("of another module"));
		await settled();
		assert.equal(made.cores.length, 1, "this core answers when it is asked");
		made.core().dead = true;
		tell(new WebAssembly.RuntimeError("unreachable"));
		await settled();
		assert.equal(made.cores.length, 2);
		assert.equal(tell(new Error("Cannot invoke closure from previous WASM instance")), false, "expected, and kept from the console");
		made.client.close();
		made.core().dead = true;
		tell(new WebAssembly.RuntimeError("unreachable"));
		await settled();
		assert.equal(made.cores.length, 2, "a closed client is gone");
	} finally {
		delete globals["addEventListener"];
		delete globals["removeEventListener"];
	}
});

test("clients of one page are lost and restored together", async () => {
	const server = new FakeServer();
	const cores: FakeRaw[] = [];
	let resets = 0;
	const instance = new Instance(fakeEngine(server, cores, undefined, () => (resets += 1)));
	const one = rig({ server, instance });
	const two = rig({ server, instance });
	const closed = rig({ server, instance });
	closed.client.close();
	assert.equal(cores.length, 3);
	const message = two.client.thread("t").send({ content: "x" }, { id: "x" });
	(cores[0] as FakeRaw).dead = true;
	one.client.stats();
	await settled();
	assert.equal(resets, 1);
	assert.equal(cores.length, 5);
	assert.deepEqual(cores[4]?.sent.map(({ id }) => id), [message.id]);
	assert.deepEqual([one.client.stats().rebuilds, two.client.stats().rebuilds, closed.client.stats().rebuilds], [1, 1, 0]);
});

test(`more than ${MAX_REBUILDS} traps within a minute fail the client; spread out they do not`, async () => {
	let now = 0;
	const calm = rig({ now: () => now });
	for (let index = 0; index < 3 * MAX_REBUILDS; index += 1) {
		now += 20_000;
		calm.core().dead = true;
		calm.client.stats();
		await settled();
	}
	assert.equal(calm.cores.length, 3 * MAX_REBUILDS + 1);
	assert.notEqual(calm.client.state.name, "failed");

	const poisoned = rig({ now: () => now, onCore: (core) => (core.trapOn = "send") });
	const message = poisoned.client.thread("t").send({ content: "poison" });
	await settled();
	assert.equal(poisoned.cores.length, MAX_REBUILDS + 1);
	assert.equal(poisoned.client.state.name, "failed");
	assert.equal(poisoned.client.state.reason, "internal");
	await assert.rejects(message.receipt, { code: "internal" });
	await assert.rejects(poisoned.client.ready(), { code: "internal" });
});

test("a constructor that traps is a trap", async () => {
	let broken = 2;
	const made = rig({
		onCore: () => {
			if (broken > 0) {
				broken -= 1;
				throw new WebAssembly.RuntimeError("unreachable");
			}
		},
	});
	await settled();
	await settled();
	assert.equal(made.client.state.name, "connecting");
	made.core().welcome();
	assert.equal(made.client.state.name, "connected");
});

test("closing while a trapped core waits to be replaced leaves nothing behind", async () => {
	const made = rig();
	made.core().dead = true;
	made.client.stats();
	made.client.close();
	await settled();
	assert.equal(made.cores.length, 1);
	assert.equal(made.client.state.name, "closed");
});

test("a token that was asked for by a lost core answers the new one", async () => {
	let answer: (token: string) => void = () => undefined;
	let asked = 0;
	const made = rig({
		token: () => {
			asked += 1;
			return new Promise((resolve) => (answer = resolve));
		},
	});
	const first = answer;
	made.core().dead = true;
	made.client.stats();
	await settled();
	first("old");
	answer("new");
	await settled();
	assert.equal(asked, 2);
	assert.equal(made.core().token, "new");
	assert.equal(FakeSocket.made.at(-1), made.core().socket);
});

// PROTOCOL: HEL-6
test("a new core knows the user, and ends when another one is welcomed (HEL-6)", async () => {
	const saved = new Map<string, Position>();
	const positions: PositionStore = { load: (stream) => saved.get(stream), save: (stream, position) => void saved.set(stream, position), clear: () => saved.clear() };
	const made = rig({ positions });
	made.server.append("t", ...numbered(3));
	const thread = made.client.thread("t");
	const got: number[] = [];
	thread.on("event", ({ offset }) => got.push(offset));
	assert.equal("subject" in made.core().config, false, "nobody was welcomed yet");
	made.core().welcome("ada");
	const message = thread.send({ content: "for the eyes of ada" });
	made.core().dead = true;
	made.client.stats();
	await settled();
	assert.equal(made.core().config.subject, "ada");
	made.server.append("t", ...numbered(1, 4));
	made.core().welcome("bob");
	assert.deepEqual([made.client.state.name, made.client.state.reason, made.client.subject], ["failed", "subject_changed", "ada"]);
	assert.deepEqual(got, [1, 2, 3]);
	assert.equal(saved.size, 0);
	await assert.rejects(message.receipt, { code: "subject_changed" });
});

// PROTOCOL: HEL-6
test("a welcome as another user ends the client, even if the core did not notice (HEL-6)", async () => {
	const made = rig();
	const subjects: string[] = [];
	made.client.on("subject", ({ subject }) => subjects.push(subject));
	const thread = made.client.thread("t");
	const waiting = thread.events().next();
	made.core().welcome("ada");
	const message = thread.send({ content: "x" });
	made.core().host.welcome("s-2", "bob", 1_048_576);
	assert.deepEqual([made.client.state.name, made.client.state.reason], ["failed", "subject_changed"]);
	await assert.rejects(message.receipt, { code: "subject_changed" });
	await assert.rejects(waiting, { code: "subject_changed" });
	assert.deepEqual(subjects, ["ada"]);
	assert.ok(made.core().calls.includes("close"));
	assert.deepEqual(made.errors.map(({ code }) => code), ["subject_changed"]);
});

// PROTOCOL: SND-5
test("a new core is told since when the server may know a message (SND-5)", async (t) => {
	t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
	const made = rig();
	const thread = made.client.thread("t");
	const lose = async (): Promise<number[]> => {
		made.core().dead = true;
		made.client.stats();
		await settled();
		return made.core().sent.map(({ sentAgoMs }) => sentAgoMs);
	};
	thread.send({ content: "offline" }, { id: "offline" });
	t.mock.timers.tick(1_000);
	assert.deepEqual(await lose(), [-1], "it cannot have gone out");
	made.core().welcome();
	thread.send({ content: "connected" }, { id: "connected" });
	assert.deepEqual(made.core().sent.map(({ sentAgoMs }) => sentAgoMs), [-1, -1], "the core itself knows");
	made.core().lose();
	t.mock.timers.tick(4_000);
	thread.send({ content: "later" }, { id: "later" });
	t.mock.timers.tick(500);
	assert.deepEqual(await lose(), [4_500, 4_500, -1], "counted from when it could first go out");
	made.core().welcome();
	t.mock.timers.tick(1_000);
	assert.deepEqual(await lose(), [5_500, 5_500, 1_000], "the first time counts");
	t.mock.timers.setTime(10);
	assert.deepEqual(await lose(), [0, 0, 0], "the clock was set back");
});

test("a new core begins with the present epoch, also when an iterator did not take note of it yet", async () => {
	const made = rig();
	const { client, server, core } = made;
	const thread = client.thread("t");
	const handled: string[] = [];
	server.append("t", ...numbered(9));
	const iterator = thread.events();
	const pulled = [place((await Promise.all([iterator.next(), Promise.resolve(core().welcome())]))[0].value)];
	for (let index = 0; index < 5; index += 1) pulled.push(place((await iterator.next()).value));
	thread.on("event", (event) => handled.push(place(event)));
	core().newEpoch("t", "e2");
	server.append("t", ...numbered(2));
	core().flush();
	core().dead = true;
	client.stats();
	await recovered(made);
	assert.deepEqual(core().calls.filter((call) => call.startsWith("subscribe")), ["subscribe t 0 e2 2", "subscribe t 0 e1 6"]);
	server.append("t", ...numbered(1, 3));
	core().flush();
	assert.deepEqual(handled, ["e2/1", "e2/2", "e2/3"]);
	for (let index = 0; index < 2; index += 1) pulled.push(place((await iterator.next()).value));
	assert.deepEqual(pulled, ["e1/1", "e1/2", "e1/3", "e1/4", "e1/5", "e1/6", "gap 7-", "e2/3"]);
});

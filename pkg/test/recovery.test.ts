/** The wasm instance is lost: a real trap of the real module, and what the package makes of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { poison } from "./support/core.js";
import { MAX_REBUILDS, type ThreadItem } from "./support/package.js";
import { collected, firstOf, itemText, listen, offsets, pulls, range, take, takeItems } from "./support/record.js";
import { pageOf, type Rig, rig } from "./support/rig.js";
import { numbered } from "./support/server.js";
import { inWorld, microtasks, type World } from "./support/world.js";

/** Traps the core in a call of the package, and waits for the connection of the new one. */
async function trap(made: Rig): Promise<void> {
	poison();
	made.client.stats();
	await made.connected();
}

test(
	"after a trap everybody goes on with the next event, and the outbox goes out again",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server, page } = made;
		const thread = client.thread("t");
		server.append("t", ...numbered(5));
		const got = offsets(thread);
		await made.connected();
		const iterator = thread.events({ from: "start" });
		const pulled = await take(world, iterator, 2);
		server.withholdReceipts = true;
		const first = thread.send({ content: "a" }, { id: "a" });
		await world.settle();
		server.withholdReceipts = false;
		page.faults.trapOn = "send";
		const second = thread.send({ content: "b" }, { id: "b" });
		assert.equal(page.faults.cores, 1, "not while the trapped core may be on the stack");
		server.append("t", ...numbered(3, 7));
		await made.connected();
		assert.deepEqual([page.faults.cores, page.faults.resets], [2, 1]);
		assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
		assert.deepEqual(
			(await Promise.all([first.receipt, second.receipt])).map(({ position }) => position?.offset),
			[6, 10],
		);
		const rest = (await take(world, iterator, 9)).filter((text) => text.startsWith("e1/"));
		assert.deepEqual([...pulled, ...rest], range(1, 10), "what waited in the queue came again, once");
		assert.deepEqual(made.codes(), ["internal"]);
		assert.ok(made.states.some((state) => state.endsWith(">connecting internal")));
		assert.equal(client.stats().rebuilds, 1);
		assert.deepEqual(
			server.applied.map(({ id }) => id),
			["a", "b"],
		);
	}),
);

// PROTOCOL: CLS-2
test(
	"the socket of a lost core is detached and closed with 4486",
	inWorld(async (world) => {
		const made = rig(world);
		await made.connected();
		const { socket } = made.peer();
		poison();
		made.client.stats();
		assert.equal(socket.peer.closedWith, 4486);
		assert.deepEqual([socket.onopen, socket.onmessage, socket.onerror, socket.onclose], [null, null, null, null]);
		await made.connected();
		assert.equal(world.peers.filter((peer) => peer.isOpen).length, 1);
	}),
);

test(
	"what still comes on the socket of a lost core reaches nobody",
	inWorld(async (world) => {
		const made = rig(world);
		const got = listen(made.client.thread("t"));
		made.server.append("t", ...numbered(2));
		await made.connected();
		world.latency = 10;
		made.server.append("t", ...numbered(2, 3));
		await trap(made);
		await world.advance(100);
		assert.deepEqual(
			got.filter((text) => text.startsWith("e1/")),
			range(1, 4),
		);
		assert.equal(made.client.state.name, "connected");
	}),
);

test(
	"a live iterator that got nothing yet goes on where it was placed, also alone",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		const thread = client.thread("t");
		server.append("t", ...numbered(5));
		const off = thread.onEvent(() => {});
		await made.connected();
		const iterator = thread.events({ from: "live" });
		const items = pulls(iterator, 1);
		await world.settle();
		off();
		poison();
		client.stats();
		server.append("t", ...numbered(2, 6));
		await made.connected();
		const got = [...(await collected(world, items)), ...(await takeItems(world, iterator, 2))].map(itemText);
		assert.deepEqual(got.filter((text) => text.startsWith("e1/")).slice(0, 2), ["e1/6", "e1/7"].slice(0, got.filter((text) => text.startsWith("e1/")).length));
	}),
);

test(
	"a consumer that is attached while there is no core begins where it was asked to",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		const thread = client.thread("t");
		server.append("t", ...numbered(3));
		const got = offsets(thread);
		await made.connected();
		let first: Promise<IteratorResult<ThreadItem, undefined>> | undefined;
		client.on("state", ({ reason }) => {
			if (reason === "internal") first = thread.events({ from: "start" }).next();
		});
		await trap(made);
		const item = (await first)?.value;
		assert.equal(item && itemText(item), "e1/1");
		assert.deepEqual(got, [1, 2, 3]);
	}),
);

test(
	"a trap while a frame is being delivered leaves the frame whole",
	inWorld(async (world) => {
		const made = rig(world);
		made.server.append("t", ...numbered(6));
		made.server.batch = 6;
		const thread = made.client.thread("t");
		const batches: number[] = [];
		thread.onBatch((events) => batches.push(events.length));
		const got: number[] = [];
		thread.onEvent((_event, { offset }) => {
			got.push(offset);
			if (offset !== 2) return;
			made.page.faults.trapOn = "send";
			thread.send({ content: "x" }, { id: "x" });
		});
		await world.settle();
		await made.connected();
		assert.deepEqual(got, [1, 2, 3, 4, 5, 6, 7]);
		assert.equal(
			batches.reduce((sum, count) => sum + count, 0),
			7,
		);
		assert.deepEqual(
			made.server.applied.map(({ id }) => id),
			["x"],
		);
		world.takeUncaught();
	}),
);

test(
	"an instance that is lost under a running handler does not lose or repeat the event",
	inWorld(async (world) => {
		const made = rig(world);
		made.server.append("t", ...numbered(6));
		const got: number[] = [];
		made.client.thread("t").onEvent((_event, { offset }) => {
			got.push(offset);
			if (offset === 3) poison();
		});
		await world.settle();
		await made.connected();
		await world.advance(100);
		assert.deepEqual(got, [1, 2, 3, 4, 5, 6]);
		assert.equal(made.page.faults.resets, 1);
		world.takeUncaught();
	}),
);

test(
	"an error of the glue counts as a trap too",
	inWorld(async (world) => {
		const made = rig(world);
		await made.connected();
		made.page.faults.throwOn = { call: "send", error: new Error("null pointer passed to rust") };
		made.client.thread("t").send({ content: "x" }, { id: "x" });
		await made.connected();
		assert.equal(made.page.faults.cores, 2);
		assert.deepEqual(
			made.server.applied.map(({ id }) => id),
			["x"],
		);
	}),
);

for (const [where, happen] of [
	["in a timer", async (_made: Rig, world: World) => world.advance(60_000)],
	[
		"in a frame of the socket",
		async (made: Rig, world: World) => {
			made.server.append("t", ...numbered(1));
			await world.settle();
		},
	],
	[
		"in the end of the socket",
		async (made: Rig, world: World) => {
			made.server.cut();
			await world.settle();
		},
	],
] as const) {
	test(
		`a trap ${where}, which only the page's error event reports, is noticed`,
		inWorld(async (world) => {
			const made = rig(world);
			made.server.append("t", ...numbered(2));
			const got = offsets(made.client.thread("t"));
			await made.connected();
			poison();
			await happen(made, world);
			await made.connected();
			assert.equal(made.page.faults.resets, 1);
			made.server.append("t", ...numbered(1));
			await world.settle();
			assert.deepEqual(
				got,
				Array.from({ length: made.server.log("t").head }, (_, index) => index + 1),
			);
			world.takeUncaught();
		}),
	);
}

test(
	"what the timers of a lost instance report is expected, and kept from the console",
	inWorld(async (world) => {
		const made = rig(world);
		await made.connected();
		await trap(made);
		await world.advance(120_000);
		assert.deepEqual(world.uncaught, []);
		assert.equal(made.page.faults.resets, 1);
	}),
);

test(
	"a closed client does not hear of traps",
	inWorld(async (world) => {
		const made = rig(world);
		await made.connected();
		made.client.close();
		await world.settle();
		poison();
		world.report(new WebAssembly.RuntimeError("unreachable"));
		await world.settle();
		assert.equal(made.page.faults.cores, 1);
		world.takeUncaught();
	}),
);

test(
	"clients of one page are lost and restored together",
	inWorld(async (world) => {
		const page = pageOf(world);
		const one = rig(world);
		const two = rig(world, { server: one.server });
		const closed = rig(world, { server: one.server });
		closed.client.close();
		await one.connected();
		await two.connected();
		one.server.withholdReceipts = true;
		const message = two.client.thread("t").send({ content: "x" }, { id: "x" });
		await world.settle();
		one.server.withholdReceipts = false;
		await trap(one);
		await two.connected();
		assert.equal(page.faults.resets, 1);
		assert.equal((await message.receipt).status, "accepted");
		assert.deepEqual(
			[one, two, closed].map(({ client }) => client.stats().rebuilds),
			[1, 1, 0],
		);
	}),
);

test(
	`traps that are spread out never fail the client; more than ${MAX_REBUILDS} within a minute do`,
	inWorld(async (world) => {
		const made = rig(world);
		await made.connected();
		for (let index = 0; index < 3 * MAX_REBUILDS; index += 1) {
			await world.advance(20_000);
			await trap(made);
		}
		assert.equal(made.page.faults.resets, 3 * MAX_REBUILDS);
		await world.advance(60_000);
		for (let index = 0; index < MAX_REBUILDS; index += 1) await trap(made);
		const message = made.client.thread("t").send({ content: "x" });
		const ready = assert.rejects(message.receipt, { code: "internal" });
		poison();
		made.client.stats();
		await world.settle();
		assert.deepEqual([made.client.state.name, made.client.state.reason], ["failed", "internal"]);
		await ready;
		await assert.rejects(made.client.ready(), { code: "internal" });
		assert.throws(() => made.client.thread("t"), { code: "closed" });
	}),
);

test(
	"a constructor that traps is a trap",
	inWorld(async (world) => {
		const page = pageOf(world);
		page.faults.trapOn = "new";
		const made = rig(world);
		await made.connected();
		assert.equal(page.faults.resets, 1);
	}),
);

test(
	"closing while a trapped core waits to be replaced leaves nothing behind",
	inWorld(async (world) => {
		const made = rig(world);
		await made.connected();
		poison();
		made.client.stats();
		made.client.close();
		await world.settle();
		assert.equal(made.page.faults.cores, 1);
		assert.equal(made.client.state.name, "closed");
		assert.equal(world.peers.filter((peer) => peer.isOpen).length, 0);
	}),
);

test(
	"a token that was asked for by a lost core does not answer the new one",
	inWorld(async (world) => {
		const answers: ((token: string) => void)[] = [];
		const made = rig(world, { token: () => new Promise((resolve) => answers.push(resolve)) });
		await world.settle();
		poison();
		made.client.stats();
		await world.settle();
		assert.equal(answers.length, 2);
		answers[0]?.("old");
		await world.settle();
		assert.equal(world.peers.length, 0);
		answers[1]?.("new");
		await made.connected();
		assert.equal(made.peer().of("hello")[0]?.["token"], "new");
	}),
);

// PROTOCOL: HEL-6
test(
	"a new core knows the user, and ends when another one is welcomed (HEL-6)",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		server.append("t", ...numbered(3));
		const thread = client.thread("t");
		const got = offsets(thread);
		await made.connected();
		server.withholdReceipts = true;
		const message = thread.send({ content: "for the eyes of ada" });
		await world.settle();
		server.subject = "bob";
		server.append("t", ...numbered(1, 5));
		poison();
		client.stats();
		await world.until(() => client.state.name === "failed", "the end");
		assert.deepEqual([client.state.reason, client.subject], ["subject_changed", "ada"]);
		assert.deepEqual(got, [1, 2, 3, 4]);
		await assert.rejects(message.receipt, { code: "subject_changed" });
		assert.equal(made.peer().of("send").length, 0, "bob's server gets nothing of ada's");
		client.reconnect();
		await world.settle();
		assert.equal(client.state.name, "failed", "another user needs another client");
	}),
);

// PROTOCOL: HEL-6
test(
	"a welcome as another user ends the client (HEL-6)",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server, connected, codes } = made;
		const subjects: string[] = [];
		client.on("subject", ({ subject }) => subjects.push(subject));
		const iterator = client.thread("t").events();
		await connected();
		await firstOf(world, iterator);
		const waiting = assert.rejects(iterator.next(), { code: "subject_changed" });
		server.withholdReceipts = true;
		const message = client.thread("u").send({ content: "x" });
		await world.settle();
		server.subject = "bob";
		server.cut();
		await world.until(() => client.state.name === "failed", "the end");
		assert.equal(client.state.reason, "subject_changed");
		await assert.rejects(message.receipt, { code: "subject_changed" });
		await waiting;
		assert.deepEqual(subjects, ["ada"]);
		assert.deepEqual(codes(), ["subject_changed"]);
	}),
);

// PROTOCOL: SND-5
test(
	"a new core knows since when the server may know a message: past the horizon it is not sent again (SND-5)",
	inWorld(async (world) => {
		const made = rig(world);
		const { server } = made;
		server.sendHorizonMs = 60_000;
		await made.connected();
		const thread = made.client.thread("t");
		server.withholdReceipts = true;
		const early = thread.send({ content: "early" }, { id: "early" });
		await world.advance(10_000);
		server.down = true;
		server.cut();
		await world.advance(45_000);
		const late = thread.send({ content: "late" }, { id: "late" });
		poison();
		made.client.stats();
		await world.advance(7_000);
		server.down = false;
		server.withholdReceipts = false;
		await made.connected();
		await assert.rejects(early.receipt, { code: "outcome_unknown" });
		assert.equal((await late.receipt).status, "accepted");
		assert.deepEqual(
			server.received("send").map(({ id }) => id),
			["early", "late"],
		);
	}),
);

test(
	"a new core begins with the present epoch, also when an iterator did not take note of it yet",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		const thread = client.thread("t");
		server.append("t", ...numbered(9));
		const iterator = thread.events();
		await made.connected();
		const pulled = await take(world, iterator, 6);
		const handled = listen(thread);
		await world.settle();
		server.restore("t", 0, "e2", ...numbered(2));
		await world.advance(100);
		await trap(made);
		server.append("t", ...numbered(1, 3));
		await world.settle();
		assert.deepEqual(
			handled.filter((text) => text.startsWith("e2/")),
			range(1, 3, "e2"),
		);
		assert.equal(handled.filter((text) => text.startsWith("gap")).length, 1);
		const rest = (await take(world, iterator, 4)).filter((text) => !text.startsWith("resumed"));
		assert.deepEqual([...pulled, ...rest], [...range(1, 6), "gap 7- epoch", ...range(1, 3, "e2").slice(0, rest.length - 1)]);
	}),
);

test(
	"after a trap in the middle of a new epoch's gap nobody gets the gap twice",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		server.append("t", ...numbered(3));
		const thread = client.thread("t");
		const got = listen(thread);
		thread.onGap(() => poison());
		await made.connected();
		server.restore("t", 0, "e2", ...numbered(3));
		await world.settle();
		await made.connected();
		await world.advance(100);
		assert.deepEqual(
			got.filter((text) => !text.startsWith("resumed")),
			[...range(1, 3), "gap 4- epoch", ...range(1, 3, "e2")],
		);
		world.takeUncaught();
	}),
);

test(
	"an iterator that counts back begins also when a trap has made the place unknown that it counts from",
	inWorld(async (world) => {
		const made = rig(world);
		const { client, server } = made;
		server.append("t", ...numbered(9));
		const thread = client.thread("t", { from: { last: 3 } });
		const slow = thread.events({ from: { last: 2 } });
		assert.deepEqual(await take(world, slow, 1), ["e1/8"]);
		// It has not taken note of the new epoch, and nobody else is there.
		server.restore("t", 5, "e2", ...numbered(1));
		await world.advance(100);
		server.down = true;
		poison();
		client.stats();
		await world.settle();
		const late = thread.events();
		const first = late.next();
		await world.advance(1_000);
		server.down = false;
		await made.connected();
		await world.advance(1_000);
		const item = (await Promise.race([first, microtasks()]))?.value;
		assert.ok(item, "it was given something");
		assert.equal(await firstOf(world, slow), "gap 9- epoch");
	}),
);

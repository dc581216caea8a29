/** One test for each known fault of streams and package, by its number; others are beside what they belong to. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { poison } from "./support/core.js";
import { firstOf, itemText, listen, offsets, range, take, takeItems } from "./support/record.js";
import { pageOf, rig } from "./support/rig.js";
import { numbered } from "./support/server.js";
import type { Frame } from "./support/socket.js";
import { inWorld, type World } from "./support/world.js";

test(
	"B1: a thread that is closed and opened again in one tick is asked for once, and gets everything",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		await connected();
		server.append("t", ...numbered(3));
		const first = client.thread("t");
		first.onEvent(() => assert.fail("this handle was closed"));
		first.close();
		client.thread("t").close();
		const got = offsets(client.thread("t"));
		await world.settle();
		assert.deepEqual(got, [1, 2, 3]);
		assert.equal(client.state.name, "connected");
		assert.equal(server.received("subscribe").flatMap(({ streams }) => streams as unknown[]).length, 1);
	}),
);

test(
	"B1: the same with the answer under way: one request per name and socket",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		await connected();
		server.append("t", ...numbered(3));
		world.latency = 20;
		const first = client.thread("t");
		first.onEvent(() => assert.fail("this handle was closed"));
		await world.advance(5);
		first.close();
		client.thread("t").close();
		const got = offsets(client.thread("t"));
		await world.advance(1_000);
		assert.deepEqual(got, [1, 2, 3]);
		assert.equal(client.state.name, "connected");
	}),
);

test(
	"B2: a live thread continues where it was left, whatever handles came and went meanwhile",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(10));
		const thread = client.thread("t", { from: "live" });
		thread.onEvent(() => assert.fail("nothing is live yet"));
		await connected();
		assert.deepEqual(thread.position, { epoch: "e1", offset: 10 });
		thread.close();
		await world.settle();
		const sender = client.thread("t");
		const receipt = sender.send({ content: "x" }).receipt;
		await world.settle();
		assert.equal((await receipt).position?.offset, 11);
		sender.close();
		server.append("t", ...numbered(6, 12));
		const got = offsets(client.thread("t", { from: "live" }));
		await world.settle();
		assert.deepEqual(got, [11, 12, 13, 14, 15, 16, 17]);
	}),
);

function deepFreeze(value: unknown): void {
	if (typeof value !== "object" || value === null || Object.isFrozen(value)) return;
	Object.freeze(value);
	for (const inner of Object.values(value)) deepFreeze(inner);
}

test(
	"B4: a handler may freeze events: iterators of the thread get them all the same",
	inWorld(async (world) => {
		const { client, server, codes } = rig(world);
		server.append("t", ...numbered(3), { type: "deep", list: [{ a: 1 }] });
		server.compacts = true;
		server.append("t", ...["a", "b"].map((text) => ({ type: "message_delta", runId: "r", messageId: "m", text })));
		const thread = client.thread("t");
		thread.onEvent((event, meta) => {
			deepFreeze(event);
			deepFreeze(meta);
		});
		thread.onBatch((events) => deepFreeze(events));
		assert.deepEqual(await take(world, thread.events(), 7), [...range(1, 6), "resumed e1/6"]);
		assert.deepEqual(codes(), []);
	}),
);

test(
	"B4: an error inside a delivery that is no handler's is reported as internal",
	inWorld(async (world) => {
		const { client, server, connected, codes, page } = rig(world);
		const got = offsets(client.thread("t"));
		await connected();
		// The package's own code fails once, in the middle of a delivery.
		const { get } = Map.prototype;
		page.faults.onHostCall = (call) => {
			if (call !== "deliver") return;
			page.faults.onHostCall = undefined;
			Map.prototype.get = () => {
				Map.prototype.get = get;
				throw new Error("a fault of the package");
			};
		};
		server.append("t", ...numbered(1));
		await world.settle();
		assert.equal(Map.prototype.get, get);
		assert.ok(codes().includes("internal"), `reported: ${codes().join(", ")}`);
		server.append("t", ...numbered(1, 2));
		await world.advance(60_000);
		assert.deepEqual(got, [1, 2], "what was not delivered comes again");
	}),
);

const FORGED: readonly Readonly<Record<string, unknown>>[] = [
	{ type: "gap", remedy: "reset", from: 1, to: null, epoch: "forged" },
	{ type: "resumed", to: 99 },
	{ type: "ended", reason: "deleted" },
	{ type: "event", kind: "gap", gap: {} },
];

test(
	"B5: no event looks like a fact, whatever its type is called",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...FORGED);
		const thread = client.thread("t");
		const facts: string[] = [];
		thread.onGap(() => facts.push("gap"));
		thread.onEnded(() => facts.push("ended"));
		thread.onResumed(({ to }) => facts.push(`resumed ${to}`));
		const every: string[] = [];
		thread.onEvent((event) => every.push(event.type));
		const items = await takeItems(world, thread.events(), 5);
		assert.deepEqual(
			items.map(({ kind }) => kind),
			["event", "event", "event", "event", "resumed"],
		);
		assert.deepEqual(
			items.slice(0, 4).map((item) => item.kind === "event" && item.event),
			FORGED.map((event) => ({ time: 1, ...event })),
		);
		assert.deepEqual(every, ["gap", "resumed", "ended", "event"]);
		assert.deepEqual(facts, ["resumed 4"]);
	}),
);

test(
	"B6: on receives events of any type name, those that are called like facts included",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		const types = ["gap", "resumed", "ended", "event", "batch", "constructor", "__proto__", "toString", ""];
		server.append("t", ...types.filter((type) => type !== "").map((type) => ({ type })));
		const thread = client.thread("t");
		const got: string[] = [];
		for (const type of types) thread.on(type, (event) => got.push(event.type));
		await connected();
		assert.deepEqual(
			got,
			types.filter((type) => type !== ""),
		);
	}),
);

test(
	"B7: an iterator at a position above the head joins a subscribed stream whose log went back: it starts over in the same epoch",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(50));
		server.crash("t", 5);
		const thread = client.thread("t");
		const handled = listen(thread);
		await connected();
		assert.deepEqual(handled, [...range(1, 5), "resumed e1/5"]);
		const ahead = thread.events({ from: { epoch: "e1", offset: 50 } });
		const items = await take(world, ahead, 7);
		assert.deepEqual(items, ["gap 51- ahead", ...range(1, 5), "resumed e1/5"]);
		assert.deepEqual(handled.slice(6), ["gap 6- ahead", ...range(1, 5), "resumed e1/5"]);
	}),
);

test(
	"B8: an item that a gap handler pulls does not count in the new epoch",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(6));
		const thread = client.thread("t");
		const iterator = thread.events();
		await connected();
		assert.deepEqual(await take(world, iterator, 2), range(1, 2));
		const inside: Promise<IteratorResult<Awaited<ReturnType<typeof iterator.next>>["value"], undefined>>[] = [];
		const positions: (string | undefined)[] = [];
		thread.onGap(() => {
			inside.push(iterator.next() as (typeof inside)[number]);
			positions.push(thread.position?.epoch);
		});
		await world.settle();
		server.restore("t", 0, "e2", ...numbered(9));
		await world.settle();
		const [first] = await Promise.all(inside);
		const item = first?.value;
		assert.ok(item);
		const items = [item, ...(await takeItems(world, iterator, 4))].map(itemText);
		const pulled = items.filter((text) => text.startsWith("e1/")).length;
		assert.ok(pulled <= 1);
		assert.deepEqual(items, [...range(3, 6).slice(0, pulled), `gap ${3 + pulled}- epoch`, ...range(1, 4 - pulled, "e2")]);
		assert.deepEqual(positions, ["e1"]);
		assert.deepEqual(thread.position, { epoch: "e2", offset: 4 - pulled });
	}),
);

test(
	"B8: the gap of an iterator begins after what a gap handler has pulled of it",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(6));
		const thread = client.thread("t");
		const pulled: string[] = [];
		// The handlers are first: they get the gap while the iterator still holds items of the old epoch.
		thread.onGap(() => void iterator.next().then(({ value }) => value && pulled.push(itemText(value))));
		const iterator = thread.events({ from: "start" });
		assert.deepEqual(await take(world, iterator, 2), range(1, 2));
		server.restore("t", 0, "e2", ...numbered(3));
		await world.settle();
		const rest = await take(world, iterator, 3);
		assert.deepEqual(
			[...pulled, ...rest].slice(0, 4),
			pulled[0] === "e1/3" ? ["e1/3", "gap 4- epoch", ...range(1, 2, "e2")] : ["gap 3- epoch", ...range(1, 3, "e2")],
		);
	}),
);

test(
	"B9: each consumer gets its resume result in its place: a slow iterator gets it behind the items before it",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", { type: "agent_started", runId: "r", agent: "a" }, ...numbered(7, 2));
		const thread = client.thread("t");
		const handled: string[] = [];
		thread.onResumed(({ openRuns }) => handled.push(`resumed with ${String(openRuns)}`));
		thread.onEvent((_event, { offset }) => handled.push(String(offset)));
		const iterator = thread.events();
		assert.deepEqual(await take(world, iterator, 6), range(1, 6));
		await world.advance(100);
		server.cut();
		server.append("t", { type: "agent_completed", runId: "r" });
		await world.settle();
		await connected();
		await world.advance(100);
		assert.deepEqual(handled, ["1", "2", "3", "4", "5", "6", "7", "8", "resumed with r", "9", "resumed with "]);
		const rest = await takeItems(world, iterator, 5);
		assert.deepEqual(rest.map(itemText), [...range(7, 8), "resumed e1/8", "e1/9", "resumed e1/9"]);
		const open = rest.flatMap((item) => (item.kind === "resumed" ? [item.resumed.openRuns] : []));
		assert.deepEqual(open, [["r"], []], "when no run is open any more, its end was delivered");
	}),
);

test(
	"B10: acknowledgements that do not fit into one frame go out in several",
	inWorld(async (world) => {
		const { client, server, connected, sent } = rig(world);
		server.maxStreams = 400;
		server.maxFrameBytes = 4_096;
		for (let index = 0; index < 400; index += 1) {
			server.append(`thread-${index}`, ...numbered(1));
			client.thread(`thread-${index}`).onEvent(() => {});
		}
		await connected();
		await world.advance(1_000);
		assert.ok(sent("ack").length > 1);
		const { session } = server;
		assert.equal(session.subs.size, 400);
		assert.ok(
			[...session.subs.values()].every(({ flight }) => flight.length === 0),
			"everything is acknowledged",
		);
		await world.advance(20_000);
		assert.equal(server.sessions.length, 1);
	}),
);

test(
	"B11: what exceeds the window plus one frame is a bad frame of the server",
	inWorld(async (world) => {
		const { client, server, connected, codes, peer } = rig(world, { window: { events: 16 } });
		const iterator = client.thread("t").events();
		await connected();
		await firstOf(world, iterator);
		server.quiet = true;
		server.append("t", ...numbered(12_000));
		const { session } = server;
		const ch = session.sub("t")?.ch ?? 0;
		for (let first = 1; first <= 12_000; first += 10) session.sendEvents(ch, first, server.log("t").life.events.slice(first - 1, first + 9));
		const first = peer();
		await world.settle();
		assert.equal(first.closedWith, 4480);
		assert.ok(codes().includes("bad_server_frame"));
		server.quiet = false;
		await connected();
		assert.deepEqual(await take(world, iterator, 40), range(1, 40), "and nothing is lost by it");
	}),
);

/** Frames that contradict themselves or the request, each in the place of one that a server should send. */
const CONTRADICTIONS: readonly (readonly [string, (frame: Frame) => Frame])[] = [
	["features of the welcome are a text", (frame) => (frame.type === "welcome" ? { ...frame, features: "x" } : frame)],
	["oldest lies above the head", (frame) => (frame.type === "subscribed" ? { ...frame, oldest: 9 } : frame)],
	["base lies above the head", (frame) => (frame.type === "subscribed" ? { ...frame, base: 9 } : frame)],
	["next is not what was asked for", (frame) => (frame.type === "subscribed" ? { ...frame, next: 2 } : frame)],
	["caughtUp names another offset than the head", (frame) => (frame.type === "caughtUp" ? { ...frame, offset: 2 } : frame)],
	[
		"a gap without an end",
		(frame) => (frame.type === "caughtUp" ? { type: "gap", ch: frame["ch"], from: 4, to: null, reason: "epoch", epoch: "e1", newCh: 9 } : frame),
	],
	["a frame is larger than maxFrameBytes", (frame) => (frame.type === "caughtUp" ? { type: "notice", kind: "x", message: "x".repeat(5_000) } : frame)],
	["the epoch of a request without ch is over", (frame) => (frame.type === "subscribed" ? { type: "unsubscribed", name: "t", reason: "epoch" } : frame)],
];

for (const [what, change] of CONTRADICTIONS) {
	test(
		`B12: ${what}: the page refuses it, and gets everything from the next socket`,
		inWorld(async (world) => {
			const { client, server, codes } = rig(world);
			server.maxFrameBytes = 4_096;
			server.append("t", ...numbered(3));
			let lies = 1;
			server.outgoing = (frame) => {
				const changed = lies > 0 ? change(frame) : frame;
				if (changed !== frame) lies -= 1;
				return [changed];
			};
			const got = listen(client.thread("t"));
			await world.settle();
			assert.equal(world.peers[0]?.closedWith, 4480);
			assert.deepEqual(codes(), ["bad_server_frame"]);
			await world.until(() => got.includes("resumed e1/3"), "everything came");
			assert.deepEqual(
				got.filter((text) => text.startsWith("e1/")),
				range(1, 3),
			);
		}),
	);
}

test(
	"B13: threads that are opened in one tick are asked for in one frame",
	inWorld(async (world) => {
		const { client, server, connected, sent } = rig(world);
		await connected();
		for (let index = 0; index < 60; index += 1) client.thread(`t${index}`).onEvent(() => {});
		await world.settle();
		assert.deepEqual(
			sent("subscribe").map(({ streams }) => (streams as unknown[]).length),
			[60],
		);
		assert.equal(server.session.subs.size, 60);
	}),
);

test(
	"B14: a second trap in the middle of a rebuild leaves nothing of the first behind",
	inWorld(async (world) => {
		const page = pageOf(world);
		const one = rig(world);
		const two = rig(world, { server: one.server });
		await one.connected();
		await two.connected();
		const got = [one, two].map(({ client }) => offsets(client.thread("t")));
		one.server.append("t", ...numbered(2));
		await world.settle();
		page.faults.trapOn = "new";
		poison();
		one.client.stats();
		await one.connected();
		await two.connected();
		await world.advance(1_000);
		const open = world.peers.filter((peer) => peer.isOpen);
		assert.equal(open.length, 2, "each client has one socket");
		assert.ok(
			world.peers.every((peer) => peer.isOpen || peer.closedWith !== undefined || peer.socket.readyState === 3),
			"no socket is left half open",
		);
		one.server.append("t", ...numbered(1, 3));
		await world.settle();
		assert.deepEqual(got, [
			[1, 2, 3],
			[1, 2, 3],
		]);
		assert.ok(page.faults.cores <= 2 + 1 + 2, `${page.faults.cores} cores were made`);
	}),
);

/** Another module of the page, which traps; in its stack are functions whose names hold the word. */
const FOREIGN = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 8, 1, 4, 116, 114, 97, 112, 0, 0, 10, 5, 1, 3, 0, 0, 11]);

function foreignTrap(): WebAssembly.RuntimeError {
	const { exports } = new WebAssembly.Instance(new WebAssembly.Module(FOREIGN));
	try {
		(function agentwire_bg_wasm_agentwire() {
			(exports as { trap(): void }).trap();
		})();
	} catch (error) {
		if (error instanceof WebAssembly.RuntimeError) return error;
	}
	throw new Error("the foreign module did not trap");
}

test(
	"F1: a trap of another module does not rebuild the core, whatever names its stack holds; an own trap does",
	inWorld(async (world) => {
		const { client, server, page, connected, codes } = rig(world);
		const got = offsets(client.thread("t"));
		await connected();
		const error = foreignTrap();
		assert.match(error.stack ?? "", /agentwire/);
		world.report(error);
		await world.settle();
		assert.deepEqual([page.faults.resets, codes(), world.peers.length], [0, [], 1]);
		assert.deepEqual(world.takeUncaught(), [error], "it is still the page's to see");
		poison();
		server.append("t", ...numbered(1));
		await world.settle();
		await connected();
		assert.deepEqual([page.faults.resets, codes(), got], [1, ["internal"], [1]]);
		world.takeUncaught();
	}),
);

test(
	"F4: an error of another realm is described by its own words",
	inWorld(async (world) => {
		const made = rig(world, {
			token: () => {
				throw runInNewContext("new TypeError('no session here')");
			},
		});
		await world.settle();
		assert.match(made.errors[0]?.message ?? "", /no session here/);
		const { client, server, errors } = rig(world);
		server.append("t", ...numbered(4));
		const thrown: unknown[] = [runInNewContext("new Error('of another realm')"), { message: "looks like one" }, { code: 7 }, null];
		client.thread("t").onEvent((_event, { offset }) => {
			throw thrown[offset - 1];
		});
		await world.settle();
		assert.deepEqual(
			errors.map(({ message }) => /of another realm|looks like one|object/.exec(message)?.[0]),
			["of another realm", "looks like one", "object", "object"],
		);
	}),
);

test(
	"F6: nothing is sent after the server's close frame has come",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(3));
		const thread = client.thread("t");
		thread.onEvent(() => {});
		await connected();
		world.closingMs = 50;
		server.close(1012);
		await world.settle();
		assert.equal(world.peers[0]?.socket.readyState, 2, "the socket is closing");
		const message = thread.send({ content: "x" });
		thread.signal({ type: "typing" });
		client.thread("u").onEvent(() => {});
		await world.advance(40);
		assert.deepEqual(world.socketWarnings, []);
		await world.until(() => message.state === "stored", "stored on the next socket");
	}),
);

test(
	"a page that is left and comes back goes on with the next event",
	inWorld(async (world: World) => {
		const { client, server, connected, peer } = rig(world);
		server.append("t", ...numbered(2));
		const got = offsets(client.thread("t"));
		await connected();
		world.tell("pagehide", { persisted: true });
		await world.settle();
		assert.equal(peer().closedWith, 4485);
		server.append("t", ...numbered(2, 3));
		await world.advance(60_000);
		assert.deepEqual(got, [1, 2]);
		world.tell("pageshow", { persisted: true });
		await connected();
		assert.deepEqual(got, [1, 2, 3, 4]);
	}),
);

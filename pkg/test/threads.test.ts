/** Threads: handles that share a stream, where consumers begin, positions, closing and reopening. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isAgentwireError, type Thread, type ThreadItem, type ThreadOptions } from "./support/package.js";
import { collected, firstOf, listen, offsets, placeText, pulls, range, take } from "./support/record.js";
import { rig } from "./support/rig.js";
import { numbered } from "./support/server.js";
import { inWorld } from "./support/world.js";

const conflict = (error: unknown): boolean => isAgentwireError(error) && error.code === "stream_conflict";

const offsetsOf = (items: readonly ThreadItem[]): number[] => items.flatMap((item) => (item.kind === "event" ? [item.meta.offset] : []));

test(
	"handles of one name share the stream: one subscription, everyone gets all",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		const got: string[] = [];
		server.append("t", ...numbered(2));
		client.thread("t").on("tick", (_event, { offset }) => got.push(`a${offset}`));
		client.thread("t", { from: "start" }).on("tick", (_event, { offset }) => got.push(`b${offset}`));
		await world.settle();
		assert.deepEqual(got, ["a1", "b1", "a2", "b2"]);
		assert.deepEqual(server.session.hello["streams"], [{ name: "t", open: { from: "start" } }]);
	}),
);

test(
	"another explicit from is stream_conflict; the same, or none, is not",
	inWorld((world) => {
		const { client } = rig(world);
		const thread = client.thread("t", { from: { last: 5 } });
		thread.onEvent(() => {});
		client.thread("t");
		client.thread("t", { from: { last: 5 } });
		assert.throws(() => client.thread("t", { from: { last: 6 } }), conflict);
		assert.throws(() => client.thread("t", { from: "live" }), conflict);
		assert.throws(() => client.thread("t", { from: { epoch: "e1", offset: 5 } }), /open with from \{ last: 5 \}, not \{ epoch: "e1", offset: 5 \}/);
	}),
);

test(
	"without a from, the first explicit one counts until somebody consumes",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		const plain = client.thread("t");
		client.thread("t", { from: "live" });
		plain.onEvent(() => {});
		assert.throws(() => client.thread("t", { from: "start" }), conflict);
		await world.settle();
		assert.deepEqual(server.session.hello["streams"], [{ name: "t", open: { from: "live" } }]);
	}),
);

test(
	"a refused handle does not hold the thread open",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		const thread = client.thread("t", { from: "live" });
		const off = thread.onEvent(() => {});
		assert.throws(() => client.thread("t", { from: "start" }), conflict);
		off();
		thread.close();
		client.thread("t", { from: "start" }).onEvent(() => {});
		await world.settle();
		assert.deepEqual(server.session.hello["streams"], [{ name: "t", open: { from: "start" } }]);
	}),
);

// PROTOCOL: SUB-1
test("each from is asked for in the words of the protocol (SUB-1)", async (t) => {
	const cases = [
		["start", { name: "t", open: { from: "start" } }],
		["live", { name: "t", open: { from: "live" } }],
		[{ last: 7 }, { name: "t", open: { last: 7 } }],
		[
			{ epoch: "e1", offset: 3 },
			{ name: "t", position: { epoch: "e1", offset: 3 }, open: { from: "start" } },
		],
	] as const;
	for (const [from, request] of cases) {
		await t.test(
			JSON.stringify(from),
			inWorld(async (world) => {
				const { client, server } = rig(world);
				server.append("t", ...numbered(9));
				client.thread("t", { from }).onEvent(() => {});
				await world.settle();
				assert.deepEqual(server.session.hello["streams"], [request]);
			}),
		);
	}
});

test(
	"a late handler starts at the current position",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(5));
		client.thread("t").onEvent(() => {});
		await world.settle();
		const late = offsets(client.thread("t"));
		server.append("t", ...numbered(2, 6));
		await world.settle();
		assert.deepEqual(late, [6, 7]);
	}),
);

test(
	"a late iterator starts at the current position, or at its own from by replay",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		const thread = client.thread("t");
		server.append("t", ...numbered(5));
		thread.onEvent(() => {});
		await world.settle();
		assert.equal(await firstOf(world, thread.events({ from: "start" })), "e1/1");
		assert.equal(await firstOf(world, thread.events({ from: { last: 2 } })), "e1/4");
		assert.equal(await firstOf(world, thread.events({ from: { epoch: "e1", offset: 2 } })), "e1/3");
		const now = thread.events();
		const items = pulls(now, 2);
		await world.settle();
		server.append("t", ...numbered(1, 6));
		assert.deepEqual(offsetsOf(await collected(world, items)), [6]);
	}),
);

test(
	"an iterator that is made inside a handler starts with the next event",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		const thread = client.thread("t");
		server.append("t", ...numbered(4));
		let first: Promise<IteratorResult<ThreadItem, undefined>> | undefined;
		thread.on("tick", (_event, { offset }) => {
			if (offset === 2) first = thread.events().next();
		});
		await world.settle();
		const item = (await first)?.value;
		assert.equal(item?.kind === "event" && item.meta.offset, 3);
	}),
);

test(
	"a thread that was closed can be opened again at the start, or at a position that the application kept",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(3));
		const first = client.thread("t");
		const got = offsets(first);
		await world.settle();
		const { position } = first;
		first.close();
		const again = client.thread("t");
		const anew = offsets(again);
		await world.settle();
		assert.deepEqual(
			[got, anew],
			[
				[1, 2, 3],
				[1, 2, 3],
			],
		);
		again.close();
		await world.settle();
		server.append("t", ...numbered(1, 4));
		const kept = offsets(client.thread("t", { from: position }));
		await world.settle();
		assert.deepEqual(kept, [4]);
	}),
);

test(
	"closing one handle leaves the handlers of the other",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		const one = client.thread("t");
		const two = client.thread("t");
		const got: string[] = [];
		one.on("tick", (_event, { offset }) => got.push(`one${offset}`));
		two.on("tick", (_event, { offset }) => got.push(`two${offset}`));
		server.append("t", ...numbered(1));
		await world.settle();
		one.close();
		one.close();
		server.append("t", ...numbered(1, 2));
		await world.settle();
		assert.deepEqual(got, ["one1", "two1", "two2"]);
		assert.throws(() => one.on("tick", () => {}), { code: "closed" });
		assert.throws(() => one.onEvent(() => {}), { code: "closed" });
		assert.throws(() => one.onBatch(() => {}), { code: "closed" });
		assert.throws(() => one.onGap(() => {}), { code: "closed" });
		assert.throws(() => one.send({ content: "x" }), { code: "closed" });
		assert.throws(() => one.events(), { code: "closed" });
	}),
);

test(
	"the inbox is the stream of that name",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		client.inbox({ from: "live" }).onEvent(() => {});
		await world.settle();
		assert.deepEqual(server.session.hello["streams"], [{ name: "inbox", open: { from: "live" } }]);
	}),
);

// PROTOCOL: LIF-2
test(
	"lives of a page that keeps its position with its state add up to the log (LIF-2)",
	inWorld(async (world) => {
		const first = rig(world, { autoConnect: false });
		const { server } = first;
		// What the application stores, in one piece.
		let stored: { readonly seen: readonly number[]; readonly from: ThreadOptions["from"] } = { seen: [], from: "start" };
		for (let life = 0; life < 4; life += 1) {
			const { client } = rig(world, { server });
			server.append("t", ...numbered(5));
			client.thread("t", { from: stored.from }).onEvent((_event, { offset, position }) => {
				stored = { seen: [...stored.seen, offset], from: position };
				// Left in the middle of a frame.
				if (life === 1 && offset === 7) client.close();
			});
			await world.settle();
			client.close();
			await world.settle();
		}
		assert.deepEqual(
			stored.seen,
			Array.from({ length: 20 }, (_, index) => index + 1),
		);
	}),
);

// PROTOCOL: SUB-9
test(
	"a live thread has a position from the subscription on, and a reload before its first event loses nothing (SUB-9)",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(4));
		const thread = client.thread("t", { from: "live" });
		thread.onEvent(() => assert.fail("nothing is live yet"));
		assert.equal(thread.position, undefined);
		await world.settle();
		assert.deepEqual(thread.position, { epoch: "e1", offset: 4 });
		const { position } = thread;
		client.close();
		server.append("t", ...numbered(2, 5));
		const next = rig(world, { server });
		const got = offsets(next.client.thread("t", { from: position }));
		await world.settle();
		assert.deepEqual(got, [5, 6]);
	}),
);

test(
	"the position is the slowest consumer's, and that of the others when it leaves",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(9));
		const thread = client.thread("t");
		const slow = thread.events();
		const fast = client.thread("t").events();
		await Promise.all([take(world, slow, 1), take(world, fast, 4)]);
		thread.onEvent(() => {});
		await world.settle();
		assert.deepEqual(thread.position, { epoch: "e1", offset: 1 });
		await slow.return?.();
		assert.deepEqual(thread.position, { epoch: "e1", offset: 4 });
		await fast.return?.();
		assert.deepEqual(thread.position, { epoch: "e1", offset: 9 });
	}),
);

test(
	"inside a handler the position does not count the running event yet",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(3));
		const thread = client.thread("t");
		const inside: (string | undefined)[] = [];
		thread.onEvent((_event, { position }) => inside.push(`${thread.position?.offset}<${position.offset}`));
		await world.settle();
		assert.deepEqual(inside, ["0<1", "1<2", "2<3"], "delivered is what the handler returned from");
		assert.deepEqual(thread.position, { epoch: "e1", offset: 3 });
	}),
);

test(
	"the position is in the old epoch until every consumer has taken note of the new one",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(9));
		const thread = client.thread("t");
		const handled = listen(thread);
		const slow = thread.events();
		await take(world, slow, 2);
		server.restore("t", 0, "e2", ...numbered(1));
		await world.settle();
		assert.equal(handled.at(-2), "e2/1");
		assert.deepEqual(thread.position, { epoch: "e1", offset: 2 });
		assert.equal(await firstOf(world, slow), "gap 3- epoch");
		assert.deepEqual(thread.position, { epoch: "e2", offset: 0 });
	}),
);

test(
	"a live iterator begins where the stream is, not where the slowest consumer is",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(9));
		const thread = client.thread("t");
		const slow = thread.events();
		await take(world, slow, 4);
		thread.onEvent(() => {});
		await world.settle();
		const live = thread.events({ from: "live" });
		const items = pulls(live, 2);
		await world.settle();
		server.append("t", ...numbered(1, 10));
		assert.deepEqual(offsetsOf(await collected(world, items)), [10]);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 4 });
	}),
);

for (const [what, from, expected] of [
	["live", "live", [8, 9, 10]],
	["the last one", { last: 1 }, [7, 8, 9, 10]],
] as const) {
	test(
		`an iterator from ${what} that is opened while offline counts from the furthest consumer`,
		inWorld(async (world) => {
			const { client, server, connected } = rig(world, { window: { events: 64 } });
			server.append("t", ...numbered(7));
			const thread = client.thread("t");
			const slow = thread.events();
			const begun = take(world, slow, 2);
			const handled = offsets(thread);
			await begun;
			assert.equal(handled.length, 7);
			server.cut();
			await world.settle();
			// An earlier one is opened with it.
			void thread.events({ from: { epoch: "e1", offset: 1 } }).next();
			const items = pulls(thread.events({ from }), expected.length);
			server.append("t", ...numbered(3, 8));
			await connected();
			assert.deepEqual(offsetsOf(await collected(world, items)), expected);
		}),
	);
}

test(
	"of consumers in two epochs that are over, the one in the earlier epoch is the slowest",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(9));
		const thread = client.thread("t");
		const [far, near] = [thread.events(), thread.events()];
		const begun = Promise.all([take(world, far, 9), take(world, near, 2)]);
		await begun;
		server.restore("t", 0, "e2", ...numbered(3));
		await connected();
		await world.advance(100);
		// One of them has entered the second epoch when the third begins.
		assert.deepEqual(
			(await take(world, near, 2)).map((text) => text.replace(/^gap 3-.*/, "gap")),
			["gap", "e2/1"],
		);
		server.restore("t", 0, "e3", ...numbered(1));
		await world.advance(100);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 9 });
	}),
);

test(
	"a live handler beside an iterator from the start gets what is live",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(4));
		const thread = client.thread("t", { from: "live" });
		const live = offsets(thread);
		const all = thread.events({ from: "start" });
		assert.deepEqual(await take(world, all, 2), range(1, 2));
		server.append("t", ...numbered(1, 5));
		await world.settle();
		assert.deepEqual(live, [5]);
		await all.return?.();
		assert.deepEqual(thread.position, { epoch: "e1", offset: 5 });
	}),
);

test(
	"the last n are counted from live, also beside an iterator from the start",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(9));
		const thread = client.thread("t", { from: "live" });
		thread.onEvent(() => {});
		const first = take(world, thread.events({ from: "start" }), 1);
		const last = take(world, thread.events({ from: { last: 2 } }), 2);
		assert.deepEqual([await first, await last], [["e1/1"], range(8, 9)]);
	}),
);

test(
	"the last n before a position that is not known yet are counted as soon as it is",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(9));
		const thread = client.thread("t", { from: "live" });
		const live = offsets(thread);
		const items = pulls(thread.events({ from: { last: 3 } }), 5);
		await world.settle();
		server.append("t", ...numbered(1, 10));
		await world.settle();
		assert.deepEqual(offsetsOf(await collected(world, items)), [7, 8, 9, 10]);
		assert.deepEqual(live, [10]);
	}),
);

test(
	"an iterator that waits for a position begins alone when the others have left",
	inWorld(async (world) => {
		const { client, server } = rig(world, { autoConnect: false });
		server.append("t", ...numbered(9));
		const thread = client.thread("t");
		const off = thread.on("tick", () => {});
		const iterator = thread.events({ from: { last: 3 } });
		const first = iterator.next();
		off();
		client.connect();
		await world.settle();
		const item = (await first).value;
		assert.equal(item?.kind === "event" && item.meta.offset, 7);
		assert.deepEqual(await take(world, iterator, 2), range(8, 9));
	}),
);

test(
	"a thread that is opened again elsewhere is there for all that consume it",
	inWorld(async (world) => {
		const { client, server } = rig(world, { autoConnect: false });
		server.append("t", ...numbered(8));
		const first = client.thread("t", { from: { epoch: "e1", offset: 5 } });
		first.onEvent(() => assert.fail("this handle was closed"));
		first.close();
		const thread = client.thread("t", { from: "start" });
		const handled = offsets(thread);
		const pulled = thread.events().next();
		client.connect();
		await world.settle();
		assert.deepEqual(handled, [1, 2, 3, 4, 5, 6, 7, 8]);
		const item = (await pulled).value;
		assert.equal(item?.kind === "event" && item.meta.offset, 1);
	}),
);

test(
	"an iterator's own from does not replace the one that a handle named",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(4));
		const thread = client.thread("t", { from: "start" });
		const live = thread.events({ from: "live" });
		const items = pulls(live, 2);
		client.thread("t", { from: "start" });
		assert.throws(() => client.thread("t", { from: "live" }), conflict);
		const got = offsets(thread);
		await world.settle();
		assert.deepEqual(got, [1, 2, 3, 4]);
		server.append("t", ...numbered(1, 5));
		assert.deepEqual(offsetsOf(await collected(world, items)), [5]);
	}),
);

test(
	"an iterator from the start of a live thread leaves its handlers live",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(4));
		const named = client.thread("t", { from: "live" });
		const all = take(world, named.events({ from: "start" }), 5);
		const late = offsets(named);
		assert.deepEqual(await all, [...range(1, 4), "resumed e1/4"]);
		assert.deepEqual(late, []);
	}),
);

test(
	"live is what comes next, also beside an iterator that is far behind",
	inWorld(async (world) => {
		const { client, server } = rig(world, { window: { events: 4 } });
		server.append("t", ...numbered(50));
		const thread = client.thread("t", { from: "live" });
		const slow = thread.events({ from: "start" });
		assert.equal(await firstOf(world, slow), "e1/1");
		const got = offsets(thread);
		server.append("t", ...numbered(1, 51));
		assert.deepEqual(
			(await take(world, slow, 51)).filter((text) => text.startsWith("e1/")),
			range(2, 51),
		);
		await world.advance(1_000);
		assert.deepEqual(got, [51]);
	}),
);

test(
	"an iterator that is opened in a gap handler begins in the new epoch",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		const thread = client.thread("t");
		server.append("t", ...numbered(6));
		const slow = thread.events();
		await take(world, slow, 5);
		let inside: Promise<IteratorResult<ThreadItem, undefined>> | undefined;
		thread.onGap(() => (inside ??= thread.events().next()));
		await world.settle();
		server.restore("t", 0, "e2", ...numbered(2));
		await world.settle();
		const item = (await inside)?.value;
		assert.equal(item?.kind === "event" && placeText(item.meta), "e2/1");
	}),
);

test(
	"a thread that is closed and opened again begins as it is asked to: live and last go on where it was left",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(4));
		const got: Record<string, number[]> = {};
		const open = async (name: string, options: ThreadOptions): Promise<Thread> => {
			const thread = client.thread("t", options);
			thread.on("tick", (_event, { offset }) => (got[name] ??= []).push(offset));
			await world.settle();
			return thread;
		};
		(await open("first", {})).close();
		server.append("t", ...numbered(2, 5));
		(await open("live", { from: "live" })).close();
		(await open("last", { from: { last: 1 } })).close();
		(await open("plain", {})).close();
		await world.settle();
		assert.deepEqual(got, { first: [1, 2, 3, 4], live: [5, 6], last: [6], plain: [1, 2, 3, 4, 5, 6] });
	}),
);

test(
	"a thread that is closed and opened again in one tick is asked for once, whatever the answer under way",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		world.latency = 20;
		server.append("t", ...numbered(3));
		await connected();
		const first = client.thread("t");
		first.onEvent(() => assert.fail("this handle was closed"));
		await world.advance(10);
		first.close();
		const got = offsets(client.thread("t", { from: { last: 2 } }));
		await world.advance(1_000);
		assert.deepEqual(got, [2, 3]);
		assert.equal(server.received("subscribe").length <= 2, true);
	}),
);

test(
	"what comes for a thread that is closed reaches nobody",
	inWorld(async (world) => {
		const { client, server, codes } = rig(world);
		const thread = client.thread("t");
		const got = offsets(thread);
		await world.settle();
		world.latency = 20;
		server.append("t", ...numbered(2));
		server.end("t", "deleted");
		thread.close();
		await world.advance(1_000);
		assert.deepEqual([got, codes()], [[], []]);
	}),
);

test(
	"a page that visits many threads may come back to each: bounded memory forgets, and nothing breaks",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t0", ...numbered(2));
		for (let round = 0; round < 2; round += 1) {
			for (let index = 0; index < 1_100; index += 1) {
				const thread = client.thread(`t${index}`, { from: "live" });
				const off = thread.onEvent(() => {});
				off();
				thread.close();
			}
			await world.settle();
		}
		const got = listen(client.thread("t0"));
		await world.settle();
		assert.deepEqual(got, [...range(1, 2), "resumed e1/2"]);
	}),
);

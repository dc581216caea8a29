/** Gaps, resume results and ends: each in its place, each once per consumer (I2, I3). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Gap, Resumed } from "./support/package.js";
import { firstOf, gapText, itemText, listen, offsets, placeText, range, take, takeItems } from "./support/record.js";
import { rig } from "./support/rig.js";
import { numbered } from "./support/server.js";
import { inWorld } from "./support/world.js";

test(
	"a gap is delivered in its place, with the position that it leads to",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(9));
		server.trim("t", 4);
		const thread = client.thread("t", { from: { epoch: "e1", offset: 2 } });
		const gaps: Gap[] = [];
		thread.onGap((gap) => gaps.push(gap));
		const got = listen(thread);
		await world.settle();
		assert.deepEqual(got, ["gap 3-4 trimmed", ...range(5, 9), "resumed e1/9"]);
		assert.deepEqual(gaps, [{ from: 3, to: 4, reason: "trimmed", remedy: "refetch", epoch: undefined, position: { epoch: "e1", offset: 4 } }]);
	}),
);

test(
	"resumed ends each catch-up, before what is live, and carries the result",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		const thread = client.thread("t");
		const results: Resumed[] = [];
		thread.onResumed((resumed) => results.push(resumed));
		const got = listen(thread);
		server.append("t", { type: "agent_started", runId: "r1", agent: "a" }, ...numbered(2));
		await connected();
		await world.advance(100);
		server.cut();
		server.append("t", { type: "agent_completed", runId: "r1" }, { type: "agent_started", runId: "r2", agent: "a" });
		await world.settle();
		await connected();
		server.append("t", ...numbered(1));
		await world.settle();
		assert.deepEqual(got, [...range(1, 3), "resumed e1/3", ...range(4, 5), "resumed e1/5", "e1/6"]);
		const common = { recovered: true, epoch: "e1", duplicatesDropped: 0, attempts: 1, gap: undefined, skipped: undefined };
		assert.deepEqual(results, [
			{ ...common, from: 1, to: 3, replayed: 3, openRuns: ["r1"], position: { epoch: "e1", offset: 3 } },
			{ ...common, from: 4, to: 5, replayed: 2, openRuns: ["r2"], position: { epoch: "e1", offset: 5 } },
		]);
	}),
);

test(
	"resumed says so when nothing was missing, with the position",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		const thread = client.thread("t", { from: "live" });
		const results: Resumed[] = [];
		thread.onResumed((resumed) => results.push(resumed));
		server.append("t", ...numbered(4));
		await connected();
		assert.deepEqual(
			results.map(({ recovered, from, to, replayed, position }) => [recovered, from, to, replayed, position]),
			[[true, 5, 4, 0, { epoch: "e1", offset: 4 }]],
		);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 4 });
	}),
);

test(
	"onGap and onResumed attach the thread; onEnded alone does not",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		client.thread("a").onEnded(() => {});
		client.thread("b").onGap(() => {});
		client.thread("c").onResumed(() => {});
		await connected();
		assert.deepEqual(
			["a", "b", "c"].map((name) => server.session.sub(name) !== undefined),
			[false, true, true],
		);
	}),
);

test(
	"a trim while everything is read is nobody's loss",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(5));
		const got = listen(client.thread("t"));
		await connected();
		server.trim("t", 5);
		server.append("t", ...numbered(1));
		await world.settle();
		assert.deepEqual(got, [...range(1, 5), "resumed e1/5", "e1/6"]);
	}),
);

test(
	"a page without a position on a trimmed log gets the gap from the first offset",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(5));
		server.trim("t", 3);
		const thread = client.thread("t");
		const results: Resumed[] = [];
		thread.onResumed((resumed) => results.push(resumed));
		const got = listen(thread);
		await connected();
		assert.deepEqual(got, ["gap 1-3 trimmed", "e1/4", "e1/5", "resumed e1/5"]);
		const gap = { from: 1, to: 3, reason: "trimmed", remedy: "refetch", epoch: undefined, position: { epoch: "e1", offset: 3 } };
		assert.deepEqual(
			results.map(({ recovered, gap: lost }) => [recovered, lost]),
			[[false, gap]],
		);
	}),
);

test(
	"what is trimmed for a late consumer is one gap, also when it is larger than the window",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world, { window: { events: 4 } });
		server.append("t", ...numbered(20));
		const thread = client.thread("t", { from: "live" });
		const live = listen(thread);
		await connected();
		server.trim("t", 15);
		const items = await takeItems(world, thread.events({ from: { epoch: "e1", offset: 2 } }), 7);
		assert.deepEqual(items.map(itemText), ["gap 3-15 trimmed", ...range(16, 20), "resumed e1/20"]);
		assert.deepEqual(live, ["resumed e1/20"]);
	}),
);

test(
	"when a gap reaches beyond the end of a catch-up, the result leads to the end of the gap",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world, { window: { events: 2 } });
		server.append("t", ...numbered(8));
		const thread = client.thread("t");
		const got: string[] = [];
		const slow = thread.events();
		assert.deepEqual(await take(world, slow, 1), ["e1/1"]);
		thread.onResumed(({ position }) => got.push(`resumed ${position.offset}`));
		thread.onGap(({ position }) => got.push(`gap ${position.offset}`));
		await connected();
		// Beyond the head of the moment of subscribing, which is 8.
		server.append("t", ...numbered(4, 9));
		server.trim("t", 12);
		server.append("t", ...numbered(1, 13));
		const items = await takeItems(world, slow, 5);
		const last = items.map(itemText).filter((text) => !/^e1\/[1-8]$/.test(text));
		assert.match(last[0] ?? "", /^gap \d+-12 trimmed$/);
		assert.deepEqual(last.slice(1), ["resumed e1/12", "e1/13"]);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 13 });
	}),
);

// --- epochs ---

test(
	"when an epoch ends on the socket, the stream is asked for again and the gap resets it",
	inWorld(async (world) => {
		const { client, server, connected, sent } = rig(world);
		const thread = client.thread("t");
		const got = listen(thread);
		const gaps: Gap[] = [];
		thread.onGap((gap) => gaps.push(gap));
		thread.onEnded(() => assert.fail("the end of an epoch is not the end of the subscription"));
		server.append("t", ...numbered(3));
		await connected();
		await world.advance(100);
		server.restore("t", 0, "e2", ...numbered(2));
		await world.settle();
		assert.deepEqual(got, [...range(1, 3), "resumed e1/3", "gap 4- epoch", ...range(1, 2, "e2"), "resumed e2/2"]);
		assert.deepEqual(gaps, [{ from: 4, to: undefined, reason: "epoch", remedy: "reset", epoch: "e2", position: { epoch: "e2", offset: 0 } }]);
		assert.deepEqual(
			sent("subscribe").map(({ streams }) => streams),
			[[{ name: "t", position: { epoch: "e1", offset: 3 }, seal: "3.e1", open: { from: "start" } }]],
		);
		assert.deepEqual(thread.position, { epoch: "e2", offset: 2 });
	}),
);

test(
	"of a new epoch that is already trimmed, the page that wants all of it gets a second gap",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		const got = listen(client.thread("t"));
		server.append("t", ...numbered(6));
		await connected();
		server.cut();
		server.restore("t", 4, "e2", ...numbered(3));
		server.trim("t", 2);
		await world.settle();
		await connected();
		assert.deepEqual(got, [...range(1, 6), "resumed e1/6", "gap 7- epoch", "gap 1-2 trimmed", ...range(3, 7, "e2"), "resumed e2/7"]);
	}),
);

test(
	"a log that went back is proven by the seal of the page, and is a new epoch",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		const got = listen(client.thread("t"));
		server.append("t", ...numbered(6));
		await connected();
		server.crash("t", 4);
		await world.settle();
		await connected();
		assert.deepEqual(got, [...range(1, 6), "resumed e1/6", "gap 7- epoch", ...range(1, 4, "e1'"), "resumed e1'/4"]);
	}),
);

for (const from of ["live", { last: 2 }] as const) {
	test(
		`B3: a ${typeof from === "string" ? from : "last"} page continues with the first event written in the new epoch, and learns what it skipped`,
		inWorld(async (world) => {
			const { client, server, connected } = rig(world);
			server.append("t", ...numbered(12));
			const thread = client.thread("t", { from });
			const got = listen(thread);
			const results: Resumed[] = [];
			thread.onResumed((resumed) => results.push(resumed));
			await connected();
			server.append("t", ...numbered(2, 13));
			await world.settle();
			server.cut();
			server.restore("t", 10, "e2", ...numbered(4, 11));
			await world.settle();
			await connected();
			server.append("t", ...numbered(1, 15));
			await world.settle();
			const before = typeof from === "string" ? ["resumed e1/12", ...range(13, 14)] : [...range(11, 12), "resumed e1/12", ...range(13, 14)];
			assert.deepEqual(got, [...before, "gap 15- epoch", ...range(11, 14, "e2"), "resumed e2/14", "e2/15"]);
			assert.deepEqual(
				results.map(({ recovered, skipped }) => [recovered, skipped]),
				[
					[true, undefined],
					[false, { from: 1, to: 10 }],
				],
			);
		}),
	);
}

test(
	"a gap that is known at once waits for handlers that are added in the same tick",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(3));
		server.restore("t", 1, "e2", ...numbered(2));
		const thread = client.thread("t", { from: { epoch: "e1", offset: 2 } });
		// The stream is in the new epoch already when the handlers come.
		assert.equal(await firstOf(world, thread.events({ from: "start" })), "e2/1");
		await connected();
		const got: string[] = [];
		thread.onEvent((_event, meta) => got.push(placeText(meta)));
		thread.onGap((gap) => got.push(gapText(gap)));
		await world.advance(100);
		assert.deepEqual(got, ["gap 3- epoch", ...range(1, 3, "e2")]);
	}),
);

test(
	"several epochs that ended while an iterator slept are one gap to it",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(6));
		const thread = client.thread("t");
		const slow = thread.events();
		const first = take(world, slow, 2);
		await connected();
		assert.deepEqual(await first, ["e1/1", "e1/2"]);
		for (const epoch of ["e2", "e3"]) {
			server.restore("t", 1, epoch, ...numbered(2));
			await world.advance(100);
		}
		assert.deepEqual(await take(world, slow, 5), ["gap 3- epoch", ...range(1, 3, "e3"), "resumed e3/3"]);
	}),
);

// --- ends ---

// PROTOCOL: SUB-11
test(
	"after the server ended a thread, the next handler or handle has it asked for again (SUB-11)",
	inWorld(async (world) => {
		const { client, server, codes, connected } = rig(world);
		server.append("t", ...numbered(2));
		const thread = client.thread("t");
		const got: string[] = [];
		const ends: string[] = [];
		thread.on("tick", (_event, { offset }) => got.push(`a${offset}`));
		thread.onEnded(({ reason }) => ends.push(reason));
		await connected();
		server.end("t", "forbidden");
		await world.settle();
		server.append("t", ...numbered(2, 3));
		await world.settle();
		assert.deepEqual(got, ["a1", "a2"]);
		thread.on("tick", (_event, { offset }) => got.push(`b${offset}`));
		await world.settle();
		assert.deepEqual(got, ["a1", "a2", "a3", "b3", "a4", "b4"], "nothing twice, nothing lost");
		server.end("t", "deleted");
		await world.settle();
		server.append("t", ...numbered(1, 5));
		client.thread("t");
		await world.settle();
		assert.deepEqual(got.slice(6), ["a5", "b5"]);
		assert.deepEqual(ends, ["forbidden", "deleted"]);
		assert.deepEqual(codes(), [], "whoever listens for it was notified");
	}),
);

test(
	"after the end of a subscription handlers go on where they were, not where a slower iterator was",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		server.append("t", ...numbered(6));
		const thread = client.thread("t");
		const slow = thread.events();
		const begun = take(world, slow, 2);
		const handled = offsets(thread);
		thread.onEnded(() => {});
		await begun;
		assert.deepEqual(handled, [1, 2, 3, 4, 5, 6]);
		server.end("t", "forbidden");
		await world.settle();
		client.thread("t");
		server.append("t", ...numbered(1, 7));
		await world.settle();
		assert.deepEqual(handled, [1, 2, 3, 4, 5, 6, 7]);
	}),
);

test(
	"ended carries the position at which the thread stopped",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(2));
		const thread = client.thread("t");
		offsets(thread);
		const ends: unknown[] = [];
		thread.onEnded((ended) => ends.push(ended));
		await connected();
		server.end("t", "deleted");
		await world.settle();
		assert.deepEqual(ends, [{ reason: "deleted", position: { epoch: "e1", offset: 2 } }]);
	}),
);

test(
	"the end of a thread that nobody listens for is reported as an error",
	inWorld(async (world) => {
		const { client, server, codes, connected } = rig(world);
		offsets(client.thread("t"));
		await connected();
		server.end("t", "unknown_stream");
		await world.settle();
		assert.deepEqual(codes(), ["stream_ended"]);
	}),
);

test(
	"an iterator gets the end of its thread as its rejection, and nobody else does",
	inWorld(async (world) => {
		const { client, server, codes, connected } = rig(world);
		const iterator = client.thread("t").events();
		await connected();
		assert.equal(await firstOf(world, iterator), "resumed e1/0");
		const waiting = assert.rejects(iterator.next(), { code: "stream_ended" });
		server.end("t", "deleted");
		await world.settle();
		await waiting;
		assert.deepEqual(codes(), []);
	}),
);

test(
	"a thread that the server refuses at once is ended with its reason",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.refused.set("t", "forbidden");
		const thread = client.thread("t");
		const ends: unknown[] = [];
		thread.onEnded((ended) => ends.push(ended));
		offsets(thread);
		await connected();
		assert.deepEqual(ends, [{ reason: "forbidden", position: undefined }]);
	}),
);

test(
	"each consumer gets its own gap and its own resume result",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.append("t", ...numbered(8));
		const thread = client.thread("t");
		const handled = listen(thread);
		await connected();
		await world.advance(100);
		const early = thread.events({ from: { epoch: "e1", offset: 2 } });
		assert.deepEqual(await take(world, early, 7), [...range(3, 8), "resumed e1/8"]);
		server.trim("t", 5);
		const late = thread.events({ from: { epoch: "e1", offset: 1 } });
		const items = await takeItems(world, late, 5);
		assert.deepEqual(items.map(itemText), ["gap 2-5 trimmed", ...range(6, 8), "resumed e1/8"]);
		assert.deepEqual(handled, [...range(1, 8), "resumed e1/8"], "the handlers lost nothing and were told nothing");
	}),
);

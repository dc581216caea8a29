/** Iterators: pulls, windows, ends; a consumer of its own each. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isAgentwireError } from "./support/package.js";
import { firstOf, itemText, offsets, range, take, takeItems } from "./support/record.js";
import { type Rig, type RigOptions, rig } from "./support/rig.js";
import { numbered } from "./support/server.js";
import { inWorld, microtasks, type World } from "./support/world.js";

/** A connected client and a thread with so many events. */
async function connectedTo(world: World, events: number, options: RigOptions = {}): Promise<Rig & { thread: ReturnType<Rig["client"]["thread"]> }> {
	const made = rig(world, options);
	made.server.append("t", ...numbered(events));
	await made.connected();
	return { ...made, thread: made.client.thread("t") };
}

test(
	"an iterator yields each event once, in order, and break detaches it",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 10);
		const got: string[] = [];
		const reading = (async () => {
			for await (const item of thread.events()) {
				got.push(itemText(item));
				if (got.length === 7) break;
			}
		})();
		await world.settle();
		await reading;
		await world.settle();
		assert.deepEqual(got, range(1, 7));
		assert.equal(server.session.sub("t"), undefined);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 7 });
	}),
);

test(
	"an iterator attaches with its first next, not before",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 3);
		const iterator = thread.events();
		await world.settle();
		assert.equal(server.session.sub("t"), undefined);
		assert.equal(await firstOf(world, iterator), "e1/1");
		assert.notEqual(server.session.sub("t"), undefined);
	}),
);

test(
	"items name their kind; an event has its meta, and the object that was parsed",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 3);
		server.trim("t", 2);
		const items = await takeItems(world, thread.events(), 3);
		const position = (offset: number) => ({ epoch: "e1", offset });
		const gap = { from: 1, to: 2, reason: "trimmed", remedy: "refetch", epoch: undefined, position: position(2) };
		assert.deepEqual(items, [
			{ kind: "gap", gap },
			{ kind: "event", event: { type: "tick", time: 1, n: 3 }, meta: { offset: 3, epoch: "e1", delivery: "replay", position: position(3) } },
			{
				kind: "resumed",
				resumed: {
					recovered: false,
					epoch: "e1",
					from: 1,
					to: 3,
					replayed: 1,
					duplicatesDropped: 0,
					attempts: 1,
					openRuns: [],
					gap,
					skipped: undefined,
					position: position(3),
				},
			},
		]);
	}),
);

test(
	"a slow iterator holds no more than the window",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 100, { window: { events: 8 } });
		const iterator = thread.events();
		assert.equal(await firstOf(world, iterator), "e1/1");
		await world.advance(2_000);
		assert.equal((server.session.sub("t")?.next ?? 0) - 1, 9, "8 beyond the one that was pulled");
		assert.deepEqual(await take(world, iterator, 100), [...range(2, 100), "resumed e1/100"]);
	}),
);

test(
	"a slow iterator holds no more than it was allowed to, and gets the rest by requests",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 100);
		const iterator = thread.events({ maxQueued: 8 });
		assert.equal(await firstOf(world, iterator), "e1/1");
		await world.advance(2_000);
		assert.equal((server.session.sub("t")?.next ?? 0) - 1, 100, "nobody waits for it");
		assert.deepEqual(await take(world, iterator, 100), [...range(2, 100), "resumed e1/100"]);
	}),
);

// PROTOCOL: LIF-3
test(
	"a position moves with pulls, not with arrivals (I4)",
	inWorld(async (world) => {
		const { thread } = await connectedTo(world, 10);
		await take(world, thread.events(), 3);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 3 });
	}),
);

test(
	"events and handlers of one thread count apart, and the position is the slower one's",
	inWorld(async (world) => {
		const { thread } = await connectedTo(world, 10);
		const iterator = thread.events();
		assert.deepEqual(await take(world, iterator, 2), range(1, 2));
		const handled = offsets(thread);
		await world.settle();
		assert.deepEqual(thread.position, { epoch: "e1", offset: 2 });
		assert.equal(handled.at(-1) ?? 10, 10);
	}),
);

test(
	"waiting pulls are served in their order",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 0);
		const iterator = thread.events();
		assert.equal(await firstOf(world, iterator), "resumed e1/0");
		const pulls = [iterator.next(), iterator.next(), iterator.next()];
		server.append("t", ...numbered(3));
		await world.settle();
		const results = await Promise.all(pulls);
		assert.deepEqual(
			results.map(({ value }) => value && itemText(value)),
			range(1, 3),
		);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 3 });
	}),
);

test(
	"abort rejects the waiting pull with the signal's reason, once, and detaches",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 0);
		const controller = new AbortController();
		const iterator = thread.events({ signal: controller.signal });
		assert.equal(await firstOf(world, iterator), "resumed e1/0");
		const waiting = iterator.next();
		const second = iterator.next();
		const reason = new Error("left the page");
		controller.abort(reason);
		await assert.rejects(waiting, reason);
		assert.deepEqual(await second, { done: true, value: undefined });
		assert.deepEqual(await iterator.next(), { done: true, value: undefined });
		await world.settle();
		assert.equal(server.session.sub("t"), undefined);
	}),
);

test(
	"abort without a waiting pull rejects the next one",
	inWorld(async (world) => {
		const { thread } = await connectedTo(world, 5);
		const controller = new AbortController();
		const iterator = thread.events({ signal: controller.signal });
		await take(world, iterator, 1);
		controller.abort();
		await assert.rejects(iterator.next(), { name: "AbortError" });
		assert.deepEqual(await iterator.next(), { done: true, value: undefined });
		const never = thread.events({ signal: AbortSignal.abort() });
		await assert.rejects(never.next(), { name: "AbortError" });
	}),
);

test(
	"a gap has its place between the items",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 9);
		server.trim("t", 4);
		const iterator = thread.events({ from: { epoch: "e1", offset: 2 } });
		assert.deepEqual(await take(world, iterator, 7), ["gap 3-4 trimmed", ...range(5, 9), "resumed e1/9"]);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 9 });
	}),
);

test(
	"with the end of an epoch, what was not pulled is lost, and the gap covers it",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 6);
		const iterator = thread.events();
		assert.deepEqual(await take(world, iterator, 2), range(1, 2));
		server.restore("t", 0, "e2", ...numbered(2));
		await world.settle();
		const [gap, ...rest] = await takeItems(world, iterator, 4);
		assert.deepEqual(gap, {
			kind: "gap",
			gap: { from: 3, to: undefined, reason: "epoch", remedy: "reset", epoch: "e2", position: { epoch: "e2", offset: 0 } },
		});
		assert.deepEqual(rest.map(itemText), [...range(1, 2, "e2"), "resumed e2/2"]);
		assert.deepEqual(thread.position, { epoch: "e2", offset: 2 });
	}),
);

test(
	"closing the thread or the client ends an iterator",
	inWorld(async (world) => {
		const { client, thread } = await connectedTo(world, 0);
		const one = thread.events();
		await firstOf(world, one);
		const waiting = one.next();
		thread.close();
		assert.deepEqual(await waiting, { done: true, value: undefined });
		const other = client.thread("t").events();
		await firstOf(world, other);
		const pending = other.next();
		client.close();
		assert.deepEqual(await pending, { done: true, value: undefined });
	}),
);

test(
	"when the server ends the thread, what came is yielded and then the iterator rejects",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 2);
		const iterator = thread.events();
		assert.deepEqual(await take(world, iterator, 1), ["e1/1"]);
		server.end("t", "deleted");
		await world.settle();
		assert.deepEqual(await take(world, iterator, 2), ["e1/2", "resumed e1/2"]);
		await assert.rejects(iterator.next(), (error: unknown) => isAgentwireError(error) && error.code === "stream_ended" && /deleted/.test(error.message));
		assert.equal((await iterator.next()).done, true);
	}),
);

test(
	"when the client fails, iterators reject with the reason",
	inWorld(async (world) => {
		const { thread, server, codes } = await connectedTo(world, 0);
		const iterator = thread.events();
		await firstOf(world, iterator);
		const waiting = assert.rejects(iterator.next(), { code: "forbidden" });
		server.close(4403);
		await world.settle();
		await waiting;
		assert.deepEqual(codes(), ["forbidden"]);
	}),
);

test(
	"return before the first next attaches nothing",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 1);
		const iterator = thread.events();
		await iterator.return?.();
		assert.equal((await iterator.next()).done, true);
		await world.settle();
		assert.equal(server.session.sub("t"), undefined);
	}),
);

test(
	"an iterator that is opened and pulled inside a handler does not disturb it",
	inWorld(async (world) => {
		const { thread } = await connectedTo(world, 6);
		const read: string[] = [];
		thread.on("tick", (_event, { offset }) => {
			if (offset !== 2) return;
			const iterator = thread.events({ from: { epoch: "e1", offset: 1 } });
			void (async () => {
				for await (const item of iterator) read.push(itemText(item));
			})();
		});
		const handled = offsets(thread);
		await world.settle();
		await world.advance(100);
		assert.deepEqual(handled, [1, 2, 3, 4, 5, 6]);
		assert.deepEqual(
			read.filter((text) => text.startsWith("e1")),
			range(2, 6),
		);
	}),
);

test(
	"a resume result that was not pulled does not hold the position back",
	inWorld(async (world) => {
		const { thread, server } = await connectedTo(world, 2);
		const iterator = thread.events();
		assert.deepEqual(await take(world, iterator, 2), range(1, 2));
		await world.advance(1_000);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 2 });
		assert.deepEqual(server.session.sub("t")?.flight, [], "what was pulled is acknowledged");
		await microtasks();
		assert.equal(await firstOf(world, iterator), "resumed e1/2");
	}),
);

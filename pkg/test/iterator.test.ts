import assert from "node:assert/strict";
import { test } from "node:test";
import type { ThreadItem } from "../src/events.js";
import { AgentwireError } from "../src/errors.js";
import { numbered, rig, type RigOptions, settled } from "./fake.js";

function connected(events: number, options: RigOptions = {}) {
	const made = rig(options);
	const thread = made.client.thread("t");
	made.server.append("t", ...numbered(events));
	made.core().welcome();
	return { ...made, thread };
}

const place = (item: ThreadItem): string => (item.type === "gap" ? `gap ${item.from}-${item.to ?? ""} ${item.remedy}` : String(item.offset));

async function take(iterator: AsyncIterator<ThreadItem, undefined>, count: number): Promise<string[]> {
	const got: string[] = [];
	for (let index = 0; index < count; index += 1) {
		const result = await iterator.next();
		if (result.done === true) return [...got, "done"];
		got.push(place(result.value));
	}
	return got;
}

test("an iterator yields each event once, in order, and break detaches it", async () => {
	const { thread, core } = connected(10);
	const got: string[] = [];
	for await (const event of thread.events()) {
		got.push(place(event));
		if (got.length === 7) break;
	}
	assert.deepEqual(got, ["1", "2", "3", "4", "5", "6", "7"]);
	assert.equal(core().streams[0]?.consumers.length, 0);
	assert.deepEqual(thread.position, { epoch: "e1", offset: 7 });
});

test("an iterator attaches with its first next, not before", async () => {
	const { thread, core } = connected(3);
	const iterator = thread.events();
	assert.equal(core().streams.length, 0);
	await iterator.next();
	assert.equal(core().streams[0]?.consumers.length, 1);
});

test("a slow iterator holds no more than the window", async () => {
	const { thread, core } = connected(100, { window: { events: 8 } });
	const iterator = thread.events();
	assert.deepEqual(await take(iterator, 1), ["1"]);
	core().flush();
	core().flush();
	const consumer = core().streams[0]?.consumers[0];
	assert.equal((consumer?.next ?? 0) - 1, 9, "8 beyond the one that was pulled");
	assert.deepEqual(await take(iterator, 99), Array.from({ length: 99 }, (_, index) => String(index + 2)));
});

// PROTOCOL: LIF-3
test("a position moves with pulls, not with arrivals (I4)", async () => {
	const { thread } = connected(10);
	const iterator = thread.events();
	await take(iterator, 3);
	assert.deepEqual(thread.position, { epoch: "e1", offset: 3 });
});

test("events and handlers of one thread count apart, and the position is the slower one's", async () => {
	const { thread } = connected(10);
	const handled: number[] = [];
	const iterator = thread.events();
	const first = take(iterator, 2);
	thread.on("event", ({ offset }) => handled.push(offset));
	assert.deepEqual(await first, ["1", "2"]);
	assert.deepEqual(thread.position, { epoch: "e1", offset: 2 });
	assert.equal(handled.at(-1) ?? 10, 10);
});

test("waiting pulls are served in their order", async () => {
	const { thread, core, server } = connected(0);
	const iterator = thread.events();
	const pulls = [iterator.next(), iterator.next(), iterator.next()];
	server.append("t", ...numbered(3));
	core().flush();
	const results = await Promise.all(pulls);
	assert.deepEqual(results.map(({ value }) => (value === undefined ? undefined : place(value))), ["1", "2", "3"]);
	assert.deepEqual(thread.position, { epoch: "e1", offset: 3 });
});

test("abort rejects the waiting pull with the signal's reason, once, and detaches", async () => {
	const { thread, core } = connected(0);
	const controller = new AbortController();
	const iterator = thread.events({ signal: controller.signal });
	const waiting = iterator.next();
	const second = iterator.next();
	const reason = new Error("left the page");
	controller.abort(reason);
	await assert.rejects(waiting, reason);
	assert.deepEqual(await second, { done: true, value: undefined });
	assert.deepEqual(await iterator.next(), { done: true, value: undefined });
	assert.equal(core().streams[0]?.consumers.length, 0);
});

test("abort without a waiting pull rejects the next one", async () => {
	const { thread } = connected(5);
	const controller = new AbortController();
	const iterator = thread.events({ signal: controller.signal });
	await take(iterator, 1);
	controller.abort();
	await assert.rejects(iterator.next(), { name: "AbortError" });
	assert.deepEqual(await iterator.next(), { done: true, value: undefined });
	const never = thread.events({ signal: AbortSignal.abort() });
	await assert.rejects(never.next(), { name: "AbortError" });
});

test("a gap stands in its place", async () => {
	const { thread, core } = connected(9);
	const iterator = thread.events({ from: { epoch: "e1", offset: 2 } });
	core().trim("t", 4);
	assert.deepEqual(await take(iterator, 6), ["gap 3-4 refetch", "5", "6", "7", "8", "9"]);
	assert.deepEqual(thread.position, { epoch: "e1", offset: 9 });
});

test("with the end of an epoch, what was not pulled is lost and said so", async () => {
	const { thread, core, server } = connected(6);
	const iterator = thread.events();
	assert.deepEqual(await take(iterator, 2), ["1", "2"]);
	core().newEpoch("t", "e2");
	server.append("t", ...numbered(2));
	core().flush();
	const gap = await iterator.next();
	assert.deepEqual(gap.value, { type: "gap", from: 3, to: undefined, reason: "epoch", remedy: "reset", epoch: "e2" });
	const next = await iterator.next();
	assert.equal(next.value?.type === "gap" ? undefined : next.value?.epoch, "e2");
	assert.deepEqual(await take(iterator, 1), ["2"]);
	assert.deepEqual(thread.position, { epoch: "e2", offset: 2 });
});

test("closing the thread or the client ends an iterator", async () => {
	const { client, thread } = connected(0);
	const one = thread.events();
	const waiting = one.next();
	thread.close();
	assert.deepEqual(await waiting, { done: true, value: undefined });
	const other = client.thread("t").events();
	const pending = other.next();
	client.close();
	assert.deepEqual(await pending, { done: true, value: undefined });
});

test("when the server ends the thread, what came is yielded and then the iterator rejects", async () => {
	const { thread, core } = connected(2);
	const iterator = thread.events();
	assert.deepEqual(await take(iterator, 1), ["1"]);
	core().end("t", "deleted");
	assert.deepEqual(await take(iterator, 1), ["2"]);
	await assert.rejects(iterator.next(), (error: unknown) => error instanceof AgentwireError && error.code === "stream_ended" && /deleted/.test(error.message));
	assert.equal((await iterator.next()).done, true);
});

test("when the client fails, iterators reject with the reason", async () => {
	const { thread, core, errors } = connected(0);
	const waiting = thread.events().next();
	core().fail("forbidden");
	await assert.rejects(waiting, { code: "forbidden" });
	assert.deepEqual(errors.map(({ code }) => code), ["forbidden"]);
});

test("return before the first next attaches nothing", async () => {
	const { thread, core } = connected(1);
	const iterator = thread.events();
	await iterator.return?.();
	assert.equal((await iterator.next()).done, true);
	await settled();
	assert.equal(core().streams.length, 0);
});

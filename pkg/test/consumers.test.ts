/** What the consumers of a thread make of what the core says, at the border itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentClient } from "../src/client/client.js";
import { settingsOf } from "../src/client/options.js";
import type { RawEventsFrame } from "../src/core/raw.js";
import type { AgentEvent } from "../src/thread/events.js";
import type { BatchMeta, EventMeta, ThreadItem } from "../src/thread/facts.js";
import { inPage, type StubCore, settled, stubInstance } from "./support/stub.js";

type Body = Record<string, unknown>;

/** A thread `t` of a connected client, and the core's side of it. Consumers are counted in the order they were attached. */
function opened() {
	const { instance, cores } = stubInstance();
	const client = new AgentClient(settingsOf({ url: "wss://x/", token: () => "t" }), () => instance);
	const codes: string[] = [];
	client.on("error", ({ code }) => codes.push(code));
	const core = cores[0] as StubCore;
	core.host.state("connected", "welcome", undefined, 0);
	const id = (consumer: number): number => core.consumers[consumer] ?? assert.fail("not attached");
	const place = (consumer: number, offset: number, epoch = "e1"): void => core.host.placed(id(consumer), epoch, offset);
	/** Delivers a frame to some consumers. */
	const deliver = (first: number, bodies: readonly Body[], to: readonly number[] = [0], replayThrough = 0): number[] => {
		const frame: RawEventsFrame = { type: "events", ch: 1, first, count: bodies.length, events: bodies };
		return to.map((consumer) => core.host.deliver(id(consumer), frame, 0, bodies.length, first, replayThrough));
	};
	/** Closes the client. What an assertion in a handler throws is an error of the client. */
	const end = (expected: readonly string[] = []): void => {
		client.close();
		assert.deepEqual(codes, expected);
	};
	return { client, cores, core, end, id, place, deliver, thread: client.thread("t") };
}

const ticks = (count: number): Body[] => Array.from({ length: count }, (_, index) => ({ type: "tick", n: index }));

// FAULT: B4
test("a_frozen_event_reaches_handlers_and_iterators_as_it_was_parsed", () =>
	inPage(async () => {
		const { thread, core, place, deliver, end } = opened();
		const seen: [AgentEvent, EventMeta][] = [];
		thread.onEvent((event, meta) => seen.push([Object.freeze(event), meta]));
		const iterator = thread.events();
		const first = iterator.next();
		place(0, 4);
		place(1, 4);
		const bodies = [{ type: "tick", offset: 99, epoch: "mine", delivery: "never" }, { type: "tick" }];
		const texts = bodies.map((body) => JSON.stringify(body));
		assert.deepEqual(deliver(5, bodies, [0, 1], 5), [2, 0]);
		assert.deepEqual(
			seen.map(([event]) => event),
			bodies,
		);
		assert.ok(
			seen.every(([event], index) => event === (bodies[index] as unknown)),
			"the objects themselves",
		);
		assert.deepEqual(
			bodies.map((body) => JSON.stringify(body)),
			texts,
		);
		const metas: EventMeta[] = [
			{ offset: 5, epoch: "e1", delivery: "replay", position: { epoch: "e1", offset: 5 } },
			{ offset: 6, epoch: "e1", delivery: "live", position: { epoch: "e1", offset: 6 } },
		];
		assert.deepEqual(
			seen.map(([, meta]) => meta),
			metas,
		);
		for (const [index, pull] of [first, iterator.next()].entries())
			assert.deepEqual((await pull).value, { kind: "event", event: bodies[index], meta: metas[index] });
		assert.deepEqual(
			core.calls.filter((call) => call.startsWith("delivered")),
			["delivered 1 0 5", "delivered 1 0 6"],
		);
		end();
	}));

test("an_event_that_a_handler_changes_keeps_its_place_and_its_handlers", () =>
	inPage(async () => {
		const { thread, place, deliver, end } = opened();
		const got: string[] = [];
		thread.on("tick", (event) => {
			Object.assign(event, { type: "tock", offset: -1 });
		});
		thread.on("tick", (_, { offset }) => got.push(`typed ${offset}`));
		thread.on("tock", () => assert.fail("it came as a tick"));
		thread.onEvent((_, { offset }) => got.push(`every ${offset}`));
		place(0, 0);
		deliver(1, ticks(2));
		assert.deepEqual(got, ["typed 1", "every 1", "typed 2", "every 2"]);
		end();
	}));

// FAULT: B5
// FAULT: B6
test("an_event_whose_type_is_the_name_of_a_fact_is_an_event", () =>
	inPage(async () => {
		const { thread, place, deliver, end } = opened();
		const got: string[] = [];
		const types = ["gap", "resumed", "ended", "event", "__proto__", "constructor"];
		for (const type of types) thread.on(type, (event, { offset }) => got.push(`${event["remedy"]} ${type} ${offset}`));
		thread.onGap(() => assert.fail("a page sent it"));
		thread.onResumed(() => assert.fail("a page sent it"));
		thread.onEnded(() => assert.fail("a page sent it"));
		const iterator = thread.events();
		const first = iterator.next();
		place(0, 0);
		place(1, 0);
		deliver(
			1,
			types.map((type) => ({ type, kind: "gap", remedy: "reset" })),
			[0, 1],
		);
		assert.deepEqual(
			got,
			types.map((type, index) => `reset ${type} ${index + 1}`),
		);
		assert.equal((await first).value?.kind, "event");
		end();
	}));

test("one_meta_is_made_per_event_and_shared_by_the_handlers", () =>
	inPage(async () => {
		const { thread, place, deliver, end } = opened();
		const metas: EventMeta[] = [];
		thread.on("tick", (_, meta) => metas.push(meta));
		thread.onEvent((_, meta) => metas.push(meta));
		place(0, 0);
		deliver(1, ticks(1));
		assert.equal(metas.length, 2);
		assert.equal(metas[0], metas[1]);
		end();
	}));

test("a_batch_comes_once_per_frame_after_the_event_handlers", () =>
	inPage(async () => {
		const { thread, place, deliver, end } = opened();
		const got: unknown[] = [];
		thread.onBatch((events, meta) => got.push([events, meta]));
		thread.onEvent((_, { offset }) => got.push(offset));
		place(0, 0);
		const frame = ticks(3);
		deliver(1, frame, [0], 2);
		const meta: BatchMeta = { first: 1, epoch: "e1", replays: 2, position: { epoch: "e1", offset: 3 } };
		assert.deepEqual(got, [1, 2, 3, [frame, meta]]);
		assert.equal((got[3] as unknown[])[0], frame, "the frame's own array");
		end();
	}));

test("a_batch_handler_that_changes_its_array_changes_nothing_for_an_iterator", () =>
	inPage(async () => {
		const { thread, place, deliver, end } = opened();
		thread.onBatch((events) => {
			(events as AgentEvent[]).length = 0;
		});
		const iterator = thread.events();
		const pulls = [iterator.next(), iterator.next()];
		place(0, 0);
		place(1, 0);
		deliver(1, ticks(2), [0, 1]);
		assert.deepEqual(
			(await Promise.all(pulls)).map(({ value }) => value?.kind === "event" && value.event["n" as never]),
			[0, 1],
		);
		end();
	}));

test("a_batch_handler_that_is_added_inside_a_frame_gets_the_events_after_it", () =>
	inPage(async () => {
		const { thread, place, deliver, end } = opened();
		const got: unknown[] = [];
		thread.onEvent((_, { offset }) => {
			if (offset === 2) thread.onBatch((events, { first, position }) => got.push([events.length, first, position.offset]));
		});
		place(0, 0);
		deliver(1, ticks(4));
		deliver(5, ticks(1));
		assert.deepEqual(got, [
			[2, 3, 4],
			[1, 5, 5],
		]);
		end();
	}));

test("an_event_counts_as_delivered_when_its_handlers_have_returned", () =>
	inPage(async () => {
		const { thread, place, deliver, end } = opened();
		const inside: unknown[] = [];
		const off = thread.onEvent(() => inside.push(thread.position?.offset));
		place(0, 0);
		deliver(1, ticks(3));
		assert.deepEqual([inside.splice(0), thread.position?.offset], [[0, 1, 2], 3]);
		thread.onBatch(() => inside.push(thread.position?.offset));
		deliver(4, ticks(2));
		assert.deepEqual([inside, thread.position?.offset], [[3, 3, 3], 5], "not before the batch handlers got it too");
		off();
		end();
	}));

test("a_thread_that_is_closed_inside_a_handler_is_left_after_the_running_event", () =>
	inPage(async () => {
		const { thread, place, deliver, end } = opened();
		thread.onEvent((_, { offset }) => {
			if (offset === 2) thread.close();
		});
		thread.onBatch(() => assert.fail("it was removed"));
		place(0, 0);
		assert.deepEqual(deliver(1, ticks(4)), [2]);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 2 });
		end();
	}));

test("facts_have_handlers_of_their_own_with_the_position_they_lead_to", () =>
	inPage(async () => {
		const { thread, core, id, place, end } = opened();
		const facts: unknown[] = [];
		thread.onGap((gap) => facts.push(gap));
		thread.onResumed((resumed) => facts.push(resumed));
		thread.onEnded((ended) => facts.push(ended));
		place(0, 2);
		const trimmed = { from: 3, to: 4, reason: "trimmed", life: 0, next: 5 };
		const epoch = { from: 5, reason: "epoch", epoch: "e2", life: 1, next: 1 };
		assert.deepEqual([core.host.gap(id(0), trimmed), core.host.gap(id(0), epoch)], [true, true]);
		core.host.resumed(id(0), {
			recovered: false,
			epoch: "e2",
			from: 1,
			to: 0,
			replayed: 0,
			duplicatesDropped: 0,
			attempts: 1,
			gap: epoch,
			skipped: { from: 1, to: 3 },
		});
		core.host.ended(Number(core.calls.find((call) => call.startsWith("subscribe"))?.match(/#(\d+)/)?.[1]), "deleted");
		const gaps = [
			{ from: 3, to: 4, reason: "trimmed", remedy: "refetch", epoch: undefined, position: { epoch: "e1", offset: 4 } },
			{ from: 5, to: undefined, reason: "epoch", remedy: "reset", epoch: "e2", position: { epoch: "e2", offset: 0 } },
		];
		const position = { epoch: "e2", offset: 0 };
		const resumed = {
			recovered: false,
			epoch: "e2",
			from: 1,
			to: 0,
			replayed: 0,
			duplicatesDropped: 0,
			attempts: 1,
			openRuns: undefined,
			gap: gaps[1],
			skipped: { from: 1, to: 3 },
			position,
		};
		assert.deepEqual(facts, [...gaps, resumed, { reason: "deleted", position }]);
		end();
	}));

// FAULT: B8
test("what_is_pulled_of_an_ended_epoch_is_reported_with_its_life", () =>
	inPage(async () => {
		const { thread, core, id, place, deliver, end } = opened();
		const iterator = thread.events();
		const pulled: Promise<IteratorResult<ThreadItem, undefined>>[] = [iterator.next()];
		place(0, 0);
		deliver(1, ticks(3));
		// Another consumer's gap handler pulls before the iterator got its own gap.
		pulled.push(iterator.next());
		core.host.gap(id(0), { from: 3, reason: "epoch", epoch: "e2", life: 1, next: 1 });
		assert.deepEqual(thread.position, { epoch: "e1", offset: 2 });
		deliver(1, ticks(1));
		pulled.push(iterator.next(), iterator.next());
		const items = (await Promise.all(pulled)).map(({ value }) => (value?.kind === "event" ? `${value.meta.epoch}/${value.meta.offset}` : value?.kind));
		assert.deepEqual(items, ["e1/1", "e1/2", "gap", "e2/1"]);
		assert.deepEqual(
			core.calls.filter((call) => call.startsWith("delivered")),
			["delivered 0 0 1", "delivered 0 0 2", "delivered 0 1 0", "delivered 0 1 1"],
		);
		end();
	}));

// FAULT: B9
test("an_iterator_yields_the_end_of_a_catch_up_in_its_place_and_reports_nothing_for_it", () =>
	inPage(async () => {
		const { thread, core, id, place, deliver, end } = opened();
		const iterator = thread.events();
		const pulled: Promise<IteratorResult<ThreadItem, undefined>>[] = [iterator.next()];
		place(0, 0);
		deliver(1, ticks(2));
		core.host.resumed(id(0), { recovered: true, epoch: "e1", from: 1, to: 2, replayed: 2, duplicatesDropped: 0, attempts: 1, openRuns: ["r"] });
		deliver(3, ticks(1));
		while (pulled.length < 4) pulled.push(iterator.next());
		const items = (await Promise.all(pulled)).map(({ value }) => (value?.kind === "event" ? value.meta.offset : value));
		const resumed = {
			recovered: true,
			epoch: "e1",
			from: 1,
			to: 2,
			replayed: 2,
			duplicatesDropped: 0,
			attempts: 1,
			openRuns: ["r"],
			gap: undefined,
			skipped: undefined,
			position: { epoch: "e1", offset: 2 },
		};
		assert.deepEqual(items, [1, 2, { kind: "resumed", resumed }, 3]);
		assert.deepEqual(
			core.calls.filter((call) => call.startsWith("delivered")),
			["delivered 0 0 1", "delivered 0 0 2", "delivered 0 0 3"],
		);
		end();
	}));

test("after_a_trap_an_iterator_forgets_what_it_queued_gaps_included", () =>
	inPage(async () => {
		const { client, cores, thread, core, id, place, deliver, end } = opened();
		const iterator = thread.events();
		const first = iterator.next();
		place(0, 0);
		deliver(1, ticks(3));
		await first;
		core.host.gap(id(0), { from: 2, reason: "epoch", epoch: "e2", life: 1, next: 1 });
		deliver(1, ticks(2));
		await Promise.all([iterator.next(), iterator.next()]);
		core.host.gap(id(0), { from: 2, reason: "epoch", epoch: "e3", life: 2, next: 1 });
		core.trapOn = "counter";
		client.stats();
		await settled();
		const next = cores[1] as StubCore;
		assert.deepEqual(
			next.calls.filter((call) => call.startsWith("subscribe")).map((call) => call.replace(/#\d+ /, "")),
			["subscribe t 0 e2 1"],
		);
		const waiting = iterator.next();
		const frame = { type: "events", ch: 1, first: 2, count: 1, events: ticks(1) };
		next.host.deliver(next.consumers[0] ?? 0, frame, 0, 1, 2, 0);
		const { value } = await waiting;
		assert.deepEqual(value?.kind === "event" && value.meta.position, { epoch: "e2", offset: 2 });
		assert.equal(next.calls.at(-1), "delivered 0 0 2", "the new core counts lives anew");
		end(["internal"]);
	}));

test("an_iterator_that_begins_after_the_end_of_the_client_ends", () =>
	inPage(async () => {
		const { client, thread } = opened();
		const iterator = thread.events();
		client.close();
		assert.deepEqual(await iterator.next(), { done: true, value: undefined });
	}));

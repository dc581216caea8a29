/** Where streams and consumers begin, in the words that reach the core. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentClient } from "../src/client/client.js";
import { settingsOf } from "../src/client/options.js";
import { MAX_CLOSED_STREAMS } from "../src/thread/streams.js";
import { inPage, type StubCore, settled, stubInstance } from "./support/stub.js";

function connected() {
	const { instance, cores } = stubInstance();
	const client = new AgentClient(settingsOf({ url: "wss://x/", token: () => "t" }), () => instance);
	const core = cores[0] as StubCore;
	client.on("error", listen);
	core.host.state("connected", "welcome", undefined, 0);
	const asked = (of: StubCore = core): string[] => of.calls.filter((call) => call.startsWith("subscribe"));
	const place = (consumer: number, offset: number, epoch = "e1"): void => core.host.placed(core.consumers[consumer] ?? 0, epoch, offset);
	const deliver = (consumer: number, first: number, count: number): void => {
		const frame = { type: "events", ch: 1, first, count, events: Array.from({ length: count }, () => ({ type: "tick" })) };
		core.host.deliver(core.consumers[consumer] ?? 0, frame, 0, count, first, 0);
	};
	return { client, cores, core, asked, place, deliver };
}

const listen = (): void => undefined;

// FAULT: B1
test("a_name_keeps_its_id_whatever_handles_come_and_go_without_consumers", () =>
	inPage(async () => {
		const { client, core, asked, place } = connected();
		const first = client.thread("t");
		first.onEvent(listen);
		place(0, 0);
		first.close();
		client.thread("t").close();
		const sender = client.thread("t");
		sender.send({ content: "x" });
		client.thread("t").onEvent(listen);
		sender.close();
		const ids = asked().map((call) => /#(\d+)/.exec(call)?.[1]);
		assert.equal(ids.length, 2);
		assert.equal(ids[0], ids[1]);
		assert.ok(core.calls.includes("unsubscribe 0"));
		client.close();
	}));

// FAULT: B2
test("a_live_thread_goes_on_where_it_was_left_also_after_a_handle_that_only_sends", () =>
	inPage(async () => {
		const { client, asked, place, deliver } = connected();
		const first = client.thread("t", { from: "live" });
		first.onEvent(listen);
		place(0, 8);
		deliver(0, 9, 2);
		first.close();
		const sender = client.thread("t");
		sender.send({ content: "x" });
		assert.deepEqual(sender.position, { epoch: "e1", offset: 10 });
		sender.close();
		client.thread("t", { from: "live" }).onEvent(listen);
		assert.match(asked().at(-1) ?? "", /^subscribe t #\d+ -1 e1 10$/);
		client.close();
	}));

test("the_thread_that_was_closed_first_is_forgotten_first_and_one_that_nobody_consumed_counts_for_nothing", () =>
	inPage(async () => {
		const { client, asked, place } = connected();
		const visit = (name: string): void => {
			const thread = client.thread(name, { from: "live" });
			thread.onEvent(listen);
			place(asked().length - 1, 5);
			thread.close();
		};
		visit("first");
		visit("second");
		for (let index = 0; index < 2 * MAX_CLOSED_STREAMS; index += 1) client.thread(`sent-${index}`).close();
		visit("first");
		assert.match(asked().at(-1) ?? "", / -1 e1 5$/);
		for (let index = 0; index < MAX_CLOSED_STREAMS - 1; index += 1) visit(`t${index}`);
		assert.equal(client.thread("second").position, undefined);
		assert.deepEqual(client.thread("first").position, { epoch: "e1", offset: 5 });
		client.close();
	}));

test("each_from_reaches_the_core_in_its_words", async (t) => {
	const cases = [
		["start", "0 - 0"],
		["live", "-1 - -1"],
		[{ last: 7 }, "7 - -1"],
		[{ epoch: "e9", offset: 3 }, "0 e9 3"],
	] as const;
	for (const [from, words] of cases) {
		await t.test(JSON.stringify(from), () =>
			inPage(async () => {
				const { client, asked } = connected();
				client.thread("t", { from }).onGap(listen);
				assert.equal(asked().at(-1)?.replace(/#\d+ /, ""), `subscribe t ${words}`);
				client.close();
			}),
		);
	}
});

test("handlers_of_facts_subscribe_and_those_of_the_end_do_not", () =>
	inPage(async () => {
		const { client, asked } = connected();
		client.thread("a").onEnded(listen);
		assert.deepEqual(asked(), []);
		client.thread("b").onGap(listen);
		client.thread("c").onResumed(listen);
		client.thread("d").onBatch(listen);
		assert.equal(asked().length, 3);
		client.close();
	}));

// FAULT: B13
test("all_that_is_attached_in_one_tick_is_asked_for_together", () =>
	inPage(async () => {
		const { client, core } = connected();
		await settled();
		const before = core.calls.length;
		for (let index = 0; index < 60; index += 1) client.thread(`t${index}`).onEvent(listen);
		assert.ok(!core.calls.slice(before).includes("flush"));
		await settled();
		assert.equal(core.calls.slice(before).filter((call) => call === "flush").length, 1);
		assert.equal(core.calls.at(-1), "flush");
		client.close();
	}));

test("the_last_n_of_a_joining_iterator_count_back_from_the_furthest_consumer", () =>
	inPage(async () => {
		const { client, asked, place, deliver } = connected();
		const thread = client.thread("t", { from: "live" });
		void thread.events({ from: "start" }).next();
		thread.onEvent(listen);
		void thread.events({ from: { last: 2 } }).next();
		assert.equal(asked().length, 2, "it waits until everybody has a place");
		place(0, 0);
		assert.equal(asked().length, 2);
		place(1, 9);
		assert.match(asked()[2] ?? "", / 2 e1 7$/);
		deliver(1, 10, 3);
		void thread.events({ from: { last: 2 } }).next();
		assert.match(asked()[3] ?? "", / 2 e1 10$/);
		client.close();
	}));

test("the_position_is_the_slowest_consumers_and_an_earlier_epoch_is_behind_all_others", () =>
	inPage(async () => {
		const { client, core, place, deliver } = connected();
		const thread = client.thread("t");
		assert.equal(thread.position, undefined);
		const slow = thread.events();
		const first = slow.next();
		thread.onEvent(listen);
		assert.equal(thread.position, undefined);
		place(0, 0);
		place(1, 0);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 0 }, "it is known before the first event");
		deliver(1, 1, 9);
		deliver(0, 1, 9);
		await first;
		assert.deepEqual(thread.position, { epoch: "e1", offset: 1 });
		for (const consumer of [0, 1]) core.host.gap(core.consumers[consumer] ?? 0, { from: 10, reason: "epoch", epoch: "e2", life: 1, next: 1 });
		assert.deepEqual(thread.position, { epoch: "e1", offset: 1 }, "one consumer has not taken note yet");
		await slow.next();
		assert.deepEqual(thread.position, { epoch: "e2", offset: 0 });
		deliver(1, 1, 5);
		thread.close();
		assert.deepEqual(thread.position, { epoch: "e2", offset: 0 }, "it was left where the slowest was");
		client.close();
	}));

test("after_a_trap_those_of_the_present_epoch_come_first_and_of_them_the_furthest", () =>
	inPage(async () => {
		const { client, cores, core, asked, place, deliver } = connected();
		const thread = client.thread("t");
		const old = thread.events();
		const pulled = old.next();
		const slow = thread.events();
		const [one, two] = [slow.next(), slow.next()];
		thread.onEvent(listen);
		for (const consumer of [0, 1, 2]) place(consumer, 0);
		deliver(0, 1, 9);
		await pulled;
		for (const consumer of [0, 1, 2]) core.host.gap(core.consumers[consumer] ?? 0, { from: 1, reason: "epoch", epoch: "e2", life: 1, next: 1 });
		deliver(1, 1, 4);
		deliver(2, 1, 4);
		await Promise.all([one, two]);
		core.trapOn = "counter";
		client.stats();
		await settled();
		assert.deepEqual(
			asked(cores[1]).map((call) => call.replace(/#\d+ /, "")),
			["subscribe t 0 e2 4", "subscribe t 0 e2 1", "subscribe t 0 e1 1"],
		);
		client.close();
	}));

test("after_the_server_ended_a_thread_an_iterator_has_its_handlers_asked_for_too", () =>
	inPage(async () => {
		const { client, core, asked, place, deliver } = connected();
		const thread = client.thread("t");
		thread.onEvent(listen);
		const reasons: string[] = [];
		thread.onEnded(({ reason }) => reasons.push(reason));
		place(0, 0);
		deliver(0, 1, 3);
		core.host.ended(Number(/#(\d+)/.exec(asked()[0] ?? "")?.[1]), "forbidden");
		void thread.events({ from: "start" }).next();
		assert.deepEqual(
			asked()
				.slice(1)
				.map((call) => call.replace(/#\d+ /, "")),
			["subscribe t 0 e1 3", "subscribe t 0 - 0"],
		);
		assert.deepEqual(reasons, ["forbidden"]);
		client.close();
	}));

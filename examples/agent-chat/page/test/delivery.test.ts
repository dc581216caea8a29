import assert from "node:assert/strict";
import { test } from "node:test";
import { type AgentEvent, AgentwireError, type EventsOptions, type Position, type Thread, type ThreadItem } from "agentwire";
import { EMPTY, fold } from "agentwire/conversation";
import { Delivery } from "../src/delivery.ts";
import { Timeline } from "../src/timeline.ts";
import type { LogPage } from "../src/truth.ts";

const LOG = [
	{ type: "user_message", content: "Hi" },
	{ type: "agent_started", runId: "r1", agent: "a" },
	{ type: "agent_started", runId: "r2", agent: "b", parentRunId: "r1" },
	{ type: "agent_completed", runId: "r2" },
	{ type: "agent_error", runId: "r1", recoverable: true },
	{ type: "agent_completed", runId: "r1" },
];

const readLog = async (from: number): Promise<LogPage> => ({ epoch: "e", oldest: 1, head: LOG.length, first: from, events: LOG.slice(from - 1) });

function delivered(offset: number): ThreadItem {
	const event = LOG[offset - 1] as unknown as AgentEvent;
	return { kind: "event", event, meta: { offset, epoch: "e", delivery: "live", position: { epoch: "e", offset } } };
}

/** What is shown of it. */
const conversation = fold(
	EMPTY,
	LOG.map((_, index) => delivered(index + 1)),
);

/** A thread that yields items, and then waits for the end or fails. */
function threadOf(items: readonly ThreadItem[], failure?: Error): { readonly thread: Thread; readonly asked: unknown[] } {
	const asked: unknown[] = [];
	async function* events({ from, signal }: EventsOptions): AsyncGenerator<ThreadItem> {
		asked.push(from);
		yield* items;
		if (failure !== undefined) throw failure;
		await new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
	}
	return { thread: { events } as unknown as Thread, asked };
}

/** Resolves when a comparison has been made. */
function compared(delivery: Delivery): Promise<void> {
	return new Promise((resolve) => {
		delivery.addEventListener("change", () => {
			if (!delivery.view.busy && delivery.view.outcome.state === "compared") resolve();
		});
	});
}

test("when the last answer ends, what was delivered is compared with the log", async () => {
	const delivery = new Delivery(readLog, new Timeline(), () => conversation);
	const done = compared(delivery);
	const leaving = new AbortController();
	const { thread, asked } = threadOf(LOG.map((_, index) => delivered(index + 1)));
	const following = delivery.follow(thread, leaving.signal);
	await done;
	const { outcome, isShown } = delivery.view;
	assert.equal(isShown, true);
	assert.deepEqual(asked, ["start"]);
	assert.ok(outcome.state === "compared" && outcome.events === LOG.length && outcome.lost + outcome.doubled === 0, JSON.stringify(outcome));
	leaving.abort();
	await following;
});

test("an event that was left out is found, whatever the conversation shows", async () => {
	const delivery = new Delivery(readLog, new Timeline(), () => conversation);
	const done = compared(delivery);
	const leaving = new AbortController();
	const { thread } = threadOf([1, 2, 3, 5, 6].map(delivered));
	void delivery.follow(thread, leaving.signal);
	await done;
	const { outcome } = delivery.view;
	assert.ok(outcome.state === "compared" && outcome.lost === 1 && outcome.firstWrong === 4, JSON.stringify(outcome));
	leaving.abort();
});

test("after a failure of the client it goes on where it was; an error of its own is not kept quiet", async () => {
	const delivery = new Delivery(readLog, new Timeline(), () => conversation);
	const { signal } = new AbortController();
	await delivery.follow(threadOf([1, 2, 3].map(delivered), new AgentwireError("closed", "the client has failed")).thread, signal);
	const again = threadOf([4, 5, 6].map(delivered), new AgentwireError("closed", "again"));
	await delivery.follow(again.thread, signal);
	assert.deepEqual(again.asked, [{ epoch: "e", offset: 3 } satisfies Position]);
	await assert.rejects(delivery.follow(threadOf([], new TypeError("a mistake")).thread, signal), TypeError);
});

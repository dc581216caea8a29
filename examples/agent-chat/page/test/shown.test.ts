import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentEvent, ThreadItem } from "agentwire";
import { type Conversation, EMPTY, fold } from "agentwire/conversation";
import { Shown } from "../src/shown.ts";
import type { ReadLog } from "../src/truth.ts";

const LOG: readonly object[] = [
	{ type: "user_message", content: "Hi", sendId: "s1", time: 1 },
	{ type: "agent_started", runId: "r1", agent: "a", sendId: "s1", time: 2 },
	...Array.from({ length: 20 }, (_, index) => ({ type: "message_delta", runId: "r1", messageId: "m1", text: `word ${index} `, time: 3 + index })),
	{ type: "agent_completed", runId: "r1", time: 30 },
];

function items(offsets: readonly number[]): ThreadItem[] {
	return offsets.map((offset) => {
		const event = LOG[offset - 1] as AgentEvent;
		return { kind: "event", event, meta: { offset, epoch: "e", delivery: "live", position: { epoch: "e", offset } } };
	});
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** A log that answers at most 7 events at once, and notes what it was asked for. */
function log({ epoch = "e", oldest = 1 } = {}): { readonly read: ReadLog; readonly asked: number[] } {
	const asked: number[] = [];
	const read: ReadLog = async (from, limit) => {
		asked.push(from);
		const first = Math.max(from, oldest);
		return { epoch, oldest, head: LOG.length, first, events: LOG.slice(first - 1, first - 1 + Math.min(7, limit)) };
	};
	return { read, asked };
}

test("a conversation that came in pieces, or was kept in between, shows what the log says", async () => {
	const { read, asked } = log();
	const shown = new Shown();
	const first = fold(EMPTY, items(range(1, 9)));
	assert.equal(await shown.compare(first, read), true);
	const kept: Conversation = JSON.parse(JSON.stringify(first));
	assert.equal(await shown.compare(fold(kept, items(range(10, 23))), read), true);
	assert.deepEqual(asked, [1, 8, 10, 17], "nothing is read twice");
});

test("a conversation that lacks an event, or has one twice, does not", async () => {
	const { read } = log();
	const first = fold(EMPTY, items(range(1, 9)));
	assert.equal(await new Shown().compare(fold(first, items(range(11, 23))), read), false);
	const doubled = structuredClone(first) as unknown as { runs: { parts: { text?: string }[] }[] };
	const part = doubled.runs[0]?.parts[0];
	assert.ok(part?.text !== undefined);
	part.text += "word 6 ";
	assert.equal(await new Shown().compare(doubled as unknown as Conversation, read), false);
});

test("what facts made of it, another epoch, and a log that is gone in part are not compared", async () => {
	const first = fold(EMPTY, items(range(1, 9)));
	const shown = new Shown();
	assert.equal(await shown.compare(EMPTY, log().read), undefined);
	assert.equal(await shown.compare(first, log({ epoch: "other" }).read), undefined);
	assert.equal(await shown.compare(first, log({ oldest: 5 }).read), undefined);
	assert.equal(await shown.compare(first, () => Promise.reject(new Error("away"))), undefined);
	const gap: ThreadItem = {
		kind: "gap",
		gap: { from: 10, to: 12, reason: "trimmed", remedy: "refetch", epoch: undefined, position: { epoch: "e", offset: 12 } },
	};
	assert.equal(await shown.compare(fold(first, [gap]), log().read), undefined);
	assert.equal(await shown.compare(first, log().read), true, "and then it can be");
});

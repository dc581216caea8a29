/** The fold, by vectors: a log and what is shown of it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Conversation, type CustomFold, EMPTY, emptyConversation, type FoldOptions, fold, runOf } from "../src/conversation.js";
import { type Entry, eventItem, frozen, itemsOf, outline, repairTexts } from "./support/conversation.js";
import { isAgentwireError, type ThreadItem } from "./support/package.js";

interface Vector {
	readonly name: string;
	readonly rule?: string;
	readonly log: readonly Entry[];
	readonly outline: readonly string[];
	readonly repairs: readonly string[];
	readonly openRuns: number;
	readonly duplicates?: number;
}

const vectors = JSON.parse(readFileSync(new URL("../../../tests/vectors/conversation.json", import.meta.url), "utf8")) as readonly Vector[];

function foldAll(items: readonly ThreadItem[], size = items.length): Conversation {
	let state = EMPTY;
	for (let from = 0; from < items.length; from += size) state = fold(state, items.slice(from, from + size));
	return state;
}

function conversationOf(log: readonly Entry[], options: FoldOptions = {}): Conversation {
	return fold(emptyConversation(options), itemsOf(log), options);
}

// PROTOCOL: RUN-1, RUN-2, RUN-3, RUN-4, RUN-5
// I5
test("a log folds as the vectors say", async (t) => {
	assert.ok(vectors.length > 40);
	for (const { name, log, ...expected } of vectors) {
		await t.test(name, () => {
			const state = foldAll(itemsOf(log));
			assert.deepEqual(outline(state), expected.outline);
			assert.deepEqual(repairTexts(state), expected.repairs);
			assert.deepEqual([state.openRuns, state.duplicates], [expected.openRuns, expected.duplicates ?? 0]);
			assert.equal(state.repairs.total, expected.repairs.length);
		});
	}
});

// I12
test("live and replay fold to the same, in whatever batches, and from a conversation that was stored", () => {
	for (const { name, log } of vectors) {
		const whole = foldAll(itemsOf(log));
		assert.deepEqual(foldAll(itemsOf(log, undefined, "replay")), whole, name);
		for (const size of [1, 2, 3]) assert.deepEqual(foldAll(itemsOf(log), size), whole, `${name}: batches of ${size}`);
		const items = itemsOf(log);
		for (let cut = 1; cut < items.length; cut += 1) {
			const stored = structuredClone(foldAll(items.slice(0, cut)));
			assert.deepEqual(fold(stored, items.slice(cut)), whole, `${name}: stored at ${cut}`);
		}
	}
});

test("a former conversation never changes, also when it is folded on twice", () => {
	for (const { name, log } of vectors) {
		const items = frozen(itemsOf(log));
		for (let cut = 0; cut < items.length; cut += 1) {
			const before = frozen(foldAll(items.slice(0, cut)));
			const one = fold(before, items.slice(cut));
			const other = fold(before, items.slice(cut));
			assert.deepEqual(one, other, `${name}: cut at ${cut}`);
		}
	}
});

test("what does not change stays the same object", () => {
	const log = [
		{ type: "user_message", content: "Hi", sendId: "s1" },
		{ type: "agent_started", runId: "r1", agent: "a" },
		{ type: "tool_executing", runId: "r1", toolCallId: "t1", toolName: "search" },
		{ type: "message_delta", runId: "r1", messageId: "m1", text: "one" },
		{ type: "agent_started", runId: "r2", agent: "b", parentRunId: "r1" },
	];
	const items = itemsOf([...log, { type: "message_delta", runId: "r1", messageId: "m1", text: "two" }]);
	const before = foldAll(items.slice(0, -1));
	const after = fold(before, items.slice(-1));
	assert.equal(after.items, before.items);
	assert.equal(after.repairs, before.repairs);
	assert.equal(runOf(after, "r2"), runOf(before, "r2"));
	const [one, other] = [runOf(before, "r1"), runOf(after, "r1")];
	assert.notEqual(one, other);
	assert.deepEqual(
		other?.parts.map((part, index) => part === one?.parts[index]),
		[true, false, true],
	);
	assert.equal(fold(after, []), after);
	const edit = { type: "message_edited", sendId: "s1", content: "Hi again" };
	const edited = fold(after, itemsOf([edit], { epoch: "e1", offset: items.length }));
	assert.notEqual(edited.items[0], after.items[0]);
	assert.equal(fold(edited, itemsOf([edit], { epoch: "e1", offset: items.length + 1 })).items, edited.items);
	assert.equal(runOf(before, "r3"), undefined);
	assert.equal(runOf(before, "r1"), one);
});

test("an application folds its own events, begins anew with the log, and cannot harm", () => {
	const customEvents: CustomFold<readonly string[]> = {
		initial: [],
		fold: (seen, event, { offset }) => {
			if (event["throws"] === true) throw new Error("mine");
			return [...seen, `${String(event.type)}@${offset}`];
		},
	};
	const options = { customEvents };
	const log: Entry[] = [
		{ type: "invoice_ready" },
		{ type: "void" },
		{ type: "user_message", content: "Hi" },
		{ type: "invoice_ready", throws: true },
		{ type: "gap" },
	];
	const state = fold(emptyConversation(options), itemsOf(log), options);
	assert.deepEqual(state.custom, ["invoice_ready@1", "gap@5"]);
	assert.deepEqual(repairTexts(state), ["invalid_event@4 customEvents: mine"]);
	const again = fold(state, itemsOf([{ gap: { epoch: "e2", reason: "epoch" } }, { type: "paid" }], { epoch: "e1", offset: 5 }), options);
	assert.deepEqual(again.custom, ["paid@1"]);
});

// I9
test("a fold holds no more than its limits", async (t) => {
	const started = { type: "agent_started", runId: "r1", agent: "a" };
	const repeat = (count: number, entry: (index: number) => Entry): Entry[] => Array.from({ length: count }, (_, index) => entry(index));

	await t.test("items: the oldest tenth goes, with its runs that ended", () => {
		const log = repeat(150, (index) => ({ type: "agent_started", runId: `r${index}`, agent: "a" })).flatMap((begun, index) =>
			index === 3 ? [begun] : [begun, { type: "agent_completed", runId: begun["runId"] }],
		);
		const state = conversationOf(log, { limits: { maxItems: 100 } });
		assert.deepEqual([state.items.length, state.dropped, state.items[0]?.key], [100, 50, "run:r50"]);
		// The open one is not shown any more, but it still has to end.
		assert.deepEqual([state.runs.length, state.openRuns, state.runs[0]?.runId], [101, 1, "r3"]);
		// What was dropped is forgotten.
		const again = { type: "user_message", content: "Hi", sendId: "s0" };
		const messages = conversationOf([...repeat(150, (index) => ({ ...again, sendId: `s${index}` })), again], { limits: { maxItems: 100 } });
		assert.equal(messages.items.at(-1)?.key, "message:s0");
	});
	await t.test("runs", () => {
		const log = repeat(120, (index) => ({ type: "agent_started", runId: `r${index}`, agent: "a" }));
		const state = conversationOf(log, { limits: { maxRuns: 100 } });
		assert.deepEqual([state.runs.length, state.openRuns, state.repairs.counts], [100, 100, { limit_reached: 20 }]);
	});
	await t.test("parts", () => {
		const log = repeat(12, (index) => ({ type: "tool_executing", runId: "r1", toolCallId: `t${index}`, toolName: "n" }));
		const ends = repeat(12, (index) => ({ type: "tool_completed", runId: "r1", toolCallId: `t${index}`, success: true }));
		const state = conversationOf([started, ...log, ...ends, { type: "approval_requested", runId: "r1", approvalId: "a", prompt: "?" }], {
			limits: { maxParts: 10 },
		});
		const run = runOf(state, "r1");
		assert.deepEqual([run?.parts.length, run?.openTools, run?.status, state.repairs.counts], [10, 0, "running", { limit_reached: 5 }]);
	});
	await t.test("text, not within a character", () => {
		const deltas = ["x".repeat(999), "😀", "more"].map((text) => ({ type: "message_delta", runId: "r1", messageId: "m", text }));
		const state = conversationOf([started, ...deltas], { limits: { maxTextLength: 1_000 } });
		const [part] = runOf(state, "r1")?.parts ?? [];
		assert.ok(part?.kind === "message");
		assert.deepEqual([part.text.length, part.truncated, state.repairs.counts], [999, true, { limit_reached: 1 }]);
	});
	await t.test("repairs are counted, the newest are kept", () => {
		const log = repeat(30, () => ({ type: "message_delta", runId: 1 }));
		const state = conversationOf(log, { limits: { maxRepairs: 7 } });
		assert.deepEqual([state.repairs.total, state.repairs.recent.length, state.repairs.recent.at(-1)?.offset], [30, 7, 30]);
	});
	await t.test("levels of sub-agents, from the top and from the bottom", () => {
		const depth = 10_000;
		const down = repeat(depth, (index) => ({ type: "agent_started", runId: `r${index}`, agent: "a", parentRunId: `r${index - 1}` }));
		for (const log of [down, [...down].reverse()]) {
			const state = conversationOf([...log, { type: "agent_cancelled", runId: "r0" }]);
			assert.deepEqual([state.runs.length, state.openRuns], [depth, 0]);
			assert.ok(state.items.length >= depth / 101 && state.items.length < depth / 50, `${state.items.length} items`);
			assert.ok((state.repairs.counts.limit_reached ?? 0) > 0);
			assert.ok(state.runs.every(({ status }) => status === "cancelled"));
			outline(state);
		}
	});
	await t.test("values nested 10,000 levels deep", () => {
		let args: unknown = 1;
		for (let level = 0; level < 10_000; level += 1) args = [args];
		const state = conversationOf([started, { type: "tool_executing", runId: "r1", toolCallId: "t", toolName: "n", args }]);
		assert.equal(runOf(state, "r1")?.openTools, 1);
	});
	await t.test("options that are none", () => {
		for (const limits of [{ maxItems: 0 }, { maxRuns: 0.5 }, { maxDepht: 3 }] as object[]) {
			assert.throws(
				() => fold(EMPTY, [], { limits }),
				(error) => isAgentwireError(error) && error.code === "invalid_option",
			);
		}
	});
});

test("values that are no events do not throw", () => {
	const items = [null, undefined, 7, "text", [], {}, { type: 5 }, { type: "agent_started" }].map((event, index) =>
		eventItem(event, { epoch: "e1", offset: index + 1 }),
	);
	const state = fold(EMPTY, items);
	assert.equal(state.repairs.counts.invalid_event, items.length);
	assert.deepEqual(state.position, { epoch: "e1", offset: items.length });
});

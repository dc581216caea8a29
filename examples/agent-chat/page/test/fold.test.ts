import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentEvent, Gap, Resumed, ThreadItem } from "agentwire";
import { type Conversation, EMPTY, fold, type MessagePart, type Part, type Run, type ToolPart } from "../src/fold.ts";

/** Bodies of events, which get offsets from 1 on. */
type Body = { readonly type: string; readonly [field: string]: unknown };

function events(bodies: readonly Body[], { first = 1, epoch = "e1", delivery = "live" as "live" | "replay" } = {}): ThreadItem[] {
	return bodies.map((body, index) => {
		const offset = first + index;
		const event = { time: 1_000 + offset, ...body } as unknown as AgentEvent;
		return { kind: "event", event, meta: { offset, epoch, delivery, position: { epoch, offset } } };
	});
}

function run(state: Conversation, id = "r1"): Run {
	const found = state.runs.get(id);
	assert.ok(found, `there is no run ${id}`);
	return found;
}

function part<K extends Part["kind"]>(state: Conversation, kind: K, id: string, runId = "r1"): Extract<Part, { kind: K }> {
	const found = run(state, runId).parts.find((one) => one.kind === kind && one.id === id);
	assert.ok(found, `there is no ${kind} ${id}`);
	return found as Extract<Part, { kind: K }>;
}

const message = (state: Conversation, id = "m1"): MessagePart => part(state, "message", id);
const tool = (state: Conversation, id: string): ToolPart => part(state, "tool", id);

const STARTED: Body = { type: "agent_started", runId: "r1", agent: "a", sendId: "s1" };
const TOOL: Body = { type: "tool_executing", runId: "r1", toolCallId: "t1", toolName: "count", args: { pattern: "x" } };

/** A conversation with everything in it. */
const WHOLE: readonly Body[] = [
	{ type: "user_message", content: "How many?", sendId: "s1", user: "ada" },
	STARTED,
	{ type: "agent_thinking", runId: "r1", text: "Counting", step: 1, totalSteps: 2, progress: 0 },
	TOOL,
	{ type: "agent_started", runId: "r2", agent: "b", parentRunId: "r1" },
	{ type: "tool_executing", runId: "r2", toolCallId: "t2", toolName: "read_file" },
	{ type: "message_delta", runId: "r1", messageId: "m1", text: "There " },
	{ type: "tool_completed", runId: "r1", toolCallId: "t1", result: { total: 3 }, success: true, durationMs: 7 },
	{ type: "message_delta", runId: "r1", messageId: "m1", text: "are" },
	{ type: "weather_changed", celsius: 4 },
	{ type: "void" },
	{ type: "tool_completed", runId: "r2", toolCallId: "t2", error: "no such file", success: false },
	{ type: "agent_completed", runId: "r2", summary: "read" },
	{ type: "message_completed", runId: "r1", messageId: "m1", content: "There are 3." },
	{ type: "agent_completed", runId: "r1", summary: "3 found", durationMs: 20 },
	{ type: "user_message", content: "Thanks", sendId: "s2", user: "ada" },
];

test("a conversation is folded into questions, runs, tools and texts", () => {
	const state = fold(EMPTY, events(WHOLE));
	assert.deepEqual(
		state.items.map((item) => (item.kind === "question" ? item.content : item.kind === "answer" ? item.runId : item.kind)),
		["How many?", "r1", "Thanks"],
	);
	assert.equal(run(state).status, "completed");
	assert.equal(run(state).durationMs, 20);
	assert.equal(run(state).thought, undefined);
	assert.deepEqual(
		run(state).parts.map(({ kind, id }) => `${kind} ${id}`),
		["tool t1", "child r2", "message m1"],
	);
	assert.equal(message(state).text, "There are 3.");
	assert.equal(message(state).state, "complete");
	assert.equal(tool(state, "t1").state, "completed");
	assert.equal(tool(state, "t1").durationMs, 7);
	assert.equal(part(state, "tool", "t2", "r2").state, "failed");
	assert.equal(run(state, "r2").parentRunId, "r1");
	assert.deepEqual([...state.sent], ["s1", "s2"]);
	assert.equal(state.open, 0);
	assert.deepEqual(state.position, { epoch: "e1", offset: WHOLE.length });
	assert.equal(state.late, 0);
});

test("live and replay fold to the same, however they are cut into batches", () => {
	const replayed = fold(EMPTY, events(WHOLE, { delivery: "replay" }));
	for (const size of [1, 2, 3, 5, 7, WHOLE.length]) {
		let live = EMPTY;
		const inputs = events(WHOLE);
		for (let from = 0; from < inputs.length; from += size) live = fold(live, inputs.slice(from, from + size));
		assert.deepEqual(live, replayed, `batches of ${size}`);
	}
});

test("a snapshot does not change when more is folded, and what did not change stays the same object", () => {
	const inputs = events(WHOLE);
	for (let cut = 0; cut < inputs.length; cut += 1) {
		const before = fold(EMPTY, inputs.slice(0, cut));
		const copy = structuredClone(before);
		const after = fold(before, inputs.slice(cut));
		assert.deepEqual(before, copy, `cut at ${cut}`);
		assert.notEqual(after, before);
	}
	const whole = fold(EMPTY, inputs);
	assert.equal(fold(whole, []), whole);
	const more = fold(whole, events([{ type: "user_message", content: "Bye" }], { first: inputs.length + 1 }));
	assert.equal(more.runs, whole.runs);
	assert.equal(more.items[0], whole.items[0]);
});

test("a late delta after message_completed changes nothing", () => {
	const state = fold(
		EMPTY,
		events([
			STARTED,
			{ type: "message_completed", runId: "r1", messageId: "m1", content: "Whole." },
			{ type: "message_delta", runId: "r1", messageId: "m1", text: " And more" },
		]),
	);
	assert.equal(message(state).text, "Whole.");
	assert.equal(message(state).state, "complete");
	assert.equal(state.late, 1);
});

test("message_completed wins over the deltas", () => {
	const state = fold(
		EMPTY,
		events([
			STARTED,
			{ type: "message_delta", runId: "r1", messageId: "m1", text: "Half a" },
			{ type: "message_completed", runId: "r1", messageId: "m1", content: "A whole one" },
		]),
	);
	assert.equal(message(state).text, "A whole one");
});

// PROTOCOL: RUN-2, RUN-4
test("a run that ends orphans its open tool calls, and what comes for them later is late", () => {
	const state = fold(
		EMPTY,
		events([
			STARTED,
			TOOL,
			{ ...TOOL, toolCallId: "t2" },
			{ type: "tool_completed", runId: "r1", toolCallId: "t2", success: true },
			{ type: "agent_completed", runId: "r1" },
			{ type: "tool_completed", runId: "r1", toolCallId: "t1", success: true },
		]),
	);
	assert.equal(tool(state, "t1").state, "orphaned");
	assert.equal(tool(state, "t2").state, "completed");
	assert.equal(run(state).status, "completed");
	assert.equal(state.late, 1);
});

test("agent_died fails the run with its cause, cuts its text and orphans its tools", () => {
	const state = fold(
		EMPTY,
		events([STARTED, TOOL, { type: "message_delta", runId: "r1", messageId: "m1", text: "Half" }, { type: "agent_died", runId: "r1", cause: "restarted" }]),
	);
	assert.equal(run(state).status, "failed");
	assert.equal(run(state).trouble?.code, "restarted");
	assert.equal(message(state).state, "cut");
	assert.equal(message(state).text, "Half");
	assert.equal(tool(state, "t1").state, "orphaned");
	assert.equal(state.open, 0);
});

// PROTOCOL: RUN-1
test("the first end of a run counts", () => {
	const state = fold(
		EMPTY,
		events([
			STARTED,
			{ type: "agent_cancelled", runId: "r1", reason: "enough" },
			{ type: "agent_completed", runId: "r1" },
			{ type: "agent_died", runId: "r1", cause: "restarted" },
		]),
	);
	assert.equal(run(state).status, "cancelled");
	assert.equal(run(state).trouble?.message, "enough");
	assert.equal(state.open, 0);
	assert.equal(state.late, 2);
});

test("a recoverable agent_error is a note, another one ends the run", () => {
	const error = { type: "agent_error", runId: "r1", code: "slow", message: "It is slow", severity: "low" };
	const noted = fold(EMPTY, events([STARTED, { ...error, recoverable: true }]));
	assert.equal(run(noted).status, "running");
	assert.equal(run(noted).parts[0]?.kind, "note");
	const failed = fold(EMPTY, events([STARTED, { ...error, recoverable: false, suggestions: ["Wait", 7] }]));
	assert.equal(run(failed).status, "failed");
	assert.deepEqual(run(failed).trouble, { code: "slow", message: "It is slow", suggestions: ["Wait"] });
});

test("a sub-agent whose parent is unknown stands for itself", () => {
	const state = fold(EMPTY, events([{ type: "agent_started", runId: "r2", agent: "b", parentRunId: "r1" }]));
	assert.deepEqual(state.items, [{ kind: "answer", offset: 1, runId: "r2" }]);
});

test("the first decision about an approval counts", () => {
	const resolved = { type: "approval_resolved", runId: "r1", approvalId: "a1" };
	const state = fold(
		EMPTY,
		events([
			STARTED,
			{ type: "approval_requested", runId: "r1", approvalId: "a1", prompt: "May I?" },
			{ ...resolved, decision: "denied", user: "ada" },
			{ ...resolved, decision: "approved" },
		]),
	);
	assert.equal(part(state, "approval", "a1").decision, "denied");
	assert.equal(state.late, 1);
});

const RESET: Gap = { from: 17, to: undefined, reason: "epoch", remedy: "reset", epoch: "e2", position: { epoch: "e2", offset: 0 } };

test("a gap with the remedy reset drops what was shown, and the new epoch follows", () => {
	const before = fold(EMPTY, [...events(WHOLE), ...events([{ ...STARTED, runId: "r9" }], { first: WHOLE.length + 1 })]);
	const after = fold(before, [{ kind: "gap", gap: RESET }, ...events([{ type: "user_message", content: "Anew" }], { epoch: "e2" })]);
	assert.deepEqual(after.position, { epoch: "e2", offset: 1 });
	assert.deepEqual(
		after.items.map(({ kind }) => kind),
		["question"],
	);
	assert.equal(after.runs.size, 0);
	assert.equal(after.sent.size, 0);
	assert.equal(after.open, 0);
	assert.equal(after.reset, RESET);
	assert.equal(before.items.length, 4, "the former snapshot stays");
});

test("a gap with the remedy refetch is shown in its place", () => {
	const gap: Gap = { from: 2, to: 9, reason: "trimmed", remedy: "refetch", epoch: undefined, position: { epoch: "e1", offset: 9 } };
	const state = fold(EMPTY, [...events(WHOLE.slice(0, 1)), { kind: "gap", gap }, ...events(WHOLE.slice(15), { first: 10 })]);
	assert.deepEqual(
		state.items.map(({ kind }) => kind),
		["question", "missing", "question"],
	);
	assert.deepEqual(state.position, { epoch: "e1", offset: 10 });
});

/** The end of a catch-up. */
function resumed({ to, openRuns }: Pick<Resumed, "to" | "openRuns">): ThreadItem {
	const position = { epoch: "e1", offset: to };
	return {
		kind: "resumed",
		resumed: {
			recovered: true,
			epoch: "e1",
			from: 1,
			to,
			replayed: to,
			duplicatesDropped: 0,
			attempts: 1,
			openRuns,
			gap: undefined,
			skipped: undefined,
			position,
		},
	};
}

// PROTOCOL: RUN-3
test("a run that the server does not know any more is lost, one that began later or is open there is not", () => {
	const state = fold(EMPTY, [...events([STARTED, { ...STARTED, runId: "r2" }, { ...STARTED, runId: "r3" }]), resumed({ to: 2, openRuns: ["r2"] })]);
	assert.deepEqual(
		["r1", "r2", "r3"].map((id) => run(state, id).status),
		["lost", "running", "running"],
	);
	assert.equal(state.open, 2);
});

// PROTOCOL: RUN-3
test("a server that does not say which runs are open ends none", () => {
	const before = fold(EMPTY, events([STARTED]));
	assert.equal(fold(before, [resumed({ to: 1, openRuns: undefined })]), before);
});

test("a catch-up without events gives the conversation its position", () => {
	assert.deepEqual(fold(EMPTY, [resumed({ to: 0, openRuns: [] })]).position, { epoch: "e1", offset: 0 });
});

/** The executions of a tool as they are shown, in their order. */
function executions(bodies: readonly Body[]): readonly Partial<ToolPart>[] {
	const state = fold(EMPTY, events([STARTED, ...bodies]));
	assert.equal(state.late, 0);
	return run(state)
		.parts.filter((one) => one.kind === "tool")
		.map(({ id, toolName, state, result, argsText }) => ({ id, toolName, state, result, argsText }));
}

const ended = (result: unknown): Body => ({ type: "tool_completed", runId: "r1", toolCallId: "t1", success: true, result });
const delta = (text: string): Body => ({ type: "tool_args_delta", runId: "r1", toolCallId: "t1", text });
const execution = { id: "t1", toolName: "count", state: "completed", argsText: "" };

// PROTOCOL: RUN-4
test("F7a: a tool call that is executed again keeps the result of each execution", () => {
	assert.deepEqual(executions([TOOL, ended(1), TOOL, ended(2)]), [
		{ ...execution, result: 1 },
		{ ...execution, result: 2 },
	]);
	assert.deepEqual(executions([TOOL, TOOL, ended(1), ended(2)]), [
		{ ...execution, result: 1 },
		{ ...execution, result: 2 },
	]);
});

test("F7b: a result that comes before the start of its tool call is paired with it", () => {
	assert.deepEqual(executions([ended(1), TOOL]), [{ ...execution, result: 1 }]);
	assert.deepEqual(executions([TOOL, ended(1), ended(2), TOOL, TOOL]), [
		{ ...execution, result: 1 },
		{ ...execution, result: 2 },
		{ ...execution, result: undefined, state: "running" },
	]);
});

test("F7c: arguments that come before the start of their tool call are paired with it", () => {
	assert.deepEqual(executions([delta("{}"), TOOL, ended(1)]), [{ ...execution, argsText: "{}", result: 1 }]);
	assert.deepEqual(executions([TOOL, delta("a"), ended(1), delta("b"), delta("c"), ended(2), TOOL]), [
		{ ...execution, argsText: "a", result: 1 },
		{ ...execution, argsText: "bc", result: 2 },
	]);
});

test("F7a: the execution without a result is orphaned when its run ends, and the other keeps its own", () => {
	const state = fold(EMPTY, events([STARTED, TOOL, TOOL, ended(1), { type: "agent_completed", runId: "r1" }]));
	assert.deepEqual(
		run(state).parts.map((one) => one.kind === "tool" && one.state),
		["completed", "orphaned"],
	);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentEvent, ThreadItem } from "agentwire";
import { type Conversation, EMPTY, fold, type Run, runOf } from "agentwire/conversation";
import { isSameFrame, openAnswers, sideBySide } from "../src/runs.ts";

/** An event without its place. */
type Body = { readonly type: string; readonly [field: string]: unknown };

/** What a conversation is after more events. */
function after(conversation: Conversation, ...bodies: readonly Body[]): Conversation {
	const first = (conversation.position?.offset ?? 0) + 1;
	const items = bodies.map((body, index): ThreadItem => {
		const offset = first + index;
		const event = { time: 1_000 + offset, ...body } as unknown as AgentEvent;
		return { kind: "event", event, meta: { offset, epoch: "e", delivery: "live", position: { epoch: "e", offset } } };
	});
	return fold(conversation, items);
}

function run(conversation: Conversation, id = "r1"): Run {
	const found = runOf(conversation, id);
	assert.ok(found, `there is no run ${id}`);
	return found;
}

const STARTED: Body = { type: "agent_started", runId: "r1", agent: "a", sendId: "s1" };
const delta = (text: string): Body => ({ type: "message_delta", runId: "r1", messageId: "m1", text });
const thought = (text: string): Body => ({ type: "agent_thinking", runId: "r1", text });
const tool = (toolCallId: string, time: number): Body => ({ type: "tool_executing", runId: "r1", toolCallId, toolName: "count", time });
const result = (toolCallId: string, durationMs: number): Body => ({ type: "tool_completed", runId: "r1", toolCallId, success: true, durationMs });

test("pieces of text and thoughts leave the frame of a run as it is; whatever else happens does not", () => {
	const before = after(EMPTY, STARTED, tool("t1", 5), delta("One "));
	const stays: readonly Body[] = [delta("token"), thought("Hm")];
	for (const event of stays) assert.ok(isSameFrame(run(before), run(after(before, event))), event.type);
	const changes: readonly Body[] = [
		{ type: "message_completed", runId: "r1", messageId: "m1", content: "One" },
		{ type: "message_delta", runId: "r1", messageId: "m2", text: "Another" },
		tool("t2", 6),
		result("t1", 3),
		{ type: "agent_started", runId: "r2", agent: "b", parentRunId: "r1" },
		{ type: "approval_requested", runId: "r1", approvalId: "a1", prompt: "May I?" },
		{ type: "agent_error", runId: "r1", code: "slow", severity: "low", recoverable: true },
		{ type: "agent_completed", runId: "r1" },
	];
	for (const event of changes) assert.ok(!isSameFrame(run(before), run(after(before, event))), event.type);
	assert.ok(isSameFrame(undefined, undefined));
	assert.ok(!isSameFrame(undefined, run(before)));
});

test("tools that ran at the same time are a row", () => {
	const rowOf = (...bodies: readonly Body[]) => {
		const { parts } = run(after(EMPTY, STARTED, ...bodies));
		const beside = sideBySide(parts);
		return parts.map(({ key }) => beside.get(key));
	};
	assert.deepEqual(rowOf(tool("t1", 0), result("t1", 5), tool("t2", 5), result("t2", 5)), [undefined, undefined], "one after the other");
	assert.deepEqual(rowOf(tool("t1", 0), tool("t2", 1), result("t1", 9), tool("t3", 8)), ["first", "middle", "last"]);
	assert.deepEqual(rowOf(tool("t1", 0), tool("t2", 1), result("t1", 5), result("t2", 5), tool("t3", 20)), ["first", "last", undefined]);
	assert.deepEqual(rowOf(tool("t1", 0), delta("A text between them"), tool("t2", 1)), [undefined, undefined, undefined]);
});

test("the answers at work are the open runs that are no sub-agents, the oldest first", () => {
	const working = after(EMPTY, STARTED, { type: "agent_started", runId: "r2", agent: "b", parentRunId: "r1" }, { type: "run_accepted", runId: "r3" });
	assert.deepEqual(openAnswers(working), ["r1", "r3"]);
	const asking = after(working, { type: "approval_requested", runId: "r3", approvalId: "a1", prompt: "May I?" }, { type: "agent_completed", runId: "r1" });
	assert.deepEqual(openAnswers(asking), ["r3"]);
	assert.deepEqual(openAnswers(after(asking, { type: "agent_cancelled", runId: "r3" })), []);
});

/** What must hold of every conversation, whatever it was folded from. */
import assert from "node:assert/strict";
import { type Conversation, hasEnded, type Part, type Run, runOf } from "../../src/conversation.js";
import type { ThreadItem } from "./package.js";

/** Follows a conversation from batch to batch. */
export class Judge {
	#former: Conversation | undefined;
	/** What could end a run or a tool well, as the log has it. */
	readonly #successes = new Set<string>();

	/** `items` made `next` of the former conversation. */
	judge(items: readonly ThreadItem[], next: Conversation): void {
		for (const item of items) if (item.kind === "event") this.#note(item.event as unknown);
		isConsistent(next);
		this.#inventsNothing(next);
		const former = this.#former;
		this.#former = next;
		if (former === undefined) return;
		const isAnew = next.items[0]?.kind === "reset" && next.items[0] !== former.items[0];
		// The log began anew: nothing that was shown is known to be in it.
		if (isAnew) return;
		endsOnce(former, next);
		// In a larger batch something may change and change back.
		if (items.length === 1) shares(former, next);
	}

	#note(event: unknown): void {
		if (typeof event !== "object" || event === null) return;
		const { type, runId, messageId, success } = event as Record<string, unknown>;
		if (type === "agent_completed") this.#successes.add(`run ${String(runId)}`);
		if (type === "tool_completed" && success === true) this.#successes.add(`tool of ${String(runId)}`);
		if (type === "message_completed" || type === "agent_response") this.#successes.add(`message ${String(runId)} ${String(messageId)}`);
	}

	#inventsNothing({ runs }: Conversation): void {
		for (const { runId, status, parts } of runs) {
			if (status === "completed") assert.ok(this.#successes.has(`run ${runId}`), `${runId} completed`);
			for (const part of parts) {
				if (part.kind === "tool" && part.state === "completed") assert.ok(this.#successes.has(`tool of ${runId}`), `${runId} ${part.toolCallId} completed`);
				if (part.kind === "message" && part.state === "complete" && part.messageId !== undefined)
					assert.ok(this.#successes.has(`message ${runId} ${part.messageId}`), `${runId} ${part.messageId} complete`);
			}
		}
	}
}

/** Counts and keys are right, and each run is shown once. */
export function isConsistent(conversation: Conversation): void {
	const { items, runs, openRuns, dropped } = conversation;
	assert.equal(openRuns, runs.filter((run) => !hasEnded(run)).length, "openRuns");
	assert.equal(new Set(items.map(({ key }) => key)).size, items.length, "keys of items");
	const shown: string[] = [];
	for (const item of items) if (item.kind === "run") shown.push(item.runId);
	for (const run of runs) {
		assert.equal(runOf(conversation, run.runId), run);
		const { parts, openTools, openApprovals } = run;
		assert.equal(new Set(parts.map(({ key }) => key)).size, parts.length, `keys of ${run.runId}`);
		assert.equal(openTools, parts.filter((part) => part.kind === "tool" && isOpen(part)).length, `open tools of ${run.runId}`);
		assert.equal(openApprovals, parts.filter((part) => part.kind === "approval" && isOpen(part)).length, `open approvals of ${run.runId}`);
		if (hasEnded(run)) assert.ok(!parts.some(isOpen), `${run.runId} ended, and something in it is open`);
		for (const part of parts) if (part.kind === "run") shown.push(part.runId);
	}
	assert.equal(new Set(shown).size, shown.length, "no run is shown twice");
	if (dropped === 0) assert.equal(shown.length, runs.length, "every run is shown");
}

/** Can it still change by itself? */
export function isOpen(part: Part): boolean {
	if (part.kind === "tool") return part.state === "pending" || part.state === "running";
	return (part.kind === "message" && part.state === "streaming") || (part.kind === "approval" && part.state === "open");
}

/** I5: what has ended stays as it ended, and what was shown stays shown. */
function endsOnce(former: Conversation, next: Conversation): void {
	for (const run of former.runs) {
		const now = runOf(next, run.runId);
		assert.ok(now !== undefined || (next.dropped > former.dropped && hasEnded(run)), `${run.runId} is gone`);
		if (now === undefined) continue;
		// A sub-agent that begins later is shown in it all the same.
		const more = now.parts.slice(run.parts.length);
		if (hasEnded(run) && more.length === 0) assert.equal(now, run, `${run.runId} changed after its end`);
		if (hasEnded(run)) assert.ok(now.status === run.status && more.every(({ kind }) => kind === "run"), `${run.runId} goes on after its end`);
		partsEndOnce(run, now);
	}
}

function partsEndOnce(run: Run, now: Run): void {
	for (const [index, part] of run.parts.entries()) {
		const then = now.parts[index];
		assert.equal(then?.key, part.key, "parts keep their places");
		if (part.kind === "tool" && then?.kind === "tool" && !isOpen(part)) assert.equal(then.state, part.state, `${run.runId} ${part.key} ended twice`);
		if (part.kind === "approval" && then?.kind === "approval" && part.decision !== undefined) assert.equal(then.decision, part.decision);
	}
}

/** What is equal is the same object. */
function shares(former: Conversation, next: Conversation): void {
	for (const list of ["items", "runs"] as const) {
		const keyOf = (value: Conversation["items" | "runs"][number]): string => ("key" in value ? value.key : value.runId);
		const known = new Map<string, object>(former[list].map((value) => [keyOf(value), value]));
		for (const value of next[list]) isShared(known.get(keyOf(value)), value, keyOf(value));
	}
	for (const run of former.runs) {
		const now = runOf(next, run.runId);
		if (now === undefined || now === run) continue;
		for (const [index, part] of run.parts.entries()) isShared(part, now.parts[index], `${run.runId} ${part.key}`);
	}
}

function isShared(former: object | undefined, next: object | undefined, what: string): void {
	if (former === undefined || next === undefined || former === next) return;
	const names = Object.keys(next) as (keyof typeof next)[];
	assert.ok(
		names.some((name) => former[name] !== next[name]),
		`${what} was copied and did not change`,
	);
}

/** The life of a run: it begins, works, and ends once. */
import type { Draft, RunDraft } from "./draft.js";
import type { Run, RunStatus, Usage } from "./model.js";
import type { RunError } from "./parts.js";
import { amount, type Body, id, list, object, text, word } from "./read.js";
import { hasEnded, isOpen, openStatus } from "./status.js";
import { place, rename } from "./tree.js";
import { answers } from "./users.js";

const NEW: Omit<Run, "runId" | "offset" | "lastOffset"> = {
	status: "accepted",
	started: false,
	startSynthesized: false,
	gapped: false,
	parts: [],
	openTools: 0,
	openApprovals: 0,
	earlyResults: [],
};

/** The first event of a run. `undefined`: there are too many. */
export function begin(draft: Draft, runId: string, body: Body): RunDraft | undefined {
	if (draft.next.runs.length >= draft.limits.maxRuns) {
		draft.limited("maxRuns");
		return undefined;
	}
	const { offset } = draft;
	const run = draft.addRun({ ...NEW, runId, offset, lastOffset: offset, startedAt: amount(body["time"]), agent: text(body["agent"]) });
	place(draft, run, id(body["parentRunId"]));
	return run;
}

/** `run_accepted` and `agent_started`: what they say of a run. */
export function introduce(draft: Draft, run: RunDraft, body: Body): void {
	if (run.sendId === undefined) {
		run.sendId = id(body["sendId"]);
		answers(draft, body, run.runId);
	}
	run.agent = text(body["agent"]) ?? run.agent;
	run.task = text(body["task"]) ?? run.task;
	// With its first event, the run was placed already.
	const parentRunId = run.offset === draft.offset ? undefined : id(body["parentRunId"]);
	if (parentRunId !== undefined) rename(draft, run, parentRunId);
}

export function started(draft: Draft, run: RunDraft, body: Body): void {
	introduce(draft, run, body);
	if (run.agent === undefined) draft.invalid("agent");
	run.started = true;
	run.status = openStatus(run);
}

/** The run does something: without a start, that is missing. */
export function works(draft: Draft, run: RunDraft): void {
	if (run.started || run.startSynthesized) return;
	run.startSynthesized = true;
	run.status = openStatus(run);
	draft.repair("start_synthesized");
}

export function thinking(_draft: Draft, run: RunDraft, body: Body): void {
	const progress = amount(body["progress"]);
	run.thought = {
		text: text(body["text"]) ?? run.thought?.text ?? "",
		step: amount(body["step"]),
		totalSteps: amount(body["totalSteps"]),
		progress: progress === undefined ? undefined : Math.min(100, progress),
		remainingMs: amount(body["remainingMs"]),
		urgency: word(body["urgency"], "low", "medium", "high"),
	};
	run.activity = "thinking";
}

export function completed(draft: Draft, run: RunDraft, body: Body): void {
	run.result = body["result"];
	run.summary = text(body["summary"]);
	run.usage = usageOf(body["usage"]);
	ends(draft, run, "completed", amount(body["time"]), amount(body["durationMs"]));
}

/** Ends the run, unless the agent says that it can go on. */
export function failed(draft: Draft, run: RunDraft, body: Body): void {
	const { recoverable } = body;
	const code = text(body["code"]);
	if (code === undefined) draft.invalid("code");
	else if (typeof recoverable !== "boolean") draft.invalid("recoverable");
	const error: RunError = {
		source: "agent_error",
		code: code ?? "unknown",
		message: text(body["message"]),
		userMessage: text(body["userMessage"]),
		severity: word(body["severity"], "critical", "high", "medium", "low"),
		suggestions: (list(body["suggestions"]) ?? []).filter((one) => typeof one === "string"),
		retryAfterMs: amount(body["retryAfterMs"]),
	};
	if (recoverable === true) {
		draft.addPart(run, { kind: "error", key: `error:${draft.offset}`, offset: draft.offset, error });
		return;
	}
	run.error = error;
	ends(draft, run, "failed", amount(body["time"]));
}

export function died(draft: Draft, run: RunDraft, body: Body): void {
	const code = text(body["cause"]) ?? "unknown";
	run.error = { source: "agent_died", code, suggestions: [] };
	ends(draft, run, "failed", amount(body["time"]));
}

export function cancelled(draft: Draft, run: RunDraft, body: Body): void {
	run.cancelReason = text(body["reason"]);
	ends(draft, run, "cancelled", amount(body["time"]));
}

/** The run has ended by an event of its own, and with it every sub-agent that is still open. */
function ends(draft: Draft, run: RunDraft, status: RunStatus, time: number | undefined, durationMs?: number): void {
	settle(draft, run, status, time, durationMs);
	const parents = [run];
	for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
		for (const runId of draft.lookup.children.get(parent.runId) ?? []) {
			const known = draft.run(runId);
			if (known === undefined || hasEnded(known)) continue;
			const child = draft.edit(runId);
			child.settledBy = run.runId;
			if (status !== "cancelled") child.lost = "parent_ended";
			settle(draft, child, status === "cancelled" ? "cancelled" : "lost", time);
			parents.push(child);
		}
	}
}

/** Ends an open run and everything in it that is open. */
export function settle(draft: Draft, run: RunDraft, status: RunStatus, time: number | undefined, durationMs?: number): void {
	const { runId } = run;
	run.status = status;
	run.activity = undefined;
	run.endedAt = time;
	run.durationMs = durationMs ?? elapsed(run.startedAt, time);
	run.openTools = 0;
	run.openApprovals = 0;
	run.earlyResults = NEW.earlyResults;
	draft.closeRun(runId);
	for (const [index, part] of run.parts.entries()) {
		if (part.kind === "tool" && isOpen(part)) {
			draft.changePart(run, index, { state: "orphaned", durationMs: elapsed(part.startedAt, time) });
			draft.repair("tool_orphaned", { runId, toolCallId: part.toolCallId });
		} else if (part.kind === "message" && part.state === "streaming") draft.changePart(run, index, { state: "interrupted" });
		else if (part.kind === "approval" && part.state === "open") draft.changePart(run, index, { state: "run_over" });
	}
}

/** Milliseconds between two times of events. */
export function elapsed(from: number | undefined, to: number | undefined): number | undefined {
	return from === undefined || to === undefined ? undefined : Math.max(0, to - from);
}

function usageOf(value: unknown): Usage | undefined {
	const usage = object(value);
	return usage && { inputTokens: amount(usage["inputTokens"]), outputTokens: amount(usage["outputTokens"]), totalTokens: amount(usage["totalTokens"]) };
}

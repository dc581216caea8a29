/** Which event changes what: the table of PROTOCOL section 12 as functions. */
import { approvalRequested, approvalResolved } from "./approvals.js";
import type { Draft, RunDraft } from "./draft.js";
import { messageCompleted, messageDelta } from "./messages.js";
import type { Run, RunStatus } from "./model.js";
import { type Body, id } from "./read.js";
import { begin, cancelled, completed, died, failed, introduce, started, thinking, works } from "./runs.js";
import { hasEnded } from "./status.js";
import { toolArgsDelta, toolCompleted, toolExecuting } from "./tools.js";
import { messageDequeued, messageEdited, messageQueued, steering, userMessage } from "./users.js";

type OfThread = (draft: Draft, body: Body) => void;
type OfRun = (draft: Draft, run: RunDraft, body: Body) => void;

/** Events that name no run. */
const OF_THREAD: ReadonlyMap<string, OfThread> = new Map([
	["user_message", userMessage],
	["message_queued", messageQueued],
	["message_dequeued", messageDequeued],
	["message_edited", messageEdited],
	["thread_changed", (): void => undefined],
	["void", (): void => undefined],
]);

/** Events of a run that is open. */
const OF_RUN: ReadonlyMap<string, OfRun> = new Map([
	["message_delta", messageDelta],
	["message_completed", messageCompleted],
	["agent_response", messageCompleted],
	["agent_thinking", thinking],
	["tool_executing", toolExecuting],
	["tool_args_delta", toolArgsDelta],
	["tool_completed", toolCompleted],
	["approval_requested", approvalRequested],
	["approval_resolved", approvalResolved],
	["run_accepted", introduce],
	["agent_started", started],
	["steering_requested", (draft, run, body) => steering(draft, body, run.runId, false)],
	["steering_taken", (draft, run, body) => steering(draft, body, run.runId, true)],
	["agent_completed", completed],
	["agent_error", failed],
	["agent_cancelled", cancelled],
	["agent_died", died],
]);

/** Those with which a run begins. */
const STARTS: ReadonlySet<string> = new Set(["run_accepted", "agent_started"]);
/** Those that can come to a run that was accepted and has not started. */
const BEFORE_START: ReadonlySet<string> = new Set([...STARTS, "steering_requested", "agent_cancelled", "agent_died", "agent_error"]);

/** Folds an event of the table. Returns false for any other. */
export function foldEvent(draft: Draft, body: Body): boolean {
	const { type } = draft;
	const ofRun = OF_RUN.get(type);
	if (ofRun === undefined) {
		const ofThread = OF_THREAD.get(type);
		ofThread?.(draft, body);
		return ofThread !== undefined;
	}
	const runId = (draft.runId = id(body["runId"]));
	if (runId === undefined) {
		draft.invalid("runId");
		return true;
	}
	const known = draft.run(runId);
	if (known !== undefined && hasEnded(known)) {
		isLate(draft, known, body);
		return true;
	}
	const run = known === undefined ? begin(draft, runId, body) : draft.edit(runId);
	if (run === undefined) return true;
	run.lastOffset = draft.offset;
	if (!(known === undefined ? STARTS : BEFORE_START).has(type)) works(draft, run);
	ofRun(draft, run, body);
	return true;
}

/** An event of a run that has ended changes nothing (RUN-1). */
function isLate(draft: Draft, { status }: Run, body: Body): void {
	const about = { toolCallId: id(body["toolCallId"]), approvalId: id(body["approvalId"]), messageId: id(body["messageId"]) };
	draft.repair(endOf(draft.type, body) === status ? "duplicate_terminal" : "late_after_terminal", about);
}

/** How an event ends its run, if it does. */
function endOf(type: string, { recoverable }: Body): RunStatus | undefined {
	if (type === "agent_completed") return "completed";
	if (type === "agent_cancelled") return "cancelled";
	return type === "agent_died" || (type === "agent_error" && recoverable !== true) ? "failed" : undefined;
}

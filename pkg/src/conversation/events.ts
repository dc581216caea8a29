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

const steeringRequested: OfRun = (draft, run, body) => steering(draft, body, run.runId, false);
const steeringTaken: OfRun = (draft, run, body) => steering(draft, body, run.runId, true);
const nothing: OfThread = () => undefined;

/** Events that name no run. */
const OF_THREAD: Readonly<Record<string, OfThread>> = {
	user_message: userMessage,
	message_queued: messageQueued,
	message_dequeued: messageDequeued,
	message_edited: messageEdited,
	thread_changed: nothing,
	void: nothing,
};

/** Events of a run that is open. */
const OF_RUN: Readonly<Record<string, OfRun>> = {
	message_delta: messageDelta,
	message_completed: messageCompleted,
	agent_response: messageCompleted,
	agent_thinking: thinking,
	tool_executing: toolExecuting,
	tool_args_delta: toolArgsDelta,
	tool_completed: toolCompleted,
	approval_requested: approvalRequested,
	approval_resolved: approvalResolved,
	run_accepted: introduce,
	agent_started: started,
	steering_requested: steeringRequested,
	steering_taken: steeringTaken,
	agent_completed: completed,
	agent_error: failed,
	agent_cancelled: cancelled,
	agent_died: died,
};

/** With which a run begins. */
const STARTS: readonly OfRun[] = [introduce, started];
/** What can come to a run that was accepted and has not started. */
const BEFORE_START: readonly OfRun[] = [...STARTS, steeringRequested, cancelled, died, failed];

/** Folds an event of the table. Returns false for any other. */
export function foldEvent(draft: Draft, body: Body): boolean {
	const { type } = draft;
	if (Object.hasOwn(OF_RUN, type)) ofRun(draft, OF_RUN[type] as OfRun, body);
	else if (Object.hasOwn(OF_THREAD, type)) OF_THREAD[type]?.(draft, body);
	else return false;
	return true;
}

function ofRun(draft: Draft, change: OfRun, body: Body): void {
	const runId = (draft.runId = id(body["runId"]));
	if (runId === undefined) return draft.invalid("runId");
	const known = draft.run(runId);
	if (known !== undefined && hasEnded(known)) return isLate(draft, known, change, body);
	const run = known === undefined ? begin(draft, runId, body) : draft.edit(runId);
	if (run === undefined) return;
	run.lastOffset = draft.offset;
	if (!(known === undefined ? STARTS : BEFORE_START).includes(change)) works(draft, run);
	change(draft, run, body);
}

/** An event of a run that has ended changes nothing (RUN-1). */
function isLate(draft: Draft, { status }: Run, change: OfRun, body: Body): void {
	const about = { toolCallId: id(body["toolCallId"]), approvalId: id(body["approvalId"]), messageId: id(body["messageId"]) };
	draft.repair(endOf(change, body) === status ? "duplicate_terminal" : "late_after_terminal", about);
}

/** How an event ends its run, if it does. */
function endOf(change: OfRun, { recoverable }: Body): RunStatus | undefined {
	if (change === completed) return "completed";
	if (change === cancelled) return "cancelled";
	return change === died || (change === failed && recoverable !== true) ? "failed" : undefined;
}

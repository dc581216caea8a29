/** Questions to a person: keyed by the run and their id, and decided once. */
import type { Draft, RunDraft } from "./draft.js";
import type { ApprovalPart } from "./parts.js";
import { amount, type Body, id, list, text, word } from "./read.js";
import { openStatus } from "./status.js";

export function approvalRequested(draft: Draft, run: RunDraft, body: Body): void {
	const { runId } = run;
	const approvalId = id(body["approvalId"]);
	if (approvalId === undefined) return draft.repair("invalid_event", { runId, detail: "approvalId" });
	const prompt = text(body["prompt"]);
	if (prompt === undefined) draft.repair("invalid_event", { runId, approvalId, detail: "prompt" });
	const asked = {
		requested: true,
		toolCallId: id(body["toolCallId"]),
		prompt: prompt ?? "",
		options: list(body["options"]),
		schema: body["schema"],
		args: body["args"],
		argsHash: id(body["argsHash"]),
		editable: body["editable"] === true,
		expiresAt: amount(body["expiresAt"]),
	};
	const index = draft.lookup.parts(run).approvals.get(approvalId);
	if (index === undefined) {
		if (add(draft, run, approvalId, { ...asked, state: "open" })) run.openApprovals += 1;
		run.status = openStatus(run);
		return;
	}
	const part = draft.editPart<ApprovalPart>(run, index, "approval");
	// A run asks once under an id (RUN-5). What was decided before its question came stays decided.
	if (!part.requested) Object.assign(part, asked);
	else if (part.state === "resolved") draft.repair("late_after_terminal", { runId, approvalId });
}

export function approvalResolved(draft: Draft, run: RunDraft, body: Body): void {
	const { runId } = run;
	const approvalId = id(body["approvalId"]);
	const decision = word(body["decision"], "approved", "denied", "expired");
	if (approvalId === undefined || decision === undefined)
		return draft.repair("invalid_event", { runId, approvalId, detail: approvalId === undefined ? "approvalId" : "decision" });
	const { payload, editedArgs } = body;
	const decided = { state: "resolved" as const, decision, user: text(body["user"]), payload, editedArgs, reason: text(body["reason"]) };
	const index = draft.lookup.parts(run).approvals.get(approvalId);
	if (index === undefined) {
		draft.repair("start_synthesized", { runId, approvalId });
		add(draft, run, approvalId, decided);
		return;
	}
	const part = draft.editPart<ApprovalPart>(run, index, "approval");
	if (part.state === "resolved") return draft.repair("duplicate_terminal", { runId, approvalId });
	Object.assign(part, decided);
	run.openApprovals -= 1;
	run.status = openStatus(run);
}

const NEW = {
	kind: "approval",
	toolCallId: undefined,
	requested: false,
	prompt: "",
	options: undefined,
	schema: undefined,
	args: undefined,
	argsHash: undefined,
	editable: false,
	expiresAt: undefined,
	decision: undefined,
	user: undefined,
	payload: undefined,
	editedArgs: undefined,
	reason: undefined,
} as const;

function add(draft: Draft, run: RunDraft, approvalId: string, given: Partial<ApprovalPart> & Pick<ApprovalPart, "state">): boolean {
	const { approvals } = draft.lookup.parts(run);
	const index = draft.addPart(run, { ...NEW, key: `approval:${approvalId}`, runId: run.runId, approvalId, offset: draft.offset, ...given });
	if (index >= 0) approvals.set(approvalId, index);
	return index >= 0;
}

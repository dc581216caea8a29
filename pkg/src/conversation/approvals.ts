/** Questions to a person: keyed by the run and their id, and decided once. */
import type { Draft, RunDraft } from "./draft.js";
import type { ApprovalPart } from "./parts.js";
import { amount, type Body, id, list, text, word } from "./read.js";
import { openStatus } from "./status.js";

export function approvalRequested(draft: Draft, run: RunDraft, body: Body): void {
	const approvalId = id(body["approvalId"]);
	if (approvalId === undefined) return draft.invalid("approvalId");
	const index = find(draft, run, approvalId);
	const part = run.parts[index] as ApprovalPart | undefined;
	if (part === undefined) return;
	// A run asks once under an id (RUN-5).
	if (part.requested) {
		if (part.state === "resolved") draft.repair("late_after_terminal", { approvalId });
		return;
	}
	const prompt = text(body["prompt"]);
	if (prompt === undefined) draft.invalid("prompt", { approvalId });
	draft.changePart<ApprovalPart>(run, index, {
		requested: true,
		toolCallId: id(body["toolCallId"]),
		prompt: prompt ?? "",
		options: list(body["options"]),
		schema: body["schema"],
		args: body["args"],
		argsHash: id(body["argsHash"]),
		editable: body["editable"] === true,
		expiresAt: amount(body["expiresAt"]),
	});
}

export function approvalResolved(draft: Draft, run: RunDraft, body: Body): void {
	const approvalId = id(body["approvalId"]);
	if (approvalId === undefined) return draft.invalid("approvalId");
	const decision = word(body["decision"], "approved", "denied", "expired");
	if (decision === undefined) return draft.invalid("decision", { approvalId });
	const index = find(draft, run, approvalId);
	const part = run.parts[index] as ApprovalPart | undefined;
	if (part === undefined) return;
	if (part.state === "resolved") return draft.repair("duplicate_terminal", { approvalId });
	// What is decided before its question comes stays decided.
	if (!part.requested) draft.repair("start_synthesized", { approvalId });
	const { payload, editedArgs } = body;
	draft.changePart<ApprovalPart>(run, index, { state: "resolved", decision, user: text(body["user"]), payload, editedArgs, reason: text(body["reason"]) });
	run.openApprovals -= 1;
	run.status = openStatus(run);
}

/** The approval of the id, which is added if it is not there; -1 if it cannot be. */
function find(draft: Draft, run: RunDraft, approvalId: string): number {
	const { offset } = draft;
	const { runId } = run;
	const key = `approval:${approvalId}`;
	const known = draft.partAt(run, key);
	if (known !== undefined) return known;
	const index = draft.addPart(run, { kind: "approval", key, runId, approvalId, offset, state: "open", requested: false, prompt: "", editable: false });
	if (index < 0) return index;
	run.openApprovals += 1;
	run.status = openStatus(run);
	return index;
}

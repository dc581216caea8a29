/** Texts of agents, streamed or whole. */
import type { Draft, Mutable, RunDraft } from "./draft.js";
import type { MessagePart } from "./parts.js";
import { type Body, id, text } from "./read.js";
import { isBusy } from "./runs.js";

export function messageDelta(draft: Draft, run: RunDraft, body: Body): void {
	const { runId } = run;
	const messageId = id(body["messageId"]);
	const more = text(body["text"]);
	if (messageId === undefined || more === undefined)
		return draft.repair("invalid_event", { runId, messageId, detail: messageId === undefined ? "messageId" : "text" });
	const part = find(draft, run, messageId) ?? add(draft, run, messageId);
	if (part === undefined) return;
	if (part.state !== "streaming") return draft.repair("late_after_terminal", { runId, messageId });
	append(draft, run, part, "text", more);
	isBusy(run, "responding");
}

/** The message has this content, whatever its deltas were. */
export function messageCompleted(draft: Draft, run: RunDraft, body: Body): void {
	const { runId } = run;
	const messageId = id(body["messageId"]);
	const content = text(body["content"]);
	// Only `agent_response` may leave its id out.
	const isNamed = messageId !== undefined || (draft.type === "agent_response" && body["messageId"] === undefined);
	if (!isNamed || content === undefined) draft.repair("invalid_event", { runId, messageId, detail: isNamed ? "content" : "messageId" });
	const part = (messageId === undefined ? undefined : find(draft, run, messageId)) ?? (content === undefined ? undefined : add(draft, run, messageId));
	if (part === undefined) return;
	if (content !== undefined) {
		part.text = "";
		part.truncated = false;
		part.gapped = false;
		append(draft, run, part, "text", content);
	}
	part.state = body["interrupted"] === true ? "interrupted" : "complete";
	isBusy(run, "responding");
}

/** Appends to a text that is streamed, up to the limit. */
export function append<F extends string>(draft: Draft, run: RunDraft, part: Record<F, string> & { truncated: boolean }, field: F, more: string): void {
	if (part.truncated) return;
	const { maxTextLength } = draft.limits;
	const room = maxTextLength - part[field].length;
	const texts: Record<string, string> = part;
	if (more.length <= room) {
		texts[field] += more;
		return;
	}
	// Not within a pair of surrogates.
	const last = more.charCodeAt(room - 1);
	texts[field] += more.slice(0, last >= 0xd800 && last <= 0xdbff ? room - 1 : room);
	part.truncated = true;
	draft.repair("limit_reached", { runId: run.runId, detail: "maxTextLength" });
}

function find(draft: Draft, run: RunDraft, messageId: string): Mutable<MessagePart> | undefined {
	const index = draft.lookup.parts(run).messages.get(messageId);
	return index === undefined ? undefined : draft.editPart<MessagePart>(run, index, "message");
}

function add(draft: Draft, run: RunDraft, messageId: string | undefined): Mutable<MessagePart> | undefined {
	const { offset } = draft;
	const { messages } = draft.lookup.parts(run);
	const key = messageId === undefined ? `message@${offset}` : `message:${messageId}`;
	const index = draft.addPart(run, { kind: "message", key, messageId, offset, text: "", state: "streaming", gapped: false, truncated: false });
	if (index < 0) return undefined;
	if (messageId !== undefined) messages.set(messageId, index);
	return draft.editPart<MessagePart>(run, index, "message");
}

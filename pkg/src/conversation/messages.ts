/** Texts of agents, streamed or whole. */
import type { Draft, RunDraft } from "./draft.js";
import type { MessagePart } from "./parts.js";
import { type Body, id, text } from "./read.js";

export function messageDelta(draft: Draft, run: RunDraft, body: Body): void {
	const messageId = id(body["messageId"]);
	const more = text(body["text"]);
	if (messageId === undefined) return draft.invalid("messageId");
	if (more === undefined) return draft.invalid("text", { messageId });
	const index = find(draft, run, messageId);
	if (index < 0) return;
	const part = run.parts[index] as MessagePart;
	if (part.state !== "streaming") return draft.repair("late_after_terminal", { messageId });
	run.activity = "responding";
	if (part.truncated) return;
	const { whole, truncated } = cut(draft, part.text, more);
	draft.changePart<MessagePart>(run, index, { text: whole, truncated });
}

/** The message has this content, whatever its deltas were. */
export function messageCompleted(draft: Draft, run: RunDraft, body: Body): void {
	const messageId = id(body["messageId"]);
	const content = text(body["content"]);
	// Only `agent_response` may leave its id out.
	if (messageId === undefined && (draft.type !== "agent_response" || body["messageId"] !== undefined)) draft.invalid("messageId");
	if (content === undefined) draft.invalid("content", { messageId });
	const index = find(draft, run, messageId, content !== undefined);
	if (index < 0) return;
	run.activity = "responding";
	const state = body["interrupted"] === true ? "interrupted" : "complete";
	if (content === undefined) return draft.changePart<MessagePart>(run, index, { state });
	const { whole, truncated } = cut(draft, "", content);
	draft.changePart<MessagePart>(run, index, { text: whole, truncated, gapped: false, state });
}

/** What a text that is streamed becomes with `more`: no longer than the limit. */
export function cut(draft: Draft, former: string, more: string): { readonly whole: string; readonly truncated: boolean } {
	const room = draft.limits.maxTextLength - former.length;
	if (more.length <= room) return { whole: former + more, truncated: false };
	draft.limited("maxTextLength");
	// Not within a pair of surrogates.
	const last = more.charCodeAt(room - 1);
	return { whole: former + more.slice(0, last >= 0xd800 && last <= 0xdbff ? room - 1 : room), truncated: true };
}

/** The message of the id, which is added if it is not there; -1 if it cannot be. */
function find(draft: Draft, run: RunDraft, messageId: string | undefined, adds = true): number {
	const { offset } = draft;
	const key = messageId === undefined ? `message@${offset}` : `message:${messageId}`;
	const known = draft.partAt(run, key);
	if (known !== undefined || !adds) return known ?? -1;
	return draft.addPart(run, { kind: "message", key, messageId, offset, text: "", state: "streaming", gapped: false, truncated: false });
}

/** Finds things in a conversation. */
import { indexAt, lookupOf } from "./lookup.js";
import type { Conversation, Run } from "./model.js";

/** A run by its id. */
export function runOf(conversation: Conversation<unknown>, runId: string): Run | undefined {
	const { runs } = conversation;
	const offset = lookupOf(conversation).runs.get(runId);
	const run = offset === undefined ? undefined : runs[indexAt(runs, offset)];
	return run?.runId === runId ? run : undefined;
}

/** Has the message of a send come? */
export function hasMessage(conversation: Conversation<unknown>, sendId: string): boolean {
	const offsets = lookupOf(conversation).sends.get(sendId) ?? [];
	return offsets.some((offset) => indexAt(conversation.items, offset) >= 0);
}

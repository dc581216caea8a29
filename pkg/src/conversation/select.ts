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

/** Questions to a conversation. */
import { indexAt, lookupOf } from "./lookup.js";
import type { Conversation, Run } from "./model.js";
import type { ToolPart } from "./parts.js";

/** A run by its id. */
export function runOf(conversation: Conversation<unknown>, runId: string): Run | undefined {
	const { runs } = conversation;
	const offset = lookupOf(conversation).runs.get(runId);
	const run = offset === undefined ? undefined : runs[indexAt(runs, offset)];
	return run?.runId === runId ? run : undefined;
}

/** The events that a run which ended well has had: each agent reports these five. */
export type RequiredEvent = "agent_started" | "agent_thinking" | "tool_executing" | "tool_completed" | "agent_completed";

/** The events of the five that have not come, in their order. A run that uses no tool lacks both of the tools'. */
export function requiredEvents(run: Run): RequiredEvent[] {
	const hasTool = (which: (tool: ToolPart) => boolean): boolean => run.parts.some((part) => part.kind === "tool" && which(part));
	const missing: [RequiredEvent, boolean][] = [
		["agent_started", !run.started],
		["agent_thinking", run.thought === undefined],
		["tool_executing", !hasTool((tool) => tool.started)],
		["tool_completed", !hasTool((tool) => tool.state === "completed" || tool.state === "failed")],
		["agent_completed", run.status !== "completed"],
	];
	return missing.filter(([, isMissing]) => isMissing).map(([type]) => type);
}

/** What is open and what has ended. */
import type { Run, RunStatus } from "./model.js";
import type { ToolPart } from "./parts.js";

/** Has the run ended? */
export function hasEnded({ status }: Pick<Run, "status">): boolean {
	return status !== "running" && status !== "waiting_for_approval" && status !== "accepted";
}

/** The status of a run that is open. */
export function openStatus({ openApprovals, started, startSynthesized }: Run): RunStatus {
	if (openApprovals > 0) return "waiting_for_approval";
	return started || startSynthesized ? "running" : "accepted";
}

/** Has the execution of a tool no end yet? */
export function isOpen({ state }: ToolPart): boolean {
	return state === "pending" || state === "running";
}

/** What the status of a run follows from. */
import type { Run, RunStatus } from "./model.js";

/** Has the run ended? */
export function hasEnded({ status }: Pick<Run, "status">): boolean {
	return status !== "running" && status !== "waiting_for_approval" && status !== "accepted";
}

/** The status of a run that is open. */
export function openStatus({ openApprovals, started, startSynthesized }: Run): RunStatus {
	if (openApprovals > 0) return "waiting_for_approval";
	return started || startSynthesized ? "running" : "accepted";
}

/** What did not fit together in the events, and what was made of it. */

/**
 * - `start_synthesized`: the first event of a run, a tool or an approval is missing; it is shown from a later one on
 * - `tool_orphaned`: a run ended before a result of its tool came
 * - `duplicate_terminal`: a run, a tool or an approval ended a second time; the first end counts
 * - `late_after_terminal`: something came after the end of what it belongs to; it changed nothing
 * - `invalid_event`: a field is missing or has a wrong type; what could be used was used
 * - `limit_reached`: a limit of {@link FoldLimits} left something out
 */
export type RepairKind = "start_synthesized" | "tool_orphaned" | "duplicate_terminal" | "late_after_terminal" | "invalid_event" | "limit_reached";

/** One repair. */
export interface Repair {
	readonly kind: RepairKind;
	/** Place of the event that it was made at. */
	readonly offset: number;
	/** Type of that event. */
	readonly type: string;
	readonly runId?: string | undefined;
	readonly toolCallId?: string | undefined;
	readonly approvalId?: string | undefined;
	readonly messageId?: string | undefined;
	/** The field that is wrong, the limit that was reached, or what else there is to say. */
	readonly detail?: string | undefined;
}

/** Every repair is counted; the newest are kept. */
export interface Repairs {
	readonly total: number;
	readonly counts: Readonly<Partial<Record<RepairKind, number>>>;
	/** At most `maxRepairs`, the newest last. */
	readonly recent: readonly Repair[];
}

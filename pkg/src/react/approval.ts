/** An approval that a person decides, in components. */
import { useCallback, useState } from "react";
import type { ApprovalPart } from "../conversation/parts.js";
import type { Decision } from "../thread/events.js";
import type { ApprovalAnswer, ApproveOutcome } from "../thread/thread.js";
import { useRun } from "./conversation.js";
import { useShared } from "./thread.js";

/** What is asked, and what became of the answer of this component. */
export interface ApprovalView {
	/** As the log has it; `undefined` if there is none. */
	readonly approval: ApprovalPart | undefined;
	/** Answers. The `argsHash` of what is shown goes along. It never rejects: see `outcome` and `error`. */
	readonly answer: (answer: Decision | ApprovalAnswer) => Promise<void>;
	/** An answer is on its way. */
	readonly answering: boolean;
	/** What became of the answer. */
	readonly outcome: ApproveOutcome | undefined;
	/** Why the answer did not arrive. */
	readonly error: unknown;
}

type Answering = Pick<ApprovalView, "answering" | "outcome" | "error">;

const NOTHING: Answering = { answering: false, outcome: undefined, error: undefined };

/** An approval of a run of the nearest {@link AgentwireThread}: the component is rendered when that approval changes. */
export function useApproval(runId: string, approvalId: string): ApprovalView {
	const { approve } = useShared<unknown>(undefined);
	const approval = useRun(
		runId,
		(run) => run?.parts.find((part): part is ApprovalPart => part.kind === "approval" && part.approvalId === approvalId),
		Object.is,
	);
	const [answered, setAnswered] = useState<Answering & { readonly of?: string }>(NOTHING);
	const of = JSON.stringify([runId, approvalId]);
	const answer = useCallback(
		async (given: Decision | ApprovalAnswer): Promise<void> => {
			// An answer that comes after the component shows another approval is not shown there.
			const settle = (settled: Partial<Answering>): void => setAnswered((now) => (now.of === of ? { ...NOTHING, ...settled, of } : now));
			setAnswered({ ...NOTHING, of, answering: true });
			try {
				settle({ outcome: await approve(runId, approvalId, given) });
			} catch (error) {
				settle({ error });
			}
		},
		[approve, runId, approvalId, of],
	);
	const { answering, outcome, error } = answered.of === of ? answered : NOTHING;
	return { approval, answer, answering, outcome, error };
}

/** What components take of a run, so that a piece of text renders the text and nothing around it. */
import { type Conversation, type Part, type Run, type RunStatus, runOf, type ToolPart } from "agentwire/conversation";

/** What changes while an agent speaks or thinks. Each has a component of its own. */
const OF_THE_MOMENT: readonly string[] = ["parts", "lastOffset", "activity", "thought"] satisfies (keyof Run)[];

/** The same run to whoever shows each of its texts, and what it is busy with, in components of their own? */
export function isSameFrame(one: Run | undefined, other: Run | undefined): boolean {
	if (one === other) return true;
	if (one === undefined || other === undefined) return false;
	const keys = Object.keys({ ...one, ...other }) as (keyof Run)[];
	return keys.every((key) => OF_THE_MOMENT.includes(key) || one[key] === other[key]) && isSameList(one.parts, other.parts);
}

function isSameList(some: readonly Part[], others: readonly Part[]): boolean {
	return some === others || (some.length === others.length && some.every((part, index) => isSamePart(part, others[index])));
}

function isSamePart(one: Part, other: Part | undefined): boolean {
	return one === other || (one.kind === "message" && other?.kind === "message" && one.key === other.key && one.state === other.state);
}

/** Is it at work, or will it be? */
export function isOpen({ status }: { readonly status: RunStatus }): boolean {
	return status === "accepted" || status === "running" || status === "waiting_for_approval";
}

/** Its place among tools that ran side by side. */
export type Beside = "first" | "middle" | "last";

/** Which of these parts are tools that ran at the same time, by their keys: a row of them begins, goes on and ends. */
export function sideBySide(parts: readonly Part[]): ReadonlyMap<string, Beside> {
	const found = new Map<string, Beside>();
	let row: ToolPart[] = [];
	const close = (): void => {
		if (row.length > 1) for (const [index, { key }] of row.entries()) found.set(key, index === 0 ? "first" : index === row.length - 1 ? "last" : "middle");
		row = [];
	};
	for (const part of parts) {
		const { startedAt } = part as Partial<ToolPart>;
		if (part.kind !== "tool" || startedAt === undefined) {
			close();
			continue;
		}
		if (!row.some((tool) => startedAt < endOf(tool))) close();
		row.push(part);
	}
	close();
	return found;
}

function endOf({ startedAt = 0, durationMs, state }: ToolPart): number {
	if (durationMs !== undefined) return startedAt + durationMs;
	return state === "running" || state === "pending" ? Number.POSITIVE_INFINITY : startedAt;
}

/** The answers at work, the oldest first: runs that are no sub-agents. */
export function openAnswers(conversation: Conversation<unknown>): readonly string[] {
	if (conversation.openRuns === 0) return NONE;
	const shown = conversation.items.flatMap((item) => (item.kind === "run" ? [item.runId] : []));
	return shown.filter((runId) => {
		const run = runOf(conversation, runId);
		return run !== undefined && isOpen(run);
	});
}

const NONE: readonly string[] = [];

/** Where runs are shown: a sub-agent inside its parent, whichever of the two comes first. */
import type { Draft, RunDraft } from "./draft.js";

/** A new run: it is shown in its parent if that is known, and what named it as parent is shown in it. */
export function place(draft: Draft, run: RunDraft, parentRunId: string | undefined): void {
	const { runId, offset } = run;
	const { lookup } = draft;
	const orphans = (lookup.children.get(runId) ?? []).filter((child) => !lookup.under.has(child));
	const offsetOf = (child: string): number => draft.run(child)?.offset ?? 0;
	if (parentRunId === undefined || !nest(draft, run, parentRunId)) draft.addItem({ kind: "run", key: `run:${runId}`, offset, runId });
	orphans.sort((one, other) => offsetOf(one) - offsetOf(other));
	for (const orphan of orphans) if (draft.run(orphan) !== undefined && show(draft, orphan, runId)) draft.removeItem(offsetOf(orphan));
}

/** A run may name its parent later than with its first event. */
export function rename(draft: Draft, run: RunDraft, parentRunId: string): void {
	if (run.parentRunId === undefined && nest(draft, run, parentRunId)) draft.removeItem(run.offset);
}

/** Takes note of the parent of a run, and returns whether the run is shown in it. */
function nest(draft: Draft, run: RunDraft, parentRunId: string): boolean {
	const { runId } = run;
	if (parentRunId === runId) {
		draft.invalid("parentRunId");
		return false;
	}
	run.parentRunId = parentRunId;
	draft.lookup.name(runId, parentRunId);
	return draft.run(parentRunId) !== undefined && show(draft, runId, parentRunId);
}

/** Shows a run in its parent, unless that makes a circle or the levels too many. */
function show(draft: Draft, runId: string, parent: string): boolean {
	const { under, heights } = draft.lookup;
	let levels = heights.get(runId) ?? 0;
	for (let above: string | undefined = parent; above !== undefined; above = under.get(above)) {
		if (above === runId) {
			draft.invalid("parentRunId", { runId });
			return false;
		}
		levels += 1;
	}
	if (levels > draft.limits.maxDepth) {
		draft.limited("maxDepth", { runId });
		return false;
	}
	if (draft.addPart(draft.edit(parent), { kind: "run", key: `run:${runId}`, offset: draft.offset, runId }) < 0) return false;
	draft.lookup.put(runId, parent);
	return true;
}

/** What the core says of a gap, in the words of the page (GAP-5). */
import type { Gap, Resumed } from "./events.js";
import type { RawGap, RawVerdict } from "./raw.js";

export function gapOf(gap: RawGap): Gap {
	const { from, to, reason, epoch } = gap;
	return { from, to, reason, remedy: epoch === undefined ? "refetch" : "reset", epoch };
}

export function resumedOf(verdict: RawVerdict): Resumed {
	const { recovered, epoch, from, to, replayed, duplicatesDropped, attempts, openRuns, gap } = verdict;
	return { recovered, epoch, from, to, replayed, duplicatesDropped, attempts, openRuns: [...openRuns], gap: gap && gapOf(gap) };
}

/** How much a conversation holds, and what is made of more. */
import { fields, integer } from "../shared/check.js";

/**
 * Limits of a fold, each from 1 to 1,000,000,000. What goes beyond one of them is counted as the repair `limit_reached`, or in `dropped`.
 */
export interface FoldLimits {
	/** Entries of `items`. Beyond them the oldest tenth goes, with the runs that have ended by then. @default 10_000 */
	readonly maxItems?: number | undefined;
	/** Runs, sub-agents included. A further one is left out. @default 20_000 */
	readonly maxRuns?: number | undefined;
	/** Parts of one run. A further one is left out. @default 10_000 */
	readonly maxParts?: number | undefined;
	/** Levels of sub-agents. One that is deeper is an entry of `items`. @default 100 */
	readonly maxDepth?: number | undefined;
	/** UTF-16 units of one text of an agent, or of the streamed arguments of one tool. The rest is cut. @default 4_000_000 */
	readonly maxTextLength?: number | undefined;
	/** Repairs that are kept. All are counted. @default 100 */
	readonly maxRepairs?: number | undefined;
}

export type Limits = Readonly<Record<keyof FoldLimits, number>>;

const DEFAULTS: Limits = { maxItems: 10_000, maxRuns: 20_000, maxParts: 10_000, maxDepth: 100, maxTextLength: 4_000_000, maxRepairs: 100 };

/** Fills in the defaults. Throws `invalid_option`. */
export function limitsOf(given: FoldLimits = {}): Limits {
	fields("limits", given, Object.keys(DEFAULTS));
	const limits: Record<keyof FoldLimits, number> = { ...DEFAULTS };
	for (const name in limits) {
		const key = name as keyof FoldLimits;
		limits[key] = integer(name, given[key], 1, 1_000_000_000, limits[key]);
	}
	return limits;
}

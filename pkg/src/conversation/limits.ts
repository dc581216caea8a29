/** How much a conversation holds, and what is made of more. */
import { fields, integer } from "../shared/check.js";

/** Limits of a fold. What goes beyond one of them is counted as the repair `limit_reached`, or in `dropped`. */
export interface FoldLimits {
	/** Entries of `items`, 100 to 1,000,000. Beyond them the oldest tenth goes, with its runs that have ended. @default 10_000 */
	readonly maxItems?: number | undefined;
	/** Runs, sub-agents included, 100 to 1,000,000. A further one is left out. @default 20_000 */
	readonly maxRuns?: number | undefined;
	/** Parts of one run, 10 to 1,000,000. A further one is left out. @default 10_000 */
	readonly maxParts?: number | undefined;
	/** Levels of sub-agents, 1 to 1,000. One that is deeper is an entry of `items`. @default 100 */
	readonly maxDepth?: number | undefined;
	/** UTF-16 units of one text of an agent, or of the streamed arguments of one tool, 1,000 to 100,000,000. The rest is cut. @default 4_000_000 */
	readonly maxTextLength?: number | undefined;
	/** Repairs that are kept, 0 to 10,000. All are counted. @default 100 */
	readonly maxRepairs?: number | undefined;
}

export type Limits = Readonly<Record<keyof FoldLimits, number>>;

export const DEFAULT_LIMITS: Limits = { maxItems: 10_000, maxRuns: 20_000, maxParts: 10_000, maxDepth: 100, maxTextLength: 4_000_000, maxRepairs: 100 };

const LEAST: Limits = { maxItems: 100, maxRuns: 100, maxParts: 10, maxDepth: 1, maxTextLength: 1_000, maxRepairs: 0 };
const MOST: Limits = { maxItems: 1_000_000, maxRuns: 1_000_000, maxParts: 1_000_000, maxDepth: 1_000, maxTextLength: 100_000_000, maxRepairs: 10_000 };

/** Fills in the defaults. Throws `invalid_option`. */
export function limitsOf(given: FoldLimits | undefined): Limits {
	if (given === undefined) return DEFAULT_LIMITS;
	const names = Object.keys(DEFAULT_LIMITS) as (keyof FoldLimits)[];
	fields("limits", given, names);
	return Object.fromEntries(names.map((name) => [name, integer(name, given[name], LEAST[name], MOST[name], DEFAULT_LIMITS[name])])) as Limits;
}

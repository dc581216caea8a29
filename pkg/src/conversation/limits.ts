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

/** Of each limit the least value, the default and the most. */
const RANGES: Readonly<Record<keyof FoldLimits, readonly [least: number, usual: number, most: number]>> = {
	maxItems: [100, 10_000, 1_000_000],
	maxRuns: [100, 20_000, 1_000_000],
	maxParts: [10, 10_000, 1_000_000],
	maxDepth: [1, 100, 1_000],
	maxTextLength: [1_000, 4_000_000, 100_000_000],
	maxRepairs: [0, 100, 10_000],
};

/** Fills in the defaults. Throws `invalid_option`. */
export function limitsOf(given: FoldLimits = {}): Limits {
	const names = Object.keys(RANGES) as (keyof FoldLimits)[];
	fields("limits", given, names);
	const limitOf = (name: keyof FoldLimits): number => {
		const [least, usual, most] = RANGES[name];
		return integer(name, given[name], least, most, usual);
	};
	return Object.fromEntries(names.map((name) => [name, limitOf(name)])) as Limits;
}

/**
 * Random logs, well-formed and damaged, and what must hold of every fold of them. `AGENTWIRE_LOGS` sets how many (2,000 of each kind by
 * default), `AGENTWIRE_SEED` the first seed.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Conversation, EMPTY, fold, hasEnded } from "../src/conversation.js";
import { Agents, damaged, delivered } from "./support/agents.js";
import { frozen } from "./support/conversation.js";
import { isConsistent, isOpen, Judge } from "./support/judge.js";
import type { ThreadItem } from "./support/package.js";
import { Random } from "./support/seed.js";

const LOGS = Number(process.env["AGENTWIRE_LOGS"] ?? 2_000);
const FIRST = Number(process.env["AGENTWIRE_SEED"] ?? 1);
/** Every so many logs, what costs more than the fold itself is checked too. */
const THOROUGH = 5;

/** Folds in random batches, with everything frozen, and judges each step. */
function foldJudged(items: readonly ThreadItem[], random: Random): Conversation {
	const judge = new Judge();
	let state = EMPTY;
	for (let from = 0; from < items.length; ) {
		const batch = frozen(items.slice(from, from + random.pick([1, 1, 1, 2, 6])));
		from += batch.length;
		state = fold(frozen(state), batch);
		judge.judge(batch, state);
	}
	return state;
}

/** Each seed is a test of its own: a failure names it. */
function forEachSeed(check: (random: Random, seed: number) => void): void {
	for (let seed = FIRST; seed < FIRST + LOGS; seed += 1) {
		try {
			check(new Random(seed), seed);
		} catch (error) {
			throw new Error(`seed ${seed} (AGENTWIRE_SEED=${seed} AGENTWIRE_LOGS=1): ${error instanceof Error ? error.message : String(error)}`, { cause: error });
		}
	}
}

function isOver({ runs }: Conversation): void {
	for (const run of runs) assert.ok(hasEnded(run) && !run.parts.some(isOpen), `${run.runId} is still open`);
}

// I5, I12
test(`${LOGS} well-formed logs fold without a repair, and alike in whatever batches`, () => {
	forEachSeed((random, seed) => {
		const agents = new Agents(random);
		agents.write(random.integer(5, 80));
		const items = delivered(agents.log, agents.openRuns);
		const whole = fold(EMPTY, items);
		isConsistent(whole);
		assert.equal(whole.openRuns, agents.openRuns.length);
		// What a run leaves open when it ends is all that does not fit.
		const { tool_orphaned = 0 } = whole.repairs.counts;
		const late = whole.repairs.recent.filter(({ kind }) => kind !== "tool_orphaned");
		assert.deepEqual([late, whole.duplicates, whole.repairs.total], [[], 0, tool_orphaned]);
		if (seed % THOROUGH === 0) {
			assert.deepEqual(foldJudged(items, random), whole);
			const cut = random.integer(0, items.length);
			assert.deepEqual(fold(structuredClone(fold(EMPTY, items.slice(0, cut))), items.slice(cut)), whole);
		}
		agents.finish();
		isOver(fold(whole, delivered(agents.log, []).slice(items.length - 1)));
	});
});

// I5
test(`${LOGS} damaged logs never throw, end everything once and invent nothing`, () => {
	forEachSeed((random, seed) => {
		const agents = new Agents(random);
		agents.write(random.integer(5, 80));
		if (random.chance(0.5)) agents.finish();
		const items = damaged(agents.log, random);
		const whole = fold(EMPTY, items);
		isOver(whole);
		if (seed % THOROUGH === 0) assert.deepEqual(foldJudged(items, random), whole);
	});
});

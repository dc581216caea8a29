/** Medians with bootstrap intervals. */
import { randomFrom } from "./random.js";

const RESAMPLES = 5_000;

export function median(values) {
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** @typedef {{ point: number, low: number, high: number, rounds: number }} Estimate */

/**
 * The median of `values` and the 95 % interval of the percentile bootstrap.
 *
 * @returns {Estimate | undefined} Nothing without values.
 */
export function estimate(values, seed) {
	if (values.length === 0) return undefined;
	const random = randomFrom(seed);
	const medians = Array.from({ length: RESAMPLES }, () => median(values.map(() => values[Math.floor(random() * values.length)])));
	medians.sort((a, b) => a - b);
	const at = (share) => medians[Math.min(RESAMPLES - 1, Math.floor(share * RESAMPLES))];
	return { point: median(values), low: at(0.025), high: at(0.975), rounds: values.length };
}

/** `combine(value, reference)` of each round that has both. @param {(number | undefined)[]} values @param {(number | undefined)[]} references */
export function paired(values, references, combine) {
	const results = [];
	for (const [round, value] of values.entries()) {
		const reference = references[round];
		if (value !== undefined && reference !== undefined) results.push(combine(value, reference));
	}
	return results;
}

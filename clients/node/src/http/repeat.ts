/** Repeats what can be repeated, with growing delays. */
import { setTimeout as sleep } from "node:timers/promises";
import { BridgeError } from "../errors.js";

const FIRST_MS = 100;
const LONGEST_MS = 10_000;

/** The delay before attempt `attempt` + 1: doubled each time, half to all of it at random, so that many processes don't come at once. */
export function delayOf(attempt: number, random: () => number = Math.random): number {
	const step = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 20));
	return step / 2 + (random() * step) / 2;
}

/** Waits before the next attempt: at least as long as the server asked for. */
export async function pause(attempt: number, error: unknown, signal?: AbortSignal): Promise<void> {
	await sleep(waitOf(attempt, error), undefined, signal === undefined ? {} : { signal });
}

/** Calls `attempt` until it succeeds, fails for good, or `deadlineMs` is over. */
export async function repeat<T>(attempt: () => Promise<T>, deadlineMs: number, signal?: AbortSignal): Promise<T> {
	const end = performance.now() + deadlineMs;
	for (let count = 0; ; count++) {
		try {
			return await attempt();
		} catch (error) {
			signal?.throwIfAborted();
			if (!(error instanceof BridgeError) || !error.retryable) throw error;
			const wait = waitOf(count, error);
			if (performance.now() + wait > end) throw gaveUp(error, deadlineMs);
			await sleep(wait, undefined, signal === undefined ? {} : { signal });
		}
	}
}

function waitOf(attempt: number, error: unknown): number {
	return Math.max(delayOf(attempt), error instanceof BridgeError ? (error.retryAfterMs ?? 0) : 0);
}

function gaveUp(error: BridgeError, deadlineMs: number): BridgeError {
	const { status, retryAfterMs } = error;
	return new BridgeError(error.code, `${error.message} (repeated for ${deadlineMs} ms)`, { status, retryable: true, retryAfterMs, cause: error });
}

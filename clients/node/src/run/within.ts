/** Ends a run when its function ends. */
import { BridgeError, isBridgeError, messageOf } from "../errors.js";
import type { Settings } from "../settings.js";
import type { Run } from "./run.js";

/**
 * Calls `work` and ends the run as it ended: `agent_completed`, `agent_error`, or `agent_cancelled` if a user cancelled it.
 * Throws what `work` threw; after a cancel, a {@link BridgeError} of code `cancelled` with it as `cause`.
 */
export async function withinRun<T>(run: Run, { cancelGraceMs, onError }: Settings, work: (run: Run) => Promise<T> | T): Promise<T> {
	// A function that does not look at `run.signal` must not keep the run of a user who cancelled it.
	let grace: NodeJS.Timeout | undefined;
	const endSoon = (): void => {
		if (run.isCancelled) grace = setTimeout(() => void end(run, () => run.cancel()).catch(onError), cancelGraceMs);
	};
	run.signal.addEventListener("abort", endSoon, { once: true });
	if (run.signal.aborted) endSoon();
	try {
		const value = await work(run);
		await end(run, () => (run.isCancelled ? run.cancel() : run.complete()));
		return value;
	} catch (error) {
		await end(run, () => (run.isCancelled ? run.cancel() : run.fail({ code: "agent_failed", message: messageOf(error) }))).catch(onError);
		if (run.isCancelled && !isBridgeError(error, "cancelled")) throw new BridgeError("cancelled", "a user cancelled the run", { cause: error });
		throw error;
	} finally {
		clearTimeout(grace);
		run.signal.removeEventListener("abort", endSoon);
	}
}

async function end(run: Run, publish: () => Promise<void>): Promise<void> {
	if (!run.isEnded) await publish();
}

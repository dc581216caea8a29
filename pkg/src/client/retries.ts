/** How often and for how long the client has tried, and whether and when it tries again. */
import type { RetrySettings } from "./options.js";
import type { StateName } from "./state.js";

/** A connection that lasts so long is a success, in milliseconds (CLS-4). */
const LASTING_MS = 10_000;

/** Of ten attempts in a row, the one after which the server is asked why no socket opens. */
const PROBED = 2;

/** The longest delay, in milliseconds: about 25 days. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** What follows a change of the core's state. */
export interface Step {
	/** The reason to show. */
	readonly reason: string;
	/** The delay that the application chose, in milliseconds; `null` for no further attempt, `undefined` to go on as the core says. */
	readonly delay: number | null | undefined;
	/** Is it time to find out why no socket opens? */
	readonly probes: boolean;
}

export class Retries {
	readonly #settings: RetrySettings;
	readonly #now: () => number;
	#attempts = 0;
	/** Since when there is no connection that lasts. */
	#since: number | undefined;
	#connectedAt: number | undefined;
	/** The reason of the wait whose delay the application has chosen, until the core says when it ends. */
	#chosen: string | undefined;

	/** `now`: milliseconds of a clock that is not set. */
	constructor(settings: RetrySettings, now: () => number = () => performance.now()) {
		this.#settings = settings;
		this.#now = now;
	}

	/** Attempts that failed since a connection last lasted. */
	get attempts(): number {
		return this.#attempts;
	}

	/** The core has gone to another state. `threw` gets what the application's function throws. */
	step(from: StateName, to: StateName, reason: string, retryInMs: number | undefined, threw: (error: unknown) => void): Step {
		const chosen = this.#chosen;
		this.#chosen = undefined;
		if (to === "connected") this.#connectedAt = this.#now();
		// The answer to the delay that the application chose.
		else if (chosen !== undefined) return { reason: chosen, delay: undefined, probes: false };
		else if (retryInMs !== undefined && (from === "connecting" || from === "connected")) {
			let delay: number | null | undefined;
			try {
				delay = this.#next(reason);
			} catch (error) {
				threw(error);
			}
			// Without a network the core chooses.
			if (typeof delay === "number" && to !== "waiting") delay = undefined;
			if (typeof delay === "number") this.#chosen = reason;
			const probes = from === "connecting" && reason === "connection_lost" && this.#attempts % 10 === PROBED;
			return { reason, delay, probes };
		}
		return { reason, delay: undefined, probes: false };
	}

	/** An attempt has failed, or the connection was lost. Throws what the application's function throws. */
	#next(reason: string): number | null | undefined {
		const now = this.#now();
		if (this.#connectedAt !== undefined && now - this.#connectedAt >= LASTING_MS) this.restart();
		this.#connectedAt = undefined;
		this.#since ??= now;
		this.#attempts += 1;
		const elapsed = now - this.#since;
		const { delay, maxAttempts, maxElapsedMs } = this.#settings;
		if (this.#attempts > maxAttempts || elapsed > maxElapsedMs) return null;
		if (delay === undefined) return undefined;
		const chosen: unknown = delay(this.#attempts, elapsed, reason);
		if (chosen === null) return null;
		if (typeof chosen === "number" && chosen >= 0 && chosen <= MAX_DELAY_MS) return Math.round(chosen);
		throw new TypeError(`the backoff function returned ${String(chosen)}, it must return 0 to ${MAX_DELAY_MS} milliseconds, or null`);
	}

	/** The application wants to begin anew. */
	restart(): void {
		this.#attempts = 0;
		this.#since = undefined;
	}
}

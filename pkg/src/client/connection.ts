/** The state of the connection, those who wait for it, and what the server says about its own health. */
import type { RawState } from "../core/raw.js";
import { type Deferred, deferred } from "../shared/deferred.js";
import type { Metric } from "../shared/metrics.js";
import { type ConnectionState, type Health, healthOf, type Notice, type StateChange } from "./state.js";

/** Callbacks for changes. */
export interface ConnectionHooks {
	changed(change: StateChange): void;
	health(health: Health): void;
	/** Attempts that failed since a connection last lasted. */
	attempts(): number;
	metric(metric: Metric): void;
}

export class Connection {
	readonly #hooks: ConnectionHooks;
	readonly #waiting = new Set<Deferred<void>>();
	#state: ConnectionState = { name: "idle", reason: "new", attempt: 0 };
	/** Since when the client has not been connected, in milliseconds since the Unix epoch. */
	#connectingSince = 0;
	#ended: Error | undefined;
	#notice: { readonly kind: string; readonly at: number } | undefined;
	#trouble: string | undefined;
	#wasConnected = false;
	#health: Health["status"] = "initializing";

	constructor(hooks: ConnectionHooks) {
		this.#hooks = hooks;
	}

	get state(): ConnectionState {
		return this.#state;
	}

	get health(): Health {
		const signs = { wasConnected: this.#wasConnected, trouble: this.#trouble, notice: this.#notice, attempts: this.#hooks.attempts() };
		return healthOf(this.#state, signs, Date.now());
	}

	set(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void {
		const from = this.#state.name;
		// A new core begins with what its client does already, and for the client's reason.
		if (from === "connecting" && to === "connecting") return;
		const rest = retryInMs === undefined ? { reason, attempt } : { reason, attempt, retryAt: Date.now() + retryInMs };
		this.#state = { name: to, ...rest };
		if (from === "connected" || from === "idle") this.#connectingSince = Date.now();
		if (to === "connected") {
			this.#wasConnected = true;
			this.#hooks.metric({ name: "connect_duration", unit: "ms", value: Date.now() - this.#connectingSince });
			for (const { resolve } of this.#waiting) resolve();
			this.#waiting.clear();
		}
		this.#hooks.changed({ from, to, ...rest });
		this.#look();
	}

	/** The core noticed something of a connection that stands, or it is over. */
	troubled(reason: string | undefined): void {
		this.#trouble = reason;
		this.#look();
	}

	/** Reports a change of the health. */
	#look(): void {
		const { health } = this;
		if (health.status === this.#health) return;
		this.#health = health.status;
		this.#hooks.health(health);
	}

	/** Resolves when it is connected. Rejects with the signal's reason, or when it has ended. */
	async ready(signal: AbortSignal | undefined): Promise<void> {
		if (this.#ended !== undefined) throw this.#ended;
		if (signal?.aborted === true) throw signal.reason;
		if (this.#state.name === "connected") return;
		const waiter = deferred<void>();
		const abort = (): void => waiter.reject(signal?.reason);
		signal?.addEventListener("abort", abort, { once: true });
		this.#waiting.add(waiter);
		try {
			await waiter.promise;
		} finally {
			this.#waiting.delete(waiter);
			signal?.removeEventListener("abort", abort);
		}
	}

	/** The server says something about its health. */
	noticed({ kind, level }: Notice): void {
		if (level === "warning" || level === "error") this.#notice = { kind, at: Date.now() };
		else if (kind === this.#notice?.kind) this.#notice = undefined;
		this.#look();
	}

	/** It may be connected again, after it had failed. */
	restart(): void {
		this.#ended = undefined;
	}

	/** It will not be connected again by itself. */
	end(error: Error): void {
		this.#ended = error;
		for (const { reject } of this.#waiting) reject(error);
		this.#waiting.clear();
	}
}

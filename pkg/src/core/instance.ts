/**
 * The wasm instance of the page, with the clients that live in it. What throws out of a core has left the instance in an
 * unknown state, so it is discarded: all clients are lost together, and restored together in a fresh one.
 *
 * Restoring waits for the end of the running task: frames of the old instance may still be on the stack, and they must not
 * meet the new one's memory.
 */
import { watchErrors } from "./page-errors.js";
import type { Host, RawClient, RawConfig } from "./raw.js";

/** Makes cores. One per page. */
export interface Engine {
	create(host: Host, config: RawConfig): RawClient;
	/** Replaces the instance by a fresh one of the same module. */
	reset(): void;
}

/** A client as its instance sees it. */
export interface Tenant {
	/** Answers whether no call into its core was left in the middle. */
	isSound(): boolean;
	/** The core is lost: lets go of it, and closes its socket. */
	discard(error: unknown): void;
	/** Makes a core in the fresh instance and gives it what the package holds. */
	rebuild(): void;
	/** There will be no other core. */
	fail(error: unknown): void;
}

/** Rebuilds allowed within {@link REBUILD_SPAN_MS}; one more fails the clients. */
export const MAX_REBUILDS = 5;
/** Milliseconds. */
export const REBUILD_SPAN_MS = 60_000;

export class Instance {
	readonly #engine: Engine;
	readonly #now: () => number;
	readonly #tenants = new Set<Tenant>();
	/** When the last rebuilds were, in milliseconds. */
	#rebuilds: number[] = [];
	#generation = 0;
	/** What threw, from a trap until the instance was replaced. */
	#lost: { readonly error: unknown } | undefined;
	#scheduled = false;
	#probing = false;
	#unwatch: () => void = () => undefined;

	/** `now`: milliseconds. */
	constructor(engine: Engine, now: () => number = Date.now) {
		this.#engine = engine;
		this.#now = now;
	}

	/** Grows with each replacement: what an earlier generation made must not be given to this one. `undefined`: it is lost. */
	get generation(): number | undefined {
		return this.#lost === undefined ? this.#generation : undefined;
	}

	join(tenant: Tenant): void {
		if (this.#tenants.size === 0)
			this.#unwatch = watchErrors(
				(error) => this.#suspect(error),
				() => this.#generation > 0,
			);
		this.#tenants.add(tenant);
		// The rebuild makes its core.
		if (this.#lost !== undefined) this.#schedule();
	}

	leave(tenant: Tenant): void {
		if (this.#tenants.delete(tenant) && this.#tenants.size === 0) this.#unwatch();
	}

	create(host: Host, config: RawConfig): RawClient {
		return this.#engine.create(host, config);
	}

	/** A core threw: the instance is lost. What throws until it is replaced is the same loss. */
	trapped(error: unknown): void {
		if (this.#lost !== undefined) return;
		this.#lost = { error };
		for (const tenant of [...this.#tenants]) tenant.discard(error);
		this.#schedule();
	}

	/**
	 * The page met an error that nobody caught. It may be a trap in a callback of a socket or timer, which reaches nobody else: the
	 * cores are asked. Not now: an error can be reported while a core is on the stack, which then is in the middle of a call.
	 */
	#suspect(error: unknown): void {
		if (this.#probing) return;
		this.#probing = true;
		queueMicrotask(() => {
			this.#probing = false;
			if (this.#lost === undefined && [...this.#tenants].some((tenant) => !tenant.isSound())) this.trapped(error);
		});
	}

	#schedule(): void {
		if (this.#scheduled) return;
		this.#scheduled = true;
		queueMicrotask(() => {
			this.#scheduled = false;
			this.#rebuild();
		});
	}

	#rebuild(): void {
		if (this.#lost === undefined) return;
		const { error } = this.#lost;
		const now = this.#now();
		this.#rebuilds = this.#rebuilds.filter((at) => now - at < REBUILD_SPAN_MS);
		if (this.#rebuilds.length >= MAX_REBUILDS) return this.#fail(error);
		this.#rebuilds.push(now);
		try {
			this.#engine.reset();
		} catch (failure) {
			return this.#fail(failure);
		}
		this.#generation += 1;
		this.#lost = undefined;
		for (const tenant of [...this.#tenants]) {
			// It trapped again: everybody was discarded, and the next rebuild begins anew.
			if (this.generation === undefined) return;
			if (this.#tenants.has(tenant)) tenant.rebuild();
		}
	}

	/** It stays lost: a client that joins later has it tried again. */
	#fail(error: unknown): void {
		for (const tenant of [...this.#tenants]) tenant.fail(error);
	}
}

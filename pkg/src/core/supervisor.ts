/**
 * The core of one client, present or not: the only way into it. When it is lost, a new one is made from what the package
 * itself holds: consumers with their positions, and the outbox.
 */
import { AgentwireError, describe } from "../shared/errors.js";
import { type ClientSide, Gate } from "./gate.js";
import { type Instance, MAX_REBUILDS, type Tenant } from "./instance.js";
import type { RawClient, RawConfig, RawOpen } from "./raw.js";

/** Where a consumer begins, in the words of `RawClient.subscribe`. */
export interface Start {
	/** 0: the start; -1: live; n: the last n events. */
	readonly open: RawOpen;
	readonly epoch: string | undefined;
	/** -1: as `open` says, or at the stream's position. */
	readonly offset: number;
}

/** What a client does when its core is lost, and when it has a new one. */
export interface SupervisorHooks {
	readonly host: ClientSide;
	/** What the next core gets; the supervisor draws the seed. */
	config(): RawConfig;
	/** A callback of `host` threw. */
	threw(cause: unknown): void;
	lost(error: AgentwireError): void;
	/** There is a new core, and it is empty. */
	restore(): void;
	failed(error: AgentwireError): void;
}

export class Supervisor implements Tenant {
	#instance: Instance | undefined;
	#hooks: SupervisorHooks | undefined;
	#raw: RawClient | undefined;
	#gate: Gate | undefined;
	/** The generation of the instance that the core lives in. */
	#generation: number | undefined;
	#rebuilds = 0;
	#flushing = false;

	/** Number of times that the core was restored. */
	get rebuilds(): number {
		return this.#rebuilds;
	}

	/** Is there a core? Without one, calls do nothing: what they wanted is restored from elsewhere. */
	get present(): boolean {
		return this.#raw !== undefined;
	}

	/** Makes the first core. In an instance that is lost, its rebuild does. */
	begin(instance: Instance, hooks: SupervisorHooks): void {
		this.#instance = instance;
		this.#hooks = hooks;
		instance.join(this);
		if (instance.generation !== undefined) this.#create();
	}

	/** Runs `call` on the core, if there is one. */
	call<T>(call: (raw: RawClient) => T): T | undefined {
		const raw = this.#raw;
		if (raw === undefined) return undefined;
		try {
			return call(raw);
		} catch (error) {
			// Also an error that is no trap: it has unwound the core's frames without running their ends.
			this.#instance?.trapped(error);
			return undefined;
		}
	}

	/** Attaches a consumer. All that are attached in one tick are asked for together. */
	subscribe(stream: number, consumer: number, name: string, { open, epoch, offset }: Start, maxQueued: number): void {
		this.call((raw) => raw.subscribe(stream, consumer, name, open, epoch, offset, maxQueued));
		if (this.#flushing) return;
		this.#flushing = true;
		queueMicrotask(() => {
			this.#flushing = false;
			this.call((raw) => raw.flush());
		});
	}

	/** Lets go of the core for good. */
	end(): void {
		const [raw, gate, generation] = [this.#raw, this.#gate, this.#generation];
		this.#raw = undefined;
		this.#gate = undefined;
		this.#instance?.leave(this);
		// The client may begin anew before the core has come to its end.
		gate?.shut();
		// Not now: the core may be on the stack.
		queueMicrotask(() => {
			// A core of an earlier generation is gone with its memory: its address means something else in this one.
			if (generation === undefined || generation !== this.#instance?.generation) return;
			try {
				raw?.free();
			} catch (error) {
				this.#instance.trapped(error);
			}
		});
	}

	isSound(): boolean {
		try {
			return this.#raw?.alive() ?? true;
		} catch {
			return false;
		}
	}

	discard(error: unknown): void {
		this.#letGo();
		this.#hooks?.lost(
			new AgentwireError("internal", `the WebAssembly instance was lost and is replaced: ${describe(error)}`, { retryable: true, cause: error }),
		);
	}

	rebuild(): void {
		this.#rebuilds += 1;
		this.#create();
		if (this.#raw !== undefined) this.#hooks?.restore();
	}

	fail(error: unknown): void {
		this.#letGo();
		this.#hooks?.failed(
			new AgentwireError("internal", `the WebAssembly instance was lost ${MAX_REBUILDS + 1} times within a minute: ${describe(error)}`, {
				retryable: false,
				cause: error,
			}),
		);
	}

	#create(): void {
		const [instance, hooks] = [this.#instance, this.#hooks];
		if (instance === undefined || hooks === undefined) return;
		const gate = new Gate(hooks.host, hooks.threw, (error) => instance.trapped(error));
		try {
			this.#raw = instance.create(gate, { ...hooks.config(), seed: Math.floor(Math.random() * 2 ** 53) });
		} catch (error) {
			gate.abandon();
			return instance.trapped(error);
		}
		this.#gate = gate;
		this.#generation = instance.generation;
	}

	#letGo(): void {
		this.#raw = undefined;
		this.#gate?.abandon();
		this.#gate = undefined;
	}
}

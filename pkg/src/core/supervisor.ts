/**
 * The guard around the wasm instance. What throws out of the core has left it in an unknown state, so the instance is
 * discarded and a new one is made from what the package itself holds: consumers with their positions, and the outbox.
 *
 * All clients of a page live in one instance and are discarded and restored together. Restoring waits for the end of
 * the running task: frames of the old instance may still be on the stack, and they must not meet the new one's memory.
 */
import { AgentwireError, describe } from "./errors.js";
import type { Host, RawClient, RawConfig, RawEventsFrame, RawGap, RawState, RawVerdict } from "./raw.js";

/** Makes cores. One per page. */
export interface Engine {
	create(host: Host, config: RawConfig): RawClient;
	/** Replaces the instance by a fresh one of the same module. */
	reset(): void;
}

/** Rebuilds allowed within {@link REBUILD_SPAN_MS}; one more fails the clients. */
export const MAX_REBUILDS = 5;
/** Milliseconds. */
export const REBUILD_SPAN_MS = 60_000;
/** Close code `wasm_restarted` (CLS-2). */
const WASM_RESTARTED = 4486;

/** The wasm instance of the page, with the clients that live in it. */
export class Instance {
	readonly #engine: Engine;
	readonly #now: () => number;
	readonly #tenants = new Set<Supervisor>();
	#rebuilds: number[] = [];
	#scheduled = false;

	constructor(engine: Engine, now: () => number = Date.now) {
		this.#engine = engine;
		this.#now = now;
	}

	join(tenant: Supervisor): void {
		if (this.#tenants.size === 0) watch(this);
		this.#tenants.add(tenant);
	}

	leave(tenant: Supervisor): void {
		this.#tenants.delete(tenant);
		if (this.#tenants.size === 0) unwatch(this);
	}

	create(host: Host, config: RawConfig): RawClient {
		return this.#engine.create(host, config);
	}

	/** The instance is lost. */
	trapped(error: unknown): void {
		if (this.#scheduled) return;
		this.#scheduled = true;
		for (const tenant of this.#tenants) tenant.discard(error);
		queueMicrotask(() => {
			this.#scheduled = false;
			this.#rebuild(error);
		});
	}

	/** Asks every core for a sign of life: one that was left in the middle of something throws. */
	probe(): void {
		for (const tenant of [...this.#tenants]) tenant.call((raw) => raw.stats());
	}

	#rebuild(error: unknown): void {
		const now = this.#now();
		this.#rebuilds = this.#rebuilds.filter((at) => now - at < REBUILD_SPAN_MS);
		if (this.#rebuilds.length >= MAX_REBUILDS) return this.#fail(error);
		this.#rebuilds.push(now);
		try {
			this.#engine.reset();
		} catch (failure) {
			return this.#fail(failure);
		}
		for (const tenant of [...this.#tenants]) tenant.rebuild();
	}

	#fail(error: unknown): void {
		for (const tenant of [...this.#tenants]) tenant.fail(error);
	}
}

/** Errors that a timer or socket callback of the core throws reach nobody but the page's `error` event. */
const watched = new Map<Instance, (event: Event) => void>();

function watch(instance: Instance): void {
	if (typeof globalThis.addEventListener !== "function") return;
	const listener = (event: Event): void => {
		if (!("error" in event) || !(event.error instanceof Error)) return;
		const { error } = event;
		if (STALE_CLOSURE.test(error.message)) event.preventDefault();
		else if (error instanceof WebAssembly.RuntimeError) onForeignTrap(instance, error);
	};
	watched.set(instance, listener);
	globalThis.addEventListener("error", listener);
}

function unwatch(instance: Instance): void {
	const listener = watched.get(instance);
	watched.delete(instance);
	if (listener !== undefined) globalThis.removeEventListener("error", listener);
}

/** What a timer of a discarded instance says when it fires: harmless and expected. */
const STALE_CLOSURE = /closure from previous WASM instance/i;

function onForeignTrap(instance: Instance, error: Error): void {
	if (/agentwire/i.test(error.stack ?? "")) instance.trapped(error);
	else instance.probe();
}

/** What a client does when its core is lost, and when it has a new one. */
export interface SupervisorHooks {
	readonly host: Host;
	/** What the next core gets; the supervisor draws the seed. */
	config(): RawConfig;
	lost(error: AgentwireError): void;
	/** A new core stands ready, empty. */
	restore(): void;
	failed(error: AgentwireError): void;
}

/** The core of one client, present or not. */
export class Supervisor {
	#instance: Instance | undefined;
	#hooks: SupervisorHooks | undefined;
	#raw: RawClient | undefined;
	#gate: Gate | undefined;
	#rebuilds = 0;

	/** Number of times that the core was restored. */
	get rebuilds(): number {
		return this.#rebuilds;
	}

	/** Is there a core? Without one, calls do nothing: what they wanted is restored from elsewhere. */
	get present(): boolean {
		return this.#raw !== undefined;
	}

	begin(instance: Instance, hooks: SupervisorHooks): void {
		this.#instance = instance;
		this.#hooks = hooks;
		instance.join(this);
		this.#create();
	}

	/** Runs `call` on the core, if there is one. The only way into it. */
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

	/** Lets go of the core for good. */
	end(): void {
		const raw = this.#raw;
		this.#raw = undefined;
		this.#instance?.leave(this);
		const gate = this.#gate;
		// Not now: the core may be on the stack.
		queueMicrotask(() => {
			gate?.shut();
			try {
				raw?.free();
			} catch {
				// The instance was lost meanwhile, and its memory with it.
			}
		});
	}

	discard(error: unknown): void {
		this.#raw = undefined;
		this.#gate?.shut();
		detach(this.#gate?.current);
		this.#gate = undefined;
		this.#hooks?.lost(new AgentwireError("internal", `the WebAssembly instance was lost and is replaced: ${describe(error)}`, { retryable: true, cause: error }));
	}

	rebuild(): void {
		this.#rebuilds += 1;
		this.#create();
		if (this.#raw !== undefined) this.#hooks?.restore();
	}

	fail(error: unknown): void {
		this.#hooks?.failed(
			new AgentwireError("internal", `the WebAssembly instance was lost ${MAX_REBUILDS + 1} times within a minute: ${describe(error)}`, { retryable: false, cause: error }),
		);
	}

	#create(): void {
		const hooks = this.#hooks;
		if (hooks === undefined) return;
		const gate = new Gate(hooks.host);
		this.#gate = gate;
		try {
			this.#raw = this.#instance?.create(gate, { ...hooks.config(), seed: Math.floor(Math.random() * 2 ** 53) });
		} catch (error) {
			this.#instance?.trapped(error);
		}
	}
}

/** Closes a socket that nobody listens to any more. */
function detach(socket: WebSocket | undefined): void {
	if (socket === undefined) return;
	socket.onopen = socket.onmessage = socket.onerror = socket.onclose = null;
	try {
		socket.close(WASM_RESTARTED, "wasm_restarted");
	} catch {
		// It was closed already.
	}
}

/** Stands between one core and its client; once shut, nothing of that core comes through. */
class Gate implements Host {
	current: WebSocket | undefined;
	#host: Host | undefined;

	constructor(host: Host) {
		this.#host = host;
	}

	shut(): void {
		this.#host = undefined;
	}

	socket(socket: WebSocket | undefined): void {
		// The core of a shut gate may still run to the end of its task.
		if (this.#host === undefined) return detach(socket);
		this.current = socket;
		this.#host.socket(socket);
	}

	wellFormed(frame: RawEventsFrame): boolean {
		return this.#host?.wellFormed(frame) ?? true;
	}

	token(): void {
		this.#host?.token();
	}

	deliver(consumer: number, frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number {
		return this.#host?.deliver(consumer, frame, skip, take, offset, replayThrough) ?? 0;
	}

	placed(consumer: number, epoch: string, offset: number): void {
		this.#host?.placed(consumer, epoch, offset);
	}

	position(stream: number, epoch: string, offset: number): void {
		this.#host?.position(stream, epoch, offset);
	}

	state(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void {
		this.#host?.state(to, reason, retryInMs, attempt);
	}

	welcome(session: string, subject: string, maxFrameBytes: number): void {
		this.#host?.welcome(session, subject, maxFrameBytes);
	}

	gap(consumer: number, gap: RawGap): boolean {
		return this.#host?.gap(consumer, gap) ?? true;
	}

	resumed(stream: number, verdict: RawVerdict): void {
		this.#host?.resumed(stream, verdict);
	}

	ended(stream: number, reason: string): void {
		this.#host?.ended(stream, reason);
	}

	settled(id: string, receipt: object | undefined, error: string | undefined): void {
		this.#host?.settled(id, receipt, error);
	}

	message(frame: object): void {
		this.#host?.message(frame);
	}

	error(code: string, message: string, frame: object | undefined): void {
		this.#host?.error(code, message, frame);
	}
}

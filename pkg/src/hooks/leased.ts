/**
 * A client that belongs to a component: it is made when it is first needed, and not while a component renders, and it is closed when the
 * component has been gone for a while. To make a lease makes no client.
 */
/// <reference lib="esnext.disposable" preserve="true" />
import type { Client, ClientEvents } from "../client/api.js";
import type { ConnectionState, Health, Stats } from "../client/state.js";
import type { Message } from "../sends/message.js";
import type { AgentwireError } from "../shared/errors.js";
import type { ListenOptions, Unsubscribe } from "../shared/listeners.js";
import type { Thread, ThreadOptions } from "../thread/thread.js";
import { IDLE, WITHOUT_HEALTH } from "./connection.js";
import { Lingering } from "./linger.js";
import { releaseAll } from "./shared.js";

/** Stands for the client: what it is asked before there is one is answered as one that was not asked to connect. */
export class LeasedClient implements Client {
	readonly #make: () => Client;
	readonly #lingering: Lingering = new Lingering(() => this.#end());
	#client: Client | undefined;
	/** The lease is over: the next one makes another client. */
	#isOver = false;

	constructor(make: () => Client) {
		this.#make = make;
	}

	/** Makes the client, and keeps it until the result is called. Throws as `createClient` does. */
	retain(): Unsubscribe {
		if (this.#isOver) this.#client = undefined;
		this.#isOver = false;
		this.#open();
		return this.#lingering.retain();
	}

	get state(): ConnectionState {
		return this.#client?.state ?? IDLE;
	}

	get subject(): string | undefined {
		return this.#client?.subject;
	}

	get lastError(): AgentwireError | undefined {
		return this.#client?.lastError;
	}

	connect(): void {
		this.#open().connect();
	}

	async ready(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
		return this.#open().ready(options);
	}

	on<K extends keyof ClientEvents>(type: K, handler: (fact: ClientEvents[K]) => unknown, options?: ListenOptions): Unsubscribe {
		return this.#open().on(type, handler, options);
	}

	thread(name: string, options?: ThreadOptions): Thread {
		return this.#open().thread(name, options);
	}

	inbox(options?: ThreadOptions): Thread {
		return this.#open().inbox(options);
	}

	outbox(): readonly Message[] {
		return this.#client?.outbox() ?? [];
	}

	stats(): Stats {
		return this.#open().stats();
	}

	health(): Health {
		return this.#client?.health() ?? WITHOUT_HEALTH;
	}

	reconnect(): void {
		this.#open().reconnect();
	}

	close(): void {
		this.#client?.close();
	}

	declare [Symbol.dispose]: () => void;

	/** The client. Outside of a lease it is made for a while only. */
	#open(): Client {
		if (this.#client !== undefined) return this.#client;
		this.#client = this.#make();
		this.#lingering.touch();
		return this.#client;
	}

	#end(): void {
		this.#isOver = true;
		releaseAll(this);
		this.close();
	}
}

// Only where the platform has it: elsewhere the key would be the text "undefined".
if (typeof Symbol.dispose === "symbol") {
	Object.defineProperty(LeasedClient.prototype, Symbol.dispose, { value: LeasedClient.prototype.close, configurable: true, writable: true });
}

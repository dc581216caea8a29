/** A core that only takes notes, for what the real one can't be made to do: to trap, and to be looked at from behind. */

import { Instance } from "../../src/core/instance.js";
import type { Host, RawClient, RawConfig } from "../../src/core/raw.js";

/** Counts how it is closed, and is what a page sees of a socket otherwise. */
export class StubSocket {
	onopen: unknown = () => undefined;
	onmessage: unknown = () => undefined;
	onerror: unknown = () => undefined;
	onclose: unknown = () => undefined;
	closedWith: number | undefined;

	close(code: number): void {
		this.closedWith = code;
	}
}

export class StubCore implements RawClient {
	readonly host: Host;
	readonly config: RawConfig;
	/** Each call with its arguments. */
	readonly calls: string[] = [];
	/** The ids of all consumers that were attached, in that order. */
	readonly consumers: number[] = [];
	readonly socket: StubSocket = new StubSocket();
	/** Throws on the next call of this name. */
	trapOn: string | undefined;
	/** Is a call being made, or was one left in the middle? */
	inside = false;
	freed = false;
	/** Writes what is sent at once, as one that is connected. */
	writes = false;

	constructor(host: Host, config: RawConfig) {
		this.host = host;
		this.config = config;
	}

	connect(): void {
		this.#note("connect");
		this.host.socket(this.socket as unknown as WebSocket);
	}

	adopt(): void {
		this.#note("adopt");
	}

	close(): void {
		this.#note("close");
	}

	subscribe(stream: number, consumer: number, name: string, open: number, epoch: string | undefined, offset: number): void {
		this.consumers.push(consumer);
		this.#note("subscribe", name, `#${stream}`, open, epoch ?? "-", offset);
	}

	flush(): void {
		this.#note("flush");
	}

	unsubscribe(consumer: number): void {
		this.#note("unsubscribe", this.consumers.indexOf(consumer));
	}

	delivered(consumer: number, life: number, offset: number): void {
		this.#note("delivered", this.consumers.indexOf(consumer), life, offset);
	}

	send(_kind: number, id: string, _stream: string, _body: object, _bytes: number, sentAgoMs: number): void {
		this.#note("send", id, sentAgoMs);
		if (this.writes) this.host.written(id);
	}

	takeBack(id: string, reason: string): void {
		this.#note("takeBack", id, reason);
	}

	signal(): void {
		this.#note("signal");
	}

	tokenReady(): void {
		this.#note("tokenReady");
	}

	tokenFailed(): void {
		this.#note("tokenFailed");
	}

	online(online: boolean): void {
		this.#note("online", online);
	}

	away(away: boolean): void {
		this.#note("away", away);
	}

	reconnect(): void {
		this.#note("reconnect");
	}

	retryIn(delayMs: number): void {
		this.#note("retryIn", delayMs);
	}

	wake(): void {
		this.#note("wake");
	}

	counter(place: number): number {
		this.#note("counter", place);
		return 0;
	}

	alive(): boolean {
		return !this.inside;
	}

	free(): void {
		this.freed = true;
	}

	#note(name: string, ...rest: unknown[]): void {
		if (this.trapOn === name) {
			this.trapOn = undefined;
			throw new WebAssembly.RuntimeError("unreachable");
		}
		this.calls.push([name, ...rest].join(" "));
	}
}

/** How an instance of stubs behaves. Cores are counted from 0. */
export interface StubOptions {
	/** May throw instead of a core being made. */
	readonly before?: (index: number) => void;
	readonly made?: (core: StubCore, index: number) => void;
	/** Milliseconds. */
	readonly now?: () => number;
}

/** An instance of stubs. */
export function stubInstance({ before, made, now }: StubOptions = {}) {
	const cores: StubCore[] = [];
	const counts = { resets: 0, created: 0 };
	const engine = {
		create: (host: Host, config: RawConfig): RawClient => {
			const index = counts.created++;
			before?.(index);
			const core = new StubCore(host, config);
			cores.push(core);
			made?.(core, index);
			return core;
		},
		reset: (): void => {
			counts.resets += 1;
		},
	};
	return { instance: new Instance(engine, now), cores, counts };
}

/** Lets everything run that waits for the end of the task. */
export function settled(): Promise<void> {
	return new Promise((resolve) => setImmediate(resolve));
}

/** The globals of a page for the time of `run`: there is a WebSocket, and events go to `page`. */
export async function inPage(run: (page: EventTarget) => Promise<void>): Promise<void> {
	const page = new EventTarget();
	const globals: Record<string, unknown> = {
		WebSocket: StubSocket,
		addEventListener: page.addEventListener.bind(page),
		removeEventListener: page.removeEventListener.bind(page),
	};
	const kept = Object.keys(globals).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
	for (const [name, value] of Object.entries(globals)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
	try {
		await run(page);
	} finally {
		for (const [name, descriptor] of kept) {
			if (descriptor === undefined) Reflect.deleteProperty(globalThis, name);
			else Object.defineProperty(globalThis, name, descriptor);
		}
	}
}

/** The core of one client in the words of the package: each call becomes numbers. `border.ts` takes the other direction. */
import { Border } from "./border.js";
import type { CoreHost, NumberCore } from "./glue.js";
import type { Host, RawClient, RawConfig, RawOpen, RawSendKind } from "./raw.js";

/** The calls without a method of their own, as `src/web/client.rs` numbers them. */
const AWAY = 0;
const CLOSE = 2;
const CONNECT = 3;
const FLUSH = 4;
const ONLINE = 5;
const SEND = 6;
const SIGNAL = 7;
const SUBSCRIBE = 8;
const TOKEN_FAILED = 9;
const TOKEN_READY = 10;
const UNSUBSCRIBE = 11;
const RECONNECT = 12;
const RETRY_IN = 13;
const WAKE = 14;
const TAKE_BACK = 15;

/** The kind of a message that interrupts or steers. */
const ACTS_ON_RUNS = 5;

export class Core implements RawClient {
	readonly #border: Border;
	readonly #core: NumberCore;

	/** `Made` is the class of the glue. */
	constructor(Made: new (host: CoreHost) => NumberCore, host: Host, config: RawConfig) {
		const border = new Border(host, config.clientVersion, config.device);
		this.#border = border;
		const { windowEvents, windowBytes, windowTotalBytes, backoffBaseMs, connectTimeoutMs, tokenTimeoutMs, subject } = config;
		const who = subject === undefined ? -1 : border.texts.number(subject);
		border.give([
			config.seed,
			windowEvents,
			windowBytes,
			windowTotalBytes,
			config.maxPending,
			backoffBaseMs,
			config.backoffMaxMs ?? -1,
			config.backoffGrowth,
			config.backoffJitter,
			config.attemptBurst,
			config.maxUploads,
			Number(config.isLocal),
			connectTimeoutMs,
			tokenTimeoutMs,
			who,
			border.texts.number(config.url),
		]);
		this.#core = new Made(border);
		border.serve(this.#core);
	}

	connect(): void {
		this.#call(CONNECT);
	}

	adopt(socket: WebSocket, token: string): void {
		this.#core.adopt(socket, this.#border.slots.keep(token));
	}

	close(): void {
		this.#call(CLOSE);
	}

	subscribe(stream: number, consumer: number, name: string, open: RawOpen, epoch: string | undefined, offset: number, maxQueued: number): void {
		const { texts } = this.#border;
		const bytes = new TextEncoder().encode(name).length;
		this.#call(SUBSCRIBE, stream, consumer, texts.number(name), bytes, open, epoch === undefined ? -1 : texts.number(epoch), offset, maxQueued);
	}

	flush(): void {
		this.#call(FLUSH);
	}

	unsubscribe(consumer: number): void {
		this.#call(UNSUBSCRIBE, consumer);
	}

	delivered(consumer: number, life: number, offset: number): void {
		this.#core.delivered(consumer, life, offset);
	}

	send(kind: RawSendKind, id: string, stream: string, body: object, bytes: number, sentAgoMs: number, sentAt = -1): void {
		const { texts, slots } = this.#border;
		const { mode = "queue", sendId } = body as { readonly mode?: string; readonly sendId?: string };
		const what = mode === "queue" ? kind : ACTS_ON_RUNS;
		const about = sendId === undefined ? -1 : texts.number(sendId);
		this.#call(SEND, what, texts.number(id), texts.number(stream), slots.keep(body), bytes, about, sentAgoMs, sentAt);
	}

	takeBack(id: string, reason: string): void {
		const { texts } = this.#border;
		this.#call(TAKE_BACK, texts.number(id), texts.number(reason));
	}

	signal(stream: string, signal: object): void {
		this.#call(SIGNAL, this.#border.texts.number(stream), this.#border.slots.keep(signal));
	}

	tokenReady(token: string): void {
		this.#call(TOKEN_READY, this.#border.slots.keep(token));
	}

	tokenFailed(retryable: boolean): void {
		this.#call(TOKEN_FAILED, Number(retryable));
	}

	online(online: boolean): void {
		this.#call(ONLINE, Number(online));
	}

	away(away: boolean): void {
		this.#call(AWAY, Number(away));
	}

	reconnect(): void {
		this.#call(RECONNECT);
	}

	retryIn(delayMs: number): void {
		this.#call(RETRY_IN, delayMs);
	}

	wake(): void {
		this.#call(WAKE);
	}

	counter(place: number): number {
		return this.#core.counter(place);
	}

	alive(): boolean {
		return this.#core.alive();
	}

	free(): void {
		this.#core.free();
	}

	#call(kind: number, ...numbers: readonly number[]): void {
		this.#border.give(numbers);
		this.#core.call(kind);
	}
}

/** Gets deliveries over a connection that this process opens. */
import { setTimeout as sleep } from "node:timers/promises";
import { BridgeError, isBridgeError } from "../errors.js";
import { lines } from "../http/lines.js";
import { delayOf, repeat } from "../http/repeat.js";
import { request } from "../http/request.js";
import { type Settings, within } from "../settings.js";
import type { Claims } from "./claims.js";
import { handle, type Outcome } from "./handle.js";
import { Left } from "./left.js";
import { type Delivery, deliveryOf, type Message, type MessageHandler, type Notice } from "./types.js";

export interface WorkOptions {
	/** How many messages are worked on at once, 1–1,000; 16 by default. */
	readonly max?: number;
	/** Stops the worker: no more messages are taken, and `work` resolves when the handlers have ended. */
	readonly signal?: AbortSignal;
	/** Gets the deliveries that are no messages. Runs get theirs by themselves. */
	readonly onNotice?: (notice: Notice) => Promise<unknown> | unknown;
}

/** How long the answer to a delivery is repeated: after that it goes to another worker. */
const ANSWER_MS = 30_000;

export class Worker {
	readonly #settings: Settings;
	readonly #claims: Claims;
	readonly #options: WorkOptions;
	readonly #handler: MessageHandler;
	readonly #max: number;
	readonly #stop: AbortController = new AbortController();
	/** Ids of the messages that handlers work on. */
	readonly #working: Map<string, Promise<void>> = new Map();
	readonly #left: Left = new Left();
	/** Answers to notices that are under way. */
	readonly #notices: Set<Promise<void>> = new Set();
	#free: (() => void) | undefined;

	constructor(settings: Settings, claims: Claims, options: WorkOptions, handler: MessageHandler) {
		this.#settings = settings;
		this.#claims = claims;
		this.#options = options;
		this.#handler = handler;
		this.#max = within("max", options.max, 16, 1, 1_000);
	}

	/** Works until the signal of the options. Rejects if the server refuses the worker for good. */
	async run(): Promise<void> {
		const stop = (): void => {
			this.#stop.abort();
			this.#free?.();
		};
		this.#options.signal?.addEventListener("abort", stop, { once: true });
		if (this.#options.signal?.aborted) stop();
		try {
			await this.#read();
		} finally {
			this.#options.signal?.removeEventListener("abort", stop);
			stop();
			await Promise.all([...this.#working.values(), ...this.#notices]);
		}
	}

	async #read(): Promise<void> {
		const { signal } = this.#stop;
		for (let attempt = 0; !signal.aborted; attempt++) {
			let wait: number | undefined;
			try {
				for await (const line of lines(this.#settings, "/v1/deliveries", signal, { max: this.#max }, () => (attempt = 0))) await this.#take(line);
			} catch (error) {
				if (signal.aborted) return;
				if (!isBridgeError(error) || (!error.retryable && error.code !== "bad_answer")) throw error;
				wait = error.retryAfterMs;
			}
			await sleep(Math.max(wait ?? 0, delayOf(attempt)), undefined, { signal }).catch(() => {});
		}
	}

	/** Resolves when the next delivery can be taken. */
	async #take(line: object): Promise<void> {
		let delivery: Delivery;
		try {
			delivery = deliveryOf(line);
		} catch (error) {
			return this.#settings.onError(error);
		}
		if (delivery.type !== "message") {
			const answered = this.#note(delivery).finally(() => this.#notices.delete(answered));
			this.#notices.add(answered);
			return;
		}
		// A delivery that comes again while its handler works, as after a restart of the server, is accepted and not begun again.
		if (this.#working.has(delivery.id)) return await this.#answer(delivery, { kind: "accepted" });
		if (this.#left.has(delivery.id)) return await this.#answer(delivery, { kind: "done" });
		while (this.#working.size >= this.#max && !this.#stop.signal.aborted) await this.#slot();
		if (this.#stop.signal.aborted) return;
		const { id } = delivery;
		this.#working.set(
			id,
			this.#work(delivery).finally(() => {
				this.#working.delete(id);
				this.#free?.();
			}),
		);
	}

	async #work(message: Message): Promise<void> {
		let accepting: Promise<void> | undefined;
		const accept = (): Promise<void> => (accepting ??= this.#answer(message, { kind: "accepted" }));
		// Accepted before the claim, so that the server counts the run as work of this worker.
		const { outcome, ended } = handle(message, this.#handler, { claims: this.#claims, onError: this.#settings.onError, beforeClaim: accept });
		const first = await outcome;
		await (first.kind === "accepted" ? accept() : this.#answer(message, first));
		const { left } = await ended;
		if (left) this.#left.add(message.id);
	}

	async #note(notice: Notice): Promise<void> {
		try {
			await this.#options.onNotice?.(notice);
		} catch (error) {
			this.#settings.onError(error);
		}
		await this.#answer(notice, { kind: "accepted" });
	}

	/** Never rejects: a delivery whose answer is lost comes again. */
	async #answer({ id, attempt }: Delivery, outcome: Outcome): Promise<void> {
		// Without an answer it goes to another worker, or comes again.
		if (outcome.kind === "failed") return;
		const path = `/v1/deliveries/${encodeURIComponent(id)}/${outcome.kind === "refused" ? "refuse" : "accept"}`;
		const body = JSON.stringify({
			attempt,
			...(outcome.kind === "done" ? { done: true } : {}),
			...(outcome.kind === "refused" ? { message: outcome.message.slice(0, 1_000) } : {}),
		});
		try {
			await repeat(() => request(this.#settings, "POST", path, { body }), ANSWER_MS);
		} catch (error) {
			// Over, or with another worker by now.
			if (!isBridgeError(error, "not_found"))
				this.#settings.onError(error instanceof Error ? error : new BridgeError("bad_answer", "a delivery can't be answered", { cause: error }));
		}
	}

	/** Resolves when a handler has ended, or the worker stops. */
	async #slot(): Promise<void> {
		await new Promise<void>((resolve) => {
			this.#free = resolve;
		});
	}
}

/** What the server sends to a run: its cancel, the answers to its questions, and messages of users. */
import { BridgeError, isBridgeError } from "../errors.js";
import { lines } from "../http/lines.js";
import { pause } from "../http/repeat.js";
import type { Server } from "../http/request.js";
import type { Answer, Steering } from "./types.js";

export interface SignalHooks {
	readonly cancelled: () => void;
	/** The server says that the run has ended. */
	readonly over: () => void;
}

interface Waiter {
	readonly resolve: (answer: Answer) => void;
	readonly reject: (error: BridgeError) => void;
}

/** Messages beyond these are not taken here: the server delivers them when the run is over. */
const MOST_STEERING = 1_000;

export class Signals {
	readonly #hooks: SignalHooks;
	readonly #life: AbortController = new AbortController();
	readonly #answers: Map<string, Answer> = new Map();
	readonly #waiters: Map<string, Waiter> = new Map();
	readonly #steering: Steering[] = [];
	/** The offset of the last message: the server sends the earlier ones again on each connection. */
	#seen = 0;
	#wake: Set<() => void> = new Set();
	#failed: BridgeError | undefined;

	constructor(server: Server, path: string, hooks: SignalHooks) {
		this.#hooks = hooks;
		void this.#read(server, path);
	}

	/** Waits for the answer to an approval. Rejects when no answer can come any more. */
	answer(approvalId: string): Promise<Answer> {
		const early = this.#answers.get(approvalId);
		if (early !== undefined) return Promise.resolve(early);
		if (this.#failed !== undefined) return Promise.reject(this.#failed);
		return new Promise((resolve, reject) => this.#waiters.set(approvalId, { resolve, reject }));
	}

	/** The next message of a user, or nothing when the run is over. */
	async nextSteering(): Promise<Steering | undefined> {
		while (this.#steering.length === 0) {
			if (this.#failed !== undefined) return undefined;
			await new Promise<void>((resolve) => this.#wake.add(resolve));
		}
		return this.#steering.shift();
	}

	/** Closes the connection. Whoever waits gets `error`. */
	stop(error: BridgeError): void {
		this.#fail(error);
		this.#life.abort();
	}

	async #read(server: Server, path: string): Promise<void> {
		for (let attempt = 0; this.#failed === undefined; attempt++) {
			let error: unknown;
			try {
				for await (const line of lines(server, path, this.#life.signal, {}, () => (attempt = 0))) this.#take(line as Readonly<Record<string, unknown>>);
			} catch (thrown) {
				error = thrown;
			}
			if (this.#failed !== undefined) return;
			if (isBridgeError(error) && !error.retryable) return this.#fail(error);
			await pause(attempt, error, this.#life.signal).catch(() => {});
		}
	}

	#take(signal: Readonly<Record<string, unknown>>): void {
		switch (signal["type"]) {
			case "cancelled":
				return this.#hooks.cancelled();
			case "approval_resolved":
				return this.#resolve(signal as unknown as Answer & { readonly approvalId: string });
			case "steering":
				return this.#steer(signal as unknown as Steering);
			case "over":
				this.#fail(new BridgeError("run_over", "the run is over"));
				return this.#hooks.over();
			default:
		}
	}

	#resolve({ approvalId, decision, payload, editedArgs, reason, user }: Answer & { readonly approvalId: string }): void {
		if (this.#answers.has(approvalId)) return;
		const answer = { decision, payload, editedArgs, reason, user } as Answer;
		this.#answers.set(approvalId, answer);
		this.#waiters.get(approvalId)?.resolve(answer);
		this.#waiters.delete(approvalId);
	}

	#steer({ sendId, offset, text, user, content, event }: Steering): void {
		if (offset <= this.#seen || this.#steering.length >= MOST_STEERING) return;
		this.#seen = offset;
		this.#steering.push({ sendId, offset, text, content, event, ...(user === undefined ? {} : { user }) });
		this.#wakeAll();
	}

	#fail(error: BridgeError): void {
		if (this.#failed !== undefined) return;
		this.#failed = error;
		for (const { reject } of this.#waiters.values()) reject(error);
		this.#waiters.clear();
		this.#wakeAll();
	}

	#wakeAll(): void {
		for (const wake of this.#wake) wake();
		this.#wake.clear();
	}
}

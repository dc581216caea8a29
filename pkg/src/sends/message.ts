/** A message of the user, shown at once and settled once. */
import { refuse } from "../shared/check.js";
import { deferred } from "../shared/deferred.js";
import { AgentwireError, describe } from "../shared/errors.js";
import { bound, checkListener, emit, Listeners, type ListenOptions, type Unsubscribe } from "../shared/listeners.js";
import type { Reporter } from "../shared/report.js";
import type { Letter, Outbox } from "./outbox.js";
import type { Receipt } from "./receipt.js";

/** How to send. */
export interface SendOptions {
	/** Key of the message, 1 to 128 bytes: the server applies it at most once. @default a random UUID */
	readonly id?: string | undefined;
	/**
	 * `queue`: it waits for its turn. `interrupt`: it ends this user's open runs, and goes before what waits. `steer`: it is for a
	 * run that is open (`runId`, or the only one); what the run does not take waits for its turn.
	 *
	 * @default "queue"
	 */
	readonly mode?: "queue" | "interrupt" | "steer" | undefined;
	/** The run to steer. */
	readonly runId?: string | undefined;
	/** Aborted before the call: the message fails with `aborted`. Later: `receipt` rejects with the signal's reason, but the message can't be taken back. */
	readonly signal?: AbortSignal | undefined;
}

/** `sent`: the server has stored it. `failed`: see `error`. */
export type MessageState = "pending" | "sent" | "failed";

/** A message on its way. */
export interface Message {
	/** Its key: the one given to `send`, or a random UUID. */
	readonly id: string;
	/** What was sent. */
	readonly content: Readonly<Record<string, unknown>>;
	/** How far it is. */
	readonly state: MessageState;
	/** Why it failed. */
	readonly error: AgentwireError | undefined;
	/**
	 * Settles exactly once; after a `retry()` it is another promise. Rejects with an `AgentwireError`, or with the reason of the
	 * signal that was given to `send` and aborted meanwhile. A rejection that nobody looks at is not reported as unhandled.
	 */
	readonly receipt: Promise<Receipt>;
	/**
	 * Sends a failed message again, under the same id and with the same content: the server applies it at most once. It remembers
	 * since when the server may know the message, so beyond the server's horizon it fails with `outcome_unknown` again. The
	 * signal that was given to `send` ends nothing here.
	 *
	 * Returns the new `receipt`; for a message that is pending or sent, the one it has. Rejects with `closed` when the client is
	 * closed or has failed.
	 */
	retry(): Promise<Receipt>;
	/** Calls the handler when `state` changes. */
	on(type: "change", handler: (message: Message) => unknown, options?: ListenOptions): Unsubscribe;
	/** The same as `on("change", …)`. */
	subscribe(listener: (message: Message) => unknown): Unsubscribe;
}

/** What a message needs of its client. */
export interface MessageContext {
	readonly outbox: Outbox;
	readonly reporter: Reporter;
	/** Throws `closed` once the client is closed or has failed. */
	check(): void;
}

export class SentMessage implements Message {
	readonly content: Readonly<Record<string, unknown>>;
	readonly #context: MessageContext;
	readonly #letter: Letter;
	readonly #changes = new Listeners<(message: Message) => unknown>();
	#receipt: Promise<Receipt>;
	#state: MessageState = "pending";
	#error: AgentwireError | undefined;

	constructor(context: MessageContext, letter: Letter, content: Readonly<Record<string, unknown>>, signal: AbortSignal | undefined) {
		this.#context = context;
		this.#letter = letter;
		this.content = content;
		const settled =
			signal?.aborted === true
				? Promise.reject<Receipt>(new AgentwireError("aborted", "the message was aborted before it was sent", { cause: signal.reason }))
				: context.outbox.send(letter);
		this.#receipt = this.#follow(settled, signal);
	}

	get id(): string {
		return this.#letter.id;
	}

	get state(): MessageState {
		return this.#state;
	}

	get error(): AgentwireError | undefined {
		return this.#error;
	}

	get receipt(): Promise<Receipt> {
		return this.#receipt;
	}

	retry(): Promise<Receipt> {
		if (this.#state !== "failed") return this.#receipt;
		this.#receipt = this.#follow(this.#sendAgain(), undefined);
		this.#turn("pending", undefined);
		return this.#receipt;
	}

	on(type: "change", handler: (message: Message) => unknown, options: ListenOptions = {}): Unsubscribe {
		if (type !== "change") refuse("type", type, '"change"');
		const signal = checkListener(handler, options);
		if (signal?.aborted === true) return () => undefined;
		const entry = this.#changes.add(handler);
		return bound(() => this.#changes.remove(entry), signal);
	}

	subscribe(listener: (message: Message) => unknown): Unsubscribe {
		return this.on("change", listener);
	}

	async #sendAgain(): Promise<Receipt> {
		this.#context.check();
		return this.#context.outbox.send(this.#letter);
	}

	/** Takes note of how the sending ends. The result is what the application waits for: `signal` ends only that. */
	#follow(settled: Promise<Receipt>, signal: AbortSignal | undefined): Promise<Receipt> {
		const { promise, resolve, reject } = deferred<Receipt>();
		promise.catch(() => undefined);
		const abort = (): void => reject(signal?.reason);
		signal?.addEventListener("abort", abort, { once: true });
		const end = (): void => signal?.removeEventListener("abort", abort);
		settled.then(
			(receipt) => {
				end();
				resolve(receipt);
				this.#turn("sent", undefined);
			},
			(thrown: unknown) => {
				end();
				const error = thrown instanceof AgentwireError ? thrown : new AgentwireError("internal", describe(thrown), { cause: thrown });
				reject(error);
				this.#turn("failed", error);
			},
		);
		return promise;
	}

	#turn(state: MessageState, error: AgentwireError | undefined): void {
		this.#state = state;
		this.#error = error;
		emit<Message>(this.#changes.list, this, this.#context.reporter.handlerThrew);
	}
}

/** A message on its way: follows its letter through the outbox, and may give it up. */
import { refuse } from "../shared/check.js";
import { deferred } from "../shared/deferred.js";
import { AgentwireError, describe } from "../shared/errors.js";
import { bound, checkListener, emit, Listeners, type ListenOptions, type Unsubscribe } from "../shared/listeners.js";
import type { Reporter } from "../shared/report.js";
import type { Letter } from "./letter.js";
import type { Message, MessageState } from "./message.js";
import type { Outbox, Waiter } from "./outbox.js";
import type { Receipt } from "./receipt.js";

/** What a message needs of its client. */
export interface MessageContext {
	readonly outbox: Outbox;
	readonly reporter: Reporter;
	/** Throws `closed` once the client is closed or has failed. */
	check(): void;
}

/** How long a message is wanted. */
interface Patience {
	readonly signal?: AbortSignal | undefined;
	/** Milliseconds. */
	readonly timeoutMs?: number | undefined;
}

export class SentMessage implements Message, Waiter {
	readonly letter: Letter;
	readonly #context: MessageContext;
	readonly #changes = new Listeners<(message: Message) => unknown>();
	#receipt!: Promise<Receipt>;
	#state: MessageState = "queued";
	#error: AgentwireError | undefined;
	/** Ends the wait for the present receipt. */
	#giveUp: (code: GivenUp, cause?: unknown) => void = () => undefined;
	/** It was given up: ends the wait as soon as it cannot be taken back any more. */
	#tooLate: (() => void) | undefined;

	/** `stored`: the receipt that it has already. */
	constructor(context: MessageContext, letter: Letter, patience: Patience, stored?: Receipt) {
		this.letter = letter;
		this.#context = context;
		const { signal } = patience;
		if (stored !== undefined) {
			this.#state = "stored";
			this.#receipt = Promise.resolve(stored);
			context.outbox.listed.add(this);
		} else if (signal?.aborted === true) this.#follow(() => Promise.reject(takenBack("aborted", signal.reason)), {});
		else this.#follow(() => context.outbox.send(letter, this), patience);
	}

	get id(): string {
		return this.letter.id;
	}

	get thread(): string {
		return this.letter.stream;
	}

	get content(): Readonly<Record<string, unknown>> {
		return (this.letter.body as { readonly message: Readonly<Record<string, unknown>> }).message;
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
		this.#follow(async () => {
			this.#turn("queued", undefined);
			this.#context.check();
			return this.#context.outbox.send(this.letter, this);
		}, {});
		return this.#receipt;
	}

	discard(): void {
		const { id } = this;
		const { keeper, listed } = this.#context.outbox;
		if (this.#state !== "failed") return this.#giveUp("aborted");
		keeper?.forget(id);
		listed.delete(id);
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

	/** The outbox says whether it is written on the socket in use. */
	moved(sending: boolean): void {
		if (sending) this.#tooLate?.();
		this.#turn(sending ? "sending" : "queued", undefined);
	}

	/** Sends, and takes note of how that ends. The receipt is what the application waits for: patience ends only that. */
	#follow(send: () => Promise<Receipt>, { signal, timeoutMs }: Patience): void {
		const { outbox } = this.#context;
		const { promise, resolve, reject } = deferred<Receipt>();
		promise.catch(() => undefined);
		this.#receipt = promise;
		const abort = (): void => this.#giveUp("aborted", signal?.reason);
		const timer = timeoutMs && setTimeout(() => this.#giveUp("timeout"), timeoutMs);
		signal?.addEventListener("abort", abort, { once: true });
		const end = (): void => {
			signal?.removeEventListener("abort", abort);
			clearTimeout(timer);
			this.#tooLate = undefined;
			this.#giveUp = () => undefined;
		};
		this.#giveUp = (code, cause) => {
			end();
			this.#tooLate = () => reject(new AgentwireError(code, "the message may have been transmitted: it may still be stored", { cause }));
			if (!outbox.withdraw(this, takenBack(code, cause))) this.#tooLate();
		};
		const settled = (state: MessageState, error?: AgentwireError): void => {
			end();
			this.#turn(state, error);
			outbox.unlist(this.id);
		};
		const sent = send();
		if (outbox.find(this.id) !== undefined) outbox.listed.add(this);
		sent.then(
			(receipt) => {
				resolve(receipt);
				settled("stored");
			},
			(thrown: unknown) => {
				const error = thrown instanceof AgentwireError ? thrown : new AgentwireError("internal", describe(thrown), { cause: thrown });
				reject(error);
				settled("failed", error);
			},
		);
	}

	#turn(state: MessageState, error: AgentwireError | undefined): void {
		if (this.#state === state) return;
		this.#state = state;
		this.#error = error;
		emit<Message>(this.#changes.list, this, this.#context.reporter.handlerThrew);
	}
}

/** Why an application wants a message no more. */
type GivenUp = "aborted" | "timeout";

function takenBack(code: GivenUp, cause: unknown): AgentwireError {
	return new AgentwireError(code, "the message was taken back: it was never transmitted", { cause });
}

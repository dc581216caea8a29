/** A message of the user, shown at once and settled once. */
import { AgentwireError, describe } from "./errors.js";
import { bound, type ListenOptions, Listeners, type Unsubscribe } from "./listeners.js";
import { checkId, randomId } from "./names.js";
import { deferred, type Outbox, type Receipt } from "./outbox.js";
import type { Reporter } from "./report.js";

/** A message of the user (`type` may be left out), or any other JSON object with a `type`, stored as it is. */
export type MessageContent =
	| {
			readonly type?: "user_message";
			/** At least one character. */
			readonly content: string;
			readonly references?: readonly unknown[];
			readonly metadata?: Readonly<Record<string, unknown>>;
	  }
	| { readonly type: string; readonly [field: string]: unknown };

/** How to send. */
export interface SendOptions {
	/** Key of the message, 1 to 128 bytes: the server applies it at most once. @default a random UUID */
	readonly id?: string | undefined;
	/** Aborted before the call: the message fails with `aborted`. Later: `receipt` rejects with the signal's reason, but the message can't be taken back. */
	readonly signal?: AbortSignal | undefined;
}

/** `sent`: the server has stored it. `failed`: see `error`. */
export type MessageState = "pending" | "sent" | "failed";

/** A message on its way. */
export interface Message {
	readonly id: string;
	/** What was sent. */
	readonly content: Readonly<Record<string, unknown>>;
	readonly state: MessageState;
	/** Why it failed. */
	readonly error: AgentwireError | undefined;
	/**
	 * Settles exactly once. Rejects with an `AgentwireError`, or with the reason of the signal that was given to `send` and
	 * aborted meanwhile. A rejection that nobody looks at is not reported as unhandled.
	 */
	readonly receipt: Promise<Receipt>;
	/** Calls the handler when `state` changes. */
	on(type: "change", handler: (message: Message) => void, options?: ListenOptions): Unsubscribe;
	/** As `on("change", …)`. */
	subscribe(listener: (message: Message) => void): Unsubscribe;
}

export class PendingMessage implements Message {
	readonly id: string;
	readonly content: Readonly<Record<string, unknown>>;
	readonly receipt: Promise<Receipt>;
	readonly #changes = new Listeners<Message>();
	#state: MessageState = "pending";
	#error: AgentwireError | undefined;

	constructor(outbox: Outbox, reporter: Reporter, stream: string, given: MessageContent, options: SendOptions) {
		this.id = options.id === undefined ? randomId() : checkId("id", options.id);
		this.content = snapshot(given);
		const { signal } = options;
		const settled =
			signal?.aborted === true
				? Promise.reject<Receipt>(new AgentwireError("aborted", "the message was aborted before it was sent", { cause: signal.reason }))
				: outbox.send(0, this.id, stream, { message: this.content });
		const { promise, resolve, reject } = deferred<Receipt>();
		promise.catch(() => undefined);
		this.receipt = promise;
		const abort = (): void => reject(signal?.reason);
		signal?.addEventListener("abort", abort, { once: true });
		const end = (state: MessageState, error: AgentwireError | undefined): void => {
			signal?.removeEventListener("abort", abort);
			this.#state = state;
			this.#error = error;
			this.#changes.emit(this, reporter.handlerThrew);
			this.#changes.clear();
		};
		settled.then(
			(receipt) => {
				resolve(receipt);
				end("sent", undefined);
			},
			(thrown: unknown) => {
				const error = thrown instanceof AgentwireError ? thrown : new AgentwireError("internal", describe(thrown), { cause: thrown });
				reject(error);
				end("failed", error);
			},
		);
	}

	get state(): MessageState {
		return this.#state;
	}

	get error(): AgentwireError | undefined {
		return this.#error;
	}

	on(_type: "change", handler: (message: Message) => void, options: ListenOptions = {}): Unsubscribe {
		if (options.signal?.aborted === true) return () => undefined;
		const entry = this.#changes.add(handler);
		return bound(() => void this.#changes.remove(entry), options.signal);
	}

	subscribe(listener: (message: Message) => void): Unsubscribe {
		return this.on("change", listener);
	}
}

/** Levels of lists and objects in a frame (GEN-8). */
const MAX_DEPTH = 100;

/** What it is to carry a body: the frame is one level of its own. */
const MAX_BODY_DEPTH: number = MAX_DEPTH - 1;

/** A message as it is sent: `type` filled in, and checked. */
export function snapshot(given: unknown): Readonly<Record<string, unknown>> {
	const { type = "user_message", ...rest } = copyOf("message", given);
	if (typeof type !== "string" || type === "") throw new AgentwireError("invalid_message", "the type of the message must be a text of at least one character");
	const message: Readonly<Record<string, unknown>> = { type, ...rest };
	const { content } = message as { content?: unknown };
	if (type === "user_message" && (typeof content !== "string" || content === "")) {
		throw new AgentwireError("invalid_message", "the content of a user_message must be a text of at least one character");
	}
	return message;
}

/** A copy that later changes by the caller don't reach: the same id must always carry the same body (SND-2). */
export function copyOf(what: string, given: unknown): Readonly<Record<string, unknown>> {
	let copy: unknown;
	try {
		copy = JSON.parse(JSON.stringify(given) ?? "null");
	} catch (cause) {
		throw new AgentwireError("invalid_message", `the ${what} cannot be written as JSON: ${describe(cause)}`, { cause });
	}
	if (typeof copy !== "object" || copy === null || Array.isArray(copy)) throw new AgentwireError("invalid_message", `the ${what} must be an object`);
	if (isDeeper(copy, MAX_BODY_DEPTH)) {
		throw new AgentwireError("invalid_message", `the ${what} is nested deeper than ${MAX_BODY_DEPTH} levels: a frame has at most ${MAX_DEPTH}, and is one itself`);
	}
	return copy as Readonly<Record<string, unknown>>;
}

/** Are lists and objects nested in more than `levels` levels? */
function isDeeper(value: unknown, levels: number): boolean {
	if (typeof value !== "object" || value === null) return false;
	return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}

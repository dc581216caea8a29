/** A message of the user as the application sees it: shown at once and settled once. */
import type { AgentwireError } from "../shared/errors.js";
import type { ListenOptions, Unsubscribe } from "../shared/listeners.js";
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
	/** The run to steer, 1 to 128 bytes. Only with `mode: "steer"`. */
	readonly runId?: string | undefined;
	/**
	 * The trace that the message belongs to (W3C Trace Context): `00-<32 hex>-<16 hex>-<2 hex>`, in lower case; the run that answers
	 * it carries it. @default none
	 */
	readonly traceparent?: string | undefined;
	/**
	 * Gives the message up when aborted. If it was never transmitted, it is taken back: it fails with `aborted`, and the server
	 * never gets it. If it may have been transmitted, only the waiting ends: `receipt` rejects with `aborted`, and the message may
	 * still be stored; `state` goes on to say how far it is. The signal's reason is the `cause` of the error.
	 */
	readonly signal?: AbortSignal | undefined;
	/**
	 * Gives the message up as `signal` does, with the code `timeout`, after so many milliseconds, 1 to 2,147,483,647. If it may
	 * have been transmitted, the client goes on sending it. @default never
	 */
	readonly timeoutMs?: number | undefined;
}

/**
 * - `queued`: it waits to be transmitted
 * - `sending`: it was written on the socket in use, and has no receipt yet. When that socket is lost, it is `queued` again
 * - `stored`: the server has stored it
 * - `failed`: see `error`
 */
export type MessageState = "queued" | "sending" | "stored" | "failed";

/** A message on its way. */
export interface Message {
	/** Its key: the one given to `send`, or a random UUID. */
	readonly id: string;
	/** Name of the thread it was sent in. */
	readonly thread: string;
	/** What was sent. */
	readonly content: Readonly<Record<string, unknown>>;
	/** How far it is. */
	readonly state: MessageState;
	/** Why it failed. */
	readonly error: AgentwireError | undefined;
	/**
	 * Settles exactly once, with an `AgentwireError` when it rejects; after a `retry()` it is another promise. A rejection that
	 * nobody looks at is not reported as unhandled.
	 */
	readonly receipt: Promise<Receipt>;
	/**
	 * Sends a failed message again, under the same id and with the same content: the server applies it at most once. It remembers
	 * when the message was first transmitted, so beyond the server's horizon it fails with `outcome_unknown` again. The
	 * `signal` and `timeoutMs` given to `send` do not apply.
	 *
	 * Returns the new `receipt`; for a message that has not failed, the one it has. Rejects with `closed` when the client is
	 * closed or has failed.
	 */
	retry(): Promise<Receipt>;
	/**
	 * Takes a failed message out of `client.outbox()`, for good. One that has not failed is given up, as its signal does; nothing
	 * happens to one that is stored. After the client has closed or failed, it deletes nothing that `agentwire/persist` keeps: see
	 * `clearOutbox`.
	 */
	discard(): void;
	/** Calls the handler when `state` changes. */
	on(type: "change", handler: (message: Message) => unknown, options?: ListenOptions): Unsubscribe;
	/** The same as `on("change", …)`. */
	subscribe(listener: (message: Message) => unknown): Unsubscribe;
}

/** What users do, as the server delivers it (docs/HTTP.md, Deliver). */
import { BridgeError } from "../errors.js";

interface Base {
	/** The same for each attempt. */
	readonly id: string;
	/** From 1. */
	readonly attempt: number;
	/** Milliseconds since the Unix epoch. */
	readonly time: number;
	/** `key` names the thread for the server, `name` for its pages. */
	readonly thread: { readonly key: string; readonly name: string };
}

interface OfMessage extends Base {
	readonly user: string;
	/** Id of the `send` that made the message. */
	readonly sendId: string;
	/** The place of the message in its thread. */
	readonly offset: number;
}

/** A message of a user that waits for a run. */
export interface Message extends OfMessage {
	readonly type: "message";
	/** The place of its text: another one once it was edited. */
	readonly text: number;
	readonly content: string;
	/** The whole event. */
	readonly event: Readonly<Record<string, unknown>>;
	/** How long a run may take to claim it, in milliseconds. */
	readonly leaseMs: number;
}

/** A message that was delivered, and that no run has claimed, was changed. An edited one is delivered again. */
export interface MessageChanged extends OfMessage {
	readonly type: "message_withdrawn" | "message_edited";
}

/** A user cancelled an open run. The run's `signal` reports it, too. */
export interface RunCancelled extends Base {
	readonly type: "run_cancelled";
	readonly runId: string;
}

/** A person answered. `run.ask` gets it, too. */
export interface ApprovalResolved extends Base {
	readonly type: "approval_resolved";
	readonly runId: string;
	readonly approvalId: string;
	readonly decision: "approved" | "denied" | "expired";
	readonly payload?: unknown;
	readonly editedArgs?: unknown;
	readonly reason?: string;
	readonly user?: string;
}

/** A message of a user for an open run. `run.steering()` gets it, too. */
export interface SteeringDelivery extends OfMessage {
	readonly type: "steering";
	readonly runId: string;
	readonly text: number;
	readonly content: string;
	readonly event: Readonly<Record<string, unknown>>;
}

/** Everything but messages. */
export type Notice = MessageChanged | RunCancelled | ApprovalResolved | SteeringDelivery;
export type Delivery = Message | Notice;

/** Works on a message, most often with `bridge.run(message, …)`. */
export type MessageHandler = (message: Message) => Promise<unknown> | unknown;

/** Checks what every delivery must have. Throws a {@link BridgeError} of code `bad_answer`. */
export function deliveryOf(value: unknown): Delivery {
	if (typeof value !== "object" || value === null) throw bad("it is no object");
	const { id, type, attempt, thread, sendId, offset, text } = value as Readonly<Record<string, unknown>>;
	if (typeof id !== "string" || id === "") throw bad("`id` is missing");
	if (typeof type !== "string") throw bad("`type` is missing");
	if (!Number.isSafeInteger(attempt)) throw bad("`attempt` is no whole number");
	if (typeof thread !== "object" || thread === null || typeof (thread as { key?: unknown }).key !== "string") throw bad("`thread.key` is missing");
	if (type === "message" && (typeof sendId !== "string" || !Number.isSafeInteger(offset) || !Number.isSafeInteger(text))) {
		throw bad("a message needs `sendId`, `offset` and `text`");
	}
	return value as Delivery;
}

function bad(why: string): BridgeError {
	return new BridgeError("bad_answer", `a delivery can't be read: ${why}`);
}

/** The one error of this package, and what makes it. */

/** What a {@link BridgeError} is about. The first group comes from the server, the second one from this package. */
export type BridgeErrorCode =
	| "bad_request"
	| "key_invalid"
	| "forbidden"
	| "not_found"
	| "method_not_allowed"
	| "timeout"
	| "producer_gap"
	| "run_over"
	| "approval_conflict"
	| "outdated"
	| "key_conflict"
	| "too_large"
	| "unsupported_media_type"
	| "invalid_event"
	| "overloaded"
	| "unavailable"
	// From this package:
	| "unreachable"
	| "bad_answer"
	| "bad_option"
	| "cancelled"
	| "queue_full"
	| (string & {});

export interface BridgeErrorDetails {
	/** The status of the answer, if there was one. */
	readonly status?: number | undefined;
	/** Whether the same request can succeed later. */
	readonly retryable?: boolean;
	/** The place in the batch of the event that was refused, from 0. */
	readonly index?: number | undefined;
	/** With `producer_gap`: the number that the server waits for. */
	readonly expected?: number | undefined;
	/** How long to wait before the request is repeated, in milliseconds. */
	readonly retryAfterMs?: number | undefined;
	readonly cause?: unknown;
}

/** Everything that goes wrong between this process and the server. It never contains the service key. */
export class BridgeError extends Error {
	override readonly name: string = "BridgeError";
	readonly code: BridgeErrorCode;
	readonly status: number | undefined;
	readonly retryable: boolean;
	readonly index: number | undefined;
	readonly expected: number | undefined;
	readonly retryAfterMs: number | undefined;

	constructor(code: BridgeErrorCode, message: string, details: BridgeErrorDetails = {}) {
		super(message, details.cause === undefined ? undefined : { cause: details.cause });
		this.code = code;
		this.status = details.status;
		this.retryable = details.retryable ?? false;
		this.index = details.index;
		this.expected = details.expected;
		this.retryAfterMs = details.retryAfterMs;
	}
}

/** A handler throws this to refuse a delivery for good: the page sees that the message failed. */
export class Refusal extends Error {
	override readonly name: string = "Refusal";
}

/** Whether an error is a {@link BridgeError}, with this code if one is given. */
export function isBridgeError(error: unknown, code?: BridgeErrorCode): error is BridgeError {
	return error instanceof BridgeError && (code === undefined || error.code === code);
}

/** The text of anything that was thrown, without a stack. */
export function messageOf(error: unknown): string {
	if (error instanceof Error) return error.message === "" ? error.name : error.message;
	return typeof error === "string" ? error : "something other than an error was thrown";
}

/**
 * Every error that the package reports or throws, and what to do about it, in one table.
 */

/** Where each code has a row: why it comes, what the client does, and what to do. */
const DOCS = "https://github.com/agentwire/agentwire/blob/main/docs/ERRORS.md#";

/** What helps, for the codes that users meet most: short, because every page loads them. For the others, their row says it. */
const REMEDIATIONS: Readonly<Partial<Record<KnownErrorCode, string>>> = {
	closed: "Make a new client. A message that was pending may have been applied: send it with the same id.",
	conflict: "Use a new id.",
	forbidden: "Check the rights of the user.",
	gave_up: "Call `client.reconnect()`, or raise the limits of `backoff`.",
	handler_threw: "See `cause`: a handler of the application threw it.",
	invalid_message: "Send an object with a text `type`, or text `content`, that JSON can hold.",
	invalid_option: "Correct the named option.",
	message_too_large: "Send less.",
	no_websocket: "Call `createClient` in a browser or a worker.",
	outbox_full: "Wait until pending messages are settled, or raise the limit.",
	outcome_unknown: "Look for the message in the thread. If it is not there, send it again with a new id.",
	send_held: "It is sent again by itself, alone. Withdraw it if it should not be.",
	socket_refused: "Use wss:// and allow the address in `connect-src`.",
	stream_conflict: "Use the same `from`, leave it out, or close the other handles first.",
	subject_changed: "Make a new client for the new user.",
	token_failed: "Make the `token` function resolve to a text of 1 to 16,384 bytes.",
	token_rejected: "Sign in again, then call `client.reconnect()`.",
	token_timeout: "Give the request of the `token` function a timeout. It is asked again.",
	token_unchanged: "Make the `token` function get a new token, not one from a cache, when `reason` is `refresh` or `refused` is set.",
	unauthorized: "Sign in again, then call `client.reconnect()`.",
	unsupported_protocol: "Check the url: the server does not speak agentwire.v1.",
	upgrade_refused: "Check the address, and what stands between page and server: the sign-in, a proxy, a gateway.",
	wasm_failed: "Allow 'wasm-unsafe-eval' in the Content-Security-Policy, and serve the .wasm file unchanged.",
	wasm_unavailable: "Serve the .wasm file, and allow it in `connect-src`. It is tried again.",
	timeout: "Call again when the result is wanted.",
	// Of the server (PROTOCOL section 10).
	ambiguous_run: "Name the run: `runId`.",
	invalid_answer: "Correct the answer. The question is still open.",
};

/** The codes after which the same may be tried again. */
const RETRYABLE: readonly string[] =
	"internal outbox_full socket_refused timeout token_failed wasm_unavailable token_timeout bad_server_frame overloaded token_expired token_invalid token_unchanged too_many_requests unavailable".split(
		" ",
	);

/** The codes that agentwire and its protocol define. */
export type KnownErrorCode =
	| "aborted"
	| "ambiguous_run"
	| "bad_frame"
	| "bad_server_frame"
	| "closed"
	| "conflict"
	| "forbidden"
	| "frame_too_large"
	| "gave_up"
	| "handler_threw"
	| "hello_expected"
	| "internal"
	| "invalid_answer"
	| "invalid_message"
	| "invalid_option"
	| "message_too_large"
	| "no_websocket"
	| "outbox_full"
	| "outcome_unknown"
	| "overloaded"
	| "queue_full"
	| "refused"
	| "send_held"
	| "socket_refused"
	| "stream_conflict"
	| "storage_failed"
	| "stream_ended"
	| "subject_changed"
	| "timeout"
	| "token_expired"
	| "token_failed"
	| "token_invalid"
	| "token_rejected"
	| "token_timeout"
	| "token_unchanged"
	| "too_many_requests"
	| "unauthorized"
	| "unavailable"
	| "unknown_run"
	| "unsupported"
	| "unsupported_protocol"
	| "upgrade_refused"
	| "wasm_failed"
	| "wasm_unavailable";

/** A code of the table, or another one that the server sent. */
export type ErrorCode = KnownErrorCode | (string & Record<never, never>);

/** What an {@link AgentwireError} can be told beyond its code and message. */
export interface ErrorDetails {
	/** May the same be tried again? Defaults to what the table says of the code. */
	readonly retryable?: boolean | undefined;
	/** What to do. Defaults to what the table says of the code, or to a link to its row in the documentation. */
	readonly remediation?: string | undefined;
	/** What led to it. */
	readonly cause?: unknown;
}

/** An error that says what went wrong (`code`), whether to try again (`retryable`) and what to do (`remediation`). */
export class AgentwireError extends Error {
	override readonly name: string = "AgentwireError";
	/** What went wrong, for programs. */
	readonly code: ErrorCode;
	/** May the same be tried again? */
	readonly retryable: boolean;
	/** What to do about it, for people. */
	readonly remediation: string;
	/** Address of the documentation of the code. */
	readonly docs: string;

	constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
		super(message, details.cause === undefined ? undefined : { cause: details.cause });
		this.code = code;
		this.retryable = details.retryable ?? RETRYABLE.includes(code);
		this.docs = DOCS + code;
		this.remediation = details.remediation ?? (isKnown(code) ? REMEDIATIONS[code] : undefined) ?? `See ${this.docs}`;
	}
}

/** What a `token` function throws when the user is signed out: the client ends with it at once, and asks for no further token. */
export class UnauthorizedError extends AgentwireError {
	override readonly name: string = "UnauthorizedError";

	constructor(message = "the user is signed out", options: { readonly cause?: unknown } = {}) {
		super("unauthorized", message, options);
	}
}

function isKnown(code: string): code is keyof typeof REMEDIATIONS {
	return Object.hasOwn(REMEDIATIONS, code);
}

/** The text of what somebody threw, which may be anything: also an error of another realm, or an object whose fields throw. */
export function describe(thrown: unknown): string {
	if (typeof thrown === "string") return thrown;
	try {
		if (typeof thrown === "object" && thrown !== null && "message" in thrown && typeof thrown.message === "string") {
			if (thrown.message !== "") return thrown.message;
			if ("name" in thrown && typeof thrown.name === "string" && thrown.name !== "") return thrown.name;
		}
	} catch {
		// It does not let its fields be read.
	}
	return `a value of type ${typeof thrown}`;
}

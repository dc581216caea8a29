/**
 * Every error that the package reports or throws, and what to do about it, in one table.
 */

/** What helps, by code. The texts are short because every page loads them; the README has more. */
const REMEDIATIONS: Readonly<Record<Exclude<KnownErrorCode, OfEntry>, string>> = {
	// Of this page.
	aborted: "Call again when the result is wanted.",
	closed: "Make a new client. A message that was pending may have been applied: send it with the same id.",
	handler_threw: "See `cause`: a handler of the application threw it.",
	internal: "Report it if it comes again.",
	invalid_option: "Correct the named option.",
	invalid_message: "Send an object with a text `type`, or text `content`, that JSON can hold.",
	message_too_large: "Send less.",
	no_websocket: "Call `createClient` in a browser or a worker.",
	outbox_full: "Wait until pending messages are settled, or raise the limit.",
	outcome_unknown: "Look for the message in the thread. If it is not there, send it again with a new id.",
	socket_refused: "Use wss:// and allow the address in `connect-src`.",
	stream_conflict: "Use the same `from`, leave it out, or close the other handles first.",
	stream_ended: "See the reason in the message.",
	subject_changed: "Make a new client for the new user.",
	token_failed: "Make the `token` function resolve to a text of 1 to 16,384 bytes.",
	token_rejected: "Sign in again, then make a new client.",
	unsupported_protocol: "Check the url: the server does not speak agentwire.v1.",
	wasm_failed: "Allow 'wasm-unsafe-eval' in the Content-Security-Policy, and serve the .wasm file unchanged.",
	wasm_unavailable: "Serve the .wasm file, and allow it in `connect-src`. It is tried again.",
	timeout: "Call again when the result is wanted.",
	token_timeout: "Give the request of the `token` function a timeout. It is asked again.",
	bad_server_frame: "Report it to the server's makers.",
	// Of the server (PROTOCOL section 10).
	bad_frame: "Check that page and server both speak agentwire.v1.",
	conflict: "Use a new id.",
	forbidden: "Check the rights of the user.",
	frame_too_large: "Send less.",
	hello_expected: "Check that page and server both speak agentwire.v1.",
	overloaded: "Try again later.",
	refused: "See the documentation of the server for the close code.",
	token_expired: "A new token is asked for by itself.",
	token_invalid: "Check what the `token` function returns.",
	too_many_requests: "It is asked again by itself.",
	unavailable: "It is tried again by itself.",
	unsupported: "The server does not offer this.",
};

/** The codes after which the same may be tried again. */
const RETRYABLE: readonly string[] =
	"internal outbox_full socket_refused timeout token_failed wasm_unavailable token_timeout bad_server_frame overloaded token_expired token_invalid too_many_requests unavailable".split(
		" ",
	);

/** The codes of entries that not every page loads: they bring what to do. */
type OfEntry = "storage_failed";

/** The codes that agentwire and its protocol define. */
export type KnownErrorCode =
	| "aborted"
	| "bad_frame"
	| "bad_server_frame"
	| "closed"
	| "conflict"
	| "forbidden"
	| "frame_too_large"
	| "handler_threw"
	| "hello_expected"
	| "internal"
	| "invalid_message"
	| "invalid_option"
	| "message_too_large"
	| "no_websocket"
	| "outbox_full"
	| "outcome_unknown"
	| "overloaded"
	| "refused"
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
	| "too_many_requests"
	| "unavailable"
	| "unsupported"
	| "unsupported_protocol"
	| "wasm_failed"
	| "wasm_unavailable";

/** A code of the table, or another one that the server sent. */
export type ErrorCode = KnownErrorCode | (string & Record<never, never>);

/** What an {@link AgentwireError} can be told beyond its code and message. */
export interface ErrorDetails {
	/** May the same be tried again? Defaults to what the table says of the code. */
	readonly retryable?: boolean | undefined;
	/** What to do. Defaults to what the table says of the code. */
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

	constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
		super(message, details.cause === undefined ? undefined : { cause: details.cause });
		this.code = code;
		this.retryable = details.retryable ?? RETRYABLE.includes(code);
		this.remediation = details.remediation ?? (isKnown(code) ? REMEDIATIONS[code] : "See the documentation of the server for this code.");
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

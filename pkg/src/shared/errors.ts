/**
 * Every error that the package reports or throws, and what to do about it, in one table.
 */

/** What each code means to the one who meets it: may the same be tried again, and what helps. */
const TABLE: Readonly<Record<KnownErrorCode, readonly [retryable: boolean, remediation: string]>> = {
	// Of this page.
	aborted: [false, "The AbortSignal of the call was aborted; call again when the result is wanted."],
	closed: [false, "The client or thread was closed, or the client has failed (see `cause`): make a new one. A message that was still pending may have been applied: send it with the same id."],
	handler_threw: [false, "A handler of the application threw; see `cause`. The other handlers got the event."],
	internal: [true, "A fault of agentwire or of the server. Nothing needs to be done; please report it if it comes again."],
	invalid_option: [false, "Correct the named option."],
	invalid_message: [false, "Send an object with a text `type`, or text `content` of at least one character, that JSON can hold and that is not nested too deep."],
	message_too_large: [false, "Send less: a message must fit into the server's `maxFrameBytes`, a signal into 4,096 bytes."],
	no_websocket: [false, "There is no WebSocket here. Call `createClient` in a browser or a worker, not while rendering on a server."],
	outbox_full: [true, "Wait until pending messages are settled, or raise `maxPendingSends`."],
	outcome_unknown: [false, "The server no longer remembers whether it got the message. Look for it in the thread; if it is not there, send it again with a new id."],
	socket_refused: [true, "The browser refuses to open this address: a policy of the page forbids it, or an https page names ws://. Use wss:// and allow it in `connect-src`."],
	stream_conflict: [false, "The thread is open with another `from`. Use the same one, leave it out, or close the other handles first."],
	stream_ended: [false, "The server ended this subscription for good; see the reason in the message."],
	subject_changed: [false, "The token names another user. Close this client and make a new one for that user."],
	token_failed: [true, "Make the `token` function resolve to a text of 1 to 16,384 bytes."],
	token_rejected: [false, "The server refused the token three times. Sign in again, then make a new client."],
	unsupported_protocol: [false, "The server did not select the subprotocol agentwire.v1. Check the url."],
	wasm_failed: [false, "The WebAssembly module could not be compiled. Allow 'wasm-unsafe-eval' in the Content-Security-Policy and check that the .wasm file is served unchanged."],
	wasm_unavailable: [true, "The WebAssembly module could not be fetched. It is tried again; check that the .wasm file is served and that `connect-src` of the Content-Security-Policy allows it."],
	token_timeout: [true, "The `token` function did not answer in time (`tokenTimeoutMs`); it is asked again. Give its request a timeout."],
	bad_server_frame: [true, "The server sent what the protocol does not allow. The connection is made anew; report it to the server's makers."],
	// Of the server (PROTOCOL section 10).
	bad_frame: [false, "Page and server do not understand each other. Check that both speak agentwire.v1 and report it."],
	conflict: [false, "Use a new id: this one was used for another message."],
	forbidden: [false, "This user may not do this. Check the rights of the user."],
	frame_too_large: [false, "Send less: the frame is larger than the server takes."],
	hello_expected: [false, "Page and server do not understand each other. Check that both speak agentwire.v1 and report it."],
	overloaded: [true, "A limit of the server is reached; try again later."],
	refused: [false, "The server does not want this client to come back. See its documentation for the close code."],
	token_expired: [true, "A new token is asked for by itself."],
	token_invalid: [true, "A new token is asked for by itself; check what the `token` function returns."],
	too_many_requests: [true, "Nothing needs to be done: it is asked again when another request is over."],
	unavailable: [true, "The log of the server cannot be written now; it is tried again."],
	unsupported: [false, "The server does not offer this."],
};

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
	| "stream_ended"
	| "subject_changed"
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
		const [retryable, remediation] = isKnown(code) ? TABLE[code] : UNKNOWN;
		this.code = code;
		this.retryable = details.retryable ?? retryable;
		this.remediation = details.remediation ?? remediation;
	}
}

const UNKNOWN = [false, "See the documentation of the server for this code."] as const;

function isKnown(code: string): code is KnownErrorCode {
	return Object.hasOwn(TABLE, code);
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

/**
 * Asks the application for tokens, one question at a time, and says why. A token never leaves this file but to the core.
 */
import { AgentwireError, describe, UnauthorizedError } from "../shared/errors.js";
import { isSized } from "../shared/names.js";

/** Why a token is asked for: to open a connection, or to replace the one of an open connection before it expires. */
export type TokenReason = "connect" | "refresh";

/** What the `token` function gets. */
export interface TokenRequest {
	/** Aborted when the client is closed, and when another request takes the place of this one, because no answer came in time (`tokenTimeoutMs`). */
	readonly signal: AbortSignal;
	readonly reason: TokenReason;
	/** Why the server refused the token before this one, if it did. Answer with another one, not from a cache. */
	readonly refused: TokenRefusal | undefined;
}

/** Why a server refuses a token: it has expired, or it is not valid. */
export type TokenRefusal = "token_expired" | "token_invalid";

/**
 * Resolves to a token of 1 to 16,384 bytes. Throw an {@link UnauthorizedError} when the user is signed out: the client ends
 * with it at once. Throw an error with `retryable: false` to say that no further try helps: the client ends, or if it is
 * connected, goes on until its token expires. After any other error it asks again.
 */
export type TokenFunction = (request: TokenRequest) => string | Promise<string>;

/** Callbacks about tokens. */
export interface TokenHooks {
	/** Something is wrong with the tokens, and the client goes on. */
	report(error: AgentwireError): void;
	/** The user is signed out. */
	signedOut(error: UnauthorizedError): void;
}

const MAX_TOKEN_BYTES = 16_384;

/** A question that the application was asked. */
interface Question {
	readonly answer: Promise<string>;
	readonly controller: AbortController;
}

export class TokenSource {
	readonly #ask: TokenFunction;
	readonly #hooks: TokenHooks;
	/** The question that waits for its answer. */
	#open: Question | undefined;
	/** A question asked ahead, whose answer nobody took yet. */
	#held: Question | undefined;
	/** The token that was given last. */
	#last: string | undefined;
	/** Why the server refused it. */
	#refused: TokenRefusal | undefined;
	/** It came again, and that was reported. */
	#isRepeated = false;

	constructor(ask: TokenFunction, hooks: TokenHooks) {
		this.#ask = ask;
		this.#hooks = hooks;
	}

	/** Asks ahead of the first {@link ask}, which gets the answer. Rejects with an `AgentwireError`. */
	prefetch(): Promise<string> {
		this.#held ??= this.#question("connect");
		return this.#held.answer;
	}

	/** Asks, and abandons a question that is still open. Calls one of the two once, or none when it is abandoned itself. */
	ask(reason: TokenReason, ready: (token: string) => void, failed: (error: AgentwireError) => void): void {
		const question = this.#held ?? this.#question(reason);
		this.#held = undefined;
		this.#open = question;
		const unlessAbandoned =
			<T>(take: (value: T) => void): ((value: T) => void) =>
			(value) => {
				if (this.#open !== question) return;
				this.#open = undefined;
				take(value);
			};
		question.answer.then(unlessAbandoned(ready), unlessAbandoned(failed));
	}

	/** Forgets a prefetched token that was used. */
	spend(): void {
		this.#held = undefined;
		this.#open = undefined;
	}

	/** Takes note of what became of the last token: the code of a refusal, or `welcome`. Other words say nothing about it. */
	judged(word: string): void {
		if (word === "token_expired" || word === "token_invalid") this.#refused = word;
		else if (word === "welcome") this.#refused = undefined;
	}

	close(): void {
		this.#held = undefined;
		this.#abandon(new AgentwireError("closed", "the client was closed"));
	}

	#question(reason: TokenReason): Question {
		this.#abandon(new AgentwireError("aborted", "another request for a token took the place of this one"));
		const controller = new AbortController();
		const question = { controller, answer: this.#checked({ signal: controller.signal, reason, refused: this.#refused }) };
		// Also a prefetched one, which may fail before somebody waits for it.
		question.answer.catch((error: unknown) => {
			if (error instanceof UnauthorizedError && this.#open === question) this.#hooks.signedOut(error);
		});
		this.#open = question;
		return question;
	}

	#abandon(reason: AgentwireError): void {
		const question = this.#open;
		this.#open = undefined;
		question?.controller.abort(reason);
	}

	async #checked(request: TokenRequest): Promise<string> {
		let token: unknown;
		try {
			token = await this.#ask(request);
		} catch (cause) {
			throw failureOf(cause);
		}
		if (!isSized(token, MAX_TOKEN_BYTES)) {
			const message = `the token function resolved to ${kindOf(token)}, it must resolve to a text of 1 to ${MAX_TOKEN_BYTES} bytes`;
			throw new AgentwireError("token_failed", message, { retryable: false });
		}
		if (!request.signal.aborted) this.#compare(token, request.reason);
		return token;
	}

	/** Reports a token that comes again although another one is needed, once. The server decides whether it is good for more. */
	#compare(token: string, reason: TokenReason): void {
		if (token !== this.#last) {
			this.#last = token;
			this.#refused = undefined;
			this.#isRepeated = false;
			return;
		}
		if (this.#isRepeated || (reason === "connect" && this.#refused === undefined)) return;
		this.#isRepeated = true;
		const why = this.#refused === undefined ? "that it was to replace" : `that the server has refused with ${this.#refused}`;
		this.#hooks.report(new AgentwireError("token_unchanged", `the token function resolved to the same token again, ${why}`));
	}
}

/** What the thrown value means: the user is signed out, or the function failed. */
function failureOf(cause: unknown): AgentwireError {
	let retryable = true;
	try {
		if (cause instanceof UnauthorizedError) return cause;
		retryable = !(typeof cause === "object" && cause !== null && "retryable" in cause && cause.retryable === false);
	} catch {
		// It does not let its fields be read.
	}
	return new AgentwireError("token_failed", `the token function failed: ${describe(cause)}`, { retryable, cause });
}

/** What a value is that is no token. Its content is never shown: it may be a secret all the same. */
function kindOf(value: unknown): string {
	if (typeof value === "string") return `a text of ${value.length} characters`;
	return value === null || value === undefined ? String(value) : `a value of type ${typeof value}`;
}

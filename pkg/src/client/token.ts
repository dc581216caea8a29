/**
 * Asks the application for tokens, one question at a time, and says why. A token never leaves this file but to the core.
 */
import { AgentwireError, describe } from "../shared/errors.js";

/** Why a token is asked for: to open a connection, or to replace the one of an open connection before it expires. */
export type TokenReason = "connect" | "refresh";

/** What the `token` function gets. */
export interface TokenRequest {
	/** Aborted when the client is closed, and when another request takes the place of this one, because no answer came in time (`tokenTimeoutMs`). */
	readonly signal: AbortSignal;
	readonly reason: TokenReason;
}

/** Resolves to a token of 1 to 16,384 bytes. To say that no further try helps, throw an error with `retryable: false`. */
export type TokenFunction = (request: TokenRequest) => string | Promise<string>;

const MAX_TOKEN_BYTES = 16_384;

/** A question that the application was asked. */
interface Question {
	readonly answer: Promise<string>;
	readonly controller: AbortController;
}

export class TokenSource {
	readonly #ask: TokenFunction;
	/** The question that waits for its answer. */
	#open: Question | undefined;
	/** A question asked ahead, whose answer nobody took yet. */
	#held: Question | undefined;

	constructor(ask: TokenFunction) {
		this.#ask = ask;
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

	close(): void {
		this.#held = undefined;
		this.#abandon(new AgentwireError("closed", "the client was closed"));
	}

	#question(reason: TokenReason): Question {
		this.#abandon(new AgentwireError("aborted", "another request for a token took the place of this one"));
		const controller = new AbortController();
		const question = { controller, answer: this.#checked({ signal: controller.signal, reason }) };
		// A prefetched one may fail before somebody waits for it.
		question.answer.catch(() => undefined);
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
			const final = typeof cause === "object" && cause !== null && "retryable" in cause && cause.retryable === false;
			throw new AgentwireError("token_failed", `the token function failed: ${describe(cause)}`, { retryable: !final, cause });
		}
		if (typeof token !== "string") {
			throw new AgentwireError("token_failed", `the token function resolved to ${token === null ? "null" : typeof token}, it must resolve to a text`, {
				retryable: false,
			});
		}
		const bytes = new TextEncoder().encode(token).length;
		if (bytes < 1 || bytes > MAX_TOKEN_BYTES) {
			throw new AgentwireError("token_failed", `the token has ${bytes} bytes, it must have 1 to ${MAX_TOKEN_BYTES}`, { retryable: false });
		}
		return token;
	}
}

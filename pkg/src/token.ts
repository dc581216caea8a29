/**
 * Asks the application for tokens, one question at a time, and says why. A token never leaves this file but to the core.
 */
import { AgentwireError, describe } from "./errors.js";

/** Why a token is asked for: to open a connection, or to replace the one of an open connection before it expires. */
export type TokenReason = "connect" | "refresh";

/** What the `token` function is told. */
export interface TokenRequest {
	/** Aborted when the client is closed. */
	readonly signal: AbortSignal;
	readonly reason: TokenReason;
}

/** Resolves to a token of 1 to 16,384 bytes. To say that no further try helps, throw an error with `retryable: false`. */
export type TokenFunction = (request: TokenRequest) => string | Promise<string>;

const MAX_TOKEN_BYTES = 16_384;

export class TokenSource {
	readonly #ask: TokenFunction;
	readonly #closed = new AbortController();
	#held: Promise<string> | undefined;

	constructor(ask: TokenFunction) {
		this.#ask = ask;
	}

	/** Asks ahead of the first {@link next}, which gets the answer. */
	prefetch(): Promise<string> {
		this.#held ??= this.#request("connect");
		return this.#held;
	}

	/** Rejects with an `AgentwireError`. */
	next(reason: TokenReason): Promise<string> {
		const held = this.#held;
		this.#held = undefined;
		return held ?? this.#request(reason);
	}

	/** Forgets a prefetched token that was used. */
	spend(): void {
		this.#held = undefined;
	}

	close(): void {
		this.#held = undefined;
		this.#closed.abort(new AgentwireError("closed", "the client was closed"));
	}

	#request(reason: TokenReason): Promise<string> {
		const token = this.#checked(reason);
		// A prefetched one may fail before somebody waits for it.
		token.catch(() => undefined);
		return token;
	}

	async #checked(reason: TokenReason): Promise<string> {
		let token: unknown;
		try {
			token = await this.#ask({ signal: this.#closed.signal, reason });
		} catch (cause) {
			const final = typeof cause === "object" && cause !== null && "retryable" in cause && cause.retryable === false;
			throw new AgentwireError("token_failed", `the token function failed: ${describe(cause)}`, { retryable: !final, cause });
		}
		if (typeof token !== "string") {
			throw new AgentwireError("token_failed", `the token function resolved to ${token === null ? "null" : typeof token}, it must resolve to a text`, { retryable: false });
		}
		const bytes = new TextEncoder().encode(token).length;
		if (bytes < 1 || bytes > MAX_TOKEN_BYTES) {
			throw new AgentwireError("token_failed", `the token has ${bytes} bytes, it must have 1 to ${MAX_TOKEN_BYTES}`, { retryable: false });
		}
		return token;
	}
}

/**
 * Where errors go that nobody can catch: to the client's "error" handlers and the logger, and when there is neither, to
 * the page's own reporting. Nothing here throws.
 */
import { AgentwireError, describe } from "./errors.js";
import { watch } from "./listeners.js";

/** Gets the client's log lines. No line and no detail ever holds a token. */
export interface Logger {
	/** Gets each change of the state. */
	debug?(message: string, details?: Readonly<Record<string, unknown>>): void;
	/** Gets nothing so far. */
	info?(message: string, details?: Readonly<Record<string, unknown>>): void;
	/** Gets nothing so far. */
	warn?(message: string, details?: Readonly<Record<string, unknown>>): void;
	/** Gets each error that is reported; `details` has its `code`, `docs` and `cause`. */
	error?(message: string, details?: Readonly<Record<string, unknown>>): void;
}

/** A level of the {@link Logger}. */
export type LogLevel = keyof Logger;

/** Takes errors to whoever listens. */
export class Reporter {
	readonly #logger: Logger | undefined;
	#listener: ((error: AgentwireError) => boolean) | undefined;
	#reporting = false;

	/** Without a `logger`, and with nobody who listens, errors go to the page. */
	constructor(logger: Logger | undefined) {
		this.#logger = logger;
	}

	/** `listener` says whether anybody got the error. */
	listen(listener: (error: AgentwireError) => boolean): void {
		this.#listener = listener;
	}

	log(level: LogLevel, message: string, details?: Readonly<Record<string, unknown>>): void {
		try {
			watch(this.#logger?.[level]?.(message, details), lastResort);
		} catch (error) {
			lastResort(error);
		}
	}

	error(error: AgentwireError): void {
		this.#log(error);
		// What an "error" handler leads to while it runs is reported to the page, not to itself.
		if (this.#reporting) return lastResort(error);
		this.#reporting = true;
		try {
			const heard = this.#listener?.(error) ?? false;
			if (!heard && this.#logger?.error === undefined) lastResort(error);
		} finally {
			this.#reporting = false;
		}
	}

	/** Something threw that must not, inside the package. It ends nothing. */
	readonly internal = (cause: unknown): void =>
		this.error(new AgentwireError("internal", `agentwire met a fault of its own and goes on: ${describe(cause)}`, { cause }));

	/** A handler threw, or its promise was rejected. */
	readonly handlerThrew = (cause: unknown): void => this.error(threw("a handler", cause));

	/** An "error" handler threw, or its promise was rejected. It is reported to the page: reported to itself, it would go round for ever. */
	readonly errorHandlerThrew = (cause: unknown): void => {
		const error = threw('an "error" handler', cause);
		this.#log(error);
		lastResort(error);
	};

	#log(error: AgentwireError): void {
		this.log("error", error.message, { code: error.code, docs: error.docs, cause: error.cause });
	}
}

function threw(who: string, cause: unknown): AgentwireError {
	return new AgentwireError("handler_threw", `${who} threw: ${describe(cause)}`, { cause });
}

function lastResort(error: unknown): void {
	try {
		if (typeof globalThis.reportError === "function") globalThis.reportError(error);
		else console.error(error);
	} catch {
		// A page may replace either. There is nobody left to tell.
	}
}

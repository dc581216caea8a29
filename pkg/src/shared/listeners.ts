/**
 * Lists of handlers that may change while they are being called: a handler that is added gets the next value, one that
 * is removed gets none from that moment on.
 */
import { abortSignal, callable, fields } from "./check.js";

/** Takes what a handler threw, or what its promise was rejected with. */
export type Failed = (cause: unknown) => void;

/** Stops the calls of a handler. Further calls do nothing. */
export type Unsubscribe = () => void;

/** How to listen. */
export interface ListenOptions {
	/** Stops the calls when aborted. */
	readonly signal?: AbortSignal | undefined;
}

/** A registered handler. */
export interface Entry<H> {
	readonly handler: H;
	active: boolean;
}

/** The handlers of one kind of value. */
export class Listeners<H> {
	// Never changed in place: a running loop goes on over the list it began with.
	#list: readonly Entry<H>[] = [];

	get list(): readonly Entry<H>[] {
		return this.#list;
	}

	add(handler: H): Entry<H> {
		const entry = { handler, active: true };
		this.#list = [...this.#list, entry];
		return entry;
	}

	remove(entry: Entry<H>): void {
		entry.active = false;
		this.#list = this.#list.filter((other) => other !== entry);
	}

	clear(): void {
		for (const entry of this.#list) entry.active = false;
		this.#list = [];
	}
}

/** Calls the handlers of `list` that are still active; what they throw or reject with goes to `failed`. */
export function emit<T>(list: readonly Entry<(value: T) => unknown>[], value: T, failed: Failed): void {
	for (const entry of list) {
		if (!entry.active) continue;
		try {
			watch(entry.handler(value), failed);
		} catch (error) {
			failed(error);
		}
	}
}

/** The same for handlers of a value and where it belongs. */
export function emitWith<T, M>(list: readonly Entry<(value: T, meta: M) => unknown>[], value: T, meta: M, failed: Failed): void {
	for (const entry of list) {
		if (!entry.active) continue;
		try {
			watch(entry.handler(value, meta), failed);
		} catch (error) {
			failed(error);
		}
	}
}

/** Reports the rejection of what an async handler returned. It is not awaited. */
export function watch(result: unknown, failed: Failed): void {
	if (typeof result === "object" && result !== null && "then" in result && typeof result.then === "function") result.then(undefined, failed);
}

/** Checks a handler and how it listens. Throws `invalid_option`. */
export function checkListener(handler: unknown, options: unknown): AbortSignal | undefined {
	callable("handler", handler);
	return abortSignal(fields("listen options", options, ["signal"])["signal"]);
}

/** Ties `unsubscribe` to a signal; the result is what the caller of `on` gets, and does its work once. */
export function bound(unsubscribe: Unsubscribe, signal: AbortSignal | undefined): Unsubscribe {
	let done = false;
	const off = (): void => {
		if (done) return;
		done = true;
		signal?.removeEventListener("abort", off);
		unsubscribe();
	};
	signal?.addEventListener("abort", off, { once: true });
	return off;
}

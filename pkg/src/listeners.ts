/**
 * Lists of handlers that may change while they are being called: a handler that is added gets the next value, one that
 * is removed gets none from that moment on.
 */
import type { Reporter } from "./report.js";

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
export interface Entry<T> {
	readonly handler: (value: T) => unknown;
	active: boolean;
}

/** The handlers of one kind of value. */
export class Listeners<T> {
	// Never changed in place: a running loop goes on over the list it began with.
	#list: readonly Entry<T>[] = [];

	get list(): readonly Entry<T>[] {
		return this.#list;
	}

	add(handler: (value: T) => unknown): Entry<T> {
		const entry = { handler, active: true };
		this.#list = [...this.#list, entry];
		return entry;
	}

	/** Says whether the entry was still there. */
	remove(entry: Entry<T>): boolean {
		if (!entry.active) return false;
		entry.active = false;
		this.#list = this.#list.filter((other) => other !== entry);
		return true;
	}

	clear(): void {
		for (const entry of this.#list) entry.active = false;
		this.#list = [];
	}

	emit(value: T, failed: Failed): void {
		run(this.#list, value, failed);
	}
}

/** Calls the handlers of `list` that are still active; what they throw or reject with goes to `failed`. */
export function run<T>(list: readonly Entry<T>[], value: T, failed: Failed): void {
	for (let index = 0; index < list.length; index += 1) {
		const entry = list[index];
		if (entry === undefined || !entry.active) continue;
		try {
			const result = entry.handler(value);
			if (isThenable(result)) result.then(undefined, failed);
		} catch (error) {
			failed(error);
		}
	}
}

interface Thenable {
	then(resolved: undefined, rejected: (error: unknown) => void): unknown;
}

function isThenable(value: unknown): value is Thenable {
	return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** Handlers by name, where each name has its own kind of value. */
export class Emitter<M extends object> {
	readonly #failed: Failed;
	readonly #byName: { [K in keyof M]?: Listeners<M[K]> } = {};

	constructor(reporter: Reporter) {
		this.#failed = reporter.handlerThrew;
	}

	on<K extends keyof M>(name: K, handler: (value: M[K]) => unknown): Unsubscribe {
		const listeners = this.#listeners(name);
		const entry = listeners.add(handler);
		return () => {
			listeners.remove(entry);
		};
	}

	/** `failed` gets what handlers throw, where it must not be reported as that of other handlers is. */
	emit<K extends keyof M>(name: K, value: M[K], failed: Failed = this.#failed): void {
		this.#listeners(name).emit(value, failed);
	}

	has(name: keyof M): boolean {
		return this.#listeners(name).list.length > 0;
	}

	clear(): void {
		for (const name in this.#byName) this.#byName[name]?.clear();
	}

	#listeners<K extends keyof M>(name: K): Listeners<M[K]> {
		return (this.#byName[name] ??= new Listeners<M[K]>());
	}
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

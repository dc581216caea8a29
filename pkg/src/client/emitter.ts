/** Handlers by name, where each name has its own kind of value. */
import { type Entry, emit, type Failed, Listeners } from "../shared/listeners.js";

type Handler<T> = (value: T) => unknown;

export class Emitter<M extends object> {
	readonly #failed: Failed;
	readonly #byName: { [K in keyof M]?: Listeners<Handler<M[K]>> } = {};

	/** `failed` gets what handlers throw. */
	constructor(failed: Failed) {
		this.#failed = failed;
	}

	add<K extends keyof M>(name: K, handler: Handler<M[K]>): Entry<Handler<M[K]>> {
		return this.#listeners(name).add(handler);
	}

	remove<K extends keyof M>(name: K, entry: Entry<Handler<M[K]>>): void {
		this.#listeners(name).remove(entry);
	}

	/** `failed` gets what handlers throw, where it must not be reported as that of other handlers is. */
	emit<K extends keyof M>(name: K, value: M[K], failed: Failed = this.#failed): void {
		emit(this.#listeners(name).list, value, failed);
	}

	has(name: keyof M): boolean {
		return this.#listeners(name).list.length > 0;
	}

	clear(): void {
		for (const name in this.#byName) this.#byName[name]?.clear();
	}

	#listeners<K extends keyof M>(name: K): Listeners<Handler<M[K]>> {
		return (this.#byName[name] ??= new Listeners<Handler<M[K]>>());
	}
}

/**
 * What a browser keeps beyond a page: IndexedDB, and the locks of its tabs. A test makes the storage fail, and pages crash: what a page
 * still does after its crash reaches nothing.
 */
import { IDBFactory, IDBKeyRange } from "fake-indexeddb";
import { microtasks, type World } from "./world.js";

/** How a call of a method of IndexedDB goes wrong: it throws, its transaction is aborted, or nothing ever comes of it. */
export type StorageFault = "throws" | "aborts" | "hangs" | undefined;

/** Turns of the event loop after which what is under way waits for something that the test has to do. */
const STALLED_TURNS = 1_000;

interface Held {
	readonly page: object;
}

export class Browser {
	/** Decides about each call, by the name of the method. */
	fault: (method: string) => StorageFault = () => undefined;
	/** The storage itself, for another version of the package. */
	readonly storage: IDBFactory = new IDBFactory();
	readonly #world: World;
	readonly #locks = new Map<string, Held>();
	readonly #alive = new Set<object>();
	#page: object = {};
	/** Transactions, and requests for a database or a lock, that are under way. */
	#busy = 0;
	/** How often one of them began or ended. */
	#changes = 0;

	constructor(world: World, { hasLocks = true } = {}) {
		this.#world = world;
		world.define("IDBKeyRange", IDBKeyRange);
		world.define("navigator", hasLocks ? { onLine: true, locks: { request: this.#request } } : { onLine: true });
		this.open();
		// The storage takes no time of this world, unless it waits for something else.
		world.onQuiet = async () => {
			const changes = this.#changes;
			for (let turn = 0; turn < STALLED_TURNS && this.#busy > 0; turn += 1) {
				await microtasks();
				if (this.#changes !== changes) return true;
			}
			return false;
		};
	}

	/** Names of the locks that are held. */
	get locks(): string[] {
		return [...this.#locks.keys()];
	}

	/** A page begins in another tab. */
	open(): void {
		const page = {};
		this.#page = page;
		this.#alive.add(page);
		this.#world.define(
			"indexedDB",
			this.#guarded(this.storage, () => this.#alive.has(page)),
		);
	}

	/** The page that began last crashes, and another one begins. */
	crash(): void {
		this.#alive.delete(this.#page);
		for (const [name, held] of this.#locks) if (held.page === this.#page) this.#locks.delete(name);
		this.open();
	}

	/** Lets the storage and all that follows from it come to rest. */
	async settle(): Promise<void> {
		await this.#world.settle();
	}

	/** The rows as they are stored. */
	async rows(): Promise<Record<string, unknown>[]> {
		await this.settle();
		const found = (await this.storage.databases()).some(({ name }) => name === "agentwire");
		if (!found) return [];
		const database = await answer(this.storage.open("agentwire"));
		const rows = await answer(database.transaction("outbox").objectStore("outbox").getAll());
		database.close();
		return rows as Record<string, unknown>[];
	}

	#count(change: 1 | -1): void {
		this.#busy += change;
		this.#changes += 1;
	}

	readonly #request = async (name: string, ...rest: readonly unknown[]): Promise<unknown> => {
		const callback = rest.at(-1) as (lock: object | null) => unknown;
		const held: Held = { page: this.#page };
		this.#count(1);
		await microtasks();
		this.#count(-1);
		if (this.#locks.has(name)) return callback(null);
		this.#locks.set(name, held);
		try {
			return await callback({ name });
		} finally {
			if (this.#locks.get(name) === held) this.#locks.delete(name);
		}
	};

	/** `target`, whose methods go wrong as the test says, and whose results do too. */
	#guarded<T extends object>(target: T, isAlive: () => boolean): T {
		return new Proxy(target, {
			get: (_target, key) => {
				const member: unknown = Reflect.get(target, key, target);
				if (typeof member === "function") return (...args: unknown[]) => this.#call(target, String(key), member, args, isAlive);
				return key === "result" && isHandle(member) ? this.#guarded(member, isAlive) : member;
			},
			set: (_target, key, callback: (event: Event) => void) => {
				const heard = (event: Event): void => {
					// What a page leaves in the middle is rolled back.
					if (!isAlive() && key === "onupgradeneeded") (event.target as IDBOpenDBRequest).transaction?.abort();
					if (isAlive() && this.fault(String(key)) !== "hangs") callback(event);
				};
				return Reflect.set(target, key, heard, target);
			},
		});
	}

	#call(target: object, name: string, method: unknown, args: readonly unknown[], isAlive: () => boolean): unknown {
		if (name === "close") return Reflect.apply(method as () => void, target, args);
		if (!isAlive()) throw new DOMException("the page is gone", "InvalidStateError");
		const fault = this.fault(name);
		if (fault === "throws") throw new DOMException(`${name} is denied`, "SecurityError");
		const result: unknown = Reflect.apply(method as () => unknown, target, args);
		if (!isHandle(result)) return result;
		if (fault === "aborts") (target as IDBObjectStore).transaction.abort();
		const ends = name === "open" ? ["success", "error", "blocked"] : name === "transaction" ? ["complete", "abort"] : [];
		if (ends.length > 0) this.#count(1);
		let over = false;
		for (const end of ends) {
			(result as EventTarget).addEventListener(end, () => {
				if (!over) this.#count(-1);
				over = true;
			});
		}
		return this.#guarded(result, isAlive);
	}
}

/** Is it an object of IndexedDB? */
function isHandle(value: unknown): value is object {
	return typeof value === "object" && value !== null && value.constructor.name.startsWith("FDB");
}

/** What a request comes to. */
export function answer<T>(request: IDBRequest<T>): Promise<T> {
	return new Promise((resolve, reject) => {
		request.onsuccess = () => resolve(request.result);
		request.onerror = () => reject(request.error);
	});
}

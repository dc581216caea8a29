/** The conversations in IndexedDB. A thread is read in one transaction and written in one, its position with it. */
import { guarded } from "../deadline.js";
import { open, transact, under } from "../transaction.js";
import type { Changes, Entry, Head, Place } from "./records.js";

/** Not the database of the outbox: a cache can be lost, and its versions come and go. */
const NAME = "agentwire-cache";
const HEADS = "heads";
const ENTRIES = "entries";

/** What a flush writes. */
export interface Write extends Changes {
	readonly head: Head;
	/** Nothing of what is there stays. */
	readonly anew: boolean;
}

const nothing = (): void => undefined;

export class CacheDatabase {
	readonly #db: IDBDatabase;

	private constructor(db: IDBDatabase) {
		this.#db = db;
	}

	static async open(): Promise<CacheDatabase> {
		const create = (db: IDBDatabase): void => {
			db.createObjectStore(HEADS, { keyPath: ["scope", "thread"] });
			db.createObjectStore(ENTRIES, { keyPath: ["scope", "thread", "kind", "offset"] });
		};
		return new CacheDatabase(await open(NAME, create));
	}

	read({ scope, thread }: Place): Promise<{ readonly head: Head | undefined; readonly entries: readonly Entry[] }> {
		return this.#run("read", (heads, entries) => {
			const head: IDBRequest<Head | undefined> = heads.get([scope, thread]);
			const found: IDBRequest<Entry[]> = entries.getAll(under(scope, thread));
			return () => ({ head: head.result, entries: found.result });
		});
	}

	/** Writes what `decide` wants where there is a head, or none. Keeps the `maxThreads` threads that were used last. */
	write({ scope, thread }: Place, maxThreads: number, decide: (stored: Head | undefined) => Write | undefined): Promise<void> {
		return this.#run("write", (heads, entries, reject) => {
			const stored: IDBRequest<Head | undefined> = heads.get([scope, thread]);
			stored.onsuccess = guarded(reject, () => {
				const write = decide(stored.result);
				if (write === undefined) return;
				if (write.anew) entries.delete(under(scope, thread));
				for (const [kind, offset] of write.gone) entries.delete([scope, thread, kind, offset]);
				for (const entry of write.put) entries.put(entry);
				heads.put(write.head);
				if (stored.result === undefined) evict(scope, maxThreads, heads, entries, reject);
			});
			return nothing;
		});
	}

	/** Deletes a thread. */
	delete({ scope, thread }: Place): Promise<void> {
		return this.#run("delete", (heads, entries) => {
			heads.delete([scope, thread]);
			entries.delete(under(scope, thread));
			return nothing;
		});
	}

	/** Deletes all threads of a scope. */
	clear(scope: string): Promise<void> {
		return this.#run("delete", (heads, entries) => {
			heads.delete(under(scope));
			entries.delete(under(scope));
			return nothing;
		});
	}

	/** What is under way is still done. */
	close(): void {
		this.#db.close();
	}

	#run<T>(what: string, requests: (heads: IDBObjectStore, entries: IDBObjectStore, reject: (cause: unknown) => void) => () => T): Promise<T> {
		return transact(this.#db, [HEADS, ENTRIES], what, (transaction, reject) =>
			requests(transaction.objectStore(HEADS), transaction.objectStore(ENTRIES), reject),
		);
	}
}

/** A thread is new: those that were not used for longest make room. */
function evict(scope: string, maxThreads: number, heads: IDBObjectStore, entries: IDBObjectStore, reject: (cause: unknown) => void): void {
	const request: IDBRequest<Head[]> = heads.getAll(under(scope));
	request.onsuccess = guarded(reject, () => {
		const oldest = request.result.sort((one, other) => other.used - one.used).slice(maxThreads);
		for (const { thread } of oldest) {
			heads.delete([scope, thread]);
			entries.delete(under(scope, thread));
		}
	});
}

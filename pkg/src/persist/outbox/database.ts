/**
 * The messages in IndexedDB. Each call is one transaction, and they take effect in the order of the calls. Each rejects for
 * whatever goes wrong, also when the browser does not answer.
 */
import { guarded } from "../deadline.js";
import { open, transact, under } from "../transaction.js";
import type { Row } from "./row.js";

const NAME = "agentwire";
const STORE = "outbox";

/** Makes the requests of a transaction. The result reads what came of them when they are durable. */
type Requests<T> = (store: IDBObjectStore, reject: (cause: unknown) => void) => () => T;

const nothing = (): void => undefined;

export class Database {
	readonly #db: IDBDatabase;

	private constructor(db: IDBDatabase) {
		this.#db = db;
	}

	static async open(): Promise<Database> {
		return new Database(await open(NAME, (db) => db.createObjectStore(STORE, { keyPath: ["scope", "id"] })));
	}

	/** Writes rows, or writes them anew. */
	put(rows: readonly Row[]): Promise<void> {
		return this.#run("write", (store) => {
			for (const row of rows) store.put(row);
			return nothing;
		});
	}

	delete(scope: string, id: string): Promise<void> {
		return this.#run("delete", (store) => {
			store.delete([scope, id]);
			return nothing;
		});
	}

	/** Deletes all rows of a scope. */
	clear(scope: string): Promise<void> {
		return this.#run("delete", (store) => {
			store.delete(under(scope));
			return nothing;
		});
	}

	/** The rows of a scope. */
	read(scope: string): Promise<readonly Row[]> {
		return this.#run("read", (store) => {
			const request: IDBRequest<Row[]> = store.getAll(under(scope));
			return () => request.result;
		});
	}

	/** Gives the rows of a scope that `take` wants to `owner`. They are asked for in their order, as they are at this moment. */
	claim(scope: string, owner: string, take: (row: Row) => boolean): Promise<readonly Row[]> {
		return this.#run("claim", (store, reject) => {
			const taken: Row[] = [];
			const request: IDBRequest<Row[]> = store.getAll(under(scope));
			request.onsuccess = guarded(reject, () => {
				for (const row of request.result.sort((one, other) => one.order - other.order)) {
					if (!take(row)) continue;
					row.owner = owner;
					store.put(row);
					taken.push(row);
				}
			});
			return () => taken;
		});
	}

	/** What is under way is still done. */
	close(): void {
		this.#db.close();
	}

	#run<T>(what: string, requests: Requests<T>): Promise<T> {
		return transact(this.#db, [STORE], what, (transaction, reject) => requests(transaction.objectStore(STORE), reject));
	}
}

/** Databases of the browser: opened and used within a deadline. Whatever goes wrong is a rejection. */
import { guarded, within } from "./deadline.js";

/** Makes the requests of a transaction. The result reads what came of them when they are durable. */
export type Requests<T> = (transaction: IDBTransaction, reject: (cause: unknown) => void) => () => T;

/** Opens a database of version 1; `create` makes its stores. */
export function open(name: string, create: (db: IDBDatabase) => void): Promise<IDBDatabase> {
	return within("open the database", (resolve, reject, isLate) => {
		const request = indexedDB.open(name, 1);
		request.onupgradeneeded = guarded(reject, () => create(request.result));
		request.onerror = () => reject(request.error);
		request.onsuccess = () => {
			const db = request.result;
			// Another tab has a later version of the package: it must not wait for this one.
			db.onversionchange = () => db.close();
			if (isLate()) db.close();
			else resolve(db);
		};
	});
}

/** One transaction on the stores. Transactions take effect in the order of the calls. `what` is it: "read", "write" … */
export function transact<T>(db: IDBDatabase, stores: readonly string[], what: string, requests: Requests<T>): Promise<T> {
	return within(`${what} in the database`, (resolve, reject) => {
		const transaction = db.transaction(stores, what === "read" ? "readonly" : "readwrite");
		transaction.onabort = () => reject(transaction.error ?? new Error("the transaction was aborted"));
		const result = requests(transaction, reject);
		transaction.oncomplete = () => resolve(result());
	});
}

/** All keys that are lists and begin with these values. */
export function under(...start: readonly IDBValidKey[]): IDBKeyRange {
	// A list is above every text and every number.
	return IDBKeyRange.bound([...start], [...start, []]);
}

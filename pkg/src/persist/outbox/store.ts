/** The outbox of the application's pages: how it is used, and how it is emptied. */
import type { KeptClient } from "../../client/kept.js";
import type { OutboxStore } from "../../client/options.js";
import { clearOf, type OutboxOwner } from "../scope.js";
import { Database } from "./database.js";
import { PersistentKeeper } from "./keeper.js";

/**
 * Keeps messages in IndexedDB until they are stored by the server and shown by the page: `createClient({ outbox: persistOutbox() })`.
 *
 * They are kept for one server and one user. Without the option `user`, the user is known only from the first welcome on: until
 * then nothing is kept and nothing is found. Cancels, approvals and signals are not kept.
 *
 * If the browser stores nothing (it is full, forbids it or does not answer), this is reported once as the error `storage_failed`,
 * and messages are kept in memory as without it.
 */
export function persistOutbox(): OutboxStore {
	return { open: (client: KeptClient) => new PersistentKeeper(client) };
}

/**
 * Deletes what is kept of one user on one server: for a sign-out, after `client.close()`. Throws `invalid_option`; rejects with what
 * the browser says if it cannot delete.
 */
export async function clearOutbox(owner: OutboxOwner): Promise<void> {
	await clearOf(owner, Database.open);
}

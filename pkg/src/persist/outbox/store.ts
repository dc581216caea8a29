/** The outbox of the application's pages: how it is used, and how it is emptied. */
import type { KeptClient } from "../../client/kept.js";
import { addressOf, type OutboxStore, userOf } from "../../client/options.js";
import { fields } from "../../shared/check.js";
import { scopeOf } from "../scope.js";
import { Database } from "./database.js";
import { PersistentKeeper } from "./keeper.js";

/** Whose outbox or cache it is. */
export interface OutboxOwner {
	/** The address of the server, as it is given to `createClient`. */
	readonly url: string | URL;
	/** The user, as the server names it. */
	readonly user: string;
}

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
	const { url, user } = fields("owner", owner, ["url", "user"]);
	const scope = scopeOf(addressOf(url), userOf(user));
	const database = await Database.open();
	try {
		await database.clear(scope);
	} finally {
		database.close();
	}
}

/** The cache of conversations: how it is used, and how it is emptied. */
import { userOf } from "../../client/options.js";
import type { ConversationCache } from "../../conversation/cache.js";
import { FOLD_VERSION } from "../../conversation/model.js";
import { fields, integer, refuse } from "../../shared/check.js";
import { followable } from "../../thread/follow.js";
import { clearOf, type OutboxOwner, scopeOf } from "../scope.js";
import { CacheDatabase } from "./database.js";
import { OwnedConversation } from "./owned.js";
import { CachedThread } from "./thread.js";

/** Whose conversations are kept, and how many. */
export interface CacheOptions {
	/** The user, as the server names it. Another user's conversations are never shown. */
	readonly user: string;
	/**
	 * Version of the application's own fold (`customEvents`): what another version has kept is dropped. At most 64 UTF-16 units.
	 * @default ""
	 */
	readonly version?: string | undefined;
	/** Threads that are kept; beyond it, the one that was not used for longest is dropped. @default 50 */
	readonly maxThreads?: number | undefined;
}

/**
 * Keeps conversations in IndexedDB: `conversation(thread, { cache: persistentCache({ user }) })`. After a reload the page shows the
 * conversation before it is connected, and goes on from exactly there.
 *
 * It is written at most once a second and when the page is hidden or ends; only what has changed is written. Position and state are
 * one transaction. If the browser stores nothing, this is reported once for each thread as `storage_failed`, and the conversation
 * comes from the server. Throws `invalid_option`.
 */
export function persistentCache(options: CacheOptions): ConversationCache {
	const given = fields("cache options", options, ["user", "version", "maxThreads"]);
	const user = userOf(given["user"] as string);
	const own = given["version"] ?? "";
	if (typeof own !== "string" || own.length > 64) refuse("cache options.version", own, "a text of at most 64 UTF-16 units");
	const maxThreads = integer("cache options.maxThreads", given["maxThreads"], 1, 10_000, 50);
	const settings = { version: `${FOLD_VERSION}/${own}`, maxThreads };
	return {
		open: (handle, show) => {
			const thread = followable(handle);
			const place = { scope: scopeOf(thread.owner.url, user), thread: thread.name };
			return new OwnedConversation(new CachedThread(place, settings, thread.reporter), user, thread, show);
		},
	};
}

/**
 * Deletes the conversations of one user on one server: for a sign-out, after `client.close()`. Throws `invalid_option`; rejects with
 * what the browser says if it cannot delete.
 */
export async function clearCache(owner: OutboxOwner): Promise<void> {
	await clearOf(owner, CacheDatabase.open);
}

/** Where what is kept of one user on one server is, and how it is deleted. */
import { addressOf, userOf } from "../client/options.js";
import { fields } from "../shared/check.js";

/** Whose outbox or cache it is. */
export interface OutboxOwner {
	/** The address of the server, as it is given to `createClient`. */
	readonly url: string | URL;
	/** The user, as the server names it. */
	readonly user: string;
}

/** A database that keeps things by their scope. */
interface Scoped {
	/** Deletes everything of a scope. */
	clear(scope: string): Promise<void>;
	close(): void;
}

export function scopeOf(url: string, user: string): string {
	return JSON.stringify([url, user]);
}

/** Deletes what a database keeps of an owner. Throws `invalid_option`; rejects with what the browser says. */
export async function clearOf(owner: OutboxOwner, open: () => Promise<Scoped>): Promise<void> {
	const { url, user } = fields("owner", owner, ["url", "user"]);
	const scope = scopeOf(addressOf(url), userOf(user));
	const database = await open();
	try {
		await database.clear(scope);
	} finally {
		database.close();
	}
}

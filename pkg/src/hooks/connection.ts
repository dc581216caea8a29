/** The connection of a client, as a snapshot. */
import type { Client } from "../client/api.js";
import type { ConnectionState, Health } from "../client/state.js";
import type { AgentwireError } from "../shared/errors.js";
import { isAlike } from "./compare.js";
import type { Source } from "./selection.js";

/** How the connection is. The same object as long as nothing of it changes. */
export interface ConnectionView {
	/** The state, and why; see `StateName`. */
	readonly state: ConnectionState;
	/** The state in one word for people, and why. */
	readonly health: Health;
	/** The last thing that went wrong with the connection, also after it is mended. */
	readonly lastError: AgentwireError | undefined;
}

const reason = "not mounted yet";

/** What a client says that is not made yet: what a server renders. */
export const RESTING: ConnectionView = { state: { name: "idle", reason, attempt: 0 }, health: { status: "initializing", reason }, lastError: undefined };

/** The connection of a client. */
export function connectionOf(client: Client): Source<ConnectionView> {
	let last = RESTING;
	return {
		getSnapshot: () => {
			const { state, lastError } = client;
			const next = { state, health: client.health(), lastError };
			return isAlike(last, next) ? last : (last = next);
		},
		getServerSnapshot: () => RESTING,
		subscribe: (listener) => {
			const offs = [client.on("state", listener), client.on("health", listener)];
			return () => {
				for (const off of offs) off();
			};
		},
	};
}

/** The connection of a client, as a snapshot. */
import type { Client } from "../client/api.js";
import type { ConnectionState, Health } from "../client/state.js";
import type { AgentwireError } from "../shared/errors.js";
import { type Selected, type Source, shallowEqual } from "./selection.js";

/** How the connection is. The same object as long as nothing of it changes. */
export interface ConnectionView {
	/** The state, and why; see `StateName`. */
	readonly state: ConnectionState;
	/** The state in one word for people, and why. */
	readonly health: Health;
	/** The last thing that went wrong with the connection, also after it is mended. */
	readonly lastError: AgentwireError | undefined;
}

/** What a client that was not asked to connect says: what a server renders. */
export const IDLE: ConnectionState = { name: "idle", reason: "not mounted yet", attempt: 0 };
/** The same, in one word. */
export const WITHOUT_HEALTH: Health = { status: "initializing", reason: IDLE.reason };
const RESTING: ConnectionView = { state: IDLE, health: WITHOUT_HEALTH, lastError: undefined };

const sources = new WeakMap<Client, Source<ConnectionView>>();

/** The connection of a client. The same source for all components. */
export function connectionOf(client: Client): Source<ConnectionView> {
	const known = sources.get(client);
	if (known !== undefined) return known;
	let last: Selected<ConnectionView> = { value: RESTING };
	const source: Source<ConnectionView> = {
		getSnapshot: () => {
			const { value } = last;
			const next: ConnectionView = { state: kept(value.state, client.state), health: kept(value.health, client.health()), lastError: client.lastError };
			if (!shallowEqual(value, next)) last = { value: next };
			return last.value;
		},
		getServerSnapshot: () => RESTING,
		subscribe: (listener) => {
			const offs = [client.on("state", listener), client.on("health", listener)];
			return () => {
				for (const off of offs) off();
			};
		},
	};
	sources.set(client, source);
	return source;
}

/** The former object, if the new one says the same. */
function kept<T>(former: T, next: T): T {
	return shallowEqual(former, next) ? former : next;
}

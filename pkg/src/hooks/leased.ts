/**
 * A client that belongs to a component: it is made when it is first needed, and not while a component renders, and it is closed when the
 * component has been gone for a while. To make a lease makes no client.
 */
import type { Client } from "../client/api.js";
import type { Unsubscribe } from "../shared/listeners.js";
import { RESTING } from "./connection.js";
import { forward } from "./forward.js";
import { lingering } from "./linger.js";
import { releaseAll } from "./shared.js";

/** A client, and how long it is needed. */
export interface Lease {
	/** Stands for the client: what it is asked before there is one is answered as one that was not asked to connect. */
	readonly client: Client;
	/** Makes the client, and keeps it until the result is called. After the last lease is over, makes another one. Throws as `createClient` does. */
	readonly retain: () => Unsubscribe;
}

/** Leases what `make` makes. */
export function leaseOf(make: () => Client): Lease {
	let made: Client | undefined;
	let isOver = false;
	const close = (): void => made?.close();
	const lasting = lingering(() => {
		isOver = true;
		releaseAll(client);
		close();
	});
	const open = (): Client => {
		if (made === undefined) {
			made = make();
			lasting.touch();
		}
		return made;
	};
	const client: Client = {
		...forward(["connect", "ready", "on", "thread", "inbox", "stats", "reconnect"], open),
		get state() {
			return (made ?? RESTING).state;
		},
		get subject() {
			return made?.subject;
		},
		get lastError() {
			return made?.lastError;
		},
		outbox: () => made?.outbox() ?? [],
		health: () => made?.health() ?? RESTING.health,
		close,
		// The key may be missing on old platforms, where it is the text "undefined": nobody asks for that.
		[Symbol.dispose]: close,
	};
	const retain = (): Unsubscribe => {
		if (isOver) made = undefined;
		isOver = false;
		open();
		return lasting.retain();
	};
	return { client, retain };
}

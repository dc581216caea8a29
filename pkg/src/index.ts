/**
 * Keeps a page attached to its AI agents: every event once and in order, across drops, sleeps, restarts and reloads.
 *
 * This entry fetches its wasm module while the first socket opens; `agentwire/inline` brings it along.
 */
import type { Client } from "./client.js";
import { connectWith } from "./connect.js";
import { fetchInstance } from "./fetch.js";
import type { ConnectOptions } from "./options.js";

export * from "./public.js";

/**
 * Makes a client, which connects by itself. Resolves without waiting for the network (see `client.ready()`); rejects
 * only for bad options, with an `AgentwireError` of code `invalid_option`.
 */
export function connect(options: ConnectOptions): Promise<Client> {
	return connectWith(options, fetchInstance);
}

/**
 * Keeps a page attached to its AI agents: every event once and in order, across drops, sleeps, restarts and reloads.
 *
 * This entry fetches its wasm module while the first socket opens; `agentwire/inline` brings it along.
 */
import type { Client } from "./client/api.js";
import { AgentClient } from "./client/client.js";
import { type ClientOptions, settingsOf } from "./client/options.js";
import { fetchInstance } from "./core/fetch.js";

export * from "./public.js";

/**
 * Makes a client, which loads the module and connects by itself (see `client.ready()`). Throws only for bad options, with an
 * `AgentwireError` of code `invalid_option`.
 */
export function createClient(options: ClientOptions): Client {
	return new AgentClient(settingsOf(options), fetchInstance);
}

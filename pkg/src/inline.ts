/**
 * Like the main entry, but the wasm module is inside this file: nothing is fetched but the package itself, for bundlers and
 * servers that do not know `.wasm` files.
 */
import { wasmBase64 } from "../wasm/inline.js";
import type { Client } from "./client/api.js";
import { AgentClient } from "./client/client.js";
import { type ClientOptions, settingsOf } from "./client/options.js";
import { inlineInstance } from "./core/load.js";

export * from "./public.js";

/**
 * Makes a client, which compiles the module and connects by itself (see `client.ready()`). Throws only for bad options, with
 * an `AgentwireError` of code `invalid_option`.
 */
export function createClient(options: ClientOptions): Client {
	return new AgentClient(settingsOf(options), () => inlineInstance(wasmBase64));
}

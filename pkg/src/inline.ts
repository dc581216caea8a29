/**
 * As the main entry, with the wasm module in the file: nothing is fetched but the package itself, for bundlers and
 * servers that do not know `.wasm` files.
 */
import { wasmBase64 } from "../wasm/inline.js";
import type { Client } from "./client.js";
import { connectWith } from "./connect.js";
import { inlineInstance } from "./load.js";
import type { ConnectOptions } from "./options.js";

export * from "./public.js";

/**
 * Makes a client, which connects by itself. Resolves without waiting for the network (see `client.ready()`); rejects
 * only for bad options, with an `AgentwireError` of code `invalid_option`.
 */
export function connect(options: ConnectOptions): Promise<Client> {
	return connectWith(options, () => inlineInstance(wasmBase64));
}

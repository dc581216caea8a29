/** Brings the default entry along. */
import type { Client } from "../client/api.js";
import type { AgentwireSource } from "../hooks/given.js";
import { createClient } from "../index.js";
import { provideClient } from "./client.js";

export type { AgentwireSource } from "../hooks/given.js";

/** Gives the components below a client, in `setup`. With `agentwire/inline`, use `provideClient`: this one brings the module as a file. */
export function provideAgentwire(source: AgentwireSource): Client {
	return provideClient(source.client === undefined ? { options: source.options, createClient } : { client: source.client });
}

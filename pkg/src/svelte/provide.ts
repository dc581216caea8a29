/** Brings the default entry along. */
import type { AgentwireSource } from "../hooks/given.js";
import { createClient } from "../index.js";
import { type Agentwire, setClient } from "./context.js";

/** Gives the components below a client, while a component is set up. With `agentwire/inline`, use `setClient`: this one brings the module as a file. */
export function setAgentwire(source: AgentwireSource): Agentwire {
	return setClient(source.client === undefined ? { options: source.options, createClient } : { client: source.client });
}

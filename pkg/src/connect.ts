/** What the entries of the package have in common. */
import { AgentClient, type Client, type Loader } from "./client.js";
import type { ConnectOptions } from "./options.js";
import { settingsOf } from "./options.js";

/** Checks the options and makes a client that gets its wasm instance from `load`. */
export async function connectWith(options: ConnectOptions, load: Loader): Promise<Client> {
	return new AgentClient(settingsOf(options), load);
}

/** Everything that the tests use of the package, in one place: where it is, and how a client is made around an instance. */
import { AgentClient, type Client } from "../../src/client.js";
import type { ConnectOptions } from "../../src/options.js";
import { settingsOf } from "../../src/options.js";
import type { Instance } from "../../src/supervisor.js";

export type { Client } from "../../src/client.js";
export { AgentwireError } from "../../src/errors.js";
export type { ConnectOptions as ClientOptions } from "../../src/options.js";
export type { Host, RawClient, RawConfig } from "../../src/raw.js";
export { type Engine, Instance, MAX_REBUILDS } from "../../src/supervisor.js";
export type { Thread } from "../../src/thread.js";

/** Makes a client as `createClient` of the inline entry does, in the given instance. */
export function createClientIn(instance: Instance, options: ConnectOptions): Client {
	return new AgentClient(settingsOf(options), () => instance);
}

/** Everything that the tests use of the package, in one place: where it is, and how a client is made around an instance. */
import { AgentClient } from "../../src/client/client.js";
import type { Loader } from "../../src/client/loading.js";
import { settingsOf } from "../../src/client/options.js";
import type { Instance } from "../../src/core/instance.js";
import { AgentwireError, type Client, type ClientOptions } from "../../src/public.js";

export { type Engine, Instance, MAX_REBUILDS } from "../../src/core/instance.js";
export type { Host, RawClient, RawConfig, RawEventsFrame } from "../../src/core/raw.js";
export * from "../../src/persist.js";
export * from "../../src/public.js";

/** Makes a client as `createClient` does, in the given instance. */
export function createClientIn(instance: Instance, options: ClientOptions): Client {
	return createClientLoading(() => instance, options);
}

/** Makes a client as `createClient` does, whose instance comes from `load`. */
export function createClientLoading(load: Loader, options: ClientOptions): Client {
	return new AgentClient(settingsOf(options), load);
}

export function isAgentwireError(error: unknown): error is AgentwireError {
	return error instanceof AgentwireError;
}

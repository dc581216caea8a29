/** The client of a tree of components. */
import { type InjectionKey, onBeforeMount, onScopeDispose } from "vue";
import type { Client } from "../client/api.js";
import { type ClientSource, given as givenClient, missing } from "../hooks/given.js";
import type { Unsubscribe } from "../shared/listeners.js";
import { give, given } from "./given.js";

export type { ClientSource } from "../hooks/given.js";

const CLIENT: InjectionKey<Client> = Symbol("agentwire client");

/** Gives the components below a client, in `setup`: that of the application, or one that is made with `createClient`. */
export function provideClient(source: ClientSource): Client {
	const { client, retain } = givenClient(source);
	give(CLIENT, client);
	let release: Unsubscribe | undefined;
	// Before the components below are set up, and never on a server.
	onBeforeMount(() => (release = retain?.()));
	onScopeDispose(() => release?.());
	return client;
}

/** The client of the component itself or of the nearest one above it that provided one. Throws `invalid_option` without one. */
export function useClient(): Client {
	return given(CLIENT) ?? missing("provideAgentwire() in it or above it");
}

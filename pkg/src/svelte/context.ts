/** The client of a tree of components. */
import { getContext, onDestroy, setContext } from "svelte";
import type { Client } from "../client/api.js";
import { type ConnectionView, connectionOf } from "../hooks/connection.js";
import { type ClientSource, given, missing } from "../hooks/given.js";
import type { ThreadSettings } from "../hooks/settings.js";
import { sharedThread } from "../hooks/shared.js";
import { type Readable, readable } from "./readable.js";
import { type ThreadStore, threadStore } from "./thread.js";

/** A client, and what components take from it. */
export interface Agentwire {
	readonly client: Client;
	/** How the connection is. */
	readonly connection: Readable<ConnectionView>;
	/** A thread as a store. The first options that a thread is opened with hold. It may be called anywhere. */
	thread<C = undefined>(name: string, settings?: ThreadSettings<C>): ThreadStore<C>;
	/** Closes a client that was made here, in a second; `setAgentwire` does it when the component is gone. */
	destroy(): void;
}

const KEY = Symbol("agentwire");

/** Makes it outside of components. A client that is made is there from now on, but not on a server. */
export function createAgentwire(source: ClientSource): Agentwire {
	const { client, retain } = given(source);
	const release = typeof window === "undefined" ? undefined : retain?.();
	return {
		client,
		connection: readable(connectionOf(client), (view) => view, Object.is),
		thread: (name, settings) => threadStore(sharedThread(client, name, settings)),
		destroy: () => release?.(),
	};
}

/** Gives the components below a client, while a component is set up: that of the application, or one that is made with `createClient`. */
export function setClient(source: ClientSource): Agentwire {
	const agentwire = createAgentwire(source);
	onDestroy(() => agentwire.destroy());
	return setContext(KEY, agentwire);
}

/** What the nearest component above gave, while a component is set up. Throws `invalid_option` without one. */
export function getAgentwire(): Agentwire {
	return getContext<Agentwire | undefined>(KEY) ?? missing("setAgentwire() in a component above it");
}

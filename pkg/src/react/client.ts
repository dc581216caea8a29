/** The client of a tree of components. */
import { type Context, createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Client } from "../client/api.js";
import { type ClientSource, leaseOf, noClient } from "../hooks/given.js";
import { isAlike, warnOnce } from "../hooks/options.js";

/**
 * What {@link ClientProvider} takes. The first `options` are kept, and only `token` is always that of the last render: another `key` of the
 * provider makes another client.
 */
export type ClientProviderProps = ClientSource & { readonly children?: ReactNode };

const ClientContext: Context<Client | undefined> = createContext<Client | undefined>(undefined);

/** Gives its children a client: that of the application, or one that it makes with `createClient`. */
export function ClientProvider({ client, options, createClient, children }: ClientProviderProps): ReactElement {
	const latest = useRef(options);
	const [lease] = useState(() => leaseOf({ client, options, createClient } as ClientSource, () => latest.current));
	useEffect(() => {
		if (!isAlike(options, latest.current)) warnOnce("the options of the provider have changed: the first ones are kept, another `key` makes another client");
		latest.current = options;
	}, [options]);
	// A server renders no layout, and React 18 warns of it there.
	const useEarlyEffect = typeof document === "undefined" ? useEffect : useLayoutEffect;
	const isOwn = client === undefined;
	const retain = () => (isOwn ? lease?.retain() : undefined);
	// It is needed before the effects of children, which listen to it: in a tree that is shown again its lease may be over. The second
	// one holds it while the tree waits for something: React ends the effects of the first kind then, and children still listen.
	useEarlyEffect(retain, [lease, isOwn]);
	useEffect(retain, [lease, isOwn]);
	return createElement(ClientContext.Provider, { value: client ?? lease }, children);
}

/** The client of the nearest provider. Throws `invalid_option` without one. */
export function useClient(): Client {
	const client = useContext(ClientContext);
	return client ?? noClient("put it into <AgentwireProvider>");
}

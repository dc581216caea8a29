/** The client of a tree of components. */
import { type Context, createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Client } from "../client/api.js";
import { isAlike } from "../hooks/compare.js";
import { type ClientSource, given, missing } from "../hooks/given.js";
import { warnOnce } from "../hooks/warn.js";

/**
 * What {@link ClientProvider} takes. The first `options` are kept, and only `token` is always that of the last render: another `key` of the
 * provider makes another client.
 */
export type ClientProviderProps = ClientSource & { readonly children?: ReactNode };

const ClientContext: Context<Client | undefined> = createContext<Client | undefined>(undefined);

/** Gives its children a client: that of the application, or one that it makes with `createClient`. */
export function ClientProvider({ client, options, createClient, children }: ClientProviderProps): ReactElement {
	const latest = useRef(options);
	const [own] = useState(() => (client === undefined ? given({ options, createClient } as ClientSource, () => latest.current) : undefined));
	useEffect(() => {
		if (!isAlike(options, latest.current)) warnOnce("the options of the provider have changed, but the first ones hold");
		latest.current = options;
	}, [options]);
	// A server renders no layout, and React 18 warns of it there.
	const useEarlyEffect = typeof document === "undefined" ? useEffect : useLayoutEffect;
	const retain = client === undefined ? own?.retain : undefined;
	// It is needed before the effects of children, which listen to it: in a tree that is shown again its lease may be over. The second
	// one holds it while the tree waits for something: React ends the effects of the first kind then, and children still listen.
	useEarlyEffect(() => retain?.(), [retain]);
	useEffect(() => retain?.(), [retain]);
	return createElement(ClientContext.Provider, { value: client ?? own?.client }, children);
}

/** The client of the nearest provider. Throws `invalid_option` without one. */
export function useClient(): Client {
	const client = useContext(ClientContext);
	return client ?? missing("an <AgentwireProvider> around it");
}

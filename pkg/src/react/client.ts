/** The client of a tree of components. */
import { type Context, createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Client } from "../client/api.js";
import type { ClientOptions } from "../client/options.js";
import { LeasedClient } from "../hooks/leased.js";
import { isAlike, warnOnce } from "../hooks/options.js";
import { AgentwireError } from "../shared/errors.js";

/** What {@link ClientProvider} takes. */
export type ClientProviderProps = {
	readonly children?: ReactNode;
} & (
	| {
			/** A client of the application, which also closes it. */
			readonly client: Client;
			readonly options?: undefined;
			readonly createClient?: undefined;
	  }
	| {
			/**
			 * Of the client that the provider makes, when it is mounted, and closes, a second after it is gone. The first ones are kept; only
			 * `token` is always that of the last render. Another `key` of the provider makes another client.
			 */
			readonly options: ClientOptions;
			/** That of `agentwire` or `agentwire/inline`. */
			readonly createClient: (options: ClientOptions) => Client;
			readonly client?: undefined;
	  }
);

const ClientContext: Context<Client | undefined> = createContext<Client | undefined>(undefined);

/** A server renders no layout, and React 18 warns of it there. */
const useEarlyEffect = typeof document === "undefined" ? useEffect : useLayoutEffect;

/** Gives its children a client: that of the application, or one that it makes with `createClient`. */
export function ClientProvider({ client, options, createClient, children }: ClientProviderProps): ReactElement {
	const latest = useRef(options);
	const [lease] = useState(() => {
		if (client !== undefined) return undefined;
		if (createClient !== undefined && latest.current !== undefined) return new LeasedClient(() => createClient(withLatestToken(latest)));
		throw new AgentwireError("invalid_option", "the provider has neither `client` nor `options`, it needs one of them");
	});
	useEffect(() => {
		if (!isAlike(options, latest.current)) warnOnce("the options of the provider have changed: the first ones are kept, another `key` makes another client");
		latest.current = options;
	}, [options]);
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
	if (client === undefined) throw new AgentwireError("invalid_option", "there is no <AgentwireProvider> around this component");
	return client;
}

/** The options, with a function that asks the last one that was given. */
function withLatestToken(latest: { readonly current: ClientOptions | undefined }): ClientOptions {
	const options = latest.current as ClientOptions;
	// What is no function is refused as it is.
	if (typeof options.token !== "function") return options;
	return { ...options, token: (request) => (latest.current ?? options).token(request) };
}

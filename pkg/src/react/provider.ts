/** The provider that brings the default entry along. */
import { createElement, type ReactElement, type ReactNode } from "react";
import type { Client } from "../client/api.js";
import type { ClientOptions } from "../client/options.js";
import { createClient } from "../index.js";
import { ClientProvider } from "./client.js";

/** What {@link AgentwireProvider} takes. */
export type AgentwireProviderProps = {
	readonly children?: ReactNode;
} & (
	| {
			/** A client of the application, which also closes it. */
			readonly client: Client;
			readonly options?: undefined;
	  }
	| {
			/**
			 * Of the client that the provider makes, when it is mounted, and closes, a second after it is gone. The first ones are kept; only
			 * `token` is always that of the last render. Another `key` of the provider makes another client.
			 */
			readonly options: ClientOptions;
			readonly client?: undefined;
	  }
);

/** Gives its children a client. With `agentwire/inline`, use {@link ClientProvider}: this one brings the module as a file. */
export function AgentwireProvider({ client, options, children }: AgentwireProviderProps): ReactElement {
	if (client !== undefined) return createElement(ClientProvider, { client }, children);
	return createElement(ClientProvider, { options: options as ClientOptions, createClient }, children);
}

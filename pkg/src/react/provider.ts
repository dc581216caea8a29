/** The provider that brings the default entry along. */
import { createElement, type ReactElement, type ReactNode } from "react";
import type { ClientOptions } from "../client/options.js";
import type { AgentwireSource } from "../hooks/given.js";
import { createClient } from "../index.js";
import { ClientProvider } from "./client.js";

/** What {@link AgentwireProvider} takes; see {@link ClientProviderProps}. */
export type AgentwireProviderProps = AgentwireSource & { readonly children?: ReactNode };

/** Gives its children a client. With `agentwire/inline`, use {@link ClientProvider}: this one brings the module as a file. */
export function AgentwireProvider({ client, options, children }: AgentwireProviderProps): ReactElement {
	if (client !== undefined) return createElement(ClientProvider, { client }, children);
	return createElement(ClientProvider, { options: options as ClientOptions, createClient }, children);
}

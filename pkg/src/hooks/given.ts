/** A client of the application, or one that a part of the page makes for itself. */
import type { Client } from "../client/api.js";
import type { ClientOptions } from "../client/options.js";
import { AgentwireError } from "../shared/errors.js";
import { LeasedClient } from "./leased.js";

/** Where a client comes from, with a `createClient` that is given. */
export type ClientSource =
	| {
			/** A client of the application, which also closes it. */
			readonly client: Client;
			readonly options?: undefined;
			readonly createClient?: undefined;
	  }
	| {
			/** Of the client that is made, and closed a second after the part of the page is gone. */
			readonly options: ClientOptions;
			/** That of `agentwire` or `agentwire/inline`. */
			readonly createClient: (options: ClientOptions) => Client;
			readonly client?: undefined;
	  };

/** Where a client comes from: one that is made is that of the entry `agentwire`. */
export type AgentwireSource = { readonly client: Client; readonly options?: undefined } | { readonly options: ClientOptions; readonly client?: undefined };

/** The lease of a client that is made; `undefined` for a client of the application. `latest` answers with the options of now. Throws `invalid_option`. */
export function leaseOf({ client, options, createClient }: ClientSource, latest: () => ClientOptions | undefined = () => options): LeasedClient | undefined {
	if (client !== undefined) return undefined;
	if (options === undefined || createClient === undefined)
		throw new AgentwireError("invalid_option", "there is neither `client` nor `options`, one of them is needed");
	// What is no function is refused as it is.
	if (typeof options.token !== "function") return new LeasedClient(() => createClient(options));
	// A function that was written inside a component is asked in its last form.
	return new LeasedClient(() => createClient({ ...options, token: (request) => (latest() ?? options).token(request) }));
}

/** The client of a component that has none. */
export function noClient(remedy: string): never {
	throw new AgentwireError("invalid_option", `this component has no client: ${remedy}`);
}

/** The thread of a component that names none. */
export function noThread(remedy: string): never {
	throw new AgentwireError("invalid_option", `this component is about no thread: give its name, or ${remedy}`);
}

/** A client of the application, or one that a part of the page makes for itself. */
import type { Client } from "../client/api.js";
import type { ClientOptions } from "../client/options.js";
import { AgentwireError } from "../shared/errors.js";
import { type Lease, leaseOf } from "./leased.js";

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

/** The client that is given, or the lease of one. `latest` answers with the options of now. Throws `invalid_option`. */
export function given(
	{ client, options, createClient }: ClientSource,
	latest: () => ClientOptions | undefined = () => options,
): Partial<Lease> & Pick<Lease, "client"> {
	if (client !== undefined) return { client };
	if (options === undefined) return missing("`client` or `options`");
	// A function that was written inside a component is asked in its last form. What is no function is refused as it is.
	const token: ClientOptions["token"] = typeof options.token === "function" ? (request) => (latest() ?? options).token(request) : options.token;
	return leaseOf(() => createClient({ ...options, token }));
}

/** Something is not there. */
export function missing(what: string): never {
	throw new AgentwireError("invalid_option", `a component needs ${what}`);
}

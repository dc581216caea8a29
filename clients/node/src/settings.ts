/** The options of a bridge, their defaults and their ranges. */
import { BridgeError } from "./errors.js";

export interface BridgeOptions {
	/** Where the server is, such as `https://bridge.example.com`; `AGENTWIRE_URL` by default. */
	readonly url?: string;
	/** The service key; `AGENTWIRE_KEY` by default. */
	readonly key?: string;
	/** How long a request is repeated before it fails, in milliseconds, 1–86,400,000; 300,000 by default. */
	readonly deadlineMs?: number;
	/** How long one attempt may take, in milliseconds, 1–600,000; 10,000 by default. */
	readonly requestTimeoutMs?: number;
	/** How long events wait for others before they are sent, in milliseconds, 0–10,000; 20 by default. */
	readonly batchMs?: number;
	/** How many events of a run may wait before its calls do, 1–100,000; 1,000 by default. Ten times as many are refused. */
	readonly maxQueuedEvents?: number;
	/** How many bytes of JSON of a run may wait before its calls do, 1,024–268,435,456; 4 MiB by default. Ten times as many are refused. */
	readonly maxQueuedBytes?: number;
	/** How long a cancelled run may go on before its end is written, in milliseconds, 0–3,600,000; 10,000 by default. */
	readonly cancelGraceMs?: number;
	/** Gets what goes wrong in the background; `console.error` by default. */
	readonly onError?: (error: unknown) => void;
	/** Makes the requests; the global `fetch` by default. */
	readonly fetch?: typeof globalThis.fetch;
}

/** The options after their check. */
export interface Settings {
	readonly url: string;
	readonly key: string;
	readonly deadlineMs: number;
	readonly requestTimeoutMs: number;
	readonly batchMs: number;
	readonly maxQueuedEvents: number;
	readonly maxQueuedBytes: number;
	readonly cancelGraceMs: number;
	readonly onError: (error: unknown) => void;
	readonly fetch: typeof globalThis.fetch;
}

/** Checks options and fills in the defaults. Throws a {@link BridgeError} of code `bad_option`. */
export function settingsOf(options: BridgeOptions, env: Readonly<Record<string, string | undefined>> = process.env): Settings {
	const url = options.url ?? env["AGENTWIRE_URL"];
	const key = options.key ?? env["AGENTWIRE_KEY"];
	if (url === undefined || url === "") throw bad("give `url`, or set AGENTWIRE_URL, to the address of the server");
	if (key === undefined || key === "") throw bad("give `key`, or set AGENTWIRE_KEY, to a service key of the server");
	if (!/^[\x21-\x7e]+$/.test(key)) throw bad("`key` has characters that a header can't have");
	return {
		url: baseOf(url),
		key,
		deadlineMs: within("deadlineMs", options.deadlineMs, 300_000, 1, 86_400_000),
		requestTimeoutMs: within("requestTimeoutMs", options.requestTimeoutMs, 10_000, 1, 600_000),
		batchMs: within("batchMs", options.batchMs, 20, 0, 10_000),
		maxQueuedEvents: within("maxQueuedEvents", options.maxQueuedEvents, 1_000, 1, 100_000),
		maxQueuedBytes: within("maxQueuedBytes", options.maxQueuedBytes, 4 << 20, 1_024, 256 << 20),
		cancelGraceMs: within("cancelGraceMs", options.cancelGraceMs, 10_000, 0, 3_600_000),
		onError: options.onError ?? ((error) => console.error(error)),
		fetch: options.fetch ?? globalThis.fetch,
	};
}

/** Returns a number if it is in its range, and the default if there is none. */
export function within(name: string, value: number | undefined, fallback: number, least: number, most: number): number {
	if (value === undefined) return fallback;
	if (!Number.isSafeInteger(value) || value < least || value > most) throw bad(`\`${name}\` must be a whole number from ${least} to ${most}`);
	return value;
}

function baseOf(text: string): string {
	let url: URL;
	try {
		url = new URL(text);
	} catch {
		throw bad("`url` must be an address such as https://bridge.example.com");
	}
	if (url.protocol !== "https:" && url.protocol !== "http:") throw bad("`url` must begin with https: or http:");
	if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") throw bad("`url` must have no user, query or fragment");
	return url.href.replace(/\/+$/, "");
}

function bad(message: string): BridgeError {
	return new BridgeError("bad_option", message);
}

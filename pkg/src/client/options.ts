/**
 * The options of `connect`, checked where the user can read the error: its text names the option, what it was, and what
 * it must be.
 */
import { AgentwireError } from "./errors.js";
import type { Metric } from "./metrics.js";
import type { PositionStore } from "./positions.js";
import type { RawConfig } from "./raw.js";
import type { Logger } from "./report.js";
import type { TokenFunction } from "./token.js";

/** What the server may have sent of one stream without an `ack`. */
export interface WindowOptions {
	/** Number of events, 1 to 65,536. @default 512 */
	readonly events?: number | undefined;
	/** Bytes of the events' JSON, 1,024 to 67,108,864. @default 262_144 */
	readonly bytes?: number | undefined;
}

/** How long to wait between two attempts to connect. */
export interface BackoffOptions {
	/** Upper bound of the first delay, in milliseconds, 10 to 60,000; it doubles with each attempt. @default 500 */
	readonly baseMs?: number | undefined;
	/** Upper bound of every delay, in milliseconds, `baseMs` to 3,600,000. @default 20_000 */
	readonly maxMs?: number | undefined;
}

/** Options of `connect`. */
export interface ConnectOptions {
	/**
	 * Address of the server: `wss:` or `ws:`; `https:` and `http:` stand for them. In a page it may be relative to the
	 * page's own address. It must not hold a token.
	 */
	readonly url: string | URL;
	/** Called for a token whenever one is needed; may be async. */
	readonly token: TokenFunction;
	/** Where positions are kept, so that the next page goes on with the next event. @default none */
	readonly positions?: PositionStore | undefined;
	/** Bounds what the server sends ahead, per stream, and with it what an iterator can hold. */
	readonly window?: WindowOptions | undefined;
	/** The delays between attempts, drawn evenly below a bound that grows. */
	readonly backoff?: BackoffOptions | undefined;
	/** Longest time until a socket is open, in milliseconds, 100 to 300,000. @default 10_000 */
	readonly connectTimeoutMs?: number | undefined;
	/** Messages, cancels and approvals that may be unsettled at once, 1 to 65,536. More fail with `outbox_full`. @default 256 */
	readonly maxPendingSends?: number | undefined;
	/** Gets log lines. They never hold a token. @default none */
	readonly logger?: Logger | undefined;
	/** Gets figures as they arise. @default none */
	readonly onMetric?: ((metric: Metric) => void) | undefined;
	/** Closes the client when aborted. @default none */
	readonly signal?: AbortSignal | undefined;
	/** Connects at once; with false, `client.connect()` does it. @default true */
	readonly autoConnect?: boolean | undefined;
	/** Address of `agentwire_bg.wasm`, where a bundler does not find it by itself. `agentwire/inline` ignores it. @default beside the package's glue */
	readonly wasm?: string | URL | undefined;
}

/** Options after checking, with every default filled in. */
export interface Settings {
	/** Absolute, `ws:` or `wss:`. */
	readonly url: string;
	readonly token: TokenFunction;
	readonly positions: PositionStore | undefined;
	readonly logger: Logger | undefined;
	readonly onMetric: ((metric: Metric) => void) | undefined;
	readonly signal: AbortSignal | undefined;
	readonly autoConnect: boolean;
	readonly wasm: string | URL | undefined;
	readonly config: RawConfig;
}

/** Version of the package, as `hello` names it. */
export const VERSION = "0.1.0";

/** An object whose keys were looked at. */
type Fields = Readonly<Record<string, unknown>>;

const KEYS = ["url", "token", "positions", "window", "backoff", "connectTimeoutMs", "maxPendingSends", "logger", "onMetric", "signal", "autoConnect", "wasm"];

/** Checks what was given to `connect`. Throws `invalid_option`. */
export function settingsOf(options: unknown): Settings {
	const given = fields("options", options, KEYS);
	const window = fields("window", given["window"] ?? {}, ["events", "bytes"]);
	const backoff = fields("backoff", given["backoff"] ?? {}, ["baseMs", "maxMs"]);
	const baseMs = integer("backoff.baseMs", backoff["baseMs"], 10, 60_000, 500);
	return {
		url: addressOf(given["url"]),
		token: callable<TokenFunction>("token", given["token"]),
		positions: withMethods<PositionStore>("positions", given["positions"], ["load", "save", "clear"]),
		logger: withMethods<Logger>("logger", given["logger"], []),
		onMetric: given["onMetric"] === undefined ? undefined : callable("onMetric", given["onMetric"]),
		signal: withMethods<AbortSignal>("signal", given["signal"], ["addEventListener", "removeEventListener"]),
		autoConnect: boolean("autoConnect", given["autoConnect"], true),
		wasm: wasmOf(given["wasm"]),
		config: {
			seed: 0,
			url: addressOf(given["url"]),
			clientVersion: VERSION,
			windowEvents: integer("window.events", window["events"], 1, 65_536, 512),
			windowBytes: integer("window.bytes", window["bytes"], 1_024, 67_108_864, 262_144),
			maxPending: integer("maxPendingSends", given["maxPendingSends"], 1, 65_536, 256),
			backoffBaseMs: baseMs,
			backoffMaxMs: integer("backoff.maxMs", backoff["maxMs"], baseMs, 3_600_000, Math.max(20_000, baseMs)),
			connectTimeoutMs: integer("connectTimeoutMs", given["connectTimeoutMs"], 100, 300_000, 10_000),
		},
	};
}

/** Refuses `value` of the option `name`. */
export function refuse(name: string, value: unknown, must: string): never {
	throw new AgentwireError("invalid_option", `${name} is ${show(value)}, it must be ${must}`);
}

/** Checks that `value` is an object with no other keys than `known`. */
export function fields(name: string, value: unknown, known: readonly string[]): Fields {
	if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(name, value, "an object");
	for (const key of Object.keys(value)) {
		if (known.includes(key)) continue;
		const path = name === "options" ? key : `${name}.${key}`;
		throw new AgentwireError("invalid_option", `${path} is not an option, did you mean ${nearest(key, known)}?`);
	}
	return value as Fields;
}

/** Checks an integer of the range; `undefined` stands for the default. */
export function integer(name: string, value: unknown, least: number, most: number, fallback?: number): number {
	if (value === undefined && fallback !== undefined) return fallback;
	if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
	return refuse(name, value, `an integer from ${least} to ${most}`);
}

function boolean(name: string, value: unknown, fallback: boolean): boolean {
	if (value === undefined) return fallback;
	return typeof value === "boolean" ? value : refuse(name, value, "true or false");
}

function callable<F>(name: string, value: unknown): F {
	return typeof value === "function" ? (value as F) : refuse(name, value, "a function");
}

function withMethods<T>(name: string, value: unknown, methods: readonly string[]): T | undefined {
	if (value === undefined) return undefined;
	if (typeof value !== "object" || value === null) refuse(name, value, "an object");
	for (const method of methods) {
		if (typeof (value as Fields)[method] !== "function") refuse(`${name}.${method}`, (value as Fields)[method], "a function");
	}
	return value as T;
}

function wasmOf(value: unknown): string | URL | undefined {
	if (value === undefined || value instanceof URL) return value;
	return typeof value === "string" && value !== "" ? value : refuse("wasm", value, "an address: a URL or a text");
}

const SCHEMES: Readonly<Record<string, string>> = { "ws:": "ws:", "wss:": "wss:", "http:": "ws:", "https:": "wss:" };

function addressOf(value: unknown): string {
	const must = "a ws:, wss:, http: or https: address (in a page it may be relative)";
	const text = value instanceof URL ? value.href : value;
	if (typeof text !== "string" || text === "") return refuse("url", value, must);
	const base = typeof globalThis.location === "object" ? globalThis.location?.href : undefined;
	let url: URL;
	try {
		url = new URL(text, base);
	} catch {
		return refuse("url", value, must);
	}
	const scheme = SCHEMES[url.protocol];
	if (scheme === undefined) return refuse("url", value, must);
	if (url.username !== "" || url.password !== "") return refuse("url", `${url.protocol}//…@${url.host}`, "an address without user and password");
	if (url.hash !== "") return refuse("url", value, "an address without a fragment (#…)");
	url.protocol = scheme;
	return url.href;
}

function show(value: unknown): string {
	if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
	if (typeof value === "number" || typeof value === "boolean" || value === undefined || value === null) return String(value);
	if (Array.isArray(value)) return "a list";
	return value instanceof URL ? JSON.stringify(value.href) : `a value of type ${typeof value}`;
}

function nearest(key: string, known: readonly string[]): string {
	const ranked = known.map((name) => ({ name, distance: distance(key.toLowerCase(), name.toLowerCase()) }));
	ranked.sort((one, other) => one.distance - other.distance);
	return ranked[0]?.name ?? "";
}

/** The number of letters to insert, delete or replace (Levenshtein). */
function distance(one: string, other: string): number {
	let row = Array.from({ length: other.length + 1 }, (_, index) => index);
	for (let line = 1; line <= one.length; line += 1) {
		const next = [line];
		for (let column = 1; column <= other.length; column += 1) {
			const swap = (row[column - 1] ?? 0) + (one[line - 1] === other[column - 1] ? 0 : 1);
			next.push(Math.min(swap, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
		}
		row = next;
	}
	return row[other.length] ?? 0;
}

/** The options of `createClient`, checked where the caller can read the error. */
import type { RawConfig } from "../core/raw.js";
import { abortSignal, boolean, callable, fields, integer, isUrl, refuse, withMethods } from "../shared/check.js";
import type { Metric } from "../shared/metrics.js";
import { checkId, isSized } from "../shared/names.js";
import type { Logger } from "../shared/report.js";
import type { KeeperSource } from "./kept.js";
import type { TokenFunction } from "./token.js";

/** What the server may have sent without an `ack`: it fills the line, and bounds what waits in the page. */
export interface WindowOptions {
	/** Number of events per thread, 1 to 65,536. @default 32_768 */
	readonly events?: number | undefined;
	/** Bytes of the events' JSON per thread, 1,024 to 67,108,864. @default 8_388_608 (8 MiB) */
	readonly bytes?: number | undefined;
	/** Bytes over all threads, `bytes` to 268,435,456. @default 16_777_216 (16 MiB), or `bytes` if that is more */
	readonly totalBytes?: number | undefined;
}

/**
 * How long to wait between two attempts to connect. The first delay is drawn from 0 to `baseMs`. Each later step is `growth` times as
 * long, up to `maxMs`, and the delay is drawn from its upper part. Only a connection that lasts (10 s caught up, or a quarter of the
 * present step) starts the steps anew.
 */
export interface BackoffOptions {
	/** First step, in milliseconds, 10 to 60,000. @default 500 */
	readonly baseMs?: number | undefined;
	/**
	 * Longest step, in milliseconds, `baseMs` to 3,600,000. One attempt per half of it is allowed in the long run: 100 means 20 a
	 * second while the server is away. @default what the server says (1,000 to 60,000), or 20_000
	 */
	readonly maxMs?: number | undefined;
	/** How much longer each step is than the one before, 1 to 10. @default 2 */
	readonly growth?: number | undefined;
	/** Part of a step that is drawn, 0 to 1: with 0.5 a delay is between half of the step and all of it. @default 0.5 */
	readonly jitter?: number | undefined;
	/** Attempts that may be made at once, 1 to 1,000; one more is allowed per half of the longest step. @default 6 */
	readonly burst?: number | undefined;
	/**
	 * Attempts in a row to come back, 1 to 1,000,000; when the last one fails, the client fails with `gave_up`. The very first attempt
	 * of a client does not count. @default none
	 */
	readonly maxAttempts?: number | undefined;
	/**
	 * Milliseconds since the loss, or since the first attempt failed, 1,000 to 2^53 - 1. The first attempt that fails after that ends
	 * the client with `gave_up`. @default none
	 */
	readonly maxElapsedMs?: number | undefined;
}

/**
 * Returns the delay before an attempt, 0 to 2,147,483,647 milliseconds; `null` gives up: the client fails with `gave_up`. `attempt`
 * counts from 1, `elapsedMs` since the connection was lost or the first attempt failed, `reason` is that of the state. A time that the
 * server named still holds, and so does the default limit: 6 attempts at once, one more per half of the longest step. If it throws or returns something else, the delay of the default options is used and the error is reported.
 */
export type BackoffFunction = (attempt: number, elapsedMs: number, reason: string) => number | null;

/** Keeps messages beyond the life of the page: `persistOutbox()` of `agentwire/persist` makes one. */
export interface OutboxStore {
	/** Opens it for one client, which alone calls it. */
	readonly open: (client: never) => unknown;
}

/** Options of `createClient`. */
export interface ClientOptions {
	/**
	 * Address of the server: `wss:` or `ws:`; `https:` and `http:` stand for them. In a page it may be relative to the
	 * page's own address. It must not hold a token.
	 */
	readonly url: string | URL;
	/** Called for a token whenever one is needed; may be async. */
	readonly token: TokenFunction;
	/**
	 * The user that the server must name, 1 to 256 bytes. When it names another one, the client ends with `subject_changed` before
	 * anything is sent or shown. @default whoever it names first
	 */
	readonly user?: string | undefined;
	/** A stable name for the device or browser profile, 1 to 128 bytes, for the server's log. @default none */
	readonly device?: string | undefined;
	/** Bounds what the server sends ahead, per stream, and with it what an iterator can hold. */
	readonly window?: WindowOptions | undefined;
	/** The delays between attempts. */
	readonly backoff?: BackoffOptions | BackoffFunction | undefined;
	/** Transmissions of one message within 10 minutes, 1 to 1,000. One that needs more waits. @default 5 */
	readonly maxUploads?: number | undefined;
	/** Longest time until a socket is open, in milliseconds, 100 to 300,000. @default 10_000 */
	readonly connectTimeoutMs?: number | undefined;
	/** Longest time until the `token` function answers, in milliseconds, 1,000 to 600,000; then it is called again. @default 30_000 */
	readonly tokenTimeoutMs?: number | undefined;
	/** Messages, cancels and approvals that may be unsettled at once, 1 to 65,536. More fail with `outbox_full`. @default 256 */
	readonly maxPendingSends?: number | undefined;
	/**
	 * Bytes of the JSON of what is unsettled at once, 1,024 to 268,435,456. More fails with `outbox_full`, and a message that is larger
	 * alone with `message_too_large`. @default 8_388_608 (8 MiB)
	 */
	readonly maxPendingBytes?: number | undefined;
	/** Keeps messages that are not stored yet beyond the life of the page: `persistOutbox()` of `agentwire/persist`. @default they are lost with the page */
	readonly outbox?: OutboxStore | undefined;
	/** Gets log lines. They never hold a token. @default none */
	readonly logger?: Logger | undefined;
	/** Gets figures as they arise. @default none */
	readonly onMetric?: ((metric: Metric) => void) | undefined;
	/** Closes the client when aborted. @default none */
	readonly signal?: AbortSignal | undefined;
	/** Connects at once; with false, `client.connect()` does it. @default true */
	readonly autoConnect?: boolean | undefined;
	/** Address of `agentwire_bg.wasm`, where a bundler does not find it by itself. `agentwire/inline` ignores it. @default beside the package's own files */
	readonly wasm?: string | URL | undefined;
}

/** Options after checking, with every default filled in. */
export interface Settings {
	/** Absolute, `ws:` or `wss:`. */
	readonly url: string;
	readonly token: TokenFunction;
	readonly user: string | undefined;
	/** Bytes of what may be pending at once. */
	readonly maxPendingBytes: number;
	readonly outbox: KeeperSource | undefined;
	readonly logger: Logger | undefined;
	readonly onMetric: ((metric: Metric) => void) | undefined;
	readonly signal: AbortSignal | undefined;
	readonly autoConnect: boolean;
	readonly wasm: string | URL | undefined;
	readonly backoff: RetrySettings;
	readonly config: RawConfig;
}

/** What the package itself decides of retries. */
export interface RetrySettings {
	readonly delay: BackoffFunction | undefined;
	readonly maxAttempts: number;
	readonly maxElapsedMs: number;
}

/** Version of the package, as `hello` names it. */
export const VERSION = "0.1.0";

const MAX_USER_BYTES = 256;

const BACKOFF_KEYS = ["baseMs", "maxMs", "growth", "jitter", "burst", "maxAttempts", "maxElapsedMs"];

const KEYS = [
	"url",
	"token",
	"user",
	"device",
	"window",
	"backoff",
	"maxUploads",
	"connectTimeoutMs",
	"tokenTimeoutMs",
	"maxPendingSends",
	"maxPendingBytes",
	"outbox",
	"logger",
	"onMetric",
	"signal",
	"autoConnect",
	"wasm",
];

/** Checks what was given to `createClient`. Throws `invalid_option`. */
export function settingsOf(options: unknown): Settings {
	const given = fields("options", options, KEYS);
	const window = fields("window", given["window"] ?? {}, ["events", "bytes", "totalBytes"]);
	const windowBytes = integer("window.bytes", window["bytes"], 1_024, 67_108_864, 8_388_608);
	const delay = typeof given["backoff"] === "function" ? (given["backoff"] as BackoffFunction) : undefined;
	const backoff = fields("backoff", delay === undefined ? (given["backoff"] ?? {}) : {}, BACKOFF_KEYS);
	const baseMs = integer("backoff.baseMs", backoff["baseMs"], 10, 60_000, 500);
	const url = addressOf(given["url"]);
	return {
		url,
		token: callable<TokenFunction>("token", given["token"]),
		user: given["user"] === undefined ? undefined : userOf(given["user"]),
		maxPendingBytes: integer("maxPendingBytes", given["maxPendingBytes"], 1_024, 268_435_456, 8_388_608),
		outbox: withMethods<KeeperSource>("outbox", given["outbox"], ["open"]),
		logger: withMethods<Logger>("logger", given["logger"], []),
		onMetric: given["onMetric"] === undefined ? undefined : callable("onMetric", given["onMetric"]),
		signal: abortSignal(given["signal"]),
		autoConnect: boolean("autoConnect", given["autoConnect"], true),
		wasm: wasmOf(given["wasm"]),
		backoff: {
			delay,
			maxAttempts: integer("backoff.maxAttempts", backoff["maxAttempts"], 1, 1_000_000, Number.MAX_SAFE_INTEGER),
			maxElapsedMs: integer("backoff.maxElapsedMs", backoff["maxElapsedMs"], 1_000, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
		},
		config: {
			seed: 0,
			url,
			clientVersion: VERSION,
			device: given["device"] === undefined ? undefined : checkId("device", given["device"]),
			windowEvents: integer("window.events", window["events"], 1, 65_536, 32_768),
			windowBytes,
			windowTotalBytes: integer("window.totalBytes", window["totalBytes"], windowBytes, 268_435_456, Math.max(16_777_216, windowBytes)),
			maxPending: integer("maxPendingSends", given["maxPendingSends"], 1, 65_536, 256),
			backoffBaseMs: baseMs,
			backoffMaxMs: backoff["maxMs"] === undefined ? ownMax(baseMs) : integer("backoff.maxMs", backoff["maxMs"], baseMs, 3_600_000),
			backoffGrowth: hundredths("backoff.growth", backoff["growth"], 1, 10, 2),
			backoffJitter: hundredths("backoff.jitter", backoff["jitter"], 0, 1, 0.5),
			attemptBurst: integer("backoff.burst", backoff["burst"], 1, 1_000, 6),
			maxUploads: integer("maxUploads", given["maxUploads"], 1, 1_000, 5),
			isLocal: isLocal(new URL(url).hostname),
			connectTimeoutMs: integer("connectTimeoutMs", given["connectTimeoutMs"], 100, 300_000, 10_000),
			tokenTimeoutMs: integer("tokenTimeoutMs", given["tokenTimeoutMs"], 1_000, 600_000, 30_000),
		},
	};
}

/** A first step above the default longest one is the longest one itself. */
function ownMax(baseMs: number): number | undefined {
	return baseMs > 20_000 ? baseMs : undefined;
}

/** Checks a number of the range; the core gets hundredths. */
function hundredths(name: string, value: unknown, least: number, most: number, fallback: number): number {
	if (value === undefined) return Math.round(fallback * 100);
	if (typeof value === "number" && value >= least && value <= most) return Math.round(value * 100);
	return refuse(name, value, `a number from ${least} to ${most}`);
}

/** Names and addresses that are reached without a network, or without the one that the browser watches: RFC 1918, 4193, 6761, 6762. */
function isLocal(host: string): boolean {
	return /^(localhost|.+\.localhost|.+\.local|127\..+|10\..+|192\.168\..+|172\.(1[6-9]|2\d|3[01])\..+|169\.254\..+|\[(::1|f[cd].*|fe80:.*)\])$/.test(host);
}

/** The name of a user. Throws `invalid_option`. */
export function userOf(value: unknown): string {
	if (isSized(value, MAX_USER_BYTES)) return value;
	return refuse("user", value, `a text of 1 to ${MAX_USER_BYTES} bytes`);
}

function wasmOf(value: unknown): string | URL | undefined {
	if (value === undefined || isUrl(value)) return value;
	return typeof value === "string" && value !== "" ? value : refuse("wasm", value, "an address: a URL or a text");
}

const SCHEMES: Readonly<Record<string, string>> = { "ws:": "ws:", "wss:": "wss:", "http:": "ws:", "https:": "wss:" };

/** The absolute address of a server, `ws:` or `wss:`. Throws `invalid_option`. */
export function addressOf(value: unknown): string {
	const must = "a ws:, wss:, http: or https: address (in a page it may be relative)";
	const text = isUrl(value) ? value.href : value;
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

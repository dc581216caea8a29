/** One request to the server, and its answer or error. */
import { follow } from "../abort.js";
import { BridgeError, messageOf } from "../errors.js";
import type { Settings } from "../settings.js";

/** What a request needs of the settings. */
export type Server = Pick<Settings, "url" | "key" | "fetch" | "requestTimeoutMs">;

export interface Asked {
	readonly query?: Readonly<Record<string, string | number | undefined>>;
	/** JSON text. */
	readonly body?: string;
	readonly headers?: Readonly<Record<string, string>>;
	/** Ends the request; its reason is thrown. */
	readonly signal?: AbortSignal | undefined;
}

/** Makes one attempt and returns the JSON object of the answer. Throws a {@link BridgeError}, or the reason of `signal`. */
export async function request(server: Server, method: string, path: string, asked: Asked = {}): Promise<Readonly<Record<string, unknown>>> {
	const limit = new AbortController();
	const timer = setTimeout(() => limit.abort(), server.requestTimeoutMs);
	const unfollow = follow(asked.signal, limit);
	try {
		const response = await open(server, method, path, limit.signal, asked);
		return await objectOf(response);
	} catch (error) {
		asked.signal?.throwIfAborted();
		throw asUnreachable(error, limit.signal.aborted ? `no answer within ${server.requestTimeoutMs} ms` : undefined);
	} finally {
		clearTimeout(timer);
		unfollow();
	}
}

/** Sends a request and returns the answer once its head is there. Throws a {@link BridgeError} if the status is not 2xx. */
export async function open(server: Server, method: string, path: string, signal: AbortSignal, asked: Asked): Promise<Response> {
	const url = new URL(server.url + path);
	for (const [name, value] of Object.entries(asked.query ?? {})) if (value !== undefined) url.searchParams.set(name, String(value));
	const headers: Record<string, string> = { authorization: `Bearer ${server.key}`, ...asked.headers };
	if (asked.body !== undefined) headers["content-type"] = "application/json";
	// A redirect would show the key to another address.
	const init: RequestInit = { method, headers, signal, redirect: "manual" };
	if (asked.body !== undefined) init.body = asked.body;
	const response = await server.fetch(url, init);
	if (!response.ok) throw await errorOf(response);
	return response;
}

/** What was thrown by `fetch` or by a body, as a {@link BridgeError}. */
export function asUnreachable(error: unknown, why?: string): BridgeError {
	if (error instanceof BridgeError) return error;
	const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
	return new BridgeError("unreachable", `the server can't be reached: ${why ?? messageOf(cause)}`, { retryable: true, cause: error });
}

async function objectOf(response: Response): Promise<Readonly<Record<string, unknown>>> {
	const text = await response.text();
	const value = parsed(text);
	if (value === undefined) {
		throw new BridgeError("bad_answer", `the answer is no JSON object: is \`url\` the address of agentwire-bridge?`, { status: response.status });
	}
	return value;
}

async function errorOf(response: Response): Promise<BridgeError> {
	const body = parsed(await response.text()) ?? {};
	const { code, message, index, expected } = body;
	const status = response.status;
	return new BridgeError(typeof code === "string" ? code : `http_${status}`, typeof message === "string" ? message : `the answer has status ${status}`, {
		status,
		retryable: status === 408 || status === 429 || status >= 500,
		index: typeof index === "number" ? index : undefined,
		expected: typeof expected === "number" ? expected : undefined,
		retryAfterMs: waitOf(response.headers.get("retry-after")),
	});
}

/** `Retry-After` in milliseconds: seconds or a date. */
function waitOf(header: string | null): number | undefined {
	if (header === null) return undefined;
	if (/^\d{1,9}$/.test(header)) return Number(header) * 1_000;
	const date = Date.parse(header);
	return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
	} catch {
		return undefined;
	}
}

/** What the page asks of its server beside the socket: where to connect, tokens, and the log. */
import type { LogPage, ReadLog } from "./truth.ts";

/** What `GET /demo/config` answers. */
export interface Config {
	readonly ws: string;
	readonly user: string;
}

/** Asks the demo server where to connect, until it answers. `waiting` is called after each attempt that failed. */
export async function configure(waiting: (attempt: number) => void): Promise<Config> {
	for (let attempt = 1; ; attempt += 1) {
		try {
			const response = await fetch("/demo/config");
			if (response.ok) return configOf(await response.json());
		} catch {
			// Not there yet: asked again below.
		}
		waiting(attempt);
		await new Promise((resolve) => setTimeout(resolve, Math.min(5_000, 500 * attempt)));
	}
}

/** A token, and how long it is valid. */
export interface Token {
	readonly token: string;
	readonly expiresInMs: number;
}

export async function fetchToken(user: string, { ttlMs, signal }: { readonly ttlMs?: number; readonly signal?: AbortSignal } = {}): Promise<Token> {
	const response = await fetch("/demo/token", {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify(ttlMs === undefined ? { user } : { user, ttlMs }),
		signal: signal ?? null,
	});
	if (!response.ok) throw new Error(`the token desk answered ${response.status}`);
	const { token, expiresInMs } = (await response.json()) as { token?: unknown; expiresInMs?: unknown };
	if (typeof token !== "string" || typeof expiresInMs !== "number") throw new Error("the token desk answered without a token");
	return { token, expiresInMs };
}

/** Reads logs beside the socket, with a token of its own, so that the faults don't reach it. */
export class Logs {
	readonly #user: string;
	#token: { readonly text: string; readonly until: number } | undefined;

	constructor(user: string) {
		this.#user = user;
	}

	/** Reads the log of a thread. */
	of(thread: string): ReadLog {
		return async (from, limit) => {
			if (this.#token === undefined || this.#token.until < Date.now()) {
				const { token, expiresInMs } = await fetchToken(this.#user);
				this.#token = { text: token, until: Date.now() + expiresInMs / 2 };
			}
			const response = await fetch(`/v1/threads/${encodeURIComponent(thread)}/events?from=${from}&limit=${limit}`, {
				headers: { authorization: `Bearer ${this.#token.text}` },
			});
			if (response.status === 401) this.#token = undefined;
			if (!response.ok) throw new Error(`the server answered ${response.status}`);
			return pageOf(await response.json());
		};
	}

	/** The first question of a thread: it is at the beginning of the log. */
	async firstQuestion(thread: string): Promise<string | undefined> {
		const { events } = await this.of(thread)(1, 10);
		return events.map(questionOf).find((question) => question !== undefined);
	}
}

function configOf(value: unknown): Config {
	const { ws, user } = (typeof value === "object" && value !== null ? value : {}) as { ws?: unknown; user?: unknown };
	if (typeof ws !== "string" || typeof user !== "string") throw new Error("the demo server answered without an address");
	return { ws, user };
}

function pageOf(value: unknown): LogPage {
	const page = value as LogPage;
	if (typeof page?.epoch !== "string" || typeof page.first !== "number" || !Array.isArray(page.events)) throw new Error("the server answered without events");
	return page;
}

function questionOf(event: object): string | undefined {
	const { type, content } = event as { type?: unknown; content?: unknown };
	return type === "user_message" && typeof content === "string" ? content : undefined;
}

/** The session of this page: the client, its tokens, the open conversations, and the inbox. */
import { type AgentwireError, type Client, type ConnectionState, createClient, type EventMeta, type EventOf, type Notice, type TokenRequest } from "agentwire";
import { Faults } from "./faults.ts";
import { Pending } from "./pending.ts";
import { Room } from "./room.ts";
import { Store } from "./store.ts";
import { Threads } from "./threads.ts";
import { Timeline } from "./timeline.ts";
import type { LogPage, ReadLog } from "./truth.ts";

/** How far the session is. */
export interface Status {
	readonly connection: ConnectionState;
	/** When it was connected last; undefined before the first time. */
	readonly since: number | undefined;
	/** Why it has ended for good. */
	readonly failure: AgentwireError | undefined;
	/** Something went wrong that the client goes on from. */
	readonly trouble: AgentwireError | undefined;
	readonly notice: Notice | undefined;
}

/** What `GET /demo/config` answers. */
interface Config {
	readonly ws: string;
	readonly user: string;
}

/** Conversations that stay subscribed; the one that was not looked at for longest is closed. */
const MAX_ROOMS = 12;
/** How far back the inbox is read. */
const INBOX_EVENTS = 500;
/** Lifetime of a token that is to expire soon. */
const SHORT_MS = 3_000;

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

export class Session {
	readonly user: string;
	readonly threads: Threads;
	readonly timeline = new Timeline();
	readonly faults = new Faults(this.timeline);
	readonly status: Store<Status>;
	/** The conversation that is shown. Its room is the only source of what is on screen. */
	readonly room: Store<Room>;
	readonly #url: string;
	/** The token that is to expire, while it is in use. */
	#shortToken: string | undefined;
	readonly #pending: Pending;
	#client: Client;
	/** By id; the one that was shown last is the last one. */
	#rooms = new Map<string, Room>();
	#readToken: { readonly text: string; readonly until: number } | undefined;

	/** `shown` is the conversation to begin with. */
	constructor(config: Config, shown: string | undefined) {
		this.user = config.user;
		this.#url = config.ws;
		this.#pending = new Pending(config.user);
		this.threads = new Threads(config.user);
		this.#client = this.#connect();
		this.status = new Store<Status>({ connection: this.#client.state, since: undefined, failure: undefined, trouble: undefined, notice: undefined });
		this.#attach();
		const first = shown ?? this.threads.list.get()[0]?.id ?? this.threads.fresh();
		this.room = new Store(this.#open(first));
		this.#read();
		document.addEventListener("visibilitychange", () => this.#read());
		this.#openPending();
	}

	/** Shows a conversation. One step: what is on screen is one room's or another's, never of both. */
	show(id: string): void {
		if (id === this.room.get().id) return;
		// A client that has ended for good opens no thread: the banner says so, and connects anew.
		if (this.status.get().failure !== undefined && !this.#rooms.has(id)) return;
		this.room.set(this.#open(id));
		this.#read();
		this.#closeSpare();
	}

	create(): void {
		this.show(this.threads.fresh());
	}

	/** Removes a conversation from this browser. */
	remove(id: string): void {
		this.threads.remove(id);
		if (this.room.get().id === id) {
			const next = this.threads.list.get()[0]?.id;
			if (next === undefined) this.create();
			else this.show(next);
		}
		this.#rooms.get(id)?.close();
		this.#rooms.delete(id);
	}

	ask(content: string): void {
		const room = this.room.get();
		this.threads.asked(room.id, content, Date.now());
		room.ask(content);
	}

	/** Connects anew after the client has ended for good. Questions that were not confirmed are sent again. */
	reconnect(): void {
		const shown = this.room.get().id;
		for (const room of this.#rooms.values()) room.close();
		this.#client.close();
		this.#rooms = new Map();
		this.#client = this.#connect();
		this.status.update((status) => ({ ...status, connection: this.#client.state, failure: undefined, trouble: undefined }));
		this.#attach();
		this.room.set(this.#open(shown));
		this.#openPending();
	}

	/** Makes a client, which connects by itself. Should the token ever name another user, it ends before anything is sent or shown. */
	#connect(): Client {
		return createClient({ url: this.#url, user: this.user, token: (request) => this.#token(request) });
	}

	#attach(): void {
		const client = this.#client;
		this.timeline.state(client.state.name, Date.now());
		client.on("state", () => {
			const { state } = client;
			this.timeline.state(state.name, Date.now());
			this.status.update((status) => ({
				...status,
				connection: state,
				since: state.name === "connected" ? Date.now() : status.since,
				trouble: state.name === "connected" ? undefined : status.trouble,
			}));
		});
		client.on("error", (error) => {
			if (client.state.name === "failed") this.status.update((status) => ({ ...status, failure: error }));
			else this.status.update((status) => ({ ...status, trouble: error }));
		});
		client.on("notice", (notice) => this.status.update((status) => ({ ...status, notice })));
		const inbox = client.inbox({ from: { last: INBOX_EVENTS } });
		inbox.on("thread_changed", (event, meta) => this.#threadChanged(event, meta));
		inbox.onGap(({ remedy }) => {
			if (remedy === "reset") this.threads.forgetOffsets();
		});
	}

	#threadChanged({ thread, time }: EventOf<"thread_changed">, { offset, delivery }: EventMeta): void {
		const unknown = this.threads.changed(thread, offset, time);
		if (unknown) void this.#nameFromLog(thread);
		// In a new browser the past is not news.
		if (this.threads.blank && delivery === "replay") this.threads.read(thread);
		this.#read();
	}

	/** What is on screen is read, unless nobody can see it. */
	#read(): void {
		if (document.visibilityState === "visible") this.threads.read(this.room.get().id);
	}

	/** A conversation from another browser has no title here: its first question is at the beginning of the log. */
	async #nameFromLog(thread: string): Promise<void> {
		try {
			const { events } = await this.#readLog(thread)(1, 10);
			const first = events.map(questionOf).find((question) => question !== undefined);
			if (first !== undefined) this.threads.asked(thread, first, Date.now());
		} catch {
			// It gets its title when it is opened.
		}
	}

	#open(id: string): Room {
		const room = this.#rooms.get(id) ?? this.#makeRoom(id);
		this.#rooms.delete(id);
		this.#rooms.set(id, room);
		return room;
	}

	#makeRoom(id: string): Room {
		const room: Room = new Room(
			id,
			{
				client: this.#client,
				pending: this.#pending,
				readLog: (thread) => this.#readLog(thread),
				event: (from) => {
					if (from === this.room.get()) this.timeline.event(Date.now());
				},
				caughtUp: (from) => {
					if (from === this.room.get()) this.timeline.caughtUp(Date.now());
				},
			},
			this.threads.get(id) !== undefined,
		);
		room.view.subscribe(() => this.#note(room));
		return room;
	}

	/** Keeps the list in step with what a room knows. */
	#note(room: Room): void {
		const { conversation } = room.view.get();
		const first = conversation.items.find((item) => item.kind === "question");
		if (first !== undefined) this.threads.asked(room.id, first.content, first.time);
	}

	#openPending(): void {
		for (const { thread, content } of this.#pending.all()) {
			this.threads.asked(thread, content, Date.now());
			if (!this.#rooms.has(thread)) {
				const shown = this.room.get().id;
				this.#open(thread);
				this.#open(shown);
			}
		}
	}

	#closeSpare(): void {
		for (const [id, room] of this.#rooms) {
			if (this.#rooms.size <= MAX_ROOMS) return;
			if (room.busy || room === this.room.get()) continue;
			room.close();
			this.#rooms.delete(id);
		}
	}

	/** Gets a token for the client. While an expiry was asked for, a new connection gets a short-lived token and no other one. */
	async #token({ reason, signal }: TokenRequest): Promise<string> {
		const { expiring } = this.faults;
		if (expiring.get() && reason === "refresh") throw new Error("this token is to expire (asked for in the fault panel)");
		if (expiring.get() && this.#shortToken === undefined) {
			const { token } = await fetchToken(this.user, { ttlMs: SHORT_MS, signal });
			this.#shortToken = token;
			this.timeline.fault("expiry", Date.now());
			return token;
		}
		const { token } = await fetchToken(this.user, { signal });
		this.#shortToken = undefined;
		expiring.set(false);
		return token;
	}

	/** Reads the log beside the socket, with a token of its own, so that the faults don't reach it. */
	#readLog(thread: string): ReadLog {
		return async (from, limit) => {
			if (this.#readToken === undefined || this.#readToken.until < Date.now()) {
				const { token, expiresInMs } = await fetchToken(this.user);
				this.#readToken = { text: token, until: Date.now() + expiresInMs / 2 };
			}
			const response = await fetch(`/v1/threads/${encodeURIComponent(thread)}/events?from=${from}&limit=${limit}`, {
				headers: { authorization: `Bearer ${this.#readToken.text}` },
			});
			if (response.status === 401) this.#readToken = undefined;
			if (!response.ok) throw new Error(`the server answered ${response.status}`);
			return pageOf(await response.json());
		};
	}
}

async function fetchToken(
	user: string,
	{ ttlMs, signal }: { readonly ttlMs?: number; readonly signal?: AbortSignal } = {},
): Promise<{ readonly token: string; readonly expiresInMs: number }> {
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

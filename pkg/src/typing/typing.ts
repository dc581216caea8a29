/** Typing as signals: sent to the other pages in a thread, never stored, and over by itself. */
import type { Client } from "../client/api.js";
import type { Signal } from "../client/state.js";
import type { Message } from "../sends/message.js";
import { callable, fields, integer } from "../shared/check.js";
import { AgentwireError } from "../shared/errors.js";
import { emit, Listeners, type Unsubscribe } from "../shared/listeners.js";
import { followable } from "../thread/follow.js";
import type { Thread } from "../thread/thread.js";

/** The type of the signals: `{type: "typing", active}`. */
const TYPE = "typing";
/** How long somebody is typing if the server does not say it, in milliseconds. */
const USUAL_MS = 5_000;
/** Users that are known to be typing at once. Further ones are left out. */
const MAX_USERS = 100;

/** How typing is shown to others. */
export interface TypingOptions {
	/** After so many milliseconds without `start()` this page is not typing any more, 1,000 to 60,000. @default 5_000 */
	readonly idleMs?: number | undefined;
}

/** Who is typing in a thread. Its methods may be passed on without it. */
export interface Typing {
	/** The users that are typing on other pages, the longest first. The same list as long as nothing changes. */
	readonly getSnapshot: () => readonly string[];
	/** Nobody. */
	readonly getServerSnapshot: () => readonly string[];
	/** Calls the listener when others begin or stop. What it throws is reported to the client. */
	readonly subscribe: (listener: () => unknown) => Unsubscribe;
	/** This page is typing: call it with each key. The others are notified now and then, and it is over after `idleMs`, with a message, or without a connection. */
	readonly start: () => void;
	/** This page is not typing any more. */
	readonly stop: () => void;
	/** Stops, and listens no more. */
	readonly dispose: () => void;
}

/** Follows who is typing in a thread, and tells that this page is. Throws `invalid_option`. */
export function typing(client: Pick<Client, "state" | "on" | "outbox">, thread: Thread, options: TypingOptions = {}): Typing {
	return new ThreadTyping(client, thread, options);
}

const NOBODY: readonly string[] = [];

class ThreadTyping implements Typing {
	readonly #client: Pick<Client, "state" | "on" | "outbox">;
	readonly #thread: Thread;
	readonly #idleMs: number;
	readonly #failed: (cause: unknown) => void;
	readonly #listeners = new Listeners<() => unknown>();
	readonly #offs: readonly Unsubscribe[];
	/** When each user stops by itself. */
	readonly #users = new Map<string, ReturnType<typeof setTimeout>>();
	#snapshot = NOBODY;
	/** Ends what this page has sent. */
	#idle: ReturnType<typeof setTimeout> | undefined;
	#toldAt = 0;
	/** Messages of the thread that were pending before. */
	#sent = new Set<string>();
	#disposed = false;

	constructor(client: Pick<Client, "state" | "on" | "outbox">, thread: Thread, options: TypingOptions) {
		const { idleMs } = fields("typing options", options, ["idleMs"]);
		this.#client = client;
		this.#thread = thread;
		this.#idleMs = integer("idleMs", idleMs, 1_000, 60_000, 5_000);
		this.#failed = followable(thread).reporter.handlerThrew;
		this.#onOutbox(client.outbox());
		this.#offs = [
			client.on("signal", (signal) => this.#onSignal(signal)),
			client.on("outbox", (messages) => this.#onOutbox(messages)),
			client.on("state", ({ to }) => {
				// Nobody can be notified; the others see it end by itself.
				if (to !== "connected") this.#rest();
			}),
		];
	}

	readonly getSnapshot = (): readonly string[] => this.#snapshot;

	readonly getServerSnapshot = (): readonly string[] => NOBODY;

	readonly subscribe = (listener: () => unknown): Unsubscribe => {
		this.#check();
		const entry = this.#listeners.add(callable<() => unknown>("listener", listener));
		return () => this.#listeners.remove(entry);
	};

	readonly start = (): void => {
		this.#check();
		if (this.#client.state.name !== "connected") return;
		const now = performance.now();
		// Often enough that it does not end on the other pages.
		if (this.#idle === undefined || now - this.#toldAt >= USUAL_MS / 2) {
			this.#toldAt = now;
			this.#thread.signal({ type: TYPE, active: true });
		}
		clearTimeout(this.#idle);
		this.#idle = setTimeout(this.stop, this.#idleMs);
	};

	readonly stop = (): void => {
		if (this.#idle === undefined) return;
		this.#rest();
		try {
			this.#thread.signal({ type: TYPE, active: false });
		} catch {
			// The thread or the client is closed: it ends by itself.
		}
	};

	readonly dispose = (): void => {
		if (this.#disposed) return;
		this.stop();
		this.#disposed = true;
		for (const off of this.#offs) off();
		for (const timer of this.#users.values()) clearTimeout(timer);
		this.#listeners.clear();
	};

	#rest(): void {
		clearTimeout(this.#idle);
		this.#idle = undefined;
	}

	#onSignal({ thread, from, signal, expiresInMs }: Signal): void {
		if (thread !== this.#thread.name || signal.type !== TYPE || from === undefined) return;
		clearTimeout(this.#users.get(from));
		const isActive = signal["active"] === true;
		if (!isActive) this.#users.delete(from);
		else if (this.#users.has(from) || this.#users.size < MAX_USERS)
			this.#users.set(
				from,
				setTimeout(() => this.#expire(from), expiresInMs ?? USUAL_MS),
			);
		this.#show();
	}

	#expire(user: string): void {
		this.#users.delete(user);
		this.#show();
	}

	/** A message that this page sends ends its typing. */
	#onOutbox(messages: readonly Message[]): void {
		const now = new Set(messages.filter(({ thread }) => thread === this.#thread.name).map(({ id }) => id));
		if ([...now].some((id) => !this.#sent.has(id))) this.stop();
		this.#sent = now;
	}

	#show(): void {
		const users = [...this.#users.keys()];
		if (users.length === this.#snapshot.length && users.every((user, index) => user === this.#snapshot[index])) return;
		this.#snapshot = users;
		emit(this.#listeners.list, undefined, this.#failed);
	}

	#check(): void {
		if (this.#disposed) throw new AgentwireError("closed", "typing is disposed");
	}
}

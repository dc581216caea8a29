/** A thread that is open for components: its handle, its store, and who listens. */
import type { Client } from "../client/api.js";
import { conversation } from "../conversation/following.js";
import type { ConversationStore } from "../conversation/store.js";
import { AgentwireError } from "../shared/errors.js";
import { emit, Listeners, type Unsubscribe } from "../shared/listeners.js";
import { followable } from "../thread/follow.js";
import type { Thread } from "../thread/thread.js";
import { Lingering } from "./linger.js";
import type { ThreadSettings } from "./settings.js";

/** What is open of a thread. */
interface Parts {
	readonly thread: Thread;
	readonly store: ConversationStore<unknown>;
}

export class OpenThread {
	readonly settings: ThreadSettings<unknown> | undefined;
	readonly #client: Client;
	readonly #name: string;
	readonly #closed: () => void;
	readonly #lingering = new Lingering(() => this.close());
	/** Listeners of components; they stay while the store is waited for. */
	readonly #listeners = new Listeners<() => unknown>();
	#parts: Parts | undefined;
	#unwait: Unsubscribe | undefined;

	/** `closed` is called when it is closed: whoever needs the thread then opens another one. */
	constructor(client: Client, name: string, settings: ThreadSettings<unknown> | undefined, closed: () => void) {
		this.#client = client;
		this.#name = name;
		this.settings = settings;
		this.#closed = closed;
	}

	/** `undefined` while the client, which has failed, takes no thread. */
	get store(): ConversationStore<unknown> | undefined {
		return this.#parts?.store;
	}

	/** Keeps it open until the result is called, and calls the listener with each change. Throws as `client.thread` and `conversation` do, but not `closed`. */
	retain(listener: (() => unknown) | undefined): Unsubscribe {
		this.#openOrWait();
		const release = this.#lingering.retain();
		const entry = listener === undefined ? undefined : this.#listeners.add(listener);
		return () => {
			if (entry !== undefined) this.#listeners.remove(entry);
			release();
		};
	}

	/** Opens it for a moment. Throws as `client.thread` and `conversation` do. */
	use(): Parts {
		this.#lingering.touch();
		return this.#open();
	}

	close(): void {
		this.#lingering.cancel();
		this.#unwait?.();
		this.#listeners.clear();
		this.#parts?.store.dispose();
		this.#parts?.thread.close();
		this.#parts = undefined;
		this.#closed();
	}

	#openOrWait(): void {
		try {
			this.#open();
		} catch (error) {
			const isOver = error instanceof AgentwireError && error.code === "closed";
			if (!isOver) {
				this.close();
				throw error;
			}
			// A client that has failed may begin anew; one that is closed never does, and says nothing more.
			this.#unwait ??= this.#client.on("state", ({ to }) => {
				if (to !== "connecting") return;
				this.#openOrWait();
				this.#notify();
			});
		}
	}

	#open(): Parts {
		if (this.#parts !== undefined) return this.#parts;
		const { from = this.settings?.initial?.position, ...options } = this.settings ?? {};
		const thread = this.#client.thread(this.#name, { from });
		try {
			// With the client, what is sent by other means is shown too.
			const store = conversation<unknown>(thread, { ...options, client: this.#client });
			store.subscribe(() => this.#notify());
			this.#unwait?.();
			this.#unwait = undefined;
			return (this.#parts = { thread, store });
		} catch (error) {
			thread.close();
			throw error;
		}
	}

	#notify(): void {
		const { thread } = this.#parts ?? {};
		if (thread !== undefined) emit(this.#listeners.list, undefined, followable(thread).reporter.handlerThrew);
	}
}

/** A thread that is open for components: its handle, its store, and who listens. */
import type { Client } from "../client/api.js";
import { conversation } from "../conversation/following.js";
import type { ConversationStore } from "../conversation/store.js";
import { AgentwireError } from "../shared/errors.js";
import { emit, Listeners, type Unsubscribe } from "../shared/listeners.js";
import { followable } from "../thread/follow.js";
import type { Thread } from "../thread/thread.js";
import { lingering } from "./linger.js";
import type { ThreadSettings } from "./settings.js";

/** What is open of a thread. */
interface Parts {
	readonly thread: Thread;
	readonly store: ConversationStore<unknown>;
}

/** A thread that components have open together. */
export interface OpenThread {
	readonly settings: ThreadSettings<unknown>;
	/** `undefined` while the client, which has failed, takes no thread. */
	readonly store: () => ConversationStore<unknown> | undefined;
	/** Keeps it open until the result is called, and calls the listener with each change. Throws as `client.thread` and `conversation` do, but not `closed`. */
	readonly retain: (listener: (() => unknown) | undefined) => Unsubscribe;
	/** Opens it for a moment. Throws as `client.thread` and `conversation` do. */
	readonly use: () => Parts;
	readonly close: () => void;
}

/** `closed` is called when it is closed: whoever needs the thread then opens another one. Nothing is opened here. */
export function openThread(client: Client, name: string, settings: ThreadSettings<unknown>, closed: () => void): OpenThread {
	/** Listeners of components; they stay while the store is waited for. */
	const listeners = new Listeners<() => unknown>();
	let parts: Parts | undefined;
	let unwait: Unsubscribe | undefined;

	const close = (): void => {
		lasting.cancel();
		unwait?.();
		listeners.clear();
		parts?.store.dispose();
		parts?.thread.close();
		parts = undefined;
		closed();
	};
	const lasting = lingering(close);

	const notify = (): void => {
		if (parts !== undefined) emit(listeners.list, undefined, followable(parts.thread).reporter.handlerThrew);
	};

	const open = (): Parts => {
		if (parts !== undefined) return parts;
		const { from = settings.initial?.position, ...options } = settings;
		const thread = client.thread(name, { from });
		try {
			const store = conversation<unknown>(thread, options);
			store.subscribe(notify);
			unwait?.();
			return (parts = { thread, store });
		} catch (error) {
			thread.close();
			throw error;
		}
	};

	const openOrWait = (): void => {
		try {
			open();
		} catch (error) {
			if (!(error instanceof AgentwireError && error.code === "closed")) {
				close();
				throw error;
			}
			// A client that has failed may begin anew; one that is closed never does, and says nothing more.
			unwait ??= client.on("state", ({ to }) => {
				if (to !== "connecting") return;
				openOrWait();
				notify();
			});
		}
	};

	return {
		settings,
		store: () => parts?.store,
		retain: (listener) => {
			openOrWait();
			const release = lasting.retain();
			const entry = listener && listeners.add(listener);
			return () => {
				if (entry !== undefined) listeners.remove(entry);
				release();
			};
		},
		use: () => {
			lasting.touch();
			return open();
		},
		close,
	};
}

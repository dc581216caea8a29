/** A connection to one server for one user, as the application sees it. */
/// <reference lib="esnext.disposable" preserve="true" />
import type { Message } from "../sends/message.js";
import type { AgentwireError } from "../shared/errors.js";
import type { ListenOptions, Unsubscribe } from "../shared/listeners.js";
import type { Thread, ThreadOptions } from "../thread/thread.js";
import type { ConnectionState, Health, Notice, Signal, StateChange, Stats, Subject } from "./state.js";

/** What `client.on` tells, by name. */
export interface ClientEvents {
	/** The state of the connection has changed, or the next attempt moved to another time. */
	state: StateChange;
	/** The health has changed. */
	health: Health;
	/**
	 * Something went wrong that no call could report; without a handler and a logger it goes to the page's own reporting. A handler
	 * that is attached later gets why the client has failed or is not connected, in a microtask.
	 */
	error: AgentwireError;
	/** The server says something to people. */
	notice: Notice;
	/** Another page in a thread says something of the moment. */
	signal: Signal;
	/** The list of pending messages has changed: what `client.outbox()` returns now. */
	outbox: readonly Message[];
	/** The server has named the user: once, because a client that is welcomed as another user ends with `subject_changed`. */
	subject: Subject;
}

/** The names of {@link ClientEvents}. */
export const CLIENT_EVENTS: readonly (keyof ClientEvents)[] = ["state", "error", "notice", "signal", "subject", "health", "outbox"];

/** A connection to one server for one user. */
export interface Client {
	/** The state of the connection now. */
	readonly state: ConnectionState;
	/** The user, once the server has named it. */
	readonly subject: string | undefined;
	/** Connects; needed only with `autoConnect: false`. Further calls do nothing. */
	connect(): void;
	/**
	 * Resolves when the client is connected: at once if it is, else with the next welcome of the server. Rejects with the signal's
	 * reason, with the failure when the client has failed, or with `closed`.
	 */
	ready(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
	/** Calls the handler with each fact of the kind. Throws `invalid_option`. */
	on<K extends keyof ClientEvents>(type: K, handler: (fact: ClientEvents[K]) => unknown, options?: ListenOptions): Unsubscribe;
	/**
	 * Opens a thread; its name has 1 to 256 bytes and no control characters. Handles of one name share the stream. Throws
	 * `stream_conflict` for another explicit `from`, `invalid_option`, and `closed` with the reason as `cause`.
	 */
	thread(name: string, options?: ThreadOptions): Thread;
	/** Opens the user's own stream, which tells what happens in other threads. */
	inbox(options?: ThreadOptions): Thread;
	/**
	 * Returns the pending messages of every thread: those that are not settled. With `persistOutbox()` of `agentwire/persist` also those
	 * of former pages, stored ones whose event has not reached this page yet, and those whose outcome is unknown.
	 */
	outbox(): readonly Message[];
	/** Returns the counters as they are now. */
	stats(): Stats;
	/** Derives the health from the state, the round trip, unanswered requests and the server's notices. */
	health(): Health;
	/** The last thing that went wrong with the connection, also after it is mended. */
	readonly lastError: AgentwireError | undefined;
	/**
	 * Tries to connect now: while waiting or offline, and after a failure, with every handler that is still attached. Does nothing in
	 * other states, and after `subject_changed`: another user needs another client. At most one attempt per 2 seconds is made for it, and none before the time that the server asked for: while
	 * waiting such an attempt comes later, and after a failure a call within 2 seconds of the one before does nothing.
	 */
	reconnect(): void;
	/** Closes the connection and every thread for good. Pending messages fail with `closed`, iterators end. */
	close(): void;
	/** The same as `close()`. */
	[Symbol.dispose](): void;
}

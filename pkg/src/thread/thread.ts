/** One conversation, as the application sees it. */

import type { MessageContent, Spelt } from "../sends/content.js";
import type { Message, SendOptions } from "../sends/message.js";
import type { ListenOptions, Unsubscribe } from "../shared/listeners.js";
import type { AgentEvent, Decision, EventOf, EventType, OtherEvent, Resolution } from "./events.js";
import type { BatchMeta, Ended, EventMeta, Gap, Resumed, ThreadItem } from "./facts.js";
import type { From } from "./from.js";
import type { Position } from "./position.js";

/** How to open a thread. */
export interface ThreadOptions {
	/**
	 * Where to begin: `"start"`, `"live"`, `{ last: n }` (n from 1 to 100,000) or after a position that the application stored
	 * with its own state.
	 *
	 * A thread that is closed and opened again begins anew in the same way, except that `"live"` and `{ last: n }` count from
	 * where this page left it: what came meanwhile is included.
	 *
	 * @default "start"
	 */
	readonly from?: From | undefined;
}

/** How to iterate. */
export interface EventsOptions {
	/** Ends the iteration: the pending `next()` rejects with the signal's reason. */
	readonly signal?: AbortSignal | undefined;
	/**
	 * Where to begin. While the thread has other consumers, `"live"` begins with the next event that comes to it, and
	 * `{ last: n }` counts back from the consumer that is furthest ahead, as soon as its place is known.
	 *
	 * @default where the thread is, or where it begins
	 */
	readonly from?: From | undefined;
	/**
	 * Events that may wait to be pulled, 1 to 65,536: what comes beyond them is dropped, and asked for again when there is room.
	 *
	 * @default 1_024
	 */
	readonly maxQueued?: number | undefined;
}

/** The answer to a cancel. The run itself ends in `agent_cancelled`. */
export type CancelOutcome = "cancelled" | "already_finished" | "unknown_run" | "unknown_send";

/** What became of a message that is taken back. `already_claimed`: a run answers it; it can be cancelled. */
export type WithdrawOutcome = "withdrawn" | "already_claimed" | "unknown_send";

/** What became of the new text of a message. */
export type EditOutcome = "accepted" | "already_claimed" | "withdrawn" | "unknown_send";

/** What a person says to an approval. The server checks it: one that does not fit the question rejects with `invalid_answer`. */
export interface ApprovalAnswer {
	readonly decision: Decision;
	/** What the person filled in, as the `schema` of the event says. */
	readonly payload?: unknown;
	/** The `args` of the event, as the person changed them. */
	readonly editedArgs?: unknown;
	readonly reason?: string | undefined;
	/** The `argsHash` of the event: the answer holds for the arguments that were shown, and for no others. */
	readonly argsHash?: string | undefined;
}

/** What became of an answer to an approval: the first answer of any device counts. */
export interface ApproveOutcome {
	/** `accepted`: this answer counts. `already_resolved`: see `decision`. `run_over`: nobody answered before the run was over. */
	readonly status: "accepted" | "already_resolved" | "run_over" | "unknown_approval";
	/** What counts, if the approval is resolved. */
	readonly decision: Resolution | undefined;
	/** The user who decided it. */
	readonly by: string | undefined;
}

/** Takes an event and where it belongs. What it returns is not awaited. */
export type EventHandler<E = AgentEvent> = (event: E, meta: EventMeta) => unknown;

/** Takes the events of one frame and where they belong. What it returns is not awaited. */
export type BatchHandler = (events: readonly AgentEvent[], meta: BatchMeta) => unknown;

/**
 * One conversation. Its handlers are one consumer together, and each iterator is one of its own: each consumer gets every
 * event once and in order, with its own gaps and its own `resumed` in their places.
 *
 * Every method but `close` throws `closed` when the thread or the client is closed, or the client has failed.
 */
export interface Thread {
	/** The name it was opened with. */
	readonly name: string;
	/**
	 * The last event that every consumer got: the slowest one's position. A handler got an event when it returned, an iterator
	 * when the item was pulled. `undefined` until the server has answered the first subscription.
	 */
	readonly position: Position | undefined;
	/** Calls the handler with each event of the type, in order. Any text is a type. */
	on<T extends EventType>(type: T, handler: EventHandler<EventOf<T>>, options?: ListenOptions): Unsubscribe;
	/** Calls the handler with each event of a type that is not in `EventMap`. */
	on(type: string & Record<never, never>, handler: EventHandler<OtherEvent>, options?: ListenOptions): Unsubscribe;
	/** Calls the handler with each event of every type, after the handlers of its own type. */
	onEvent(handler: EventHandler, options?: ListenOptions): Unsubscribe;
	/** Calls the handler once for each frame, with all its events, after the other handlers got them. */
	onBatch(handler: BatchHandler, options?: ListenOptions): Unsubscribe;
	/** Calls the handler with each gap of the handlers' consumer: offsets that never come. An iterator yields its own. */
	onGap(handler: (gap: Gap) => unknown, options?: ListenOptions): Unsubscribe;
	/** Calls the handler with the end of each catch-up of the handlers' consumer. An iterator yields its own. */
	onResumed(handler: (resumed: Resumed) => unknown, options?: ListenOptions): Unsubscribe;
	/**
	 * Calls the handler when the server ends the subscription. The next handler, iterator or `client.thread` has it asked again.
	 * It does not subscribe by itself. Without such a handler, the end is reported as the error `stream_ended` when there are
	 * other handlers.
	 */
	onEnded(handler: (ended: Ended) => unknown, options?: ListenOptions): Unsubscribe;
	/** Iterates over events, gaps and ends of catch-ups. It attaches with the first `next()`. */
	events(options?: EventsOptions): AsyncIterableIterator<ThreadItem, undefined, undefined>;
	/**
	 * Sends a message; offline, it waits. With the id of a message that is pending and the same content, the result settles
	 * with that one; with other content it fails with `conflict`. Throws `invalid_message` and `invalid_option`.
	 */
	send<const C extends MessageContent>(content: C & Spelt<C>, options?: SendOptions): Message;
	/** Asks to end a run; by the id of a message, the run that answers it, or its waiting for one. */
	cancel(what: string | { readonly sendId: string }): Promise<CancelOutcome>;
	/** Takes back a message that no run has claimed yet. */
	withdraw(sendId: string): Promise<WithdrawOutcome>;
	/** Replaces a `user_message` that no run has claimed yet. Throws `invalid_message`. */
	edit(sendId: string, content: MessageContent): Promise<EditOutcome>;
	/** Decides what an `approval_requested` asked: both ids are those of the event. Throws `invalid_option` and `invalid_message`. */
	approve(runId: string, approvalId: string, answer: ApprovalAnswer): Promise<ApproveOutcome>;
	/**
	 * Tells the other pages in the thread something of the moment (such as typing); it is never stored and may be lost. Its
	 * `type` has 1 to 64 bytes and its JSON at most 4,096. Throws `invalid_message` and `message_too_large`.
	 */
	signal(signal: { readonly type: string; readonly [field: string]: unknown }): void;
	/** Ends the handlers and iterators of this handle. With the last handle the thread is unsubscribed. */
	close(): void;
}

/** A conversation that follows a thread, as the application sees it. */
import type { MessageContent, Spelt } from "../sends/content.js";
import type { Message, SendOptions } from "../sends/message.js";
import type { Receipt } from "../sends/receipt.js";
import type { Unsubscribe } from "../shared/listeners.js";
import type { Decision } from "../thread/events.js";
import type { Resumed } from "../thread/facts.js";
import type { ApprovalAnswer, ApproveOutcome, CancelOutcome, EditOutcome, WithdrawOutcome } from "../thread/thread.js";
import type { ConversationCache } from "./cache.js";
import type { FoldOptions } from "./fold.js";
import type { Conversation } from "./model.js";
import type { Snapshot } from "./snapshot.js";
import type { StallWatch } from "./stall.js";

/** How to follow a thread. */
export interface ConversationOptions<C = undefined> extends FoldOptions<C> {
	/** A conversation that the application stored: it goes on from its `position`. @default an empty one */
	readonly initial?: Conversation<C> | undefined;
	/**
	 * Keeps the conversation beyond the life of the page: `persistentCache({ user })` of `agentwire/persist`. What a former page kept is
	 * shown before the client is connected, and the store follows the thread from there. Not together with `initial`. @default none
	 */
	readonly cache?: ConversationCache | undefined;
	/**
	 * Frames of the server that hold only text deltas, or only replays, share a notification with those that follow within one frame of the
	 * screen (within 250 ms while the page is hidden). The first one is notified at once. Any other event is notified at once, with the
	 * text before it. `false`: one notification for each frame of the server. @default true
	 */
	readonly mergeDeltas?: boolean | undefined;
	/** Watches for what is silent: `watchStalls()` of `agentwire/conversation/stalls`. @default nothing does */
	readonly stalls?: StallWatch | undefined;
}

/** A conversation that follows a thread. Its methods may be passed on without it, and called from anywhere, its listeners included. */
export interface ConversationStore<C = undefined> {
	/** What is to be shown. The same object until the listeners are notified. */
	readonly getSnapshot: () => Snapshot<C>;
	/** What a server renders: the conversation it began with. Always the same object. */
	readonly getServerSnapshot: () => Snapshot<C>;
	/** Calls the listener after each change: at most once for each frame of events. What it throws is reported to the client. */
	readonly subscribe: (listener: () => unknown) => Unsubscribe;
	/** Calls the handler at the end of each catch-up, after the listeners: from then on, sounds and client tools may begin. */
	readonly onCaughtUp: (handler: (resumed: Resumed) => unknown) => Unsubscribe;
	/** Sends a message, which is shown at once. Throws as `thread.send` does. */
	readonly send: <const C extends MessageContent>(content: string | (C & Spelt<C>), options?: SendOptions) => Message;
	/** Sends a failed message again, under its id. `undefined`: no such message is on its way. */
	readonly retry: (sendId: string) => Promise<Receipt> | undefined;
	/** Shows a message no more that has failed. */
	readonly discard: (sendId: string) => void;
	/** Replaces a message that no run has claimed yet. */
	readonly edit: (sendId: string, content: string | MessageContent) => Promise<EditOutcome>;
	/** Takes back a message that no run has claimed yet: if it was not transmitted, the server never gets it. */
	readonly withdraw: (sendId: string) => Promise<WithdrawOutcome>;
	/** Decides what an approval asks. The `argsHash` of what is shown goes along. */
	readonly approve: (runId: string, approvalId: string, answer: Decision | ApprovalAnswer) => Promise<ApproveOutcome>;
	/** Asks to end a run, or what a message began. */
	readonly cancel: (what: string | { readonly sendId: string }) => Promise<CancelOutcome>;
	/** Stops following. The thread stays open, and the snapshot stays as it is. What then goes to the thread or listens throws `closed`. */
	readonly dispose: () => void;
}

/** Where a conversation is kept beyond the life of the page, as the store uses it. `agentwire/persist` has one. */
import type { Thread } from "../thread/thread.js";
import type { Conversation } from "./model.js";

/** The conversations of one user: `persistentCache(…)` of `agentwire/persist`. */
export interface ConversationCache {
	/**
	 * Begins with a thread. `show` is called later, once with what a former page kept, or with nothing; and with nothing again if that
	 * must not be shown any more. It throws if the client was closed.
	 */
	open(thread: Thread, show: (found: Conversation<unknown> | undefined) => void): CachedConversation;
}

/** The conversation of one thread. No call throws. */
export interface CachedConversation {
	/** Keeps it, soon. */
	keep(conversation: Conversation<unknown>): void;
	/** Keeps what is not kept yet, and ends. */
	end(): void;
}

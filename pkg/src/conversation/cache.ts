/** Where a conversation is kept beyond the life of the page, as the store uses it. `agentwire/persist` has one. */
import type { Ended } from "../thread/facts.js";
import type { Followable } from "../thread/follow.js";
import type { Conversation } from "./model.js";

/** The conversations of one user: `persistentCache(…)` of `agentwire/persist`. */
export interface ConversationCache {
	/** Begins with a thread. `forget` is called when what was read must not be shown any more. */
	open(thread: Followable, forget: () => void): CachedConversation;
}

/** The conversation of one thread. No call throws, and no promise rejects. */
export interface CachedConversation {
	/** What a former page kept, if it can be used. */
	read(): Promise<Conversation<unknown> | undefined>;
	/** Keeps it, soon. */
	keep(conversation: Conversation<unknown>): void;
	/** The subscription has ended. */
	ended(ended: Ended): void;
	/** Keeps what is not kept yet, and ends. */
	end(): void;
}

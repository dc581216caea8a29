/** What a store knows of stalls; `agentwire/conversation/stalls` watches for them. */
import type { Conversation } from "./model.js";

/** Something that has been silent for too long; `since` is in milliseconds since the Unix epoch. */
export type Stall =
	| { readonly kind: "socket"; readonly since: number }
	| { readonly kind: "run"; readonly runId: string; readonly since: number }
	/** `key` is that of the tool's part. */
	| { readonly kind: "tool"; readonly runId: string; readonly key: string; readonly since: number };

/** Watches one conversation for stalls. */
export interface StallWatcher {
	/** The same list as long as nothing changes. */
	readonly stalls: readonly Stall[];
	/** What the conversation is now. `undefined`: the page catches up. */
	follow(conversation: Conversation<unknown> | undefined): void;
	/** Stops watching. */
	dispose(): void;
}

/** Begins to watch; calls `changed` when there are other stalls. */
export type StallWatch = (changed: () => void) => StallWatcher;

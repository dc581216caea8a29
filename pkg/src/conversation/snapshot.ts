/** What a store shows: the conversation, with what is on its way and what has stalled. */
import type { Ended } from "../thread/facts.js";
import type { Conversation, Item } from "./model.js";
import type { Stall } from "./stall.js";

/** Everything of a conversation that a page shows. Immutable; what has not changed is the same object as before. */
export interface Snapshot<C = undefined> {
	/** What the events came to. */
	readonly conversation: Conversation<C>;
	/** The items of the conversation, and behind them the messages of this page whose event has not come yet. */
	readonly items: readonly Item[];
	/** What has been silent for too long; empty without the option `stalls`. */
	readonly stalls: readonly Stall[];
	/** Everything that was in the log when the page subscribed has come. */
	readonly caughtUp: boolean;
	/** The last offset that was replayed: what lies above it came live. See {@link deliveryOf}. */
	readonly replayedThrough: number;
	/** The server ended the subscription. */
	readonly ended: Ended | undefined;
}

/**
 * How an item, a run or a part came: `replay` if it was in the log before the page subscribed, so sounds and animations should stay quiet;
 * `local` if its event has not come.
 */
export function deliveryOf({ replayedThrough }: Snapshot<unknown>, { offset }: { readonly offset?: number | undefined }): "live" | "replay" | "local" {
	if (offset === undefined) return "local";
	return offset > replayedThrough ? "live" : "replay";
}

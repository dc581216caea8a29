/** Where a client finds what keeps its outbox beyond the life of the page. */
import type { Keeper } from "../sends/keeper.js";
import type { MessageContext } from "../sends/sent.js";
import type { Streams } from "../thread/streams.js";

/** What a client gives to the keeper of its outbox. */
export interface KeptClient {
	/** Absolute address of the server. */
	readonly url: string;
	readonly context: MessageContext;
	readonly streams: Streams;
}

/** What the option `outbox` really is. */
export interface KeeperSource {
	open(client: KeptClient): Keeper;
}

/** What the other entries of the package use of a thread, beside what an application does. */
import type { Client } from "../client/api.js";
import { withMethods } from "../shared/check.js";
import type { Unsubscribe } from "../shared/listeners.js";
import type { Reporter } from "../shared/report.js";
import type { Gap, Resumed } from "./facts.js";
import type { From } from "./from.js";
import type { BatchHandler, Thread } from "./thread.js";

/** Handlers that are a consumer of their own: events, gaps and ends of catch-ups, each in its place. */
export interface FollowHandlers {
	readonly batch: BatchHandler;
	readonly gap: (gap: Gap) => unknown;
	readonly resumed: (resumed: Resumed) => unknown;
}

/** Whose thread it is. */
export interface Owner {
	/** Absolute address of the server. */
	readonly url: string;
	readonly client: Pick<Client, "on" | "outbox" | "subject">;
}

/** A thread as a client makes it. */
export interface Followable extends Thread {
	readonly owner: Owner;
	/** Where what is built on the thread reports errors. */
	readonly reporter: Reporter;
	/** Attaches a consumer of its own: from `from`, or from where the thread began. */
	follow(handlers: FollowHandlers, from: From | undefined): Unsubscribe;
}

/** The same thread. Throws `invalid_option` if no client made it. */
export function followable(thread: Thread): Followable {
	return withMethods<Followable>("thread", thread, ["follow"]) as Followable;
}

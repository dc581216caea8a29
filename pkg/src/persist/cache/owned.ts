/** The kept conversation of a thread, as long as the server names the user whose it is, and lets the user see the thread. */
import type { CachedConversation } from "../../conversation/cache.js";
import type { Conversation } from "../../conversation/model.js";
import type { Unsubscribe } from "../../shared/listeners.js";
import type { Followable } from "../../thread/follow.js";
import type { CachedThread } from "./thread.js";

/** Ends of a subscription after which the user may not see the thread. */
const GONE: readonly string[] = ["deleted", "forbidden"];

/** Reasons for which a client fails whose user is another one, or may not connect. */
const NOT_THE_USER: readonly string[] = ["subject_changed", "forbidden"];

export class OwnedConversation implements CachedConversation {
	readonly #cached: CachedThread;
	readonly #offs: readonly Unsubscribe[];
	/** The user is another one, or may not connect: nothing is kept any more. */
	#isOver = false;
	#isShown = false;

	constructor(cached: CachedThread, user: string, thread: Followable, show: (found: Conversation<unknown> | undefined) => void) {
		const { client } = thread.owner;
		this.#cached = cached;
		const purge = (): void => {
			if (this.#isOver) return;
			this.#isOver = true;
			cached.purge(true);
			if (this.#isShown) show(undefined);
		};
		const named = (subject: string | undefined): void => {
			if (subject !== undefined && subject !== user) purge();
		};
		this.#offs = [
			thread.onEnded(({ reason }) => {
				if (GONE.includes(reason)) cached.purge(false);
			}),
			client.on("subject", ({ subject }) => named(subject)),
			client.on("state", ({ to, reason }) => {
				if (to === "failed" && NOT_THE_USER.includes(reason)) purge();
			}),
		];
		named(client.subject);
		void this.#begin(show);
	}

	keep(conversation: Conversation<unknown>): void {
		this.#cached.keep(conversation);
	}

	end(): void {
		for (const off of this.#offs) off();
		this.#cached.end();
	}

	async #begin(show: (found: Conversation<unknown> | undefined) => void): Promise<void> {
		const found = await this.#cached.read();
		this.#isShown = true;
		try {
			show(this.#isOver ? undefined : found);
		} catch {
			// The client was closed meanwhile, and whoever did it knows.
		}
	}
}

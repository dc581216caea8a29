/** The kept conversation of a thread, as long as the server names the user whose it is, and lets the user see the thread. */
import type { CachedConversation } from "../../conversation/cache.js";
import type { Conversation } from "../../conversation/model.js";
import type { Unsubscribe } from "../../shared/listeners.js";
import type { Ended } from "../../thread/facts.js";
import type { Owner } from "../../thread/follow.js";
import type { CachedThread } from "./thread.js";

/** Ends of a subscription after which the user may not see the thread. */
const GONE: readonly string[] = ["deleted", "forbidden"];

/** Reasons for which a client fails whose user is another one, or may not connect. */
const NOT_THE_USER: readonly string[] = ["subject_changed", "forbidden"];

export class OwnedConversation implements CachedConversation {
	readonly #cached: CachedThread;
	readonly #forget: () => void;
	readonly #offs: readonly Unsubscribe[];
	/** The user is another one, or may not connect: nothing is kept any more. */
	#isOver = false;

	constructor(cached: CachedThread, user: string, { client }: Owner, forget: () => void) {
		this.#cached = cached;
		this.#forget = forget;
		const named = (subject: string | undefined): void => {
			if (subject !== undefined && subject !== user) this.#purge();
		};
		this.#offs = [
			client.on("subject", ({ subject }) => named(subject)),
			client.on("state", ({ to, reason }) => {
				if (to === "failed" && NOT_THE_USER.includes(reason)) this.#purge();
			}),
		];
		named(client.subject);
	}

	async read(): Promise<Conversation<unknown> | undefined> {
		const found = await this.#cached.read();
		return this.#isOver ? undefined : found;
	}

	keep(conversation: Conversation<unknown>): void {
		this.#cached.keep(conversation);
	}

	ended({ reason }: Ended): void {
		if (GONE.includes(reason)) this.#cached.purge(false);
	}

	end(): void {
		for (const off of this.#offs) off();
		this.#cached.end();
	}

	#purge(): void {
		if (this.#isOver) return;
		this.#isOver = true;
		this.#cached.purge(true);
		this.#forget();
	}
}

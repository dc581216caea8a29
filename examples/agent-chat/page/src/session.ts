/** What lasts as long as the page, whichever conversation is shown: who the user is, how to connect, and what the faults are. */
import type { StateName, TokenRequest } from "agentwire";
import { persistentCache, persistOutbox } from "agentwire/persist";
import type { AgentwireProviderProps, ThreadSettings } from "agentwire/react";
import { Faults } from "./faults.ts";
import { Observed } from "./observed.ts";
import { type Config, fetchToken, Logs } from "./server.ts";
import { Threads } from "./threads.ts";
import { Timeline } from "./timeline.ts";

/** Lifetime of a token that is to expire soon. */
const SHORT_MS = 3_000;

/** A client to be: another `life` is another client. */
export interface Life {
	readonly life: number;
	readonly options: NonNullable<AgentwireProviderProps["options"]>;
}

export class Session extends Observed {
	readonly user: string;
	readonly logs: Logs;
	readonly threads: Threads;
	readonly timeline = new Timeline();
	readonly faults = new Faults(this.timeline);
	/** How every conversation is followed: it is kept in this browser, and shown at once after a reload. */
	readonly following: ThreadSettings;
	/** What is being written in each conversation. */
	readonly drafts = new Map<string, string>();
	readonly #url: string;
	#life: Life;
	#shown: string;
	/** The client has ended for good, until it connects anew. */
	#isOver = false;
	/** The token that is to expire, while it is in use. */
	#shortToken: string | undefined;

	/** `shown` is the conversation to begin with. */
	constructor({ ws, user }: Config, shown: string | undefined) {
		super();
		this.user = user;
		this.#url = ws;
		this.logs = new Logs(user);
		this.threads = new Threads(user);
		this.following = { cache: persistentCache({ user }) };
		this.#life = this.#begin(0);
		this.#shown = shown ?? this.threads.list[0]?.id ?? this.threads.fresh();
	}

	get life(): Life {
		return this.#life;
	}

	/** The conversation that is shown. */
	get shown(): string {
		return this.#shown;
	}

	readonly show = (id: string): void => {
		// A client that has ended for good opens no thread: the banner says so, and connects anew.
		if (id === this.#shown || this.#isOver) return;
		this.#shown = id;
		this.notify();
	};

	readonly create = (): void => this.show(this.threads.fresh());

	/** Removes a conversation from this browser. */
	readonly remove = (id: string): void => {
		this.threads.remove(id);
		if (this.#shown === id) this.show(this.threads.list[0]?.id ?? this.threads.fresh());
	};

	/** Begins with another client, as for another user. Questions that were not confirmed are kept, and sent again. */
	readonly startOver = (): void => {
		this.#life = this.#begin(this.#life.life + 1);
		this.#isOver = false;
		this.notify();
	};

	/** The state of the client has changed. */
	connection(state: StateName): void {
		this.#isOver = state === "failed";
		this.timeline.state(state, Date.now());
	}

	/** Options of a client. Should the token ever name another user, it ends before anything is sent or shown. */
	#begin(life: number): Life {
		return { life, options: { url: this.#url, user: this.user, outbox: persistOutbox(), token: (request) => this.#token(request) } };
	}

	/** Gets a token for the client. While an expiry was asked for, a new connection gets a short-lived token and no other one. */
	async #token({ reason, signal }: TokenRequest): Promise<string> {
		const isExpiring = (): boolean => this.faults.view.expiring;
		if (isExpiring() && reason === "refresh") throw new Error("this token is to expire (asked for in the fault panel)");
		if (isExpiring() && this.#shortToken === undefined) {
			const { token } = await fetchToken(this.user, { ttlMs: SHORT_MS, signal });
			this.#shortToken = token;
			this.timeline.fault("expiry", Date.now());
			return token;
		}
		const { token } = await fetchToken(this.user, { signal });
		this.#shortToken = undefined;
		this.faults.expired();
		return token;
	}
}

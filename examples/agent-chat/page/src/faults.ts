/** The switches of the demo server that break the connection, as `POST /faults/…` knows them. */
import { Observed } from "./observed.ts";
import type { Fault, Timeline } from "./timeline.ts";

/** What is switched on. */
export interface Switches {
	readonly everyMs: number;
	readonly frozen: boolean;
	readonly offline: boolean;
	readonly kills: number;
	readonly cuts: number;
}

export const CALM: Switches = { everyMs: 0, frozen: false, offline: false, kills: 0, cuts: 0 };

/** How the switches are. */
export interface FaultsView {
	readonly switches: Switches;
	/** Why the last order was not carried out. */
	readonly trouble: string | undefined;
	/** True between the order to let the token expire and its expiry. */
	readonly expiring: boolean;
}

export class Faults extends Observed {
	readonly #timeline: Timeline;
	#view: FaultsView = { switches: CALM, trouble: undefined, expiring: false };

	constructor(timeline: Timeline) {
		super();
		this.#timeline = timeline;
	}

	/** The same object as long as nothing changes. */
	get view(): FaultsView {
		return this.#view;
	}

	/** The token has expired, or a usual one was got. */
	expired(): void {
		this.#set({ expiring: false });
	}

	cut(): Promise<void> {
		return this.#order("cut", {}, "cut");
	}

	cutEvery(everyMs: number): Promise<void> {
		this.#timeline.repeated = everyMs > 0 ? "cuts" : undefined;
		return this.#order("cut-every", { everyMs }, everyMs > 0 ? "cuts" : undefined);
	}

	freeze(on: boolean): Promise<void> {
		return this.#order("freeze", { on }, on ? "freeze" : undefined);
	}

	kill(): Promise<void> {
		return this.#order("kill", {}, "restart");
	}

	/** The proxy refuses, and the page gets the event that a browser without a network sends. */
	async offline(on: boolean): Promise<void> {
		await this.#order("offline", { on }, on ? "offline" : undefined);
		if (this.#view.switches.offline === on) dispatchEvent(new Event(on ? "offline" : "online"));
	}

	/** The next token is short-lived and is not refreshed; cutting makes the client ask for it. */
	async expire(): Promise<void> {
		if (this.#view.expiring) return;
		this.#set({ expiring: true });
		await this.#order("cut", {}, "renewal");
		if (this.#view.trouble !== undefined) this.#set({ expiring: false });
	}

	async refresh(): Promise<void> {
		try {
			this.#set({ switches: switchesOf(await (await fetch("/faults")).json(), this.#view.switches) });
		} catch {
			// Asked again by whoever shows them.
		}
	}

	async #order(path: string, body: object, fault: Fault | undefined): Promise<void> {
		this.#set({ trouble: undefined });
		if (fault !== undefined) this.#timeline.fault(fault, Date.now());
		try {
			const response = await fetch(`/faults/${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
			if (!response.ok) this.#set({ trouble: `The demo server did not do it: ${await reasonOf(response)}.` });
		} catch {
			this.#set({ trouble: "The demo server does not answer. These switches need “cargo xtask demo”." });
		}
		await this.refresh();
	}

	#set(change: Partial<FaultsView>): void {
		const next = { ...this.#view, ...change };
		if ((Object.keys(next) as (keyof FaultsView)[]).every((key) => next[key] === this.#view[key])) return;
		this.#view = next;
		this.notify();
	}
}

async function reasonOf(response: Response): Promise<string> {
	if (response.status === 404) return "it has no such switch (these switches need “cargo xtask demo”)";
	try {
		const { error } = (await response.json()) as { error?: unknown };
		if (typeof error === "string") return error;
	} catch {
		// Then the number has to do.
	}
	return `it answered ${response.status}`;
}

function switchesOf(value: unknown, former: Switches): Switches {
	if (typeof value !== "object" || value === null) return former;
	const { everyMs, frozen, offline, kills, cuts } = value as Record<keyof Switches, unknown>;
	const number = (one: unknown, other: number): number => (typeof one === "number" ? one : other);
	const next = {
		everyMs: number(everyMs, former.everyMs),
		frozen: frozen === true,
		offline: offline === true,
		kills: number(kills, former.kills),
		cuts: number(cuts, former.cuts),
	};
	return (Object.keys(next) as (keyof Switches)[]).every((key) => next[key] === former[key]) ? former : next;
}

/** The connection over time: its states, the faults that were made, and how long the last recovery took. */
import type { StateName } from "agentwire";
import { Store } from "./store.ts";

export interface Span {
	readonly since: number;
	readonly name: StateName;
}

/** What can be done to a connection here; `renewal` is the reconnect that brings the token that is to expire. */
export type Fault = "cut" | "cuts" | "freeze" | "restart" | "offline" | "renewal" | "expiry";

export interface FaultMark {
	readonly at: number;
	readonly fault: Fault;
}

/** How the page came back. Times are milliseconds. */
export interface Recovery {
	/** The fault that was made on this page, if there was one. */
	readonly fault: Fault | undefined;
	readonly lostAt: number;
	readonly firstEventMs: number | undefined;
	readonly caughtUpMs: number | undefined;
}

/** A loss this long after a fault is put down to it: silence is noticed late. */
const FAULT_LEADS_MS = 60_000;
const MAX_SPANS = 500;

export class Timeline {
	readonly spans: Span[] = [];
	readonly faults: FaultMark[] = [];
	/** The last or the present recovery. */
	readonly recovery = new Store<Recovery | undefined>(undefined);
	/** The fault that comes again and again, while it does. */
	repeated: Fault | undefined;
	#connected = false;
	#fault: FaultMark | undefined;

	fault(fault: Fault, now: number): void {
		this.#fault = { at: now, fault };
		this.faults.push(this.#fault);
		if (this.faults.length > MAX_SPANS) this.faults.shift();
	}

	state(name: StateName, now: number): void {
		if (this.spans.at(-1)?.name === name) return;
		this.spans.push({ since: now, name });
		if (this.spans.length > MAX_SPANS) this.spans.shift();
		if (this.#connected && name !== "connected") {
			const made = this.#fault !== undefined && now - this.#fault.at < FAULT_LEADS_MS ? this.#fault : undefined;
			this.#fault = undefined;
			const former = this.recovery.get();
			// Another loss before the page had caught up belongs to the same recovery.
			const begun = former !== undefined && former.caughtUpMs === undefined ? former : undefined;
			this.recovery.set({ fault: made?.fault ?? begun?.fault ?? this.repeated, lostAt: begun?.lostAt ?? now, firstEventMs: undefined, caughtUpMs: undefined });
		}
		this.#connected = name === "connected";
	}

	/** An event of the shown thread was delivered. */
	event(now: number): void {
		const recovery = this.recovery.get();
		if (!this.#connected || recovery === undefined || recovery.firstEventMs !== undefined || recovery.caughtUpMs !== undefined) return;
		this.recovery.set({ ...recovery, firstEventMs: now - recovery.lostAt });
	}

	/** The shown thread has caught up. */
	caughtUp(now: number): void {
		const recovery = this.recovery.get();
		if (recovery === undefined || recovery.caughtUpMs !== undefined) return;
		this.recovery.set({ ...recovery, caughtUpMs: now - recovery.lostAt });
	}
}

/** The connection over time: its states, the faults that were made, and how long the last recovery took. */
import type { StateName } from "agentwire";
import { Observed } from "./observed.ts";

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

export class Timeline extends Observed {
	readonly spans: Span[] = [];
	readonly faults: FaultMark[] = [];
	/** The fault that comes again and again, while it does. */
	repeated: Fault | undefined;
	#connected = false;
	#wasConnected = false;
	#fault: FaultMark | undefined;
	#recovery: Recovery | undefined;

	/** The last or the present recovery. */
	get recovery(): Recovery | undefined {
		return this.#recovery;
	}

	/** Was it ever connected? */
	get wasConnected(): boolean {
		return this.#wasConnected;
	}

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
			const former = this.#recovery;
			// Another loss before the page had caught up belongs to the same recovery.
			const begun = former !== undefined && former.caughtUpMs === undefined ? former : undefined;
			this.#recover({ fault: made?.fault ?? begun?.fault ?? this.repeated, lostAt: begun?.lostAt ?? now, firstEventMs: undefined, caughtUpMs: undefined });
		}
		this.#connected = name === "connected";
		this.#wasConnected ||= this.#connected;
	}

	/** An event of the shown thread was delivered. */
	event(now: number): void {
		const recovery = this.#recovery;
		if (!this.#connected || recovery === undefined || recovery.firstEventMs !== undefined || recovery.caughtUpMs !== undefined) return;
		this.#recover({ ...recovery, firstEventMs: now - recovery.lostAt });
	}

	/** The shown thread has caught up. */
	caughtUp(now: number): void {
		const recovery = this.#recovery;
		if (recovery === undefined || recovery.caughtUpMs !== undefined) return;
		this.#recover({ ...recovery, caughtUpMs: now - recovery.lostAt });
	}

	#recover(recovery: Recovery): void {
		this.#recovery = recovery;
		this.notify();
	}
}

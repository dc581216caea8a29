/**
 * Was anything lost, doubled or changed? Found out by comparing what was delivered to this page with the log, read over
 * another way. It knows nothing of what the conversation makes of the events.
 */
import type { AgentEvent, EventMeta, Gap, Position } from "agentwire";
import { canonical, fingerprint } from "./canonical.ts";

/** One page of the log, as `GET /v1/threads/{thread}/events` answers. */
export interface LogPage {
	readonly epoch: string;
	readonly oldest: number;
	readonly head: number;
	readonly first: number;
	readonly events: readonly object[];
}

/** Reads the log from an offset on. */
export type ReadLog = (from: number, limit: number) => Promise<LogPage>;

/** What a comparison came to. */
export type Outcome =
	/** Nothing was compared yet. */
	| { readonly state: "none" }
	/** The log could not be read. */
	| { readonly state: "unreadable"; readonly reason: string }
	/** The log is of another epoch than what was delivered. */
	| { readonly state: "other_epoch" }
	| Compared;

/** What the comparison found. */
export interface Compared {
	readonly state: "compared";
	/** Milliseconds since the Unix epoch. */
	readonly at: number;
	/** Events of the log that were compared, all checks together. */
	readonly events: number;
	/** Events of the log whose body was not delivered. */
	readonly lost: number;
	/** Offsets or bodies that were delivered more often than the log has them. */
	readonly doubled: number;
	/** Bodies that the log does not have. */
	readonly changed: number;
	/** Bodies that were delivered at another place. */
	readonly disordered: number;
	/** The first offset that is not right. */
	readonly firstWrong: number | undefined;
	/** Events that are in the log and still on their way to the page. */
	readonly ahead: number;
}

/** Events that are read at once. */
export const PAGE_EVENTS = 1_000;

/** What comparisons have found so far. Bodies are named by their fingerprints. */
class Findings {
	/** The last offset that was compared. */
	to = 0;
	events = 0;
	/** Every body of the log. */
	readonly #log = new Set<string>();
	/** Where page and log differ: how often a body was delivered beyond what the log says. */
	readonly #beyond = new Map<string, number>();
	/** Bodies that were delivered at another offset than theirs, one for each. */
	readonly #misplaced: string[] = [];

	/** Compares what was delivered at an offset with what should have been. Returns whether it was right. */
	compare(delivered: string | undefined, right: string): boolean {
		this.events += 1;
		this.#log.add(right);
		if (delivered === right) return true;
		this.#count(right, -1);
		if (delivered !== undefined) {
			this.#count(delivered, 1);
			this.#misplaced.push(delivered);
		}
		return false;
	}

	/** Takes a body that was delivered where the log has none. */
	extra(delivered: string): void {
		this.#count(delivered, 1);
	}

	/** A body that is missing was lost, unless another one that the log does not know is in its place: then it was changed. */
	sum(): { readonly lost: number; readonly doubled: number; readonly changed: number; readonly disordered: number } {
		let missing = 0;
		let doubled = 0;
		let changed = 0;
		for (const [body, beyond] of this.#beyond) {
			if (beyond < 0) missing -= beyond;
			else if (this.#log.has(body)) doubled += beyond;
			else changed += beyond;
		}
		const disordered = this.#misplaced.filter((body) => this.#beyond.get(body) === 0).length;
		return { lost: Math.max(0, missing - changed), doubled, changed, disordered };
	}

	#count(body: string, by: number): void {
		this.#beyond.set(body, (this.#beyond.get(body) ?? 0) + by);
	}
}

/** Keeps what was delivered, and compares. */
export class Recorder {
	#epoch: string | undefined;
	/** Fingerprint of each body by its offset. */
	#prints = new Map<number, string>();
	#last = 0;
	#doubled = 0;
	#disordered = 0;
	#firstWrong: number | undefined;
	/** Offsets that the server declared lost. */
	#gone: { readonly from: number; readonly to: number }[] = [];
	#found = new Findings();

	/** After the last event that was delivered. */
	get position(): Position | undefined {
		return this.#epoch === undefined ? undefined : { epoch: this.#epoch, offset: this.#last };
	}

	/** Takes an event as it was delivered. */
	record(event: AgentEvent, { offset, epoch }: EventMeta): void {
		// What was declared gone before the first event is of its epoch.
		if (this.#epoch === undefined) this.#epoch = epoch;
		else if (epoch !== this.#epoch) this.#begin(epoch);
		if (this.#prints.has(offset)) {
			this.#doubled += 1;
			this.#wrong(offset);
			return;
		}
		if (offset < this.#last) {
			this.#disordered += 1;
			this.#wrong(offset);
		}
		this.#prints.set(offset, fingerprint(canonical(event)));
		this.#last = Math.max(this.#last, offset);
	}

	/** Takes a gap that the server declared: what it names is not lost silently. */
	gap(gap: Gap): void {
		// The log may also begin anew in the same epoch.
		if (gap.epoch !== undefined) this.#begin(gap.epoch);
		else if (gap.to !== undefined) this.#gone.push({ from: gap.from, to: gap.to });
	}

	/** Compares with the log. `again` forgets what former comparisons found. */
	async compare(read: ReadLog, again: boolean): Promise<Outcome> {
		const epoch = this.#epoch;
		if (epoch === undefined) return { state: "none" };
		if (again) this.#found = new Findings();
		const found = this.#found;
		// What comes meanwhile is for the next comparison.
		const last = this.#last;
		let head = last;
		for (let from = found.to + 1; from <= last; ) {
			let page: LogPage;
			try {
				page = await read(from, Math.min(PAGE_EVENTS, last - from + 1));
			} catch (error) {
				return { state: "unreadable", reason: error instanceof Error ? error.message : String(error) };
			}
			if (page.epoch !== epoch || this.#epoch !== epoch) return { state: "other_epoch" };
			head = page.head;
			if (page.events.length === 0) {
				if (head >= from && page.oldest <= last) return { state: "unreadable", reason: "the log answered without events" };
				// Delivered, and not in the log: it was visible before it was durable, or the log went back.
				for (let offset = Math.max(from, page.oldest); offset <= last; offset += 1) {
					found.extra(this.#prints.get(offset) ?? "");
					this.#wrong(offset);
				}
				found.to = last;
				break;
			}
			for (const [index, event] of page.events.entries()) this.#check(page.first + index, event, last);
			from = page.first + page.events.length;
			found.to = Math.min(last, from - 1);
		}
		const { lost, doubled, changed, disordered } = found.sum();
		return {
			state: "compared",
			at: Date.now(),
			events: found.events,
			lost,
			doubled: doubled + this.#doubled,
			changed,
			disordered: disordered + this.#disordered,
			firstWrong: this.#firstWrong,
			ahead: Math.max(0, head - this.#last),
		};
	}

	#check(offset: number, event: object, last: number): void {
		if (offset > last) return;
		const delivered = this.#prints.get(offset);
		if (delivered === undefined && this.#gone.some(({ from, to }) => offset >= from && offset <= to)) return;
		if (!this.#found.compare(delivered, fingerprint(canonical(event)))) this.#wrong(offset);
	}

	#wrong(offset: number): void {
		this.#firstWrong = Math.min(offset, this.#firstWrong ?? offset);
	}

	#begin(epoch: string): void {
		this.#epoch = epoch;
		this.#prints = new Map();
		this.#last = 0;
		this.#doubled = 0;
		this.#disordered = 0;
		this.#firstWrong = undefined;
		this.#gone = [];
		this.#found = new Findings();
	}
}

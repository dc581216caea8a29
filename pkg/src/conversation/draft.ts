/**
 * A conversation that is being changed. What the former conversation shares with it is copied before its first change, once per batch:
 * a list, a run, a part. So a former conversation never changes, and what did not change stays the same object.
 */
import type { Limits } from "./limits.js";
import { build, claimLookup, give, indexAt, Lookup, pairingKey, push } from "./lookup.js";
import type { Conversation, Item, Part, Run, UserMessage } from "./model.js";
import type { Repair, RepairKind } from "./repair.js";
import { hasEnded } from "./status.js";

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

type Owned<T> = T extends readonly (infer E)[] ? E[] : Mutable<T>;

/** A run that is being changed; its parts are changed by the draft alone. */
export type RunDraft = Mutable<Run>;

/** What a repair may say beside its kind. */
export type About = Partial<Pick<Repair, "runId" | "toolCallId" | "approvalId" | "messageId" | "detail">>;

export class Draft {
	readonly limits: Limits;
	readonly #initial: unknown;
	readonly #from: Conversation<unknown>;
	/** What it is now. Its lists are changed by the methods alone. */
	readonly next: Mutable<Conversation<unknown>>;
	lookup: Lookup;
	/** Objects and lists of this draft alone. */
	readonly #owned = new Set<object>();
	readonly #runs = new Map<string, RunDraft>();
	/** The event or fact that is being folded. */
	offset = 0;
	type = "";
	/** The run that it names. */
	runId: string | undefined;

	/** `initial` is the state of the application's fold in an empty conversation. */
	constructor(from: Conversation<unknown>, limits: Limits, initial: unknown) {
		this.#initial = initial;
		this.#from = from;
		this.next = { ...from };
		this.lookup = claimLookup(from);
		this.limits = limits;
	}

	/** The conversation as it is now; the same object if nothing has changed. The draft is over. */
	finish(): Conversation<unknown> {
		const conversation = differs(this.#from, this.next) ? this.next : this.#from;
		give(this.lookup, conversation);
		return conversation;
	}

	/** Begins with an event or a fact. */
	begin(type: string, offset: number): void {
		this.type = type;
		this.offset = offset;
		this.runId = undefined;
	}

	/** Takes note of a repair: of the run of the event, unless another one is named. */
	repair(kind: RepairKind, about?: About): void {
		const repairs = this.#own(this.next, "repairs");
		const counts: Partial<Record<RepairKind, number>> = this.#own(repairs, "counts");
		repairs.total += 1;
		counts[kind] = (counts[kind] ?? 0) + 1;
		const recent = this.#own(repairs, "recent");
		recent.push({ kind, offset: this.offset, type: this.type, runId: this.runId, ...about });
		if (recent.length > this.limits.maxRepairs) recent.shift();
	}

	/** A field of the event is missing or has a wrong type. */
	invalid(detail: string, about?: About): void {
		this.repair("invalid_event", { ...about, detail });
	}

	/** Something is left out because of a limit. */
	limited(detail: keyof Limits, about?: About): void {
		this.repair("limit_reached", { ...about, detail });
	}

	// --- items ---

	/** Adds an entry; its offset is above that of every other. */
	addItem(item: Item): void {
		const items = this.#own(this.next, "items");
		items.push(item);
		if (item.kind === "user_message" && item.sendId !== undefined) push(this.lookup.sends, item.sendId, item.offset ?? 0);
		if (items.length > this.limits.maxItems) this.#dropOldest(items);
	}

	/** A run is shown in another one now. */
	removeItem(offset: number): void {
		const items = this.#own(this.next, "items");
		const index = indexAt(items, offset);
		if (index >= 0) items.splice(index, 1);
	}

	/** The newest messages of a send: more than one if several users chose the same id. */
	messages(sendId: string): UserMessage[] {
		const found: UserMessage[] = [];
		for (const offset of this.lookup.sends.get(sendId)?.slice(-9) ?? []) {
			const item = this.next.items[indexAt(this.next.items, offset)];
			if (item?.kind === "user_message") found.push(item);
		}
		return found;
	}

	changeMessage(message: UserMessage, change: Partial<UserMessage>): void {
		if (!differs(message, change)) return;
		const items = this.#own(this.next, "items");
		items[indexAt(items, message.offset ?? 0)] = { ...message, ...change };
	}

	/** Drops everything that is shown. */
	clear(reset: Item): void {
		this.next.items = [];
		this.next.runs = [];
		this.next.openRuns = 0;
		this.next.custom = this.#initial;
		this.#runs.clear();
		this.lookup = new Lookup();
		this.addItem(reset);
	}

	// --- runs ---

	/** A run for reading. */
	run(runId: string): Run | undefined {
		const drafted = this.#runs.get(runId);
		if (drafted !== undefined) return drafted;
		const offset = this.lookup.runs.get(runId);
		return offset === undefined ? undefined : this.next.runs[indexAt(this.next.runs, offset)];
	}

	/** A run that is known, for changing. */
	edit(runId: string): RunDraft {
		const drafted = this.#runs.get(runId);
		if (drafted !== undefined) return drafted;
		const runs = this.#own(this.next, "runs");
		const index = indexAt(runs, this.lookup.runs.get(runId) ?? 0);
		const run: RunDraft = { ...(runs[index] as Run) };
		runs[index] = run;
		this.#runs.set(runId, run);
		return run;
	}

	/** Adds a run that is open. */
	addRun(run: Run): RunDraft {
		const drafted: RunDraft = { ...run };
		this.#own(this.next, "runs").push(drafted);
		this.next.openRuns += 1;
		this.#runs.set(run.runId, drafted);
		this.lookup.runs.set(run.runId, run.offset);
		this.lookup.open.add(run.runId);
		return drafted;
	}

	/** A run has its end. */
	closeRun(runId: string): void {
		this.next.openRuns -= 1;
		this.lookup.close(runId);
	}

	/** Adds a part; returns its index, or -1 if the run has too many. */
	addPart(run: RunDraft, part: Part): number {
		if (run.parts.length >= this.limits.maxParts) {
			this.limited("maxParts");
			return -1;
		}
		const lookup = this.lookup.parts(run);
		const index = this.#own(run, "parts").push(part) - 1;
		this.#owned.add(part);
		push(lookup, pairingKey(part), index);
		return index;
	}

	/** Index of the only part that a key pairs with. */
	partAt(run: RunDraft, key: string): number | undefined {
		return this.lookup.parts(run).get(key)?.[0];
	}

	/** Changes fields of a part; one that has them already stays the same object. */
	changePart<P extends Part>(run: Run, index: number, change: Partial<P>): void {
		if (!differs(run.parts[index] as Part, change)) return;
		const parts = this.#own(this.edit(run.runId), "parts");
		Object.assign(this.#own(parts, index), change);
	}

	// --- copies ---

	/** A list or an object in `owner` that belongs to the draft, as `owner` does. */
	#own<O extends object, K extends keyof O>(owner: O, key: K): Owned<O[K]> {
		let value: unknown = owner[key];
		if (!this.#owned.has(value as object)) {
			this.#owned.add((value = Array.isArray(value) ? value.slice() : { ...(value as object) }));
			owner[key] = value as O[K];
		}
		return value as Owned<O[K]>;
	}

	/** Drops the oldest tenth of the items, and the runs that ended before what is left. */
	#dropOldest(items: Item[]): void {
		const count = Math.ceil(this.limits.maxItems / 10);
		items.splice(0, count);
		this.next.dropped += count;
		const first = items[0]?.offset ?? 0;
		this.next.runs = this.next.runs.filter((run) => !hasEnded(run) || run.lastOffset >= first);
		this.#owned.add(this.next.runs);
		this.lookup = build(this.next);
		for (const runId of [...this.#runs.keys()]) if (!this.lookup.runs.has(runId)) this.#runs.delete(runId);
	}
}

/** Is a field of `change` another one in `value`? */
export function differs<T extends object>(value: T, change: Partial<T>): boolean {
	for (const name in change) if (!Object.is(value[name], change[name])) return true;
	return false;
}

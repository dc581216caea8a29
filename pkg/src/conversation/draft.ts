/**
 * A conversation that is being changed. What the former conversation shares with it is copied before its first change, once per batch:
 * a list, a run, a part. So a former conversation never changes, and what did not change stays the same object.
 */
import type { Position } from "../thread/position.js";
import type { Limits } from "./limits.js";
import { build, claimLookup, give, indexAt, Lookup, push } from "./lookup.js";
import type { Conversation, Item, Part, Run, UserMessage } from "./model.js";
import type { Repair, RepairKind } from "./repair.js";
import { hasEnded } from "./status.js";

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A run that is being changed. Its list of parts belongs to the draft once {@link Draft.parts} returned it. */
export type RunDraft = Mutable<Run>;

/** What a repair may say beside its kind. */
export type About = Partial<Pick<Repair, "runId" | "toolCallId" | "approvalId" | "messageId" | "detail">>;

export class Draft {
	readonly limits: Limits;
	readonly #initial: unknown;
	readonly #from: Conversation<unknown>;
	readonly #next: Mutable<Conversation<unknown>>;
	/** Objects and lists of this draft alone. */
	readonly #owned = new Set<object>();
	readonly #runs = new Map<string, RunDraft>();
	#lookup: Lookup;
	#changed = false;
	/** The event or fact that is being folded. */
	offset = 0;
	type = "";
	/** The run that it names. */
	runId: string | undefined;

	/** `initial` is the state of the application's fold in an empty conversation. */
	constructor(from: Conversation<unknown>, limits: Limits, initial: unknown) {
		this.#initial = initial;
		this.#from = from;
		this.#next = { ...from };
		this.#lookup = claimLookup(from);
		this.limits = limits;
	}

	get lookup(): Lookup {
		return this.#lookup;
	}

	get position(): Position | undefined {
		return this.#next.position;
	}

	get formerEpochs(): readonly string[] {
		return this.#next.formerEpochs;
	}

	get custom(): unknown {
		return this.#next.custom;
	}

	/** The conversation as it is now; the same object if nothing has changed. The draft is over. */
	finish(): Conversation<unknown> {
		const conversation = this.#changed ? this.#next : this.#from;
		give(this.#lookup, conversation);
		return conversation;
	}

	/** Begins with an event or a fact. */
	begin(type: string, offset: number): void {
		this.type = type;
		this.offset = offset;
		this.runId = undefined;
	}

	/** Goes on to a position. */
	moveTo(position: Position): void {
		this.#next.position = position;
		this.#changed = true;
	}

	/** The epoch of the position is over. */
	leaveEpoch(formerEpochs: readonly string[]): void {
		this.#next.formerEpochs = formerEpochs;
	}

	setCustom(custom: unknown): void {
		this.#next.custom = custom;
	}

	/** Something came again. */
	isDuplicate(): void {
		this.#next.duplicates += 1;
		this.#changed = true;
	}

	/** Takes note of a repair: of the run of the event, unless another one is named. */
	repair(kind: RepairKind, { runId = this.runId, toolCallId, approvalId, messageId, detail }: About = {}): void {
		const repairs = this.#own(this.#next, "repairs");
		const counts = this.#own(repairs, "counts") as Partial<Record<RepairKind, number>>;
		repairs.total += 1;
		counts[kind] = (counts[kind] ?? 0) + 1;
		const { maxRepairs } = this.limits;
		if (maxRepairs === 0) return;
		const recent = this.#list(repairs, "recent");
		recent.push({ kind, offset: this.offset, type: this.type, runId, toolCallId, approvalId, messageId, detail });
		if (recent.length > maxRepairs) recent.shift();
	}

	// --- items ---

	/** Adds an entry; its offset is above that of every other. */
	addItem(item: Item): void {
		const items = this.#list(this.#next, "items");
		items.push(item);
		if (item.kind === "user_message" && item.sendId !== undefined) push(this.#lookup.sends, item.sendId, item.offset ?? 0);
		if (items.length > this.limits.maxItems) this.#dropOldest(items);
	}

	/** A run is shown in another one now. */
	removeItem(offset: number): void {
		const items = this.#list(this.#next, "items");
		const index = indexAt(items, offset);
		if (index >= 0) items.splice(index, 1);
	}

	/** The messages of a send: more than one if several users chose the same id. */
	messages(sendId: string): UserMessage[] {
		const found: UserMessage[] = [];
		for (const offset of this.#lookup.sends.get(sendId) ?? []) {
			const item = this.#next.items[indexAt(this.#next.items, offset)];
			if (item?.kind === "user_message") found.push(item);
		}
		return found;
	}

	changeMessage(message: UserMessage, change: Partial<UserMessage>): void {
		if (!differs(message, change)) return;
		const items = this.#list(this.#next, "items");
		items[indexAt(items, message.offset ?? 0)] = { ...message, ...change };
	}

	/** Drops everything that is shown. */
	clear(reset: Item): void {
		this.#changed = true;
		this.#next.items = [];
		this.#next.runs = [];
		this.#next.openRuns = 0;
		this.#next.custom = this.#initial;
		this.#runs.clear();
		this.#lookup = new Lookup();
		this.addItem(reset);
	}

	// --- runs ---

	/** A run for reading. */
	run(runId: string): Run | undefined {
		const drafted = this.#runs.get(runId);
		if (drafted !== undefined) return drafted;
		const offset = this.#lookup.runs.get(runId);
		return offset === undefined ? undefined : this.#next.runs[indexAt(this.#next.runs, offset)];
	}

	/** A run that is known, for changing. */
	edit(runId: string): RunDraft {
		const drafted = this.#runs.get(runId);
		if (drafted !== undefined) return drafted;
		const runs = this.#list(this.#next, "runs");
		const index = indexAt(runs, this.#lookup.runs.get(runId) ?? 0);
		const run: RunDraft = { ...(runs[index] as Run) };
		runs[index] = run;
		this.#runs.set(runId, run);
		return run;
	}

	/** Adds a run that is open. */
	addRun(run: Run): RunDraft {
		const drafted: RunDraft = { ...run };
		this.#list(this.#next, "runs").push(drafted);
		this.#next.openRuns += 1;
		this.#runs.set(run.runId, drafted);
		this.#lookup.runs.set(run.runId, run.offset);
		this.#lookup.open.add(run.runId);
		return drafted;
	}

	get runCount(): number {
		return this.#next.runs.length;
	}

	/** A run has its end. */
	closeRun(runId: string): void {
		this.#next.openRuns -= 1;
		this.#lookup.close(runId);
	}

	/** The parts of a run, for changing. */
	parts(run: RunDraft): Part[] {
		return this.#list(run, "parts");
	}

	/** Adds a part; returns its index, or -1 if the run has too many. */
	addPart(run: RunDraft, part: Part): number {
		if (run.parts.length >= this.limits.maxParts) {
			this.repair("limit_reached", { detail: "maxParts" });
			return -1;
		}
		this.#owned.add(part);
		return this.parts(run).push(part) - 1;
	}

	/** Changes fields of a part; one that has them already stays the same object. */
	changePart<P extends Part>(run: RunDraft, index: number, change: Partial<P>): void {
		const part = run.parts[index] as Part;
		if (!differs(part, change)) return;
		const parts = this.parts(run);
		if (this.#owned.has(part)) Object.assign(part, change);
		else this.#owned.add((parts[index] = { ...part, ...change }));
	}

	// --- copies ---

	/** A list of `owner` that belongs to the draft. `owner` is a draft itself. */
	#list<O extends object, K extends keyof O>(owner: O, key: K): Mutable<O[K] extends readonly (infer E)[] ? E[] : never> {
		let list = owner[key] as unknown as readonly unknown[];
		if (!this.#owned.has(list)) {
			this.#owned.add((list = list.slice()));
			owner[key] = list as O[K];
			this.#changed = true;
		}
		return list as never;
	}

	#own<O extends object, K extends keyof O>(owner: O, key: K): Mutable<O[K]> {
		let value = owner[key] as object;
		if (!this.#owned.has(value)) {
			this.#owned.add((value = { ...value }));
			owner[key] = value as O[K];
			this.#changed = true;
		}
		return value as Mutable<O[K]>;
	}

	/** Drops the oldest tenth of the items, and the runs that ended and are shown nowhere any more. */
	#dropOldest(items: Item[]): void {
		const count = Math.ceil(this.limits.maxItems / 10);
		items.splice(0, count);
		this.#next.dropped += count;
		const shown = new Set<string>();
		for (const item of items) if (item.kind === "run") shown.add(item.runId);
		const { under } = this.#lookup;
		const rootOf = (runId: string): string => {
			let root = runId;
			for (let above = under.get(root); above !== undefined; above = under.get(root)) root = above;
			return root;
		};
		this.#next.runs = this.#next.runs.filter((run) => !hasEnded(run) || shown.has(rootOf(run.runId)));
		this.#owned.add(this.#next.runs);
		this.#lookup = build(this.#next);
		for (const runId of [...this.#runs.keys()]) if (!this.#lookup.runs.has(runId)) this.#runs.delete(runId);
	}
}

/** Is a field of `change` another one in `value`? */
function differs<T extends object>(value: T, change: Partial<T>): boolean {
	for (const name in change) if (!Object.is(value[name], change[name])) return true;
	return false;
}

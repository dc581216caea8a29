/**
 * Where things are in a conversation. A lookup belongs to the newest conversation of a line and grows with it; an older one, or one
 * that was read from a store, gets a new one. So the conversation itself is plain data, and no map of it is copied.
 */
import type { Conversation, Part, Run } from "./model.js";
import { hasEnded, isOpen } from "./status.js";

/**
 * Where the parts of an open run are: indices by what pairs events with them. For a tool those of the executions under its id that have no
 * start or no end yet, the oldest first; an id that is known is in it.
 */
export type PartLookup = Map<string, number[]>;

/** What pairs events with a part. */
export function pairingKey(part: Part): string {
	return part.kind === "tool" ? toolKey(part.toolCallId) : part.key;
}

export function toolKey(toolCallId: string): string {
	return `tool:${toolCallId}`;
}

export class Lookup {
	/** The conversation that may be folded on with it. */
	owner: object | undefined;
	/** Offset of the first event of each run: both lists of a conversation are in the order of their offsets. */
	readonly runs: Map<string, number> = new Map();
	/** Runs that have not ended. */
	readonly open: Set<string> = new Set();
	/** Offsets of the messages of each send. */
	readonly sends: Map<string, number[]> = new Map();
	/** Runs that name a parent, by the parent: it need not be known. */
	readonly children: Map<string, string[]> = new Map();
	/** The run that a run is shown in. */
	readonly under: Map<string, string> = new Map();
	/** Levels of runs that are shown in a run, where there are any. */
	readonly heights: Map<string, number> = new Map();
	readonly #parts = new Map<string, PartLookup>();

	/** The parts of an open run. */
	parts(run: Run): PartLookup {
		let parts = this.#parts.get(run.runId);
		if (parts === undefined) this.#parts.set(run.runId, (parts = partsOf(run)));
		return parts;
	}

	/** A run has ended: nothing of it changes any more. */
	close(runId: string): void {
		this.open.delete(runId);
		this.#parts.delete(runId);
	}

	/** `runId` names its parent. */
	name(runId: string, parent: string): void {
		push(this.children, parent, runId);
	}

	/** `runId` is shown in `parent`. */
	put(runId: string, parent: string): void {
		this.under.set(runId, parent);
		let height = (this.heights.get(runId) ?? 0) + 1;
		for (let above: string | undefined = parent; above !== undefined; above = this.under.get(above)) {
			if ((this.heights.get(above) ?? 0) >= height) return;
			this.heights.set(above, height);
			height += 1;
		}
	}
}

const lookups = new WeakMap<object, Lookup>();

/** The lookup of a conversation for reading. If it was folded on, the lookup knows what came later too. */
export function lookupOf(conversation: Conversation<unknown>): Lookup {
	let lookup = lookups.get(conversation);
	if (lookup === undefined) lookup = give(build(conversation), conversation);
	return lookup;
}

/** The lookup of a conversation that is folded on: nobody else changes it until it is given to the next one. */
export function claimLookup(conversation: Conversation<unknown>): Lookup {
	const known = lookups.get(conversation);
	const lookup = known?.owner === conversation ? known : build(conversation);
	lookup.owner = undefined;
	return lookup;
}

/** A conversation was folded with this lookup. */
export function give(lookup: Lookup, conversation: Conversation<unknown>): Lookup {
	lookup.owner = conversation;
	lookups.set(conversation, lookup);
	return lookup;
}

/** Adds to the list of a key. */
export function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
	const list = map.get(key);
	if (list === undefined) map.set(key, [value]);
	else list.push(value);
}

/** Index of what begins at `offset`, or -1. */
export function indexAt(list: readonly { readonly offset?: number | undefined }[], offset: number): number {
	let [low, high] = [0, list.length - 1];
	while (low <= high) {
		const middle = (low + high) >>> 1;
		const found = list[middle]?.offset ?? 0;
		if (found === offset) return middle;
		if (found < offset) low = middle + 1;
		else high = middle - 1;
	}
	return -1;
}

export function build({ items, runs }: Pick<Conversation, "items" | "runs">): Lookup {
	const lookup = new Lookup();
	for (const item of items) {
		if (item.kind === "user_message" && item.sendId !== undefined && item.offset !== undefined) push(lookup.sends, item.sendId, item.offset);
	}
	for (const run of runs) {
		lookup.runs.set(run.runId, run.offset);
		if (!hasEnded(run)) lookup.open.add(run.runId);
		if (run.parentRunId !== undefined) lookup.name(run.runId, run.parentRunId);
		for (const part of run.parts) if (part.kind === "run") lookup.put(part.runId, run.runId);
	}
	return lookup;
}

function partsOf({ parts }: Run): PartLookup {
	const found: PartLookup = new Map();
	for (const [index, part] of parts.entries()) {
		push(found, pairingKey(part), index);
		if (part.kind === "tool" && part.started && !isOpen(part)) found.get(pairingKey(part))?.pop();
	}
	return found;
}

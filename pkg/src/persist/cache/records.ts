/**
 * A conversation as records: one for the head, one for each item, one for each run. So a flush writes what has changed, and no more.
 */
import type { Conversation, Item, Run } from "../../conversation/model.js";

/** Where a thread is kept. */
export interface Place {
	/** Server and user. */
	readonly scope: string;
	readonly thread: string;
}

/** What is kept of a conversation beside its items and runs, and what the cache needs to know. */
export interface Head extends Place {
	/** What wrote it: another version is not read. */
	readonly version: string;
	/** Records that were written on from each other have the same line. */
	readonly line: string;
	/** When it was written, in milliseconds since the Unix epoch. */
	readonly used: number;
	readonly counts: readonly [items: number, runs: number];
	readonly rest: Omit<Conversation<unknown>, "items" | "runs">;
}

/** An item or a run. */
export interface Entry extends Place {
	readonly kind: 0 | 1;
	readonly offset: number;
	readonly value: Item | Run;
}

/** What a flush does. */
export interface Changes {
	readonly put: readonly Entry[];
	/** Kind and offset of what is no more. */
	readonly gone: readonly (readonly [kind: number, offset: number])[];
}

const NONE: Pick<Conversation<unknown>, "items" | "runs"> = { items: [], runs: [] };

/** What has to be written for `next` where there is `former`. Unchanged parts are the same objects in both. */
export function changesOf(place: Place, former: Conversation<unknown> | undefined, next: Conversation<unknown>): Changes {
	const { items, runs } = former ?? NONE;
	const put: Entry[] = [];
	const gone: [number, number][] = [];
	compare(0, items, next.items);
	compare(1, runs, next.runs);
	return { put, gone };

	// Both lists are in the order of their offsets.
	function compare<V extends Item | Run>(kind: 0 | 1, before: readonly V[], after: readonly V[]): void {
		let at = 0;
		const old = (): number => before[at]?.offset ?? Number.POSITIVE_INFINITY;
		for (const value of after) {
			const offset = value.offset ?? 0;
			for (; old() < offset; at += 1) gone.push([kind, old()]);
			if (before[at] !== value) put.push({ scope: place.scope, thread: place.thread, kind, offset, value });
			if (old() === offset) at += 1;
		}
		for (; at < before.length; at += 1) gone.push([kind, old()]);
	}
}

export function headOf(place: Place, version: string, line: string, { items, runs, ...rest }: Conversation<unknown>): Head {
	return { scope: place.scope, thread: place.thread, version, line, used: Date.now(), counts: [items.length, runs.length], rest };
}

/** The conversation of these records. `undefined`: they are not those of one. */
export function conversationOf({ counts, rest }: Head, entries: readonly Entry[]): Conversation<unknown> | undefined {
	const items = entries.filter(({ kind }) => kind === 0).map(({ value }) => value as Item);
	const runs = entries.filter(({ kind }) => kind === 1).map(({ value }) => value as Run);
	return items.length === counts[0] && runs.length === counts[1] ? { ...rest, items, runs } : undefined;
}

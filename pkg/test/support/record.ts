/** What a page was given, in short words that tests compare. */
import assert from "node:assert/strict";
import type { EventMeta, Gap, Position, Resumed, Thread, ThreadItem } from "./package.js";
import type { World } from "./world.js";

export const placeText = ({ epoch, offset }: Position): string => `${epoch}/${offset}`;

export const gapText = ({ from, to, reason }: Gap): string => `gap ${from}-${to ?? ""} ${reason}`;

export const resumedText = ({ position }: Resumed): string => `resumed ${placeText(position)}`;

export function itemText(item: ThreadItem): string {
	switch (item.kind) {
		case "event":
			return placeText(item.meta);
		case "gap":
			return gapText(item.gap);
		case "resumed":
			return resumedText(item.resumed);
	}
}

/** Notes what the handlers of a thread get: events, gaps and resume results, in their order. */
export function listen(thread: Thread): string[] {
	const got: string[] = [];
	thread.onEvent((_event, meta) => got.push(placeText(meta)));
	thread.onGap((gap) => got.push(gapText(gap)));
	thread.onResumed((resumed) => got.push(resumedText(resumed)));
	return got;
}

/** Notes the offsets of the events that handlers get. */
export function offsets(thread: Thread): number[] {
	const got: number[] = [];
	thread.onEvent((_event, { offset }) => got.push(offset));
	return got;
}

/** Notes `meta` of each event. */
export function metas(thread: Thread): EventMeta[] {
	const got: EventMeta[] = [];
	thread.onEvent((_event, meta) => got.push(meta));
	return got;
}

/** `e1/from … e1/to`. */
export function range(from: number, to: number, epoch = "e1"): string[] {
	return Array.from({ length: to - from + 1 }, (_, index) => `${epoch}/${from + index}`);
}

/** Pulls under way, and what they brought so far. */
export interface Pulls {
	readonly count: number;
	readonly items: ThreadItem[];
	readonly done: Promise<void>;
	ended: boolean;
}

/** Begins to pull so many items, one after the other. */
export function pulls(iterator: AsyncIterator<ThreadItem, undefined>, count: number): Pulls {
	const items: ThreadItem[] = [];
	const run = async (): Promise<void> => {
		for (let index = 0; index < count; index += 1) {
			const { value, done } = await iterator.next();
			if (done === true) break;
			items.push(value);
		}
	};
	const begun: Pulls = { count, items, done: run().finally(() => (begun.ended = true)), ended: false };
	// What it rejects with is for the caller of `collected`.
	begun.done.catch(() => undefined);
	return begun;
}

/** Lets time pass until the pulls are over; fails when they do not come. */
export async function collected(world: World, begun: Pulls): Promise<ThreadItem[]> {
	const { count, items } = begun;
	await world
		.until(() => begun.ended, `${count} items`, 5_000)
		.catch(() => assert.fail(`of ${count} items only these came: ${items.map(itemText).join(", ")}`));
	await begun.done;
	return items;
}

/** Pulls so many items, one after the other; fails when they do not come. */
export function takeItems(world: World, iterator: AsyncIterator<ThreadItem, undefined>, count: number): Promise<ThreadItem[]> {
	return collected(world, pulls(iterator, count));
}

/** As {@link takeItems}, in words. */
export async function take(world: World, iterator: AsyncIterator<ThreadItem, undefined>, count: number): Promise<string[]> {
	return (await takeItems(world, iterator, count)).map(itemText);
}

/** Lets an iterator attach: its first pull waits. */
export async function firstOf(world: World, iterator: AsyncIterator<ThreadItem, undefined>): Promise<string> {
	const [text = "nothing"] = await take(world, iterator, 1);
	return text;
}

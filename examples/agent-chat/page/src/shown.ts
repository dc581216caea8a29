/**
 * Does the conversation show what the log says? Found out by folding the log, read over another way, from its start: whatever
 * the conversation began with, such as what this browser had kept, and however its events came, it has to be the same.
 */
import type { AgentEvent, ThreadItem } from "agentwire";
import { type Conversation, EMPTY, fold } from "agentwire/conversation";
import { canonical } from "./canonical.ts";
import { PAGE_EVENTS, type ReadLog } from "./truth.ts";

export class Shown {
	/** The log so far. */
	#folded: Conversation = EMPTY;

	/** Compares what is shown with the log up to there. `undefined`: more than events made it what it is, or the log cannot be read. */
	async compare(shown: Conversation, read: ReadLog): Promise<boolean | undefined> {
		const { position } = shown;
		if (position === undefined || !isMadeOfEvents(shown)) return undefined;
		const at = this.#folded.position;
		if (at !== undefined && (at.epoch !== position.epoch || at.offset > position.offset)) this.#folded = EMPTY;
		for (;;) {
			const from = (this.#folded.position?.offset ?? 0) + 1;
			if (from > position.offset) break;
			const page = await read(from, Math.min(PAGE_EVENTS, position.offset - from + 1)).catch(() => undefined);
			if (page === undefined || page.epoch !== position.epoch || page.first !== from || page.events.length === 0) return undefined;
			const items = page.events.slice(0, position.offset - from + 1).map((event, index) => itemOf(event, page.epoch, from + index));
			this.#folded = fold(this.#folded, items);
		}
		return written(this.#folded) === written(shown);
	}
}

/** Facts that only this page knows of, such as gaps, are no part of a log, and neither is what was left out because it is too much. */
function isMadeOfEvents({ items, runs, dropped }: Conversation): boolean {
	const ofFacts = items.some(({ kind }) => kind === "gap" || kind === "reset") || runs.some(({ lost }) => lost !== undefined && lost !== "parent_ended");
	return dropped === 0 && !ofFacts;
}

function itemOf(event: object, epoch: string, offset: number): ThreadItem {
	return { kind: "event", event: event as AgentEvent, meta: { offset, epoch, delivery: "replay", position: { epoch, offset } } };
}

function written({ items, runs }: Conversation): string {
	return canonical({ items, runs });
}

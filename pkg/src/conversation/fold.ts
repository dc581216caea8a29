/** From events to a conversation: the way in. A pure function of the former conversation and what the thread delivered. */
import { callable, fields } from "../shared/check.js";
import { describe } from "../shared/errors.js";
import type { AgentEvent, OtherEvent } from "../thread/events.js";
import type { Gap, Resumed, ThreadItem } from "../thread/facts.js";
import { Draft } from "./draft.js";
import { foldEvent } from "./events.js";
import { advance, gap, resumed } from "./facts.js";
import { type FoldLimits, type Limits, limitsOf } from "./limits.js";
import { type Conversation, EMPTY } from "./model.js";
import { type Body, object, text } from "./read.js";

/** Where a custom event belongs. */
export interface Place {
	readonly offset: number;
	readonly epoch: string;
}

/** An application's own fold of the events that are not in the protocol's table. It begins anew when the log does. */
export interface CustomFold<C> {
	readonly initial: C;
	/** Pure. If it throws, the event is the repair `invalid_event` and the state stays. */
	fold(custom: C, event: OtherEvent, place: Place): C;
}

/** How to fold. A conversation is always folded on with the same options. */
export interface FoldOptions<C = undefined> {
	readonly limits?: FoldLimits | undefined;
	readonly customEvents?: CustomFold<C> | undefined;
}

/** A conversation in which nothing has happened. */
export function emptyConversation<C = undefined>(options: FoldOptions<C> = {}): Conversation<C> {
	return { ...EMPTY, custom: options.customEvents?.initial as C };
}

/**
 * Folds what a thread delivered, in the order it was delivered. The former conversation stays as it is, and everything that has not
 * changed is the same object in the new one; when nothing has changed, that is the conversation itself. How the items are cut into
 * batches makes no difference, nor whether they came live or were replayed. It never throws on an event.
 *
 * Throws `invalid_option`.
 */
export function fold<C = undefined>(conversation: Conversation<C>, items: Iterable<ThreadItem>, options: FoldOptions<C> = {}): Conversation<C> {
	const folding = new Folding(conversation, settingsOf(options));
	for (const item of items) {
		if (item.kind === "event") folding.event(item.event, item.meta.epoch, item.meta.offset);
		else if (item.kind === "gap") folding.gap(item.gap);
		else if (item.kind === "resumed") folding.resumed(item.resumed);
	}
	return folding.finish();
}

/** The options with their defaults. */
export interface FoldSettings<C> {
	readonly limits: Limits;
	readonly customEvents: CustomFold<C> | undefined;
}

/** Checks the options. Throws `invalid_option`. */
export function settingsOf<C>({ limits, customEvents }: FoldOptions<C>): FoldSettings<C> {
	if (customEvents !== undefined) callable("customEvents.fold", fields("customEvents", customEvents, ["initial", "fold"])["fold"]);
	return { limits: limitsOf(limits), customEvents };
}

/** One batch. */
export class Folding<C> {
	readonly #draft: Draft;
	readonly #custom: CustomFold<C> | undefined;

	constructor(conversation: Conversation<C>, { limits, customEvents }: FoldSettings<C>) {
		this.#draft = new Draft(conversation, limits, customEvents?.initial);
		this.#custom = customEvents;
	}

	event(event: AgentEvent, epoch: string, offset: number): void {
		const draft = this.#draft;
		const type = text(object(event)?.["type"]);
		draft.begin(type ?? "", offset);
		if (!advance(draft, epoch, offset)) return;
		if (type === undefined) return draft.invalid("type");
		if (foldEvent(draft, event as Body) || this.#custom === undefined) return;
		try {
			draft.next.custom = this.#custom.fold(draft.next.custom as C, event as OtherEvent, { offset, epoch });
		} catch (error) {
			draft.invalid(`customEvents: ${describe(error)}`);
		}
	}

	gap(fact: Gap): void {
		gap(this.#draft, fact);
	}

	resumed(fact: Resumed): void {
		resumed(this.#draft, fact);
	}

	finish(): Conversation<C> {
		return this.#draft.finish() as Conversation<C>;
	}
}

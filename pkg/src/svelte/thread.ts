/** A thread as a store. */
import type { Item, Run } from "../conversation/model.js";
import { runOf } from "../conversation/select.js";
import type { Snapshot } from "../conversation/snapshot.js";
import type { Equality } from "../hooks/compare.js";
import type { Selector } from "../hooks/selection.js";
import type { SharedConversation, SharedThread, ThreadActions } from "../hooks/shared.js";
import { type Readable, readable } from "./readable.js";

/** A thread as a store of its snapshot, with what a person does in it. */
export interface ThreadStore<C = undefined> extends Readable<Snapshot<C>>, ThreadActions {
	/** Changes when an item comes, goes or changes, and not with the text of runs. */
	readonly items: Readable<readonly Item[]>;
	/** The thread that components share: for its own events and signals. */
	readonly shared: SharedConversation<C>;
	/** A run, which changes when that run does. */
	run(runId: string): Readable<Run | undefined>;
	/** A part, which changes when it is another one, compared by `equal` (field by field, unless given). */
	select<T>(select: Selector<Snapshot<C>, T>, equal?: Equality<T>): Readable<T>;
}

/** Makes the store; it opens nothing. */
export function threadStore<C>(shared: SharedThread<C>): ThreadStore<C> {
	return {
		...readable<Snapshot<C>, Snapshot<C>>(shared, (snapshot) => snapshot, Object.is),
		...shared.actions,
		items: readable(shared, ({ items }) => items, Object.is),
		shared,
		run: (runId) => readable(shared, ({ conversation }) => runOf(conversation, runId), Object.is),
		select: (select, equal) => readable(shared, select, equal),
	};
}

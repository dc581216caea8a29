/** A thread as state, in components. */
import { useMemo } from "react";
import type { Run } from "../conversation/model.js";
import { runOf } from "../conversation/select.js";
import type { Snapshot } from "../conversation/snapshot.js";
import type { Equality } from "../hooks/compare.js";
import type { Selector } from "../hooks/selection.js";
import type { ThreadSettings } from "../hooks/settings.js";
import type { ThreadActions } from "../hooks/shared.js";
import { useSelected } from "./selected.js";
import { useShared } from "./thread.js";

/** Everything of a thread: what is to be shown, and what a person does in it. */
export type ConversationView<C = undefined> = Snapshot<C> & ThreadActions;

/** The messages and runs of a thread, and what a person does in it. */
export type MessagesView = Pick<Snapshot<unknown>, "items" | "caughtUp" | "ended"> & ThreadActions;

/**
 * A thread as state. The component is rendered with each change of it; with a selector, when what it selects changes, compared by
 * `equal` (field by field, unless given). Without a name, it is the thread of the nearest {@link AgentwireThread}.
 */
export function useConversation<C = undefined>(name?: string, options?: ThreadSettings<C>): ConversationView<C>;
export function useConversation<T, C = undefined>(
	name: string | undefined,
	options: ThreadSettings<C> | undefined,
	select: Selector<Snapshot<C>, T>,
	equal?: Equality<T>,
): T;
export function useConversation<T, C>(name?: string, options?: ThreadSettings<C>, select?: Selector<Snapshot<C>, T>, equal?: Equality<T>): unknown {
	const shared = useShared<C>(name, options);
	const viewed = useMemo(() => view(shared.actions), [shared]);
	return useSelected<Snapshot<C>, unknown>(shared, select ?? viewed, select === undefined ? Object.is : (equal as Equality<unknown> | undefined));
}

/**
 * The list of a thread. Its component is rendered when an item comes, goes or changes, and not with the text of runs: show each run in a
 * component with {@link useRun}.
 */
export function useMessages(name?: string): MessagesView {
	const shared = useShared<unknown>(name);
	const { actions } = shared;
	const parts = useSelected(shared, listed);
	return useMemo(() => ({ ...parts, ...actions }), [parts, actions]);
}

/** A run of the nearest {@link AgentwireThread}: the component is rendered when the run changes, and no other one. */
export function useRun(runId: string): Run | undefined;
/** A part of a run, such as one of its messages: the component is rendered when that changes. */
export function useRun<T>(runId: string, select: Selector<Run | undefined, T>, equal?: Equality<T>): T;
export function useRun(runId: string, select?: Selector<Run | undefined, unknown>, equal?: Equality<unknown>): unknown {
	const shared = useShared<unknown>(undefined);
	const read = useMemo(() => {
		const find = ({ conversation }: Snapshot<unknown>): Run | undefined => runOf(conversation, runId);
		return select === undefined ? find : (snapshot: Snapshot<unknown>) => select(find(snapshot));
	}, [runId, select]);
	return useSelected(shared, read, select === undefined ? Object.is : equal);
}

function listed({ items, caughtUp, ended }: Snapshot<unknown>): Pick<Snapshot<unknown>, "items" | "caughtUp" | "ended"> {
	return { items, caughtUp, ended };
}

function view(actions: ThreadActions): <C>(snapshot: Snapshot<C>) => ConversationView<C> {
	return (snapshot) => ({ ...snapshot, ...actions });
}

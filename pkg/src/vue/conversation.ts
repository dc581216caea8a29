// biome-ignore-all lint/correctness/useHookAtTopLevel: composables of Vue run once, and know no such rule
/** A thread and the connection as refs. */
import type { MaybeRefOrGetter, ShallowRef } from "vue";
import type { Item, Run } from "../conversation/model.js";
import { runOf } from "../conversation/select.js";
import type { Snapshot } from "../conversation/snapshot.js";
import type { Equality } from "../hooks/compare.js";
import { type ConnectionView, connectionOf } from "../hooks/connection.js";
import type { Selector, Source } from "../hooks/selection.js";
import type { ThreadSettings } from "../hooks/settings.js";
import { type ThreadActions, throughActions } from "../hooks/shared.js";
import { useClient } from "./client.js";
import { useSource } from "./source.js";
import { useShared } from "./thread.js";

/** Everything of a thread, and what a person does in it. */
export interface ConversationRefs<C = undefined> extends ThreadActions {
	readonly snapshot: Readonly<ShallowRef<Snapshot<C>>>;
}

/** The messages and runs of a thread, and what a person does in it. */
export interface MessagesRefs extends ThreadActions {
	readonly items: Readonly<ShallowRef<readonly Item[]>>;
}

/**
 * A thread as state. The ref changes with each change of it; with a selector, when what it selects changes, compared by `equal` (field by
 * field, unless given). The name may be a ref or a getter. Without a name, it is the nearest thread of `provideThread`.
 */
export function useConversation<C = undefined>(name?: MaybeRefOrGetter<string>, settings?: ThreadSettings<C>): ConversationRefs<C>;
export function useConversation<T, C = undefined>(
	name: MaybeRefOrGetter<string> | undefined,
	settings: ThreadSettings<C> | undefined,
	select: Selector<Snapshot<C>, T>,
	equal?: Equality<T>,
): Readonly<ShallowRef<T>>;
export function useConversation<T, C>(
	name?: MaybeRefOrGetter<string>,
	settings?: ThreadSettings<C>,
	select?: Selector<Snapshot<C>, T>,
	equal?: Equality<T>,
): unknown {
	const shared = useShared(name, settings);
	const source = (): Source<Snapshot<C>> => shared.value;
	if (select !== undefined) return useSource(source, select, equal);
	return { snapshot: useSource(source, (snapshot) => snapshot, Object.is), ...throughActions(() => shared.value) };
}

/** The list of a thread. It changes when an item comes, goes or changes, and not with the text of runs: see {@link useRun}. */
export function useMessages(name?: MaybeRefOrGetter<string>): MessagesRefs {
	const shared = useShared<unknown>(name);
	return {
		items: useSource(
			() => shared.value,
			({ items }) => items,
			Object.is,
		),
		...throughActions(() => shared.value),
	};
}

/** A run of the nearest thread, or a part of it. The id is read once: give the component that shows a run the `key` of its item. */
export function useRun(runId: string): Readonly<ShallowRef<Run | undefined>>;
export function useRun<T>(runId: string, select: Selector<Run | undefined, T>, equal?: Equality<T>): Readonly<ShallowRef<T>>;
export function useRun(runId: string, select: Selector<Run | undefined, unknown> = (run) => run, equal?: Equality<unknown>): unknown {
	const shared = useShared<unknown>(undefined);
	return useSource(
		() => shared.value,
		({ conversation }) => select(runOf(conversation, runId)),
		equal,
	);
}

/** How the connection is. */
export function useConnection(): Readonly<ShallowRef<ConnectionView>> {
	const source = connectionOf(useClient());
	return useSource(
		() => source,
		(view) => view,
		Object.is,
	);
}

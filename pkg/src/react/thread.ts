/** A thread that components share. */
import { type Context, createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useMemo } from "react";
import { missing } from "../hooks/given.js";
import type { ThreadSettings } from "../hooks/settings.js";
import { type SharedConversation, type SharedThread, sharedThread } from "../hooks/shared.js";
import { useClient } from "./client.js";

/** What {@link AgentwireThread} takes. */
export interface AgentwireThreadProps<C = undefined> {
	/** Name of the thread. */
	readonly name: string;
	/** How to follow it. The first ones are kept until the name changes. */
	readonly options?: ThreadSettings<C> | undefined;
	readonly children?: ReactNode;
}

const ThreadContext: Context<SharedThread<unknown> | undefined> = createContext<SharedThread<unknown> | undefined>(undefined);

/** Says which thread its children are about, and keeps it open. */
export function AgentwireThread<C = undefined>({ name, options, children }: AgentwireThreadProps<C>): ReactElement {
	const shared = useOwn<C>(name, options);
	useEffect(() => shared.retain(), [shared]);
	return createElement(ThreadContext.Provider, { value: shared as SharedThread<unknown> }, children);
}

/**
 * A thread, kept open as long as the component is mounted: to send, or for its own events. Its changes render nothing. Without a name,
 * the thread of the nearest {@link AgentwireThread}.
 */
export function useThread<C = undefined>(name?: string, options?: ThreadSettings<C>): SharedConversation<C> {
	const shared = useShared<C>(name, options);
	useEffect(() => shared.retain(), [shared]);
	return shared;
}

/** The thread of a name, or the nearest one. */
export function useShared<C>(name: string | undefined, options?: ThreadSettings<C>): SharedThread<C> {
	const client = useClient();
	const near = useContext(ThreadContext);
	const isNear = near !== undefined && near.client === client && (name === undefined || name === near.name) && options === undefined;
	const own = useOwn<C>(name ?? near?.name ?? missing("the name of a thread, or an <AgentwireThread> around it"), options);
	return isNear ? (near as SharedThread<unknown> as SharedThread<C>) : own;
}

/** The first options of a name are kept. Nothing is opened here. */
function useOwn<C>(name: string, options: ThreadSettings<C> | undefined): SharedThread<C> {
	const client = useClient();
	// biome-ignore lint/correctness/useExhaustiveDependencies: options that are written inside a component are new with each render
	const shared = useMemo(() => sharedThread<C>(client, name, options), [client, name]);
	useEffect(() => shared.compare(options), [shared, options]);
	return shared;
}

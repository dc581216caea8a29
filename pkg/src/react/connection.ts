/** The connection, in components. */
import { useMemo } from "react";
import { type ConnectionView, connectionOf } from "../hooks/connection.js";
import type { Equality, Selector } from "../hooks/selection.js";
import { useClient } from "./client.js";
import { useSelected } from "./selected.js";

/** What a person does about the connection. */
export interface ConnectionActions {
	/** As `client.reconnect`. */
	readonly reconnect: () => void;
}

/** How the connection is. The component is rendered when that changes; with a selector, when what it selects changes. */
export function useConnection(): ConnectionView & ConnectionActions;
export function useConnection<T>(select: Selector<ConnectionView, T>, equal?: Equality<T>): T;
export function useConnection(select?: Selector<ConnectionView, unknown>, equal?: Equality<unknown>): unknown {
	const client = useClient();
	const viewed = useMemo(() => {
		const actions: ConnectionActions = { reconnect: () => client.reconnect() };
		return (view: ConnectionView) => ({ ...view, ...actions });
	}, [client]);
	return useSelected<ConnectionView, unknown>(connectionOf(client), select ?? viewed, equal);
}

/** The connection, in components. */
import { useMemo } from "react";
import type { Equality } from "../hooks/compare.js";
import { type ConnectionView, connectionOf } from "../hooks/connection.js";
import type { Selector } from "../hooks/selection.js";
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
	const [source, viewed] = useMemo(() => {
		const reconnect = (): void => client.reconnect();
		return [connectionOf(client), (view: ConnectionView) => ({ ...view, reconnect })] as const;
	}, [client]);
	return useSelected<ConnectionView, unknown>(source, select ?? viewed, equal);
}

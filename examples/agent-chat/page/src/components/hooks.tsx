/** How components read what is outside of React and of agentwire. */

import { useClient, useConnection, useThread } from "agentwire/react";
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { Delivery, type DeliveryView } from "../delivery.ts";
import type { FaultsView } from "../faults.ts";
import type { Observed } from "../observed.ts";
import type { Session } from "../session.ts";
import type { Entry } from "../threads.ts";

const SessionContext = createContext<Session | undefined>(undefined);
const DeliveryContext = createContext<Delivery | undefined>(undefined);
export const SessionProvider = SessionContext.Provider;

export function useSession(): Session {
	const session = useContext(SessionContext);
	if (session === undefined) throw new Error("there is no session above this component");
	return session;
}

/** What `read` takes of an object. It must be the same as long as that has not changed. */
export function useObserved<S extends Observed, T>(observed: S, read: (observed: S) => T): T {
	const subscribe = useCallback(
		(listener: () => void) => {
			observed.addEventListener("change", listener);
			return () => observed.removeEventListener("change", listener);
		},
		[observed],
	);
	return useSyncExternalStore(subscribe, () => read(observed));
}

/** The conversation that is shown. */
export function useShown(): string {
	return useObserved(useSession(), ({ shown }) => shown);
}

/** The conversations that this browser knows. */
export function useEntries(): readonly Entry[] {
	return useObserved(useSession().threads, ({ list }) => list);
}

export function useFaults(): FaultsView {
	return useObserved(useSession().faults, ({ view }) => view);
}

/** The client has ended for good, until somebody connects anew. It opens no thread then. */
export function useIsOver(): boolean {
	return useConnection(({ state }) => state.name === "failed" || state.name === "closed");
}

/** Records what the nearest thread delivers. */
export function DeliveryProvider({ children }: { readonly children: ReactNode }): ReactNode {
	const { name, getSnapshot } = useThread();
	const client = useClient();
	const isOver = useIsOver();
	const { logs, timeline } = useSession();
	const delivery = useMemo(() => new Delivery(logs.of(name), timeline, () => getSnapshot().conversation), [logs, name, timeline, getSnapshot]);
	useEffect(() => {
		if (isOver) return undefined;
		const leaving = new AbortController();
		const thread = client.thread(name);
		void delivery.follow(thread, leaving.signal);
		return () => {
			leaving.abort();
			thread.close();
		};
	}, [client, name, isOver, delivery]);
	return <DeliveryContext.Provider value={delivery}>{children}</DeliveryContext.Provider>;
}

export function useDelivery(): Delivery {
	const delivery = useContext(DeliveryContext);
	if (delivery === undefined) throw new Error("nothing above this component records what is delivered");
	return delivery;
}

export function useDelivered(): DeliveryView {
	return useObserved(useDelivery(), ({ view }) => view);
}

/** The time, again and again while `every` is given, in milliseconds. */
export function useNow(every: number | undefined): number {
	const [now, setNow] = useState(Date.now);
	useEffect(() => {
		if (every === undefined) return undefined;
		setNow(Date.now());
		const timer = setInterval(() => setNow(Date.now()), every);
		return () => clearInterval(timer);
	}, [every]);
	return now;
}

export function useMedia(query: string): boolean {
	return useSyncExternalStore(
		useCallback(
			(listener) => {
				const list = matchMedia(query);
				list.addEventListener("change", listener);
				return () => list.removeEventListener("change", listener);
			},
			[query],
		),
		() => matchMedia(query).matches,
	);
}

/** How components read the state outside of React. */
import { createContext, useCallback, useContext, useEffect, useState, useSyncExternalStore } from "react";
import type { Session } from "../client.ts";
import type { Room, View } from "../room.ts";
import type { Store } from "../store.ts";

const SessionContext = createContext<Session | undefined>(undefined);
const RoomContext = createContext<Room | undefined>(undefined);
export const SessionProvider = SessionContext.Provider;
export const RoomProvider = RoomContext.Provider;

export function useSession(): Session {
	const session = useContext(SessionContext);
	if (session === undefined) throw new Error("there is no session above this component");
	return session;
}

/** The conversation that the components below show. */
export function useRoom(): Room {
	const room = useContext(RoomContext);
	if (room === undefined) throw new Error("there is no conversation above this component");
	return room;
}

export function useStore<T>(store: Store<T>): T {
	return useSyncExternalStore(store.subscribe, store.get);
}

/** A part of the conversation. What `select` answers must be the same object until it changes. */
export function useView<T>(select: (view: View) => T): T {
	const { view } = useRoom();
	return useSyncExternalStore(
		view.subscribe,
		useCallback(() => select(view.get()), [view, select]),
	);
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

/** Listens to what the browser says about the network and the page, where there is one that speaks. */

/** What the browser says. */
export interface Signals {
	/** There is a network, or there is none. */
	online(online: boolean): void;
	/** The page goes into the back/forward cache or away for good, or comes out of the cache. */
	away(away: boolean): void;
}

/** Tells each change, and once that the network is away if it is now. The result ends it. */
export function watchBrowser(signals: Signals): () => void {
	if (typeof globalThis.addEventListener !== "function") return () => undefined;
	const shown = (event: Event): void => {
		// While the page was in the cache it heard nothing of the network. This comes before `away`, so that the core does not try to connect without one.
		if ("persisted" in event && event.persisted === true) signals.online(globalThis.navigator?.onLine !== false);
		signals.away(false);
	};
	const heard: readonly (readonly [string, (event: Event) => void])[] = [
		["online", () => signals.online(true)],
		["offline", () => signals.online(false)],
		["pagehide", () => signals.away(true)],
		["pageshow", shown],
	];
	for (const [name, listener] of heard) globalThis.addEventListener(name, listener);
	if (globalThis.navigator?.onLine === false) signals.online(false);
	return () => {
		for (const [name, listener] of heard) globalThis.removeEventListener(name, listener);
	};
}

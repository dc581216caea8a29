/** Listens to what the browser says about the network and the page, where there is one that speaks. */

/** What the browser says. */
export interface Signals {
	/** There is a network, or there is none. */
	online(online: boolean): void;
	/** The page goes into the back/forward cache or away for good, or comes out of the cache. */
	away(away: boolean): void;
	/** The page became visible or focused, or was resumed after it was frozen. */
	wake(): void;
}

/** Tells each change, and once that the network is away if it is now. The result ends it. */
export function watchBrowser(signals: Signals): () => void {
	if (typeof globalThis.addEventListener !== "function") return () => undefined;
	const shown = (event: Event): void => {
		// While the page was in the cache it heard nothing of the network. This comes before `away`, so that the core does not try to connect without one.
		if ("persisted" in event && event.persisted === true) signals.online(globalThis.navigator?.onLine !== false);
		signals.away(false);
	};
	const wake = (): void => signals.wake();
	const visible = (): void => {
		if (globalThis.document?.visibilityState !== "hidden") wake();
	};
	const page = globalThis.document;
	const heard: readonly (readonly [EventTarget | undefined, string, (event: Event) => void])[] = [
		[globalThis, "online", () => signals.online(true)],
		[globalThis, "offline", () => signals.online(false)],
		[globalThis, "pagehide", () => signals.away(true)],
		[globalThis, "pageshow", shown],
		[globalThis, "focus", wake],
		[page, "visibilitychange", visible],
		[page, "resume", wake],
	];
	for (const [target, name, listener] of heard) target?.addEventListener?.(name, listener);
	if (globalThis.navigator?.onLine === false) signals.online(false);
	return () => {
		for (const [target, name, listener] of heard) target?.removeEventListener?.(name, listener);
	};
}

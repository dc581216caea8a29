/** Listens to what the browser says about the network, where there is one that speaks. */

/** Calls `listener` on each change, and once with false if the network is away now. The result ends it. */
export function watchNetwork(listener: (online: boolean) => void): () => void {
	if (typeof globalThis.addEventListener !== "function") return () => undefined;
	const online = (): void => listener(true);
	const offline = (): void => listener(false);
	globalThis.addEventListener("online", online);
	globalThis.addEventListener("offline", offline);
	if (globalThis.navigator?.onLine === false) listener(false);
	return () => {
		globalThis.removeEventListener("online", online);
		globalThis.removeEventListener("offline", offline);
	};
}

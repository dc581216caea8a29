/** Errors that nobody caught: what a timer or socket callback of a core throws reaches nobody but the page's `error` event. */

/** What the glue of wasm-bindgen says when a timer of a discarded instance fires: expected, and harmless. */
const STALE_CLOSURE = "Cannot invoke closure from previous WASM instance";

/**
 * Calls `met` with each error that the page reports. While `replaced` answers that an instance was discarded, what its timers
 * throw is kept from the console. The result ends it.
 */
export function watchErrors(met: (error: unknown) => void, replaced: () => boolean): () => void {
	if (typeof globalThis.addEventListener !== "function") return () => undefined;
	const listener = (event: Event): void => {
		const error: unknown = "error" in event ? event.error : undefined;
		if (replaced() && isStale(error)) event.preventDefault();
		else met(error);
	};
	globalThis.addEventListener("error", listener);
	return () => globalThis.removeEventListener("error", listener);
}

function isStale(error: unknown): boolean {
	return typeof error === "object" && error !== null && "message" in error && error.message === STALE_CLOSURE;
}

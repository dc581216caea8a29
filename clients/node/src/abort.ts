/** Small parts for `AbortSignal`. `AbortSignal.any` keeps what is long over, so they remove their listeners. */

/** Aborts a controller when a signal is aborted, until the returned function is called. */
export function follow(signal: AbortSignal | undefined, controller: AbortController): () => void {
	if (signal === undefined) return () => {};
	const abort = (): void => controller.abort(signal.reason);
	if (signal.aborted) abort();
	signal.addEventListener("abort", abort, { once: true });
	return () => signal.removeEventListener("abort", abort);
}

/** Resolves as `promise` does, or rejects with the reason of the signal if that is aborted before. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	let stop = (): void => {};
	const aborted = new Promise<never>((_, reject) => {
		const abort = (): void => reject(signal.reason);
		if (signal.aborted) abort();
		signal.addEventListener("abort", abort, { once: true });
		stop = () => signal.removeEventListener("abort", abort);
	});
	return await Promise.race([promise, aborted]).finally(stop);
}

/** Nothing of the browser may keep messages waiting for ever. */

/** Longest time until the browser answers, in milliseconds. */
export const DEADLINE_MS = 5_000;

/** Starts something that answers later. */
type Start<T> = (resolve: (value: T) => void, reject: (cause: unknown) => void, isLate: () => boolean) => void;

/** Starts `what`, which must answer in time. What `start` throws is a rejection. */
export async function within<T>(what: string, start: Start<T>): Promise<T> {
	let late = false;
	let timer: ReturnType<typeof setTimeout> | undefined;
	try {
		return await new Promise<T>((resolve, reject) => {
			timer = setTimeout(() => {
				late = true;
				reject(new Error(`the browser did not ${what} within ${DEADLINE_MS} ms`));
			}, DEADLINE_MS);
			start(resolve, reject, () => late);
		});
	} finally {
		clearTimeout(timer);
	}
}

/** A callback of the browser, whose failure goes to `reject` and not to the page. */
export function guarded(reject: (cause: unknown) => void, run: () => void): () => void {
	return () => {
		try {
			run();
		} catch (cause) {
			reject(cause);
		}
	};
}

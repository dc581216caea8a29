/** Counts who needs something, and ends it when nobody has for a while. */
import type { Unsubscribe } from "../shared/listeners.js";

/**
 * How long something is kept that nobody needs, in milliseconds: a component that is mounted again meanwhile finds it as it was. A
 * StrictMode, a refresh of a module and a thread that is shown in turns with another one need less.
 */
const LINGER_MS = 1_000;

/** How long something is kept. */
export interface Lingering {
	/** Needs it until the result is called. */
	readonly retain: () => Unsubscribe;
	/** It was used just now: it ends in a while, unless somebody needs it. */
	readonly touch: () => void;
	/** Does not end it by itself any more. */
	readonly cancel: () => void;
}

/** `end` is called when nobody has needed it for a while. */
export function lingering(end: () => void): Lingering {
	let count = 0;
	let timer: ReturnType<typeof setTimeout> | undefined;
	const cancel = (): void => clearTimeout(timer);
	const touch = (): void => {
		cancel();
		if (count === 0) timer = setTimeout(end, LINGER_MS);
	};
	const retain = (): Unsubscribe => {
		let held = 1;
		count += 1;
		cancel();
		return () => {
			count -= held;
			// Further calls do nothing.
			if (held > 0) touch();
			held = 0;
		};
	};
	return { retain, touch, cancel };
}

/** Counts who needs something, and ends it when nobody has for a while. */

/**
 * How long something is kept that nobody needs, in milliseconds: a component that is mounted again meanwhile finds it as it was. A
 * StrictMode, a refresh of a module and a thread that is shown in turns with another one need less.
 */
export const LINGER_MS = 1_000;

export class Lingering {
	readonly #end: () => void;
	#count = 0;
	#timer: ReturnType<typeof setTimeout> | undefined;

	constructor(end: () => void) {
		this.#end = end;
	}

	/** Needs it until the result is called. */
	retain(): () => void {
		this.#count += 1;
		this.cancel();
		let isHeld = true;
		return () => {
			if (!isHeld) return;
			isHeld = false;
			this.#count -= 1;
			this.touch();
		};
	}

	/** It was used just now: it ends in a while, unless somebody needs it. */
	touch(): void {
		this.cancel();
		if (this.#count === 0) this.#timer = setTimeout(this.#end, LINGER_MS);
	}

	/** Does not end it. */
	cancel(): void {
		clearTimeout(this.#timer);
	}
}

/** Sources as stores of Svelte's contract. */
import { type Equality, shallowEqual } from "../hooks/compare.js";
import { type Selector, type Source, selection } from "../hooks/selection.js";
import type { Unsubscribe } from "../shared/listeners.js";

/** A store of Svelte's contract, as `$name` in a component takes it. */
export interface Readable<T> {
	/** Calls `run` with the value now and with each later one. */
	subscribe(this: void, run: (value: T) => void, invalidate?: () => void): Unsubscribe;
}

/** What is selected of a source. It listens as long as somebody subscribes, and never on a server. */
export function readable<S, T>(source: Source<S>, select: Selector<S, T>, equal: Equality<T> = shallowEqual): Readable<T> {
	return {
		subscribe: (run) => {
			if (typeof window === "undefined") {
				run(select(source.getServerSnapshot()));
				return () => undefined;
			}
			const read = selection(source.getSnapshot, select, equal);
			let shown = read();
			run(shown);
			const update = (): void => {
				const value = read();
				if (Object.is(shown, value)) return;
				shown = value;
				run(value);
			};
			const off = source.subscribe(update);
			// What was there when it began to listen.
			update();
			return off;
		},
	};
}

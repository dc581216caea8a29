/** What a component takes of a snapshot: it is rendered again only when that changes. */
import type { Unsubscribe } from "../shared/listeners.js";
import type { Equality } from "./compare.js";

/** Something that has a snapshot and says when there is another one. */
export interface Source<S> {
	/** What it is now. The same object until the listeners are called. */
	readonly getSnapshot: () => S;
	/** What a server renders, and what hydration begins with. Always the same object. */
	readonly getServerSnapshot: () => S;
	/** Calls the listener after each change, until the result is called. */
	readonly subscribe: (listener: () => unknown) => Unsubscribe;
}

/** Takes a part of a snapshot. It must be pure. */
export type Selector<S, T> = (snapshot: S) => T;

/** A value that was selected. */
export interface Selected<T> {
	readonly value: T;
}

/** Reads what `select` takes. A result that equals the one before is that object; `last` counts as the one before the first. */
export function selection<S, T>(read: () => S, select: Selector<S, T>, equal: Equality<T>, last?: Selected<T>): () => T {
	let seen: Selected<S> | undefined;
	return () => {
		const snapshot = read();
		if (last !== undefined && seen?.value === snapshot) return last.value;
		const value = select(snapshot);
		seen = { value: snapshot };
		if (last === undefined || !equal(last.value, value)) last = { value };
		return last.value;
	};
}

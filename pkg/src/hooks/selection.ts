/** What a component takes of a snapshot: it is rendered again only when that changes. */
import type { Unsubscribe } from "../shared/listeners.js";

/** Something that has a snapshot and says when there is another one. */
export interface Source<S> {
	readonly getSnapshot: () => S;
	readonly getServerSnapshot: () => S;
	readonly subscribe: (listener: () => unknown) => Unsubscribe;
}

/** Takes a part of a snapshot. It must be pure. */
export type Selector<S, T> = (snapshot: S) => T;

/** Are two parts the same to the component? */
export type Equality<T> = (one: T, other: T) => boolean;

/** A value that was selected. */
export interface Selected<T> {
	readonly value: T;
}

/** Reads what `select` takes. A result that equals the one before is that object; `former` counts as the one before the first. */
export function selection<S, T>(read: () => S, select: Selector<S, T>, equal: Equality<T>, former?: Selected<T>): () => T {
	let last = former;
	let seen: { readonly snapshot: S } | undefined;
	return () => {
		const snapshot = read();
		if (last !== undefined && seen?.snapshot === snapshot) return last.value;
		const value = select(snapshot);
		seen = { snapshot };
		if (last === undefined || !equal(last.value, value)) last = { value };
		return last.value;
	};
}

/** Is each field the same? The equality of selectors, if no other one is given. */
export function shallowEqual(one: unknown, other: unknown): boolean {
	if (Object.is(one, other)) return true;
	if (typeof one !== "object" || one === null || typeof other !== "object" || other === null) return false;
	if (Object.getPrototypeOf(one) !== Object.getPrototypeOf(other)) return false;
	// What such an object holds is in no field.
	if (!Array.isArray(one) && Object.getPrototypeOf(one) !== Object.prototype) return false;
	const keys = Object.keys(one);
	return (
		keys.length === Object.keys(other).length && keys.every((key) => Object.hasOwn(other, key) && Object.is(Reflect.get(one, key), Reflect.get(other, key)))
	);
}

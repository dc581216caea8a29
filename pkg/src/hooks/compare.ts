/** How values of a render are compared with those of the one before. */

/** Are they the same to whoever asks? */
export type Equality<T> = (one: T, other: T) => boolean;

/** How deep options are compared: theirs are shallow, and a stored conversation is not walked through. */
const DEPTH = 2;

/** Compares field by field down to `depth`, and by `rest` what lies deeper or has no fields. A field that is `undefined` is none. */
function compared(one: unknown, other: unknown, depth: number, rest: Equality<unknown>): boolean {
	if (Object.is(one, other)) return true;
	if (depth === 0 || !isPlain(one) || !isPlain(other)) return rest(one, other);
	if (Array.isArray(one) !== Array.isArray(other)) return false;
	return Object.keys({ ...one, ...other }).every((key) => compared(one[key], other[key], depth - 1, rest));
}

/** Is each field the same? The equality of selectors, if no other one is given. */
export function shallowEqual(one: unknown, other: unknown): boolean {
	return compared(one, other, 1, () => false);
}

/**
 * Are two options the same by value? Functions count as the same: written inside a component, they are new with each render. What lies
 * deeper than the options do counts as the same too.
 */
export function isAlike(one: unknown, other: unknown): boolean {
	return compared(one, other, DEPTH, (a, b) => (typeof a === "function" && typeof b === "function") || (isPlain(a) && isPlain(b)));
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
	const prototype: unknown = typeof value === "object" && value !== null ? Object.getPrototypeOf(value) : undefined;
	return prototype === null || prototype === Object.prototype || prototype === Array.prototype;
}

/** Options that a component gives anew with each of its renders. */

/** How deep options are compared: theirs are shallow, and a stored conversation is not walked through. */
const DEPTH = 2;

/**
 * Are two options the same by value? Functions count as the same: written inside a component, they are new with each render. What lies
 * deeper than the options do counts as the same too.
 */
export function isAlike(one: unknown, other: unknown, depth: number = DEPTH): boolean {
	if (Object.is(one, other)) return true;
	if (typeof one === "function" && typeof other === "function") return true;
	if (!isPlain(one) || !isPlain(other)) return false;
	if (depth === 0) return true;
	// An option that is `undefined` is one that was not given.
	return [...new Set([...Object.keys(one), ...Object.keys(other)])].every((key) => isAlike(one[key], other[key], depth - 1));
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
	if (typeof value !== "object" || value === null) return false;
	const prototype: unknown = Object.getPrototypeOf(value);
	return prototype === null || prototype === Object.prototype || prototype === Array.prototype;
}

declare const process: { readonly env: { readonly NODE_ENV?: string } };

const warned = new Set<string>();

/** Warns the developer, once for each text, and never in production. */
export function warnOnce(text: string): void {
	if (!isDevelopment() || warned.has(text)) return;
	warned.add(text);
	console.warn(`agentwire: ${text}`);
}

function isDevelopment(): boolean {
	try {
		// Bundlers put a text in its place; without one, a browser has no `process`.
		return process.env.NODE_ENV !== "production";
	} catch {
		return false;
	}
}

/**
 * Checks of what the application gives. A failed one throws `invalid_option` with a text that names the option, what it
 * is, and what it must be.
 */
import { AgentwireError } from "./errors.js";

/** An object whose keys were looked at. */
export type Fields = Readonly<Record<string, unknown>>;

/** Refuses `value` of the option `name`. */
export function refuse(name: string, value: unknown, must: string, shown: string = show(value)): never {
	throw new AgentwireError("invalid_option", `${name} is ${shown}, it must be ${must}`);
}

/** Checks that `value` is an object with no other keys than `known`. */
export function fields(name: string, value: unknown, known: readonly string[]): Fields {
	if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(name, value, "an object");
	for (const key of Object.keys(value)) {
		if (known.includes(key)) continue;
		const path = name === "options" ? key : `${name}.${key}`;
		throw new AgentwireError("invalid_option", `${path} is not an option, did you mean ${meant(key, known)}?`);
	}
	return value as Fields;
}

/** Checks an integer of the range; `undefined` stands for the default. */
export function integer(name: string, value: unknown, least: number, most: number, fallback?: number): number {
	if (value === undefined && fallback !== undefined) return fallback;
	if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
	return refuse(name, value, `an integer from ${least} to ${most}`);
}

/** Checks a boolean; `undefined` stands for the default. */
export function boolean(name: string, value: unknown, fallback: boolean): boolean {
	if (value === undefined) return fallback;
	return typeof value === "boolean" ? value : refuse(name, value, "true or false");
}

/** Checks that `value` can be called. A text is not quoted: a token may stand where its function belongs. */
export function callable<F>(name: string, value: unknown): F {
	if (typeof value === "function") return value as F;
	return refuse(name, value, "a function", typeof value === "string" ? "a text" : undefined);
}

/** Checks that `value` has these methods; `undefined` is allowed. */
export function withMethods<T>(name: string, value: unknown, methods: readonly string[]): T | undefined {
	if (value === undefined) return undefined;
	if (typeof value !== "object" || value === null) refuse(name, value, "an object");
	for (const method of methods) {
		if (typeof (value as Fields)[method] !== "function") refuse(`${name}.${method}`, (value as Fields)[method], "a function");
	}
	return value as T;
}

/** Checks an AbortSignal; `undefined` is allowed. One of another realm counts. */
export function abortSignal(value: unknown): AbortSignal | undefined {
	return withMethods<AbortSignal>("signal", value, ["addEventListener", "removeEventListener"]);
}

/** Is it a URL object? One of another realm counts. */
export function isUrl(value: unknown): value is URL {
	return typeof value === "object" && value !== null && "href" in value && typeof value.href === "string";
}

function show(value: unknown): string {
	if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
	if (typeof value === "number" || typeof value === "boolean" || value === undefined || value === null) return String(value);
	if (Array.isArray(value)) return "a list";
	return isUrl(value) ? JSON.stringify(value.href) : `a value of type ${typeof value}`;
}

/** The known key that begins as this one does; all, if none does. */
function meant(key: string, known: readonly string[]): string {
	const begin = key.slice(0, 2).toLowerCase();
	return known.find((name) => name.toLowerCase().startsWith(begin)) ?? known.join(", ");
}

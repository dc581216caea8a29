/** Looks at values of JSON. */

import canonicalize from "canonicalize";

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isText(value: unknown): value is string {
	return typeof value === "string" && value !== "";
}

export function isInteger(value: unknown, least: number, most: number = Number.MAX_SAFE_INTEGER): value is number {
	return typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most;
}

/** Bytes of the JSON of a value. */
export function sizeOf(value: unknown): number {
	return Buffer.byteLength(JSON.stringify(value));
}

/** The JSON of a value with its keys in order, so that equal values have equal texts (SND-2). */
export function canonical(value: unknown): string {
	// Only what JSON does not know has no text.
	return canonicalize(value) as string;
}

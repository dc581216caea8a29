/** Reads fields of events, which any server may have written: a value of a wrong type is none. */

/** The fields of an event. Each may have any type, or be missing. */
export type Body = Readonly<Record<string, unknown>>;

/** Longest id that is taken, in UTF-16 units; the protocol allows 128 bytes. */
const MAX_ID_LENGTH = 1_024;

export function text(value: unknown): string | undefined {
	return typeof value === "string" ? value : undefined;
}

/** An id that names something. */
export function id(value: unknown): string | undefined {
	return typeof value === "string" && value !== "" && value.length <= MAX_ID_LENGTH ? value : undefined;
}

/** A number that is not negative. */
export function amount(value: unknown): number | undefined {
	return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : undefined;
}

export function list(value: unknown): readonly unknown[] | undefined {
	return Array.isArray(value) ? value : undefined;
}

export function object(value: unknown): Body | undefined {
	return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Body) : undefined;
}

/** One of these words. */
export function word<W extends string>(value: unknown, ...words: readonly W[]): W | undefined {
	return words.find((one) => one === value);
}

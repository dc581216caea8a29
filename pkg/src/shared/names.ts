/** Checks of the texts that name things on the wire (GEN-6), and new ids. */
import { refuse } from "./check.js";

const MAX_NAME_BYTES = 256;
const MAX_ID_BYTES = 128;

/** Checks the name of a thread. */
export function checkName(name: unknown): string {
	const must = `a text of 1 to ${MAX_NAME_BYTES} bytes without control characters`;
	// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a name must not have
	if (!isSized(name, MAX_NAME_BYTES) || /[\u0000-\u001f\u007f]/.test(name)) return refuse("thread name", name, must);
	return name;
}

/** Checks the id of a message, run or approval. */
export function checkId(what: string, id: unknown): string {
	if (isSized(id, MAX_ID_BYTES)) return id;
	return refuse(what, id, `a text of 1 to ${MAX_ID_BYTES} bytes`);
}

/** Is it a text of 1 to `most` bytes of UTF-8? A lone surrogate is refused: it would arrive as another character. */
export function isSized(text: unknown, most: number): text is string {
	// A unit of UTF-16 is at least a byte: nothing much longer than the limit is encoded.
	if (typeof text !== "string" || text.length > most) return false;
	const bytes = new TextEncoder().encode(text);
	return bytes.length >= 1 && bytes.length <= most && new TextDecoder().decode(bytes) === text;
}

/** A new id that nobody else draws. */
export function randomId(): string {
	// Only secure contexts have `randomUUID`.
	if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
	return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

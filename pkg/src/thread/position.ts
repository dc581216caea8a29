/** A place in a stream. */
import { isSized } from "../shared/names.js";

/** The last event that was delivered: the epoch of the stream, and the place in it. Store it with the state it belongs to. */
export interface Position {
	/** Names one life of the stream: offsets of different epochs have nothing to do with each other. 1 to 64 bytes. */
	readonly epoch: string;
	/** Place in the stream, counted from 1; 0 is before the first event. */
	readonly offset: number;
}

/** Is it a position in the sense of GEN-5 and GEN-6? */
export function isPosition(value: unknown): value is Position {
	if (typeof value !== "object" || value === null || !("epoch" in value) || !("offset" in value)) return false;
	const { epoch, offset } = value;
	return isSized(epoch, 64) && Number.isSafeInteger(offset) && (offset as number) >= 0;
}

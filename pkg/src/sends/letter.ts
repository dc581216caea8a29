/** What the outbox holds. */
import type { RawSendKind } from "../core/raw.js";
import { isSameJson } from "./content.js";

/** One thing to send. A message keeps it, so that a retry carries the same id and the same record. */
export interface Letter {
	readonly kind: RawSendKind;
	readonly id: string;
	/** Name of the thread. */
	readonly stream: string;
	readonly body: object;
	/** Since when the server may know it, in milliseconds since the Unix epoch. `undefined`: it cannot have gone out yet. */
	sentSince: number | undefined;
	/** The server's time of that, in milliseconds since the Unix epoch, if the server tells its time: no clock of the page counts then. */
	sentAt?: number | undefined;
}

/** Do two letters say the same? */
export function isSameLetter(one: Letter, other: Letter): boolean {
	return one.kind === other.kind && one.stream === other.stream && isSameJson(one.body, other.body);
}

/** Bytes of the JSON of its body. */
export function bytesOf(letter: Letter): number {
	return new TextEncoder().encode(JSON.stringify(letter.body)).length;
}

/** A message as it is stored. */
import type { RawSendKind } from "../../core/raw.js";
import type { Letter } from "../../sends/letter.js";
import type { Receipt } from "../../sends/receipt.js";

export interface Row {
	/** Server and user. */
	readonly scope: string;
	readonly id: string;
	readonly thread: string;
	readonly kind: RawSendKind;
	readonly body: object;
	/** Grows with each message of a scope; about the time when it was typed, in milliseconds since the Unix epoch. */
	readonly order: number;
	/** The page that it belongs to. */
	owner: string;
	/** Since when the server may know it, in milliseconds since the Unix epoch: written before it is transmitted. */
	sentSince: number | undefined;
	/** The server's time of that, if the server tells its time. */
	sentAt?: number | undefined;
	/** The receipt, when it is stored and waits for its event. */
	stored: Receipt | undefined;
}

export function rowOf(letter: Letter, scope: string, owner: string, order: number): Row {
	const { id, stream: thread, kind, body, sentSince, sentAt } = letter;
	return { scope, id, thread, kind, body, order, owner, sentSince, sentAt, stored: undefined };
}

export function letterOf({ id, thread, kind, body, sentSince, sentAt }: Row): Letter {
	return { id, stream: thread, kind, body, sentSince, sentAt };
}

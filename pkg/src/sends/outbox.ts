/**
 * What was sent and is not settled yet, with its body: a lost core forgets, this does not. Each send settles exactly once
 * (I6): it leaves the outbox with that.
 */
import type { RawSendKind } from "../core/raw.js";
import type { Supervisor } from "../core/supervisor.js";
import { type Deferred, deferred } from "../shared/deferred.js";
import { AgentwireError } from "../shared/errors.js";
import { isSameJson } from "./content.js";
import { type Receipt, receiptOf, refusalOf } from "./receipt.js";

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

/** A letter that is not settled. */
interface Pending extends Deferred<Receipt> {
	readonly letter: Letter;
	/** When it was given to the outbox, in milliseconds since the Unix epoch. */
	readonly since: number;
}

export class Outbox {
	readonly #supervisor: Supervisor;
	readonly #limit: number;
	readonly #settledAfter: (ms: number) => void;
	readonly #pending = new Map<string, Pending>();
	#connected = false;
	/** The server's time, and when it was told, by a clock that is not set. */
	#server: { readonly time: number; readonly at: number } | undefined;
	#closed: AgentwireError | undefined;

	/** `limit`: letters that may be pending at once. `settledAfter` gets the time each one took, in milliseconds. */
	constructor(supervisor: Supervisor, limit: number, settledAfter: (ms: number) => void) {
		this.#supervisor = supervisor;
		this.#limit = limit;
		this.#settledAfter = settledAfter;
	}

	get size(): number {
		return this.#pending.size;
	}

	/**
	 * Resolves with the receipt; rejects with an `AgentwireError`. A letter that has gone out before, and failed, says since when
	 * the server may know it (SND-5). One with the id and the content of a pending one settles with that.
	 */
	send(letter: Letter): Promise<Receipt> {
		const { id } = letter;
		if (this.#closed !== undefined) return Promise.reject(this.#closed);
		const known = this.#pending.get(id);
		if (known !== undefined) {
			if (isSameLetter(known.letter, letter)) return known.promise;
			return Promise.reject(new AgentwireError("conflict", `the id ${JSON.stringify(id)} is in use by another message, which is still pending`));
		}
		if (this.#pending.size >= this.#limit) {
			return Promise.reject(new AgentwireError("outbox_full", `${this.#limit} messages are pending, which is the limit (maxPendingSends)`));
		}
		const pending = { letter, since: Date.now(), ...deferred<Receipt>() };
		this.#pending.set(id, pending);
		this.#give(letter);
		return pending.promise;
	}

	/** The core says how a letter ended: by the receipt, or by a code of its own. */
	settled(id: string, receipt: object | undefined, code: string | undefined): void {
		const pending = this.#pending.get(id);
		if (pending === undefined) return;
		this.#pending.delete(id);
		this.#settledAfter(Date.now() - pending.since);
		const error = code === undefined ? refusalOf(receipt) : new AgentwireError(code, `the message was not settled by the server: ${code}`);
		if (error === undefined) pending.resolve(receiptOf(id, receipt ?? {}));
		else pending.reject(error);
	}

	/** The client is connected now, or is no more. */
	connected(connected: boolean): void {
		this.#connected = connected;
		if (!connected) return;
		const now = Date.now();
		for (const { letter } of this.#pending.values()) letter.sentSince ??= now;
	}

	/** The server tells its time with each welcome. */
	serverTime(time: number | undefined): void {
		this.#server = time === undefined ? undefined : { time, at: performance.now() };
		for (const { letter } of this.#pending.values()) letter.sentAt ??= time;
	}

	/** Gives everything that is pending to a new core, in the first order. */
	resend(): void {
		for (const { letter } of [...this.#pending.values()]) this.#give(letter);
	}

	/** Takes letters again, after the client had failed. */
	reopen(): void {
		this.#closed = undefined;
	}

	/** Settles all with `error`, and what is sent from now on too. */
	close(error: AgentwireError): void {
		this.#closed ??= error;
		const pending = [...this.#pending.values()];
		this.#pending.clear();
		for (const { reject } of pending) reject(error);
	}

	#give(letter: Letter): void {
		const { kind, id, stream, body, sentSince, sentAt } = letter;
		const now = Date.now();
		// Below 0 only when the clock was set back.
		const sentAgoMs = sentSince === undefined ? -1 : Math.max(0, now - sentSince);
		const server = this.#server;
		if (this.#connected) {
			letter.sentSince ??= now;
			letter.sentAt ??= server === undefined ? undefined : Math.round(server.time + performance.now() - server.at);
		}
		this.#supervisor.call((raw) => raw.send(kind, id, stream, body, sentAgoMs, sentAt));
	}
}

function isSameLetter(one: Letter, other: Letter): boolean {
	return one.kind === other.kind && one.stream === other.stream && isSameJson(one.body, other.body);
}

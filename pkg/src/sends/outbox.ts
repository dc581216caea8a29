/**
 * What was sent and is not settled yet, with its body: a lost core forgets, this does not. Each send settles exactly once
 * (I6): it leaves the outbox with that.
 */
import type { Supervisor } from "../core/supervisor.js";
import { type Deferred, deferred } from "../shared/deferred.js";
import { AgentwireError } from "../shared/errors.js";
import type { Keeper } from "./keeper.js";
import { bytesOf, isSameLetter, type Letter } from "./letter.js";
import type { Listed } from "./listed.js";
import { type Receipt, receiptOf, refusalOf } from "./receipt.js";

/** Waits for a letter, and hears how far it is. */
export interface Waiter {
	readonly letter: Letter;
	/** The letter was written on the socket in use, or that socket is lost. */
	moved(sending: boolean): void;
}

/** How much may be pending at once. */
export interface OutboxLimits {
	readonly count: number;
	/** Bytes of the JSON of all bodies. */
	readonly bytes: number;
}

/** A letter that is not settled. */
interface Pending extends Deferred<Receipt> {
	readonly letter: Letter;
	readonly bytes: number;
	/** When it was given to the outbox, in milliseconds since the Unix epoch. */
	readonly since: number;
	readonly waiters: Waiter[];
	/** So many of those who sent it have given it up. */
	givenUp: number;
	/** It may go out: the core has it, or the next core gets it. */
	released: boolean;
	/** It was written on the socket in use. */
	sending: boolean;
	/** It is being taken back, for this reason. */
	withdrawn: AgentwireError | undefined;
}

export class Outbox {
	/** What the application sees of it. */
	readonly listed: Listed;
	/** Holds letters back until they are kept. */
	keeper: Keeper | undefined;
	readonly #supervisor: Supervisor;
	readonly #limits: OutboxLimits;
	readonly #settledAfter: (ms: number) => void;
	/** In the order in which they were released, and then those that are not. */
	readonly #pending = new Map<string, Pending>();
	/** The server's time, and when it was told, by a clock that is not set. */
	#server: { readonly time: number; readonly at: number } | undefined;
	#bytes = 0;
	#closed: AgentwireError | undefined;

	/** `settledAfter` gets the time that each letter took, in milliseconds. */
	constructor(supervisor: Supervisor, limits: OutboxLimits, listed: Listed, settledAfter: (ms: number) => void) {
		this.#supervisor = supervisor;
		this.#limits = limits;
		this.listed = listed;
		this.#settledAfter = settledAfter;
	}

	get size(): number {
		return this.#pending.size;
	}

	/** The pending letter of an id. */
	find(id: string): Letter | undefined {
		return this.#pending.get(id)?.letter;
	}

	/** Why so many more letters, of so many bytes together, have no room. */
	refusal(count: number, bytes: number): AgentwireError | undefined {
		const most = this.#limits;
		if (bytes > most.bytes) return new AgentwireError("message_too_large", `the message has ${bytes} bytes of JSON, maxPendingBytes is ${most.bytes}`);
		if (this.size + count <= most.count && this.#bytes + bytes <= most.bytes) return undefined;
		return new AgentwireError("outbox_full", `${this.size} messages with ${this.#bytes} bytes of JSON are pending (maxPendingSends, maxPendingBytes)`);
	}

	/**
	 * Resolves with the receipt; rejects with an `AgentwireError`. A letter that has gone out before, and failed, says since when
	 * the server may know it (SND-5). One with the id and the content of a pending one settles with that.
	 */
	send(letter: Letter, waiter?: Waiter): Promise<Receipt> {
		const { id } = letter;
		if (this.#closed !== undefined) return Promise.reject(this.#closed);
		const known = this.#pending.get(id);
		if (known !== undefined) {
			if (isSameLetter(known.letter, letter)) return this.#join(known, waiter);
			return Promise.reject(new AgentwireError("conflict", `the id ${JSON.stringify(id)} is in use by another message, which is still pending`));
		}
		const bytes = bytesOf(letter);
		const refusal = this.refusal(1, bytes);
		if (refusal !== undefined) return Promise.reject(refusal);
		const waiters = waiter === undefined ? [] : [waiter];
		const begun = { letter, bytes, since: Date.now(), waiters, givenUp: 0, released: false, sending: false, withdrawn: undefined };
		const pending: Pending = { ...begun, ...deferred<Receipt>() };
		this.#pending.set(id, pending);
		this.#bytes += bytes;
		if (this.keeper === undefined) this.release(letter);
		else this.keeper.take(letter);
		return pending.promise;
	}

	/** Lets a letter go out, behind all that were released before. */
	release({ id }: Letter): void {
		const pending = this.#pending.get(id);
		if (pending === undefined || pending.released) return;
		pending.released = true;
		// The order of the map is that of the releases.
		this.#pending.delete(id);
		this.#pending.set(id, pending);
		this.#give(pending);
	}

	/**
	 * One of those who sent a letter wants it no more. Returns whether it is taken back: it was never transmitted, and nobody else
	 * wants it. It then settles with `error`, unless it is transmitted before the core hears of this.
	 */
	withdraw({ letter }: Waiter, error: AgentwireError): boolean {
		const pending = this.#pending.get(letter.id);
		if (pending === undefined) return false;
		pending.givenUp += 1;
		if (pending.givenUp < pending.waiters.length || pending.letter.sentSince !== undefined) return false;
		pending.withdrawn = error;
		this.#supervisor.call((raw) => raw.takeBack(letter.id, error.code));
		// No core has it.
		if (!pending.released || !this.#supervisor.present) this.settled(letter.id, undefined, error.code);
		return true;
	}

	/** The core has written a letter on the socket in use. */
	written(id: string): void {
		const pending = this.#pending.get(id);
		if (pending === undefined) return;
		const { letter, waiters } = pending;
		// Not later: the time of a second transmission would make it younger than it is.
		if (letter.sentSince === undefined) {
			letter.sentSince = Date.now();
			letter.sentAt = this.serverNow();
		}
		for (const waiter of waiters) {
			waiter.letter.sentSince = letter.sentSince;
			waiter.letter.sentAt = letter.sentAt;
		}
		pending.withdrawn = undefined;
		this.#move(pending, true);
	}

	/** The client is connected now, or is no more. */
	connected(connected: boolean): void {
		if (!connected) for (const pending of [...this.#pending.values()]) this.#move(pending, false);
		// That it is, the keeper hears with the welcome: then the server's time is known.
		if (!connected) this.keeper?.connected(false);
	}

	/** The server has welcomed the client, and told its time if it tells it. */
	welcomed(time: number | undefined): void {
		this.#server = time === undefined ? undefined : { time, at: performance.now() };
		this.keeper?.connected(true);
	}

	/** The server's time now, in milliseconds since the Unix epoch, if it tells it. */
	serverNow(): number | undefined {
		const server = this.#server;
		return server === undefined ? undefined : Math.round(server.time + performance.now() - server.at);
	}

	/** A letter has ended: by the receipt, or by a code of the core. */
	settled(id: string, receipt: object | undefined, code: string | undefined): void {
		const pending = this.#pending.get(id);
		if (pending === undefined) return;
		const { letter, bytes, since, withdrawn } = pending;
		this.#pending.delete(id);
		this.#bytes -= bytes;
		this.#settledAfter(Date.now() - since);
		const failed = code === undefined ? refusalOf(receipt) : (withdrawn ?? new AgentwireError(code, `the message was not settled by the server: ${code}`));
		const stored = failed === undefined ? receiptOf(id, receipt ?? {}) : undefined;
		this.keeper?.settled(letter, stored, failed?.code);
		if (stored === undefined) pending.reject(failed);
		else pending.resolve(stored);
	}

	/** The page no longer shows a message that is settled, unless the keeper keeps it. */
	unlist(id: string): void {
		if (!this.#pending.has(id) && this.keeper?.keeps(id) !== true) this.listed.delete(id);
	}

	/** Gives everything that may go out to a new core, in the first order. */
	resend(): void {
		for (const pending of [...this.#pending.values()]) {
			const { letter, released, withdrawn } = pending;
			if (withdrawn !== undefined) this.settled(letter.id, undefined, withdrawn.code);
			else if (released) this.#give(pending);
		}
	}

	/** Takes letters again, after the client had failed. */
	reopen(): void {
		this.#closed = undefined;
	}

	/** Settles all with `error`, and what is sent from now on too. */
	close(error: AgentwireError): void {
		this.#closed ??= error;
		this.keeper?.end();
		this.keeper = undefined;
		if (this.listed.messages.size > 0) {
			this.listed.messages.clear();
			this.listed.changed();
		}
		const pending = [...this.#pending.values()];
		this.#pending.clear();
		this.#bytes = 0;
		for (const { reject } of pending) reject(error);
	}

	#join(pending: Pending, waiter: Waiter | undefined): Promise<Receipt> {
		if (waiter !== undefined) {
			pending.waiters.push(waiter);
			waiter.letter.sentSince = pending.letter.sentSince;
			waiter.letter.sentAt = pending.letter.sentAt;
			waiter.moved(pending.sending);
		}
		return pending.promise;
	}

	#move(pending: Pending, sending: boolean): void {
		if (pending.sending === sending) return;
		pending.sending = sending;
		for (const waiter of [...pending.waiters]) waiter.moved(sending);
	}

	#give({ letter, bytes }: Pending): void {
		const { kind, id, stream, body, sentSince, sentAt } = letter;
		// Below 0 only when the clock was set back.
		const sentAgoMs = sentSince === undefined ? -1 : Math.max(0, Date.now() - sentSince);
		this.#supervisor.call((raw) => raw.send(kind, id, stream, body, bytes, sentAgoMs, sentAt));
	}
}

/**
 * What was sent and is not settled yet, with its body: a lost core forgets, this does not. Each entry settles exactly
 * once (I6): it leaves the outbox with that.
 */
import { AgentwireError } from "./errors.js";
import type { Position } from "./events.js";
import type { RawSendKind } from "./raw.js";
import type { Supervisor } from "./supervisor.js";

/** The server's answer to a message. */
export interface Receipt {
	readonly id: string;
	/** `accepted`, or another word of the server that is no refusal. */
	readonly status: string;
	/** Place of the stored event. */
	readonly position: Position | undefined;
}

interface Pending {
	readonly kind: RawSendKind;
	readonly id: string;
	readonly stream: string;
	readonly body: object;
	readonly since: number;
	/** Since when the server may know it; `undefined`: the client was not connected yet. */
	sentSince: number | undefined;
	resolve(receipt: Receipt): void;
	reject(error: AgentwireError): void;
}

export class Outbox {
	readonly #supervisor: Supervisor;
	readonly #limit: number;
	readonly #settledAfter: (ms: number) => void;
	readonly #pending = new Map<string, Pending>();
	#connected = false;
	#closed: AgentwireError | undefined;

	/** `settledAfter` gets the time each entry took, in milliseconds. */
	constructor(supervisor: Supervisor, limit: number, settledAfter: (ms: number) => void) {
		this.#supervisor = supervisor;
		this.#limit = limit;
		this.#settledAfter = settledAfter;
	}

	get size(): number {
		return this.#pending.size;
	}

	/** Resolves with the receipt; rejects with an `AgentwireError`. */
	send(kind: RawSendKind, id: string, stream: string, body: object): Promise<Receipt> {
		const { promise, resolve, reject } = deferred<Receipt>();
		if (this.#closed !== undefined) {
			reject(this.#closed);
		} else if (this.#pending.has(id)) {
			reject(new AgentwireError("conflict", `the id ${JSON.stringify(id)} is in use by a message that is still pending`));
		} else if (this.#pending.size >= this.#limit) {
			reject(new AgentwireError("outbox_full", `${this.#limit} messages are pending, which is the limit (maxPendingSends)`));
		} else {
			const since = Date.now();
			this.#pending.set(id, { kind, id, stream, body, since, sentSince: this.#connected ? since : undefined, resolve, reject });
			this.#supervisor.call((raw) => raw.send(kind, id, stream, body, -1));
		}
		return promise;
	}

	settled(id: string, receipt: object | undefined, code: string | undefined): void {
		const pending = this.#pending.get(id);
		if (pending === undefined) return;
		this.#pending.delete(id);
		this.#settledAfter(Date.now() - pending.since);
		const error = code === undefined ? refusalOf(receipt) : new AgentwireError(code, `the message was not settled by the server: ${code}`);
		if (error === undefined) pending.resolve(receiptOf(id, receipt ?? {}));
		else pending.reject(error);
	}

	/** The connection stands, or stands no more. */
	connected(connected: boolean): void {
		this.#connected = connected;
		if (!connected) return;
		const now = Date.now();
		for (const pending of this.#pending.values()) pending.sentSince ??= now;
	}

	/** Gives everything that is pending to a new core, in the first order, and says since when the server may know it (SND-5). */
	resend(): void {
		const now = Date.now();
		for (const { kind, id, stream, body, sentSince } of [...this.#pending.values()]) {
			const sentAgoMs = sentSince === undefined ? -1 : Math.max(0, now - sentSince);
			this.#supervisor.call((raw) => raw.send(kind, id, stream, body, sentAgoMs));
		}
	}

	/** Settles all with `error`, and what is sent from now on too. */
	close(error: AgentwireError): void {
		this.#closed ??= error;
		const pending = [...this.#pending.values()];
		this.#pending.clear();
		for (const { reject } of pending) reject(error);
	}
}

function receiptOf(id: string, receipt: object): Receipt {
	const { status, position } = receipt as { status?: unknown; position?: Position };
	return { id, status: typeof status === "string" ? status : "accepted", position };
}

function refusalOf(receipt: object | undefined): AgentwireError | undefined {
	if (receipt === undefined || !("status" in receipt) || receipt.status !== "rejected") return undefined;
	return errorOf("error" in receipt ? receipt.error : undefined, "internal", "the server refused the message");
}

/** Makes an error of an `error` frame or object of the server (ERR-1). */
export function errorOf(frame: unknown, code: string, message: string): AgentwireError {
	const given = (typeof frame === "object" && frame !== null ? frame : {}) as Readonly<Record<string, unknown>>;
	return new AgentwireError(textOr(given["code"], code), textOr(given["message"], message), {
		retryable: typeof given["retryable"] === "boolean" ? given["retryable"] : undefined,
		remediation: typeof given["remediation"] === "string" ? given["remediation"] : undefined,
	});
}

function textOr(value: unknown, fallback: string): string {
	return typeof value === "string" && value !== "" ? value : fallback;
}

interface Deferred<T> {
	readonly promise: Promise<T>;
	resolve(value: T): void;
	reject(error: unknown): void;
}

/** A promise with its two ends in hand. */
export function deferred<T>(): Deferred<T> {
	let resolve!: (value: T) => void;
	let reject!: (error: unknown) => void;
	const promise = new Promise<T>((resolved, rejected) => {
		resolve = resolved;
		reject = rejected;
	});
	return { promise, resolve, reject };
}

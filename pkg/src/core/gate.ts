/**
 * Stands between one core and its client. Once shut, nothing of that core comes through; and nothing that throws on the
 * client's side goes back into the core, which ignores it: it is reported here.
 */
import type { Host, RawEventsFrame, RawGap, RawResumeResult, RawState } from "./raw.js";

/** Close code `wasm_restarted` (CLS-2). */
const WASM_RESTARTED = 4486;

/** What goes through to the client. */
export type ClientSide = Omit<Host, "socket" | "trapped">;

export class Gate implements Host {
	#client: ClientSide | undefined;
	#socket: WebSocket | undefined;
	readonly #threw: (cause: unknown) => void;
	readonly #lost: (cause: unknown) => void;

	/** `threw` gets what a callback of `client` throws; `lost` is called when the core then knows more than was delivered. */
	constructor(client: ClientSide, threw: (cause: unknown) => void, lost: (cause: unknown) => void) {
		this.#client = client;
		this.#threw = threw;
		this.#lost = lost;
	}

	/** Lets nothing through from now on. */
	shut(): void {
		this.#client = undefined;
	}

	/** Shuts, and closes the socket of a core that cannot do so any more. */
	abandon(): void {
		this.shut();
		detach(this.#socket);
		this.#socket = undefined;
	}

	socket(socket: WebSocket | undefined): void {
		// The core of a shut gate may still run to the end of its task.
		if (this.#client === undefined) return detach(socket);
		this.#socket = socket;
	}

	trapped(error: unknown): void {
		if (this.#client !== undefined) this.#lost(error);
	}

	deliver(consumer: number, frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number {
		try {
			return this.#client?.deliver(consumer, frame, skip, take, offset, replayThrough) ?? 0;
		} catch (error) {
			this.#threw(error);
			// The core goes on behind these events, and nobody has them: a new core brings them again.
			this.#lost(error);
			return 0;
		}
	}

	gap(consumer: number, gap: RawGap): boolean {
		return this.#ask((client) => client.gap(consumer, gap), true);
	}

	token(): void {
		this.#tell((client) => client.token());
	}

	placed(consumer: number, epoch: string, offset: number): void {
		this.#tell((client) => client.placed(consumer, epoch, offset));
	}

	state(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void {
		this.#tell((client) => client.state(to, reason, retryInMs, attempt));
	}

	trouble(reason: string | undefined): void {
		this.#tell((client) => client.trouble(reason));
	}

	welcome(session: string, subject: string, time: number | undefined): void {
		this.#tell((client) => client.welcome(session, subject, time));
	}

	resumed(consumer: number, result: RawResumeResult): void {
		this.#tell((client) => client.resumed(consumer, result));
	}

	ended(stream: number, reason: string): void {
		this.#tell((client) => client.ended(stream, reason));
	}

	written(id: string): void {
		this.#tell((client) => client.written(id));
	}

	settled(id: string, receipt: object | undefined, error: string | undefined): void {
		this.#tell((client) => client.settled(id, receipt, error));
	}

	message(frame: object): void {
		this.#tell((client) => client.message(frame));
	}

	error(code: string, message: string, frame: object | undefined): void {
		this.#tell((client) => client.error(code, message, frame));
	}

	#tell(call: (client: ClientSide) => void): void {
		this.#ask(call, undefined);
	}

	#ask<T>(call: (client: ClientSide) => T, otherwise: T): T {
		if (this.#client === undefined) return otherwise;
		try {
			return call(this.#client);
		} catch (error) {
			this.#threw(error);
			return otherwise;
		}
	}
}

/** Closes a socket that nobody listens to any more. */
function detach(socket: WebSocket | undefined): void {
	if (socket === undefined) return;
	socket.onopen = socket.onmessage = socket.onerror = socket.onclose = null;
	try {
		socket.close(WASM_RESTARTED, "wasm_restarted");
	} catch {
		// It was closed already.
	}
}

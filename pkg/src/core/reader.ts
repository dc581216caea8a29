/**
 * Reads the messages of a socket. Each is parsed once, here; a frame of events goes into the core as its numbers, and the
 * object stays here, where it is delivered from.
 */
import { isOfEvents, isWellFormed } from "./events.js";
import { isLonger, read } from "./frames.js";
import type { NumberCore } from "./glue.js";
import type { Host } from "./raw.js";
import type { Slots } from "./slots.js";
import type { Texts } from "./texts.js";

/** Largest frame before the welcome, in bytes (GEN-7). */
const MAX_HELLO_BYTES = 65_536;

/** Number of the call (`src/web/client.rs`). */
const BAD_FRAME = 1;

/** What the reader uses of the border. */
export interface ReaderPort {
	readonly texts: Texts;
	readonly slots: Slots;
	/** Gives numbers to the core, for the call that follows. */
	give(numbers: readonly number[]): void;
	/** Forgets the texts that nobody needs, when there are many. */
	tidy(core: NumberCore): void;
}

export class FrameReader {
	readonly #host: Host;
	readonly #border: ReaderPort;
	#core: NumberCore | undefined;
	/** The largest frame that the server sends and takes now. */
	maxBytes: number = MAX_HELLO_BYTES;

	constructor(host: Host, border: ReaderPort) {
		this.#host = host;
		this.#border = border;
	}

	/** Gives what is read to a core. */
	serve(core: NumberCore): void {
		this.#core = core;
	}

	/** Reads a socket from now on. */
	attach(socket: WebSocket, id: number): void {
		this.maxBytes = MAX_HELLO_BYTES;
		socket.onmessage = ({ data }) => {
			if (this.#core === undefined) return;
			try {
				this.#take(this.#core, data, id);
			} catch (error) {
				// It is the core that threw: nothing else here can.
				this.#host.trapped(error);
			}
		};
	}

	#take(core: NumberCore, data: unknown, socket: number): void {
		if (typeof data === "string" && isLonger(data, this.maxBytes)) return this.#refuse(core, socket, "the message is larger than maxFrameBytes");
		const frame = typeof data === "string" ? parsed(data) : undefined;
		if (frame === undefined) return this.#refuse(core, socket, "the message is not one JSON object");
		const { slots } = this.#border;
		const isEvents = isOfEvents(frame);
		if (isEvents && isWellFormed(frame)) {
			const slot = slots.keep(frame);
			if (!core.events(socket, slot, frame.ch, frame.first, frame.count, (data as string).length, Date.now())) slots.release(slot);
			return;
		}
		this.#border.tidy(core);
		const numbers: number[] = [];
		const kind = read(frame, this.#border.texts, numbers);
		if (typeof kind === "string") return this.#refuse(core, socket, kind);
		if (isEvents) return this.#refuse(core, socket, "events is not what count says, or an event has no type");
		const slot = slots.keep(frame);
		this.#border.give(numbers);
		if (!core.frame(socket, slot, kind)) slots.release(slot);
	}

	/** Says that a message is no frame, and why. */
	#refuse(core: NumberCore, socket: number, why: string): void {
		this.#border.give([socket, this.#border.slots.keep(why)]);
		core.call(BAD_FRAME);
	}
}

function parsed(data: string): object | undefined {
	try {
		const value: unknown = JSON.parse(data);
		return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
	} catch {
		return undefined;
	}
}

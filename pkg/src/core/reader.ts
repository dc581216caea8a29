/**
 * Reads the messages of a socket. Each is parsed once, here; a frame of events goes into the core as its numbers, and the
 * object stays here, where it is delivered from.
 */
import type { RawClient, RawEventsFrame } from "./raw.js";

/** Largest frame before the welcome, in bytes (GEN-7). */
const MAX_HELLO_BYTES = 65_536;
const MAX_CH = 2 ** 31 - 1;
const MAX_COUNT = 10_000;
const NOT_AN_OBJECT = 0;
const TOO_LARGE = 1;

/** Which core gets the frames, and who hears of it when it traps. */
export interface ReaderCore {
	readonly raw: RawClient;
	trapped(error: unknown): void;
}

export class FrameReader {
	readonly #wellFormed: (frame: RawEventsFrame) => boolean;
	#core: ReaderCore | undefined;
	/** Frames by the numbers that the core knows them by. */
	#frames: (object | undefined)[] = [];
	#free: number[] = [];
	#maxBytes = MAX_HELLO_BYTES;

	/** `wellFormed`: is each event of a frame what EVT-1 says, or the frame what DLT-1 says? */
	constructor(wellFormed: (frame: RawEventsFrame) => boolean) {
		this.#wellFormed = wellFormed;
	}

	/** Gives what is read to a core. */
	serve(core: ReaderCore): void {
		this.#core = core;
	}

	/** Reads a socket from now on. */
	attach(socket: WebSocket, id: number): void {
		this.#maxBytes = MAX_HELLO_BYTES;
		socket.onmessage = ({ data }) => this.#read(data, id);
	}

	/** The server takes and sends frames of so many bytes. */
	welcomed(maxFrameBytes: number): void {
		this.#maxBytes = maxFrameBytes;
	}

	/** The frame under a number. */
	frame(slot: number): object | undefined {
		return this.#frames[slot];
	}

	/** Forgets the frame under a number. */
	release(slot: number): void {
		if (this.#frames[slot] === undefined) return;
		this.#frames[slot] = undefined;
		this.#free.push(slot);
	}

	/** The core is gone: nothing is read any more, and nothing kept. */
	end(): void {
		this.#core = undefined;
		this.#frames = [];
		this.#free = [];
	}

	#read(data: unknown, socket: number): void {
		const core = this.#core;
		if (core === undefined) return;
		try {
			this.#pass(core.raw, data, socket);
		} catch (error) {
			// It is the core that threw: nothing else here can.
			core.trapped(error);
		}
	}

	#pass(raw: RawClient, data: unknown, socket: number): void {
		if (typeof data !== "string") return raw.badFrame(socket, NOT_AN_OBJECT);
		if (isLonger(data, this.#maxBytes)) return raw.badFrame(socket, TOO_LARGE);
		const frame = parsed(data);
		if (frame === undefined) return raw.badFrame(socket, NOT_AN_OBJECT);
		const slot = this.#free.pop() ?? this.#frames.length;
		this.#frames[slot] = frame;
		const kept =
			isEvents(frame) && this.#wellFormed(frame)
				? raw.events(socket, slot, frame.ch, frame.first, frame.count, data.length, performance.now())
				: raw.frame(socket, slot, frame);
		if (!kept) this.release(slot);
	}
}

function parsed(data: string): object | undefined {
	try {
		const value: unknown = JSON.parse(data);
		return typeof value === "object" && value !== null ? value : undefined;
	} catch {
		return undefined;
	}
}

/** Is it a frame of events whose numbers are in their ranges? The core looks into every other frame, and says what is wrong with it. */
function isEvents(frame: object): frame is RawEventsFrame {
	const { type, ch, first, count } = frame as Readonly<Record<string, unknown>>;
	if (type !== "events" && type !== "deltas") return false;
	return isInteger(ch, MAX_CH) && isInteger(count, MAX_COUNT) && isInteger(first, Number.MAX_SAFE_INTEGER - count + 1);
}

function isInteger(value: unknown, most: number): value is number {
	return typeof value === "number" && value >= 1 && value <= most && Number.isInteger(value);
}

/** Has a text more bytes of UTF-8 than that? It is measured only where its length leaves a doubt: a unit of UTF-16 takes one to three. */
function isLonger(data: string, maxBytes: number): boolean {
	if (data.length * 3 <= maxBytes) return false;
	return data.length > maxBytes || new TextEncoder().encode(data).length > maxBytes;
}

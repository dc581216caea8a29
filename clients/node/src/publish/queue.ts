/** The events of one producer that no answer has confirmed yet, and the last ones that were confirmed. */
import { BridgeError, messageOf } from "../errors.js";
import { type AnyEvent, isAlone } from "./kinds.js";

/** What goes beside the events of a batch. */
export interface Beside {
	readonly leaseMs?: number;
	readonly claim?: object;
}

export interface Entry {
	/** The event as JSON text. */
	readonly text: string;
	readonly alone: boolean;
	readonly beside: Beside | undefined;
	/** Ends the wait of the caller, unless it only wanted the event in the queue. */
	readonly settle?: ((error?: BridgeError) => void) | undefined;
}

const MOST_EVENTS = 500;
const MOST_BYTES = 256 << 10;
/** How many confirmed events stay, in case that a server comes back without them. */
const KEPT = 512;

export function entryOf(event: AnyEvent, beside?: Beside, settle?: Entry["settle"]): Entry {
	let text: string;
	try {
		text = JSON.stringify(event);
	} catch (error) {
		throw new BridgeError("invalid_event", `the event can't be written as JSON: ${messageOf(error)}`, { cause: error });
	}
	return { text, alone: beside !== undefined || isAlone(event), beside, settle };
}

/** A first-in-first-out queue with a number for its first event. */
export class Queue {
	/** The number of the first event that waits. */
	first = 1;
	/** Bytes of what waits, as UTF-16 units: near enough for a limit. */
	size = 0;
	#waiting: Entry[] = [];
	#kept: Entry[] = [];

	get length(): number {
		return this.#waiting.length;
	}

	add(entry: Entry): void {
		this.#waiting.push(entry);
		this.size += entry.text.length;
	}

	/** The next batch. It stays in the queue until it is confirmed. */
	batch(mostEvents: number = MOST_EVENTS): readonly Entry[] {
		let bytes = 0;
		let count = 0;
		for (const entry of this.#waiting) {
			bytes += entry.text.length;
			if (count > 0 && (entry.alone || count >= mostEvents || bytes > MOST_BYTES)) break;
			count++;
			if (entry.alone) break;
		}
		return this.#waiting.slice(0, count);
	}

	/** The first `count` events are durable. */
	confirm(count: number): void {
		const done = this.#cut(0, count);
		this.first += count;
		this.#kept = [...this.#kept, ...done].slice(-KEPT);
		for (const entry of done) entry.settle?.();
	}

	/** The server refused the event at `index`: it used no number. */
	refuse(index: number, error: BridgeError): void {
		for (const entry of this.#cut(index, 1)) entry.settle?.(error);
	}

	/** Puts confirmed events back, from number `from` on. False if they are not here any more. */
	rewind(from: number): boolean {
		const count = this.first - from;
		if (count <= 0 || count > this.#kept.length) return false;
		const again = this.#kept.splice(-count).map((entry) => ({ ...entry, settle: undefined }));
		this.#waiting.unshift(...again);
		this.size += again.reduce((sum, entry) => sum + entry.text.length, 0);
		this.first = from;
		return true;
	}

	/** Begins at 1 again, for a new producer id. */
	renumber(): void {
		this.first = 1;
		this.#kept = [];
	}

	/** Rejects everything that waits. */
	fail(error: BridgeError): void {
		for (const entry of this.#cut(0, this.#waiting.length)) entry.settle?.(error);
	}

	#cut(from: number, count: number): readonly Entry[] {
		const cut = this.#waiting.splice(from, count);
		this.size -= cut.reduce((sum, entry) => sum + entry.text.length, 0);
		return cut;
	}
}

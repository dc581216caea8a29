/** The streams of a client, one per name. One whose last handle was closed is kept: the core knows it, and it knows where it was left. */
import type { From } from "./from.js";
import { Stream, type StreamContext } from "./stream.js";

/** Closed threads that a client remembers; the one closed first is forgotten first. */
export const MAX_CLOSED_STREAMS = 1_000;

export class Streams {
	readonly #context: StreamContext;
	readonly #byName = new Map<string, Stream>();
	readonly #byId = new Map<number, Stream>();
	/** Those without a handle, the one closed first in front. */
	readonly #closed = new Set<Stream>();

	constructor(context: StreamContext) {
		this.#context = context;
	}

	/** The one that the core knows by this id. */
	byId(id: number): Stream | undefined {
		return this.#byId.get(id);
	}

	/** The one of a name. */
	byName(name: string): Stream | undefined {
		return this.#byName.get(name);
	}

	/** Takes one more handle of a name. Throws `stream_conflict`. */
	enter(name: string, from: From | undefined): Stream {
		const stream = this.#byName.get(name) ?? this.#make(name);
		stream.claim(from);
		stream.handles += 1;
		this.#closed.delete(stream);
		stream.listenAgain();
		return stream;
	}

	/** Lets a handle go. */
	leave(stream: Stream): void {
		stream.handles -= 1;
		if (stream.handles > 0 || this.#byName.get(stream.name) !== stream) return;
		stream.release();
		// What nobody ever consumed has no place to remember.
		if (!stream.asked) return this.#forget(stream);
		this.#closed.add(stream);
		const [first] = this.#closed;
		if (this.#closed.size > MAX_CLOSED_STREAMS && first !== undefined) this.#forget(first);
	}

	/** Attaches every consumer to a new core. */
	resubscribe(): void {
		for (const stream of this.#byName.values()) stream.resubscribe();
	}

	/** Ends every iterator: the client has failed. */
	fail(error: Error): void {
		for (const stream of [...this.#byName.values()]) stream.fail(error);
	}

	/** Ends every stream for good. */
	close(error: Error | undefined): void {
		for (const stream of [...this.#byName.values()]) stream.close(error);
		this.#byName.clear();
		this.#byId.clear();
		this.#closed.clear();
	}

	#make(name: string): Stream {
		const stream = new Stream(name, this.#context);
		this.#byName.set(name, stream);
		this.#byId.set(stream.id, stream);
		return stream;
	}

	#forget(stream: Stream): void {
		this.#closed.delete(stream);
		this.#byName.delete(stream.name);
		this.#byId.delete(stream.id);
	}
}

/** Every stream of a client that has a handle, and where the others were left. */
import type { Position } from "./events.js";
import { type From, Stream, type StreamContext } from "./stream.js";

/** Closed threads whose position a page remembers; the one closed first is forgotten first. */
export const MAX_LEFT_STREAMS = 1_000;

/** What is kept of a stream without handles. */
interface Left {
	/** The core knows the name under this id. */
	readonly id: number;
	readonly position: Position | undefined;
	/** What the core holds of it is another user's. */
	readonly foreign: boolean;
}

export class Streams {
	/** Those with a handle, by the id that the core knows. */
	readonly byId: Map<number, Stream> = new Map();
	readonly #open = new Map<string, Stream>();
	readonly #left = new Map<string, Left>();

	/** Those with a handle. */
	get open(): readonly Stream[] {
		return [...this.#open.values()];
	}

	/** Takes one more handle of a name. */
	enter(name: string, from: From | undefined, context: StreamContext): Stream {
		const stream = this.#open.get(name) ?? this.#make(name, context);
		stream.claim(from);
		stream.handles += 1;
		stream.listenAgain();
		return stream;
	}

	/** Lets a handle go. With the last one, only the place where the stream was left stays. */
	leave(stream: Stream): void {
		stream.handles -= 1;
		if (stream.handles > 0 || this.byId.get(stream.id) !== stream) return;
		this.#open.delete(stream.name);
		this.byId.delete(stream.id);
		// What nobody ever consumed is not known to the core.
		if (!stream.asked) return;
		this.#left.set(stream.name, { id: stream.id, position: stream.position, foreign: stream.foreign });
		const first = this.#left.keys().next();
		if (this.#left.size > MAX_LEFT_STREAMS && first.done !== true) this.#left.delete(first.value);
	}

	/** The positions that were loaded are another user's. */
	forgetStored(): void {
		for (const [name, { id }] of this.#left) this.#left.set(name, { id, position: undefined, foreign: true });
		for (const stream of this.open) stream.forgetStored();
	}

	/** Ends every stream for good. */
	close(error: Error | undefined): void {
		for (const stream of this.open) stream.close(error);
		this.#open.clear();
		this.byId.clear();
		this.#left.clear();
	}

	#make(name: string, context: StreamContext): Stream {
		const left = this.#left.get(name);
		this.#left.delete(name);
		const stream = new Stream(name, context, left?.id ?? context.nextId(), left?.position, left?.foreign ?? false);
		this.#open.set(name, stream);
		this.byId.set(stream.id, stream);
		return stream;
	}
}

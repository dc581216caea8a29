/**
 * One stream of one client, however many handles stand for it: where it begins, who consumes it, and where it is.
 */
import type { Consumer, Start } from "./consumer.js";
import { EventListeners, HandlerConsumer } from "./dispatch.js";
import { AgentwireError } from "./errors.js";
import type { AgentEvent, Ended, Gap, Position, Resumed } from "./events.js";
import { gapOf, resumedOf } from "./gap.js";
import { Emitter } from "./listeners.js";
import type { SafePositions } from "./positions.js";
import type { RawGap, RawVerdict } from "./raw.js";
import type { Reporter } from "./report.js";
import type { Supervisor } from "./supervisor.js";

/** Where a stream begins when the page has no position in it. */
export type From = "start" | "live" | { readonly last: number } | Position;

/** Facts about a stream that are not events of it. */
export interface StreamFacts {
	gap: Gap;
	resumed: Resumed;
	ended: Ended;
}

/** What the streams of a client share. */
export interface StreamContext {
	readonly supervisor: Supervisor;
	readonly positions: SafePositions;
	readonly reporter: Reporter;
	/** Every attached consumer of the client, by its id. */
	readonly consumers: Map<number, Consumer>;
	/** Every stream of the client, by its id. */
	readonly streams: Map<number, Stream>;
	/** Draws an id that was never used before: for streams and consumers alike. */
	nextId(): number;
}

export class Stream {
	readonly name: string;
	readonly facts: Emitter<StreamFacts>;
	/** Number of open handles. */
	handles = 0;
	readonly #context: StreamContext;
	readonly #listeners = new EventListeners();
	readonly #consumers = new Set<Consumer>();
	readonly #id: number;
	#from: From | undefined;
	/** Has a consumer begun since the first handle was opened? */
	#started = false;
	#stored = false;
	#position: Position | undefined;
	#handlers: HandlerConsumer | undefined;

	constructor(name: string, context: StreamContext) {
		this.name = name;
		this.#context = context;
		this.#id = context.nextId();
		context.streams.set(this.#id, this);
		this.facts = new Emitter(context.reporter);
	}

	get position(): Position | undefined {
		return this.#position;
	}

	/** Takes the `from` of a handle, unless the stream already has another one (I4). */
	claim(from: From | undefined): void {
		if (from === undefined) return;
		if (this.#from === undefined && !this.#started) {
			this.#from = from;
		} else if (show(from) !== show(this.#from)) {
			const message = `thread ${JSON.stringify(this.name)} is open with from ${show(this.#from)}, not ${show(from)}`;
			throw new AgentwireError("stream_conflict", message);
		}
	}

	/** Adds an event handler; the first one attaches the consumer behind all of them, and the last one detaches it. */
	listen(type: string, handler: (event: AgentEvent) => unknown): () => void {
		const remove = this.#listeners.add(type, handler);
		if (this.#handlers === undefined) {
			const consumer = new HandlerConsumer(this.#context.nextId(), this.#listeners, this.#context.reporter, (gap) => this.facts.emit("gap", gapOf(gap)));
			this.#handlers = consumer;
			this.attach(consumer, undefined);
		}
		return () => {
			if (remove() && this.#listeners.size === 0) this.#dropHandlers();
		};
	}

	has(consumer: Consumer): boolean {
		return this.#consumers.has(consumer);
	}

	/** Attaches a consumer: the first one where the stream begins, a later one where the stream is, or at its own `from`. */
	attach(consumer: Consumer, from: From | undefined): void {
		const begins = !this.#started;
		if (begins) this.#begin(from);
		const start = this.#startOf(begins ? this.#from : from);
		consumer.start = start;
		consumer.epoch = start.epoch ?? this.#position?.epoch;
		consumer.offset = start.offset >= 0 ? start.offset : this.#front()?.offset;
		this.#consumers.add(consumer);
		this.#context.consumers.set(consumer.id, consumer);
		this.#subscribe(consumer, start);
	}

	detach(consumer: Consumer): void {
		if (!this.#consumers.delete(consumer)) return;
		this.#context.consumers.delete(consumer.id);
		this.#context.supervisor.call((raw) => raw.unsubscribe(consumer.id));
		if (this.#consumers.size > 0 || consumer.epoch === undefined || consumer.offset === undefined) return;
		// The core forgets the stream with its last consumer: whoever comes next goes on from here.
		const position = { epoch: consumer.epoch, offset: consumer.offset };
		this.#position = position;
		consumer.afterHandlers(() => this.#context.positions.save(this.name, position));
	}

	handedOver(consumer: Consumer, offset: number): void {
		this.#context.supervisor.call((raw) => raw.handedOver(consumer.id, offset));
	}

	/** The core has moved the stream (or found out where it is). */
	moved(epoch: string, offset: number): void {
		this.#position = { epoch, offset };
		for (const consumer of this.#consumers) {
			if (consumer.epoch !== undefined) continue;
			consumer.epoch = epoch;
			consumer.offset ??= offset;
		}
		this.#context.positions.save(this.name, this.#position);
	}

	gap(consumer: Consumer, gap: RawGap): boolean {
		if (gap.epoch !== undefined) this.#position = { epoch: gap.epoch, offset: gap.next - 1 };
		return consumer.gap(gap);
	}

	resumed(verdict: RawVerdict): void {
		this.facts.emit("resumed", resumedOf(verdict));
	}

	ended(reason: string): void {
		const error = new AgentwireError("stream_ended", `the server ended the subscription of thread ${JSON.stringify(this.name)}: ${reason}`);
		for (const consumer of [...this.#consumers]) if (consumer !== this.#handlers) consumer.end(error);
		this.facts.emit("ended", { reason });
	}

	/** Attaches every consumer to a new core, the one that is furthest ahead first: one that is behind moves only the stream back. */
	resubscribe(): void {
		for (const consumer of this.#consumers) consumer.rewind();
		const ahead = [...this.#consumers].sort((one, other) => (other.offset ?? 0) - (one.offset ?? 0));
		for (const consumer of ahead) {
			const { epoch, offset, start } = consumer;
			const known = epoch !== undefined && offset !== undefined;
			this.#subscribe(consumer, known ? { open: start.open, epoch, offset } : start);
		}
	}

	/** Begins anew if it began at a stored position, which turned out to be another user's. */
	forgetStored(): void {
		if (!this.#stored) return;
		this.#stored = false;
		this.#from = "start";
		const { supervisor, consumers, nextId } = this.#context;
		const former = [...this.#consumers].map((consumer) => consumer.id);
		for (const consumer of this.#consumers) {
			consumers.delete(consumer.id);
			consumer.id = nextId();
			consumers.set(consumer.id, consumer);
			consumer.start = this.#startOf("start");
			consumer.offset = 0;
			consumer.rewind();
			this.#subscribe(consumer, consumer.start);
		}
		// Not before: with its last consumer the stream would be unsubscribed while it is being asked for.
		for (const id of former) supervisor.call((raw) => raw.unsubscribe(id));
	}

	/** The last handle is closed. The next one may begin elsewhere. */
	leave(): void {
		this.#started = false;
		this.#stored = false;
		this.#from = undefined;
	}

	/** Ends every consumer and forgets every handler. */
	close(error: Error | undefined): void {
		for (const consumer of [...this.#consumers]) {
			consumer.end(error);
			this.detach(consumer);
		}
		this.#handlers = undefined;
		this.#listeners.clear();
		this.facts.clear();
	}

	#dropHandlers(): void {
		const consumer = this.#handlers;
		if (consumer === undefined) return;
		this.#handlers = undefined;
		consumer.end();
		this.detach(consumer);
	}

	#begin(from: From | undefined): void {
		this.#started = true;
		const asked = from ?? this.#from;
		const stored = asked === undefined ? this.#context.positions.load(this.name) : undefined;
		this.#stored = stored !== undefined;
		this.#from = asked ?? stored ?? "start";
		if (isAt(this.#from)) this.#position = this.#from;
	}

	/** `from` in the words of the core. A stream that has a position can only begin relative to it. */
	#startOf(from: From | undefined): Start {
		const at = this.#front();
		const open = openOf(from ?? this.#from ?? "start");
		if (from === undefined && at !== undefined) return { open, epoch: at.epoch, offset: at.offset };
		if (from !== undefined && isAt(from)) return { open, epoch: from.epoch, offset: from.offset };
		if (from === undefined || at === undefined || from === "live") return { open, epoch: undefined, offset: -1 };
		return { open, epoch: undefined, offset: from === "start" ? 0 : Math.max(0, at.offset - from.last) };
	}

	/** The last event that any consumer got; without one, where the last one left. */
	#front(): Position | undefined {
		if (this.#position === undefined) return undefined;
		const reached = [...this.#consumers].map((consumer) => consumer.reached ?? 0);
		return { epoch: this.#position.epoch, offset: Math.max(this.#position.offset, ...reached) };
	}

	#subscribe(consumer: Consumer, start: Start): void {
		this.#context.supervisor.call((raw) => raw.subscribe(this.#id, consumer.id, this.name, start.open, start.epoch, start.offset));
	}
}

function isAt(from: From): from is Position {
	return typeof from === "object" && "epoch" in from;
}

function openOf(from: From): number {
	if (from === "live") return -1;
	return typeof from === "object" && "last" in from ? from.last : 0;
}

function show(from: From | undefined): string {
	if (typeof from !== "object") return JSON.stringify(from ?? "start");
	if ("last" in from) return `{ last: ${from.last} }`;
	return `{ epoch: ${JSON.stringify(from.epoch)}, offset: ${from.offset} }`;
}

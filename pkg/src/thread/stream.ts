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
	/** Draws an id that was never used before: for streams and consumers alike. */
	nextId(): number;
}

export class Stream {
	readonly name: string;
	readonly id: number;
	readonly facts: Emitter<StreamFacts>;
	/** Number of open handles. */
	handles = 0;
	readonly #context: StreamContext;
	readonly #listeners = new EventListeners();
	readonly #consumers = new Set<Consumer>();
	/** Those of them that begin so many events before a position which the stream does not have yet; unknown to the core. */
	readonly #waiting = new Map<Consumer, number>();
	/** Those of them that began anew because the stored position turned out to be another user's, until the catch-up is over. */
	readonly #renewed = new Set<Consumer>();
	/** Does the core hold an epoch for it that only another user's position named? Then whoever begins at the start is `#renewed`. */
	#foreign: boolean;
	/** Was a gap not told, because only another user's position made it one? */
	#excused = false;
	/** What a handle named or, where none did, what the first consumer began at. */
	#from: From | undefined;
	/** Has a consumer begun at `#from`? */
	#started = false;
	#stored = false;
	/** Where the core was told to begin when it has no position: 0 the start, -1 live, n the last n events. */
	#opened: number | undefined;
	#position: Position | undefined;
	#handlers: HandlerConsumer | undefined;
	/** While consumers leave together: what the core reported last. */
	#leaving: { reported: Position | undefined } | undefined;

	/** `position`: where this page left the stream before. `foreign`: what the core holds of it is another user's. */
	constructor(name: string, context: StreamContext, id: number, position: Position | undefined, foreign: boolean) {
		this.name = name;
		this.id = id;
		this.#context = context;
		this.#position = position;
		this.#foreign = foreign;
		this.facts = new Emitter(context.reporter);
	}

	get position(): Position | undefined {
		return this.#position;
	}

	get foreign(): boolean {
		return this.#foreign;
	}

	/** Was the core ever asked for it? */
	get asked(): boolean {
		return this.#opened !== undefined;
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

	/** Adds an event handler; the last one that is removed detaches the consumer behind all of them. */
	listen(type: string, handler: (event: AgentEvent) => unknown): () => void {
		const remove = this.#listeners.add(type, handler);
		this.listenAgain();
		return () => {
			if (remove() && this.#listeners.size === 0) this.#dropHandlers();
		};
	}

	/** Attaches the consumer behind the event handlers, if there are any and it is not: it is new, or the server ended it (SUB-11). */
	listenAgain(): void {
		if (this.#handlers !== undefined || this.#listeners.size === 0) return;
		const { nextId, reporter } = this.#context;
		const consumer = new HandlerConsumer(nextId(), this.#listeners, reporter.handlerThrew, (gap) => this.facts.emit("gap", gapOf(gap)));
		this.#handlers = consumer;
		this.attach(consumer, undefined);
	}

	has(consumer: Consumer): boolean {
		return this.#consumers.has(consumer);
	}

	/** Attaches a consumer: at its own `from`, or the first one where the stream begins and a later one where the stream is. */
	attach(consumer: Consumer, own: From | undefined): void {
		let from = own;
		// What a handle named is for those that name nothing themselves.
		if (!this.#started && (own === undefined || this.#from === undefined)) {
			this.#begin(own);
			from = this.#from;
		}
		const start = this.#startOf(from);
		const named = isAt(from ?? this.#from ?? "start");
		if (this.#foreign && !named && typeof start !== "number" && start.offset === 0) this.#renewed.add(consumer);
		if (this.#consumers.size === 0) this.#moveTo(start);
		this.#consumers.add(consumer);
		this.#context.consumers.set(consumer.id, consumer);
		if (typeof start === "number") this.#waiting.set(consumer, start);
		else this.#enter(consumer, start);
	}

	/** Detaches a consumer. */
	detach(consumer: Consumer): void {
		this.together(() => {
			if (!this.#consumers.delete(consumer)) return;
			this.#context.consumers.delete(consumer.id);
			this.#renewed.delete(consumer);
			if (!this.#waiting.delete(consumer)) this.#context.supervisor.call((raw) => raw.unsubscribe(consumer.id));
		});
	}

	/**
	 * Runs `leave`, which detaches consumers. When none of the stream stays, it was left where the slowest of them was,
	 * whichever goes last: what the core says in between counts only when some stay. A place in an epoch that may be another
	 * user's is none.
	 */
	together(leave: () => void): void {
		if (this.#leaving !== undefined || this.#consumers.size === 0) return leave();
		const slowest = this.#slowest();
		const unconfirmed = slowest === undefined ? this.#foreign : this.#isUnconfirmed(slowest);
		const leaving: { reported: Position | undefined } = { reported: undefined };
		this.#leaving = leaving;
		try {
			leave();
		} finally {
			this.#leaving = undefined;
		}
		if (this.#consumers.size === 0) {
			if (unconfirmed) this.#position = undefined;
			else this.#left(slowest);
			return;
		}
		if (leaving.reported !== undefined) this.moved(leaving.reported.epoch, leaving.reported.offset);
		this.#promote();
	}

	handedOver(consumer: Consumer, offset: number): void {
		this.#context.supervisor.call((raw) => raw.handedOver(consumer.id, offset));
	}

	/** The core has moved the stream (or found out where it is). */
	moved(epoch: string, offset: number): void {
		const position = { epoch, offset };
		if (this.#leaving !== undefined) {
			this.#leaving.reported = position;
			return;
		}
		// Whoever the core speaks of has left, and with the last one it was settled where the stream is.
		if (this.#consumers.size === 0) return;
		this.#position = position;
		this.#enterWaiting();
		// The epoch may still be the one that another user's position named.
		if (this.#renewed.size === 0 || offset > 0) this.#context.positions.save(this.name, position);
	}

	gap(consumer: Consumer, gap: RawGap): boolean {
		const { epoch, next } = gap;
		if (epoch === undefined) return consumer.gap(gap);
		this.#position = { epoch, offset: next - 1 };
		if (!this.#renewed.delete(consumer) || (consumer.reached ?? 0) > 0) return consumer.gap(gap);
		// It lost nothing of an epoch that only another user's position named; it begins with this one.
		this.#excused = true;
		consumer.epoch = epoch;
		consumer.offset = 0;
		return next === 1 || consumer.gap({ from: 1, to: next - 1, reason: "trimmed", epoch: undefined, next });
	}

	resumed(verdict: RawVerdict): void {
		if (this.#renewed.size > 0 && this.#position !== undefined) this.#context.positions.save(this.name, this.#position);
		this.#renewed.clear();
		this.#foreign = false;
		const excused = this.#excused;
		this.#excused = false;
		this.facts.emit("resumed", resumedOf(excused ? { ...verdict, recovered: true, gap: undefined } : verdict));
	}

	/** Ends every consumer. Whoever comes next has the server asked again (SUB-11). */
	ended(reason: string): void {
		const error = new AgentwireError("stream_ended", `the server ended the subscription of thread ${JSON.stringify(this.name)}: ${reason}`);
		const unheard = this.#handlers !== undefined && !this.facts.has("ended");
		this.#endAll(error);
		this.facts.emit("ended", { reason });
		// An iterator has it as its rejection.
		if (unheard) this.#context.reporter.error(error);
	}

	/**
	 * Attaches every consumer to a new core. Those of the present epoch come first: the epoch of the first one is what the
	 * core asks for. Of them the one that is furthest ahead: one that is behind moves only the stream back.
	 */
	resubscribe(): void {
		for (const consumer of this.#consumers) consumer.rewind();
		const present = this.#position?.epoch;
		const rank = (consumer: Consumer): number => (this.#placeOf(consumer)?.epoch === present ? 0 : 1);
		const offset = (consumer: Consumer): number => this.#placeOf(consumer)?.offset ?? 0;
		const ordered = [...this.#consumers].filter((consumer) => !this.#waiting.has(consumer));
		ordered.sort((one, other) => rank(one) - rank(other) || offset(other) - offset(one));
		this.#opened = ordered[0]?.start.open ?? this.#opened;
		for (const consumer of ordered) {
			const at = this.#placeOf(consumer);
			// Of one that is attached with a position the core tells nothing more.
			consumer.epoch = at?.epoch;
			consumer.offset = at?.offset;
			this.#subscribe(consumer, at === undefined ? consumer.start : { open: consumer.start.open, ...at });
		}
	}

	/** Begins anew if it began at a stored position, which turned out to be another user's. */
	forgetStored(): void {
		if (this.#consumers.size === 0) {
			this.#foreign ||= this.#position !== undefined;
			this.#position = undefined;
		}
		if (!this.#stored) return;
		this.#stored = false;
		this.#foreign = true;
		this.#from = "start";
		this.#moveTo(BEGINNING);
		const { supervisor, consumers, nextId } = this.#context;
		const former = [...this.#consumers].filter((consumer) => !this.#waiting.has(consumer)).map((consumer) => consumer.id);
		this.#waiting.clear();
		for (const consumer of this.#consumers) {
			consumers.delete(consumer.id);
			consumer.id = nextId();
			consumers.set(consumer.id, consumer);
			consumer.rewind();
			this.#renewed.add(consumer);
			this.#enter(consumer, BEGINNING);
		}
		// Not before: with its last consumer the stream would be unsubscribed while it is being asked for.
		for (const id of former) supervisor.call((raw) => raw.unsubscribe(id));
	}

	/** Ends every consumer and forgets every handler. */
	close(error: Error | undefined): void {
		this.#endAll(error);
		this.#listeners.clear();
		this.facts.clear();
	}

	#endAll(error: Error | undefined): void {
		this.together(() => {
			for (const consumer of [...this.#consumers]) {
				consumer.end(error);
				this.detach(consumer);
			}
		});
		this.#handlers = undefined;
	}

	#dropHandlers(): void {
		const consumer = this.#handlers;
		if (consumer === undefined) return;
		this.#handlers = undefined;
		consumer.end();
		this.detach(consumer);
	}

	#begin(own: From | undefined): void {
		this.#started = true;
		const asked = this.#from ?? own;
		// Where this page left the stream is what was stored last, or is about to be.
		const stored = asked === undefined && this.#context.positions.kept ? (this.#position ?? this.#context.positions.load(this.name)) : undefined;
		this.#stored = stored !== undefined;
		this.#from = asked ?? stored ?? "start";
	}

	/** The stream is where its only consumer begins, as far as that is known. */
	#moveTo(start: Start | number): void {
		if (typeof start === "number" || start.offset < 0) return;
		const epoch = start.epoch ?? this.#position?.epoch;
		if (epoch !== undefined) this.#position = { epoch, offset: start.offset };
	}

	/** `from` in the words of the core; or how many events before a position that the stream does not have yet. */
	#startOf(from: From | undefined): Start | number {
		const at = this.#front();
		const asked = from ?? this.#from ?? "start";
		// What says where all begin that have no `from` of their own is left to them.
		const open = openOf(asked === "start" ? (this.#from ?? asked) : asked);
		// While nobody consumes the stream, live is where it was left: what came meanwhile is owed (SUB-9).
		const goesOn = from === undefined || (from === "live" && this.#consumers.size === 0);
		if (goesOn && at !== undefined) return { open, epoch: at.epoch, offset: at.offset };
		if (asked === "start") return { ...BEGINNING, open };
		if (asked === "live") return { open, epoch: undefined, offset: -1 };
		if (isAt(asked)) return { open, epoch: asked.epoch, offset: asked.offset };
		if (at !== undefined) return { open, epoch: undefined, offset: Math.max(0, at.offset - asked.last) };
		return this.#consumers.size === 0 || this.#opened === open ? { open, epoch: undefined, offset: -1 } : asked.last;
	}

	/** The last event of the present epoch that any consumer got; without one, where the last one left. */
	#front(): Position | undefined {
		if (this.#position === undefined) return undefined;
		const { epoch } = this.#position;
		const present = [...this.#consumers].filter((consumer) => consumer.epoch === epoch);
		return { epoch, offset: Math.max(this.#position.offset, ...present.map((consumer) => consumer.reached ?? 0)) };
	}

	/** Where a consumer is, or where the core would place it now, as far as that is known here. */
	#placeOf({ epoch, offset, start }: Consumer): Position | undefined {
		if (epoch !== undefined && offset !== undefined) return { epoch, offset };
		return start.offset < 0 || this.#position === undefined ? undefined : { epoch: this.#position.epoch, offset: start.offset };
	}

	/** Is it in an epoch that may be another user's? */
	#isUnconfirmed(consumer: Consumer): boolean {
		return this.#renewed.has(consumer) && (consumer.offset ?? 0) === 0;
	}

	/** The consumer that has least. One that did not take note of the end of its epoch is behind all that did. */
	#slowest(): Consumer | undefined {
		const known: { consumer: Consumer; at: Position }[] = [];
		for (const consumer of this.#consumers) {
			const at = this.#waiting.has(consumer) ? undefined : this.#placeOf(consumer);
			if (at !== undefined) known.push({ consumer, at });
		}
		const behind = known.filter(({ at }) => at.epoch !== this.#position?.epoch);
		const candidates = behind.length > 0 ? behind : known;
		return candidates.sort((one, other) => one.at.offset - other.at.offset)[0]?.consumer;
	}

	/** Nobody is left: whoever comes next goes on from where `slowest` is. */
	#left(slowest: Consumer | undefined): void {
		const position = slowest && this.#placeOf(slowest);
		if (slowest === undefined || position === undefined) return;
		this.#position = position;
		slowest.afterHandlers(() => this.#context.positions.save(this.name, position));
	}

	/** Begins with one of those that wait for a position, when nobody else is there to bring it about. */
	#promote(): void {
		const [first] = this.#waiting;
		if (first === undefined || this.#waiting.size < this.#consumers.size) return;
		const [consumer, last] = first;
		this.#waiting.delete(consumer);
		this.#opened = last;
		this.#enter(consumer, { open: last, epoch: undefined, offset: -1 });
	}

	#enterWaiting(): void {
		const waiting = [...this.#waiting];
		this.#waiting.clear();
		for (const [consumer, last] of waiting) {
			const start = this.#startOf({ last });
			if (typeof start !== "number") this.#enter(consumer, start);
		}
	}

	#enter(consumer: Consumer, start: Start): void {
		consumer.start = start;
		// Without an epoch, the core says where that is.
		consumer.epoch = start.epoch;
		consumer.offset = start.epoch === undefined ? undefined : start.offset;
		if (this.#opened === undefined || this.#consumers.size === 1) this.#opened = start.open;
		this.#subscribe(consumer, start);
	}

	#subscribe(consumer: Consumer, start: Start): void {
		this.#context.supervisor.call((raw) => raw.subscribe(this.id, consumer.id, this.name, start.open, start.epoch, start.offset));
	}
}

/** The start of a stream, whatever it is. */
const BEGINNING: Start = { open: 0, epoch: undefined, offset: 0 };

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

/**
 * One stream of one client, however many handles stand for it: where it begins, who consumes it, and where it is.
 */
import type { RawGap, RawOpen } from "../core/raw.js";
import type { Start, Supervisor } from "../core/supervisor.js";
import { AgentwireError } from "../shared/errors.js";
import { emit, Listeners, type Unsubscribe } from "../shared/listeners.js";
import type { Reporter } from "../shared/report.js";
import { at, type Consumer } from "./consumer.js";
import type { Ended } from "./facts.js";
import { type From, isSameFrom, openOf, showFrom } from "./from.js";
import { HandlerConsumer } from "./handlers.js";
import { ThreadListeners } from "./listening.js";
import type { Position } from "./position.js";
import type { BatchHandler } from "./thread.js";

/** A consumer and the stream that it belongs to. */
export interface Seat {
	readonly consumer: Consumer;
	readonly stream: Stream;
}

/** Handlers that are one consumer together. */
interface Follower {
	readonly listeners: ThreadListeners;
	/** Where it begins, if not where the stream is. */
	readonly from: From | undefined;
	consumer: HandlerConsumer | undefined;
	/** Where it was when the server ended the thread: it goes on there, whoever comes with it. */
	left: Position | undefined;
}

/** What the streams of a client share. */
export interface StreamContext {
	readonly supervisor: Supervisor;
	readonly reporter: Reporter;
	/** Every attached consumer of the client, by its id. */
	readonly seats: Map<number, Seat>;
	/** Draws an id that was never used before: for streams and consumers alike. */
	nextId(): number;
}

export class Stream {
	readonly name: string;
	readonly id: number;
	readonly listeners: ThreadListeners = new ThreadListeners();
	readonly endings: Listeners<(ended: Ended) => unknown> = new Listeners();
	/** Number of open handles. */
	handles = 0;
	readonly #context: StreamContext;
	readonly #consumers = new Set<Consumer>();
	/** Consumers that begin so many events (the value) before a place that is not known yet. The core does not know of them until it is. */
	readonly #waiting = new Map<Consumer, number>();
	/** What a handle named or, where none did, what the first consumer began at. */
	#from: From | undefined;
	/** Has a consumer begun at `#from`? */
	#started = false;
	/** Where the core begins when it has no position. */
	#opened: RawOpen | undefined;
	/** The present epoch, as far as the core has said. */
	#epoch: string | undefined;
	/** Every epoch that a consumer was in, in the order in which the server named them. */
	#epochs: string[] = [];
	/** Where the slowest consumer was when the last ones left. */
	#left: Position | undefined;
	/** All handlers of the thread together. */
	readonly #handlers: Follower = { listeners: this.listeners, from: undefined, consumer: undefined, left: undefined };
	/** They, and those that follow the thread alone. */
	readonly #followers = new Set([this.#handlers]);
	/** Are consumers leaving together? */
	#leaving = false;

	constructor(name: string, context: StreamContext) {
		this.name = name;
		this.id = context.nextId();
		this.#context = context;
	}

	/** Where the slowest consumer is, or where the stream was left. */
	get position(): Position | undefined {
		if (this.#consumers.size === 0) return this.#left;
		return this.#slowest((consumer) => consumer.delivered ?? this.#placeOf(consumer));
	}

	/** Does anybody get its events? */
	get isConsumed(): boolean {
		return this.#consumers.size > 0;
	}

	/** Was the core ever asked for it? */
	get asked(): boolean {
		return this.#opened !== undefined;
	}

	/** Takes the `from` of a handle. Throws `stream_conflict` when the stream has another one (I4). */
	claim(from: From | undefined): void {
		if (from === undefined) return;
		const present = this.#from ?? "start";
		if (this.#from === undefined && !this.#started) {
			this.#from = from;
		} else if (!isSameFrom(from, present)) {
			const message = `thread ${JSON.stringify(this.name)} is open with from ${showFrom(present)}, not ${showFrom(from)}`;
			throw new AgentwireError("stream_conflict", message);
		}
	}

	/** The last handle is gone: the next one may name another `from`. Where the stream was left stays. */
	release(): void {
		this.#from = undefined;
		this.#started = false;
	}

	// --- consumers come and go ---

	/** Adds a handler by `add`. The last one that is removed detaches the consumer behind all of them. */
	listen(add: (listeners: ThreadListeners) => () => void): Unsubscribe {
		const remove = add(this.listeners);
		this.listenAgain();
		return () => {
			remove();
			if (this.listeners.isEmpty) this.#drop(this.#handlers);
		};
	}

	/** Adds a handler of batches. */
	listenToBatches(handler: BatchHandler): Unsubscribe {
		return this.listen((listeners) => {
			const entry = listeners.batches.add(handler);
			this.#handlers.consumer?.noteBatch(entry);
			return () => listeners.batches.remove(entry);
		});
	}

	/** Attaches a consumer behind these handlers alone: from `from`, or from where the stream began. */
	follow(listeners: ThreadListeners, from: From | undefined): Unsubscribe {
		const follower: Follower = { listeners, from: from ?? this.#from ?? "start", consumer: undefined, left: undefined };
		this.#followers.add(follower);
		this.listenAgain();
		return () => {
			this.#followers.delete(follower);
			this.#drop(follower);
		};
	}

	/** Attaches the consumers behind handlers that are not: they are new, or the server ended them (SUB-11). */
	listenAgain(): void {
		const { nextId, reporter } = this.#context;
		const isAlone = (): boolean => this.#consumers.size === 1;
		for (const follower of this.#followers) {
			const { listeners, from, left } = follower;
			if (follower.consumer !== undefined || listeners.isEmpty) continue;
			follower.consumer = new HandlerConsumer(nextId(), listeners, isAlone, reporter.handlerThrew);
			follower.left = undefined;
			this.attach(follower.consumer, from, left);
		}
	}

	/**
	 * Attaches a consumer: at its own `from`, or the first one where the stream begins and a later one where the stream is. One that
	 * goes on after the server ended the thread goes on at its `place`.
	 */
	attach(consumer: Consumer, own: From | undefined, place?: Position | undefined): void {
		let from = own;
		// What a handle named is for those that name nothing themselves.
		if (!this.#started && (own === undefined || this.#from === undefined)) {
			this.#started = true;
			this.#from ??= own ?? "start";
			from = this.#from;
		}
		const start = this.#startOf(from, place);
		this.#consumers.add(consumer);
		this.#context.seats.set(consumer.id, { consumer, stream: this });
		if (typeof start === "number") {
			this.#waiting.set(consumer, start);
			if ([...this.#consumers].some((other) => other !== consumer && other.epoch !== undefined)) this.#enterWaiting();
		} else this.#enter(consumer, start);
	}

	/** Detaches a consumer. */
	detach(consumer: Consumer): void {
		this.together(() => {
			if (!this.#consumers.delete(consumer)) return;
			this.#context.seats.delete(consumer.id);
			if (!this.#waiting.delete(consumer)) this.#context.supervisor.call((raw) => raw.unsubscribe(consumer.id));
		});
	}

	/** Runs `leave`, which detaches consumers. When none stays, the stream was left where the slowest of them was, whichever goes last. */
	together(leave: () => void): void {
		if (this.#leaving || this.#consumers.size === 0) return leave();
		const slowest = this.#slowest((consumer) => this.#placeOf(consumer));
		this.#leaving = true;
		try {
			leave();
		} finally {
			this.#leaving = false;
		}
		if (this.#consumers.size > 0) this.#enterWaiting();
		else this.#left = slowest ?? this.#left;
	}

	/** Ends the iterators: the client has failed. What the handlers have stays, for a client that connects again. */
	fail(error: Error): void {
		this.together(() => {
			for (const consumer of [...this.#consumers]) {
				if (consumer instanceof HandlerConsumer) continue;
				consumer.end(error);
				this.detach(consumer);
			}
		});
	}

	/** Ends every consumer and forgets every handler. */
	close(error: Error | undefined): void {
		this.#endAll(error);
		for (const { listeners } of this.#followers) listeners.clear();
		this.endings.clear();
	}

	// --- what the core says ---

	/** A consumer that began without an epoch is here. */
	placed(consumer: Consumer, epoch: string, offset: number): void {
		consumer.epoch = epoch;
		consumer.offset = offset;
		this.#enterEpoch(epoch);
		this.#enterWaiting();
	}

	gap(consumer: Consumer, gap: RawGap): boolean {
		if (gap.epoch !== undefined) this.#enterEpoch(gap.epoch);
		return consumer.gap(gap);
	}

	/** The server ended the subscription: ends every consumer. Whoever comes next has it asked again (SUB-11). */
	ended(reason: string): void {
		if (this.#consumers.size === 0) return;
		const { reporter } = this.#context;
		const error = new AgentwireError("stream_ended", `the server ended the subscription of thread ${JSON.stringify(this.name)}: ${reason}`);
		const listeners = this.endings.list;
		const unheard = this.#handlers.consumer !== undefined && listeners.length === 0;
		for (const follower of this.#followers) follower.left = follower.consumer?.delivered;
		this.#endAll(error);
		emit(listeners, { reason, position: this.position }, reporter.handlerThrew);
		// An iterator has it as its rejection.
		if (unheard) reporter.error(error);
	}

	/**
	 * Attaches every consumer to a new core. Those of the present epoch come first: the epoch of the first one is what the
	 * core asks for. Of them the one that is furthest ahead: one that is behind moves only the stream back.
	 */
	resubscribe(): void {
		for (const consumer of this.#consumers) consumer.rewind();
		const rank = ({ epoch }: Consumer): number => (epoch !== undefined && epoch === this.#epoch ? 0 : 1);
		const ordered = [...this.#consumers].filter((consumer) => !this.#waiting.has(consumer));
		ordered.sort((one, other) => rank(one) - rank(other) || (other.offset ?? 0) - (one.offset ?? 0));
		this.#opened = ordered[0]?.start.open ?? this.#opened;
		for (const consumer of ordered) {
			const place = at(consumer.epoch, consumer.offset);
			this.#subscribe(consumer, place === undefined ? consumer.start : { open: consumer.start.open, ...place });
		}
	}

	#endAll(error: Error | undefined): void {
		this.together(() => {
			for (const consumer of [...this.#consumers]) {
				consumer.end(error);
				this.detach(consumer);
			}
		});
		for (const follower of this.#followers) follower.consumer = undefined;
	}

	#drop(follower: Follower): void {
		const { consumer } = follower;
		follower.consumer = undefined;
		follower.left = undefined;
		if (consumer === undefined) return;
		consumer.end();
		this.detach(consumer);
	}

	// --- where things are ---

	/** `from` in the words of the core; or how many events before a place that is not known yet. */
	#startOf(from: From | undefined, place?: Position | undefined): Start | number {
		const front = place ?? this.#front();
		const asked = from ?? this.#from ?? "start";
		// `open` also says where consumers without a `from` of their own begin: another one's "start" does not change it.
		const open = openOf(asked === "start" ? (this.#from ?? asked) : asked);
		// While nobody consumes the stream, live is where it was left: what came meanwhile is owed (SUB-9).
		const goesOn = place !== undefined || from === undefined || (from === "live" && this.#consumers.size === 0);
		if (goesOn && front !== undefined) return { open, ...front };
		if (asked === "start") return { open, epoch: undefined, offset: 0 };
		if (asked === "live") return { open, epoch: undefined, offset: -1 };
		if ("epoch" in asked) return { open, epoch: asked.epoch, offset: asked.offset };
		if (front !== undefined) return { open, epoch: front.epoch, offset: Math.max(0, front.offset - asked.last) };
		return this.#consumers.size === 0 || this.#opened === open ? { open, epoch: undefined, offset: -1 } : asked.last;
	}

	/** The last event of the present epoch that the core brought to any consumer; without consumers, where the last one left. */
	#front(): Position | undefined {
		if (this.#consumers.size === 0) return this.#left;
		let furthest: Position | undefined;
		for (const { front } of this.#consumers) {
			if (front !== undefined && front.epoch === this.#epoch && front.offset >= (furthest?.offset ?? 0)) furthest = front;
		}
		return furthest;
	}

	/** Where a consumer is, or where the core would place it now, as far as that is known here. */
	#placeOf({ epoch, offset, start }: Consumer): Position | undefined {
		return at(epoch, offset) ?? (start.offset < 0 ? undefined : at(this.#epoch, start.offset));
	}

	/** Where the consumer is that has least. One that is still in an earlier epoch is behind all others. */
	#slowest(placeOf: (consumer: Consumer) => Position | undefined): Position | undefined {
		let slowest: Position | undefined;
		for (const consumer of this.#consumers) {
			const place = this.#waiting.has(consumer) ? undefined : placeOf(consumer);
			if (place !== undefined && (slowest === undefined || this.#isBehind(place, slowest))) slowest = place;
		}
		return slowest;
	}

	#isBehind(one: Position, other: Position): boolean {
		const [first, second] = [this.#epochs.indexOf(one.epoch), this.#epochs.indexOf(other.epoch)];
		return first === second ? one.offset < other.offset : first < second;
	}

	// --- to the core ---

	/** Begins with those that wait for a place as soon as everybody else has one; when nobody else is there, with the first of them. */
	#enterWaiting(): void {
		if (this.#waiting.size === 0) return;
		const others = [...this.#consumers].filter((consumer) => !this.#waiting.has(consumer));
		if (others.some(({ epoch }) => epoch === undefined)) return;
		const waiting = [...this.#waiting];
		if (others.length === 0) waiting.length = 1;
		for (const [consumer, last] of waiting) {
			this.#waiting.delete(consumer);
			const front = others.length === 0 ? this.#left : this.#front();
			const offset = front === undefined ? -1 : Math.max(0, front.offset - last);
			this.#enter(consumer, { open: last, epoch: front?.epoch, offset });
		}
	}

	#enter(consumer: Consumer, start: Start): void {
		consumer.start = start;
		// Without an epoch, the core says where that is.
		consumer.epoch = start.epoch;
		consumer.offset = start.epoch === undefined ? undefined : start.offset;
		if (start.epoch !== undefined) this.#bringEpoch(start.epoch);
		if (this.#opened === undefined || this.#consumers.size === 1) this.#opened = start.open;
		this.#subscribe(consumer, start);
	}

	#enterEpoch(epoch: string): void {
		this.#epoch = epoch;
		if (!this.#epochs.includes(epoch)) this.#epochs.push(epoch);
	}

	/** Takes an epoch that a consumer brings: it came before the present one, unless nobody else is there to say which one is. */
	#bringEpoch(epoch: string): void {
		if (this.#consumers.size === 1) this.#enterEpoch(epoch);
		else if (!this.#epochs.includes(epoch)) this.#epochs.unshift(epoch);
	}

	#subscribe(consumer: Consumer, start: Start): void {
		this.#context.supervisor.subscribe(this.id, consumer.id, this.name, start, consumer.maxQueued);
	}
}

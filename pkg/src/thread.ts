/** A handle of a thread: what the application holds. Several handles of one name share the stream. */
import type { Consumer } from "./consumer.js";
import { AgentwireError } from "./errors.js";
import type { AgentEvent, Decision, EventOf, EventType, OtherEvent, Position, ThreadItem } from "./events.js";
import { ThreadIterator } from "./iterator.js";
import { bound, type ListenOptions, type Unsubscribe } from "./listeners.js";
import { type Message, type MessageContent, PendingMessage, type SendOptions } from "./message.js";
import { checkId, randomId } from "./names.js";
import { fields, integer, refuse } from "./options.js";
import type { Outbox } from "./outbox.js";
import { isPosition } from "./positions.js";
import { signalOf } from "./signal.js";
import type { From, Stream, StreamContext, StreamFacts } from "./stream.js";

/** How to open a thread. */
export interface ThreadOptions {
	/**
	 * Where to begin: `"start"`, `"live"`, `{ last: n }` (n from 1 to 100,000) or after a position.
	 *
	 * A thread that is closed and opened again begins anew in the same way, except that `"live"` and `{ last: n }` count from
	 * where this page left it: what came meanwhile is included.
	 *
	 * @default the position that `positions` holds of this thread, else `"start"`
	 */
	readonly from?: From | undefined;
}

/** How to iterate. */
export interface EventsOptions {
	/** Ends the iteration: the pending `next()` rejects with the signal's reason. */
	readonly signal?: AbortSignal | undefined;
	/**
	 * Where to begin, when not at the thread's position. While others consume the thread already, `"live"` is what comes to it next,
	 * and `{ last: n }` counts back from the furthest that one of them is: as soon as it is known, before the first connection.
	 */
	readonly from?: From | undefined;
}

/** The answer to a cancel. The run itself ends in `agent_cancelled`. */
export type CancelOutcome = "cancelled" | "already_finished" | "unknown_run";

/** The answer to an approval. The first answer of any device wins. */
export type ApproveOutcome = "accepted" | "already_resolved" | "unknown_approval";

/** One conversation. */
export interface Thread {
	readonly name: string;
	/** The last event that every consumer of the thread got. */
	readonly position: Position | undefined;
	/** Calls the handler with each event of the type, in order. What it returns is not awaited. */
	on<T extends EventType>(type: T, handler: (event: EventOf<T>) => void, options?: ListenOptions): Unsubscribe;
	/** Calls the handler with each event of every type, after the handlers of its own type. */
	on(type: "event", handler: (event: AgentEvent) => void, options?: ListenOptions): Unsubscribe;
	/**
	 * Calls the handler with facts about the thread: `gap` (offsets that will never come, told to those who have event
	 * handlers; an iterator yields its gaps), `resumed` (a catch-up is complete), `ended` (the server ended the subscription: it
	 * is asked again with the next handler, iterator or `client.thread`; without a handler of `ended`, those of events have it reported
	 * as the error `stream_ended`).
	 */
	on<K extends keyof StreamFacts>(type: K, handler: (fact: StreamFacts[K]) => void, options?: ListenOptions): Unsubscribe;
	/** Calls the handler with each event of a type that is not in `EventMap`. */
	on(type: string & Record<never, never>, handler: (event: OtherEvent) => void, options?: ListenOptions): Unsubscribe;
	/** Iterates over events, with gaps in their places. It attaches with the first `next()`. */
	events(options?: EventsOptions): AsyncIterableIterator<ThreadItem, undefined, undefined>;
	/** Sends a message; offline, it waits. Throws `invalid_message`, `invalid_option` and `closed`. */
	send(content: MessageContent, options?: SendOptions): Message;
	/** Asks to end a run. */
	cancel(runId: string): Promise<CancelOutcome>;
	/** Decides what an `approval_requested` asked. */
	approve(approvalId: string, decision: Decision): Promise<ApproveOutcome>;
	/**
	 * Tells the other pages in the thread something of the moment (such as typing); it is never stored and may be lost. Its
	 * `type` has 1 to 64 bytes and its JSON at most 4,096. Throws `invalid_message` and `message_too_large`.
	 */
	signal(signal: { readonly type: string; readonly [field: string]: unknown }): void;
	/** Ends the handlers and iterators of this handle. With the last handle the thread is unsubscribed, and stored as far as its slowest consumer got. */
	close(): void;
}

const FACTS: ReadonlySet<string> = new Set<keyof StreamFacts>(["gap", "resumed", "ended"]);

function isFact(type: string): type is keyof StreamFacts {
	return FACTS.has(type);
}

export class ThreadHandle implements Thread {
	readonly #stream: Stream;
	readonly #context: StreamContext;
	readonly #outbox: Outbox;
	readonly #onClose: () => void;
	readonly #open = new Set<Unsubscribe>();
	readonly #iterators = new Set<Consumer>();
	#closed = false;

	constructor(stream: Stream, context: StreamContext, outbox: Outbox, onClose: () => void) {
		this.#stream = stream;
		this.#context = context;
		this.#outbox = outbox;
		this.#onClose = onClose;
	}

	get name(): string {
		return this.#stream.name;
	}

	get position(): Position | undefined {
		return this.#stream.position;
	}

	on(type: string, handler: (value: never) => void, options: ListenOptions = {}): Unsubscribe {
		this.#check();
		if (typeof type !== "string") refuse("type", type, "a text");
		if (typeof handler !== "function") refuse("handler", handler, "a function");
		if (options.signal?.aborted === true) return () => undefined;
		// The overloads of `Thread` tie each type to what its handler takes.
		const listener = handler as (value: unknown) => void;
		const remove = isFact(type) ? this.#stream.facts.on(type, listener) : this.#stream.listen(type, listener);
		const off = bound(() => {
			this.#open.delete(off);
			remove();
		}, options.signal);
		this.#open.add(off);
		return off;
	}

	events(options: EventsOptions = {}): AsyncIterableIterator<ThreadItem, undefined, undefined> {
		this.#check();
		fields("events options", options, ["signal", "from"]);
		const from = options.from === undefined ? undefined : checkFrom(options.from);
		const stream = this.#stream;
		const iterator = new ThreadIterator(
			this.#context.nextId(),
			{
				attach: (consumer) => stream.attach(consumer, from),
				detach: (consumer) => {
					this.#iterators.delete(consumer);
					stream.detach(consumer);
				},
				handedOver: (consumer, offset) => stream.handedOver(consumer, offset),
			},
			options.signal,
		);
		if (options.signal?.aborted !== true) this.#iterators.add(iterator);
		return iterator;
	}

	send(content: MessageContent, options: SendOptions = {}): Message {
		this.#check();
		fields("send options", options, ["id", "signal"]);
		return new PendingMessage(this.#outbox, this.#context.reporter, this.name, content, options);
	}

	async cancel(runId: string): Promise<CancelOutcome> {
		this.#check();
		const receipt = await this.#outbox.send(1, randomId(), this.name, { runId: checkId("runId", runId) });
		return oneOf<CancelOutcome>(receipt.status, ["cancelled", "already_finished", "unknown_run"]);
	}

	async approve(approvalId: string, decision: Decision): Promise<ApproveOutcome> {
		this.#check();
		if (decision !== "approved" && decision !== "denied") refuse("decision", decision, '"approved" or "denied"');
		const receipt = await this.#outbox.send(2, randomId(), this.name, { approvalId: checkId("approvalId", approvalId), decision });
		return oneOf<ApproveOutcome>(receipt.status, ["accepted", "already_resolved", "unknown_approval"]);
	}

	signal(signal: { readonly type: string; readonly [field: string]: unknown }): void {
		this.#check();
		const body = signalOf(signal);
		this.#context.supervisor.call((raw) => raw.signal(this.name, body));
	}

	close(): void {
		if (this.#closed) return;
		this.#closed = true;
		this.#stream.together(() => {
			for (const off of [...this.#open]) off();
			for (const iterator of [...this.#iterators]) iterator.end(undefined);
		});
		this.#onClose();
	}

	#check(): void {
		if (this.#closed) throw new AgentwireError("closed", `thread ${JSON.stringify(this.name)} was closed`);
	}
}

function oneOf<T extends string>(status: string, known: readonly T[]): T {
	const found = known.find((word) => word === status);
	if (found === undefined) throw new AgentwireError("internal", `the server answered with the unknown status ${JSON.stringify(status)}`);
	return found;
}

/** Checks a `from`. */
export function checkFrom(from: unknown): From {
	if (from === "start" || from === "live" || isPosition(from)) return from;
	if (typeof from === "object" && from !== null && "last" in from) return { last: integer("from.last", from.last, 1, 100_000) };
	return refuse("from", from, '"start", "live", { last: n } or a position { epoch, offset }');
}

/** A handle of a thread: what the application holds. Several handles of one name share the stream. */
import type { Supervisor } from "../core/supervisor.js";
import { type MessageContent, snapshot } from "../sends/content.js";
import type { Message, SendOptions } from "../sends/message.js";
import { type MessageContext, SentMessage } from "../sends/sent.js";
import { signalOf } from "../sends/signal.js";
import { abortSignal, fields, integer, refuse } from "../shared/check.js";
import { AgentwireError } from "../shared/errors.js";
import { bound, checkListener, type ListenOptions, type Unsubscribe } from "../shared/listeners.js";
import { checkId, randomId } from "../shared/names.js";
import type { Consumer } from "./consumer.js";
import type { Decision } from "./events.js";
import type { Ended, Gap, Resumed, ThreadItem } from "./facts.js";
import { checkFrom, type From } from "./from.js";
import { ThreadIterator } from "./iterator.js";
import type { Position } from "./position.js";
import type { Stream } from "./stream.js";
import type { ApproveOutcome, BatchHandler, CancelOutcome, EventHandler, EventsOptions, Thread } from "./thread.js";

/** What a handle needs of its client. */
export interface HandleContext extends MessageContext {
	readonly supervisor: Supervisor;
	nextId(): number;
	/** Why an iterator gets nothing any more: set once the client is closed (without an error) or has failed. */
	readonly over: { readonly error: Error | undefined } | undefined;
}

export class ThreadHandle implements Thread {
	readonly #stream: Stream;
	readonly #context: HandleContext;
	readonly #onClose: () => void;
	readonly #open = new Set<Unsubscribe>();
	readonly #iterators = new Set<Consumer>();
	#closed = false;

	constructor(stream: Stream, context: HandleContext, onClose: () => void) {
		this.#stream = stream;
		this.#context = context;
		this.#onClose = onClose;
	}

	get name(): string {
		return this.#stream.name;
	}

	get position(): Position | undefined {
		return this.#stream.position;
	}

	on(type: string, handler: EventHandler<never>, options: ListenOptions = {}): Unsubscribe {
		if (typeof type !== "string") refuse("type", type, "a text");
		// The overloads of `Thread` tie each type to the event that its handler takes.
		return this.#listen(handler, options, () => this.#stream.listen((listeners) => listeners.addTyped(type, handler as EventHandler)));
	}

	onEvent(handler: EventHandler, options: ListenOptions = {}): Unsubscribe {
		return this.#listen(handler, options, () => this.#stream.listen((listeners) => listeners.addTo(listeners.every, handler)));
	}

	onBatch(handler: BatchHandler, options: ListenOptions = {}): Unsubscribe {
		return this.#listen(handler, options, () => this.#stream.listenToBatches(handler));
	}

	onGap(handler: (gap: Gap) => unknown, options: ListenOptions = {}): Unsubscribe {
		return this.#listen(handler, options, () => this.#stream.listen((listeners) => listeners.addTo(listeners.gaps, handler)));
	}

	onResumed(handler: (resumed: Resumed) => unknown, options: ListenOptions = {}): Unsubscribe {
		return this.#listen(handler, options, () => this.#stream.listen((listeners) => listeners.addTo(listeners.resumes, handler)));
	}

	onEnded(handler: (ended: Ended) => unknown, options: ListenOptions = {}): Unsubscribe {
		return this.#listen(handler, options, () => {
			const entry = this.#stream.endings.add(handler);
			return () => this.#stream.endings.remove(entry);
		});
	}

	events(options: EventsOptions = {}): AsyncIterableIterator<ThreadItem, undefined, undefined> {
		this.#check();
		fields("events options", options, ["signal", "from", "maxQueued"]);
		const from = options.from === undefined ? undefined : checkFrom(options.from);
		const maxQueued = integer("maxQueued", options.maxQueued, 1, 65_536, 1_024);
		const signal = abortSignal(options.signal);
		const stream = this.#stream;
		const iterator = new ThreadIterator(
			this.#context.nextId(),
			{
				attach: (consumer) => this.#attach(consumer, from),
				detach: (consumer) => {
					this.#iterators.delete(consumer);
					stream.detach(consumer);
				},
				delivered: ({ id }, life, offset) => {
					this.#context.supervisor.call((raw) => raw.delivered(id, life, offset));
					this.#context.outbox.keeper?.moved(stream);
				},
			},
			maxQueued,
			signal,
		);
		if (signal?.aborted !== true) this.#iterators.add(iterator);
		return iterator;
	}

	send(content: MessageContent, options: SendOptions = {}): Message {
		this.#check();
		fields("send options", options, ["id", "signal", "timeoutMs"]);
		const id = options.id === undefined ? randomId() : checkId("id", options.id);
		const signal = abortSignal(options.signal);
		const timeoutMs = options.timeoutMs === undefined ? undefined : integer("timeoutMs", options.timeoutMs, 1, 2_147_483_647);
		const message = snapshot(content);
		return new SentMessage(this.#context, { kind: 0, id, stream: this.name, body: { message }, sentSince: undefined }, { signal, timeoutMs });
	}

	async cancel(runId: string): Promise<CancelOutcome> {
		const status = await this.#ask(1, { runId: checkId("runId", runId) });
		return oneOf<CancelOutcome>(status, ["cancelled", "already_finished", "unknown_run"]);
	}

	async approve(approvalId: string, decision: Decision): Promise<ApproveOutcome> {
		if (decision !== "approved" && decision !== "denied") refuse("decision", decision, '"approved" or "denied"');
		const status = await this.#ask(2, { approvalId: checkId("approvalId", approvalId), decision });
		return oneOf<ApproveOutcome>(status, ["accepted", "already_resolved", "unknown_approval"]);
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

	#listen(handler: unknown, options: ListenOptions, add: () => () => void): Unsubscribe {
		this.#check();
		const signal = checkListener(handler, options);
		if (signal?.aborted === true) return () => undefined;
		const remove = add();
		const off = bound(() => {
			this.#open.delete(off);
			remove();
		}, signal);
		this.#open.add(off);
		return off;
	}

	#attach(consumer: Consumer, from: From | undefined): void {
		const { over } = this.#context;
		if (over !== undefined) return consumer.end(over.error);
		// The handlers of a thread that the server ended get their events again too. First, while it is known where they were.
		this.#stream.listenAgain();
		this.#stream.attach(consumer, from);
	}

	async #ask(kind: 1 | 2, body: object): Promise<string> {
		this.#check();
		const { status } = await this.#context.outbox.send({ kind, id: randomId(), stream: this.name, body, sentSince: undefined });
		return status;
	}

	#check(): void {
		if (this.#closed) throw new AgentwireError("closed", `thread ${JSON.stringify(this.name)} was closed`);
		this.#context.check();
	}
}

function oneOf<T extends string>(status: string, known: readonly T[]): T {
	const found = known.find((word) => word === status);
	if (found === undefined) throw new AgentwireError("internal", `the server answered with the unknown status ${JSON.stringify(status)}`);
	return found;
}

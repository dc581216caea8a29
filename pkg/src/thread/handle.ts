/** A handle of a thread: what the application holds. Several handles of one name share the stream. */
import type { Supervisor } from "../core/supervisor.js";
import { copyOf, type MessageContent, snapshot } from "../sends/content.js";
import type { Message, SendOptions } from "../sends/message.js";
import type { Receipt } from "../sends/receipt.js";
import { type MessageContext, SentMessage } from "../sends/sent.js";
import { signalOf } from "../sends/signal.js";
import { abortSignal, fields, integer, refuse } from "../shared/check.js";
import { AgentwireError } from "../shared/errors.js";
import { bound, checkListener, type ListenOptions, type Unsubscribe } from "../shared/listeners.js";
import { checkId, randomId } from "../shared/names.js";
import type { Reporter } from "../shared/report.js";
import type { Consumer } from "./consumer.js";
import type { Ended, Gap, Resumed, ThreadItem } from "./facts.js";
import type { Followable, FollowHandlers, Owner } from "./follow.js";
import { checkFrom, type From } from "./from.js";
import { ThreadIterator } from "./iterator.js";
import { ThreadListeners } from "./listening.js";
import type { Position } from "./position.js";
import type { Stream } from "./stream.js";
import type { ApprovalAnswer, ApproveOutcome, BatchHandler, CancelOutcome, EditOutcome, EventHandler, EventsOptions, WithdrawOutcome } from "./thread.js";

/** A trace: version, trace, parent and flags (<https://www.w3.org/TR/trace-context/>). */
const TRACEPARENT = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;

/** What a handle needs of its client. */
export interface HandleContext extends MessageContext {
	readonly supervisor: Supervisor;
	nextId(): number;
	readonly owner: Owner;
	/** Why an iterator gets nothing any more: set once the client is closed (without an error) or has failed. */
	readonly over: { readonly error: Error | undefined } | undefined;
}

export class ThreadHandle implements Followable {
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

	get owner(): Owner {
		return this.#context.owner;
	}

	get reporter(): Reporter {
		return this.#context.reporter;
	}

	follow({ batch, gap, resumed }: FollowHandlers, from: From | undefined): Unsubscribe {
		return this.#listen(batch, {}, () => {
			const listeners = new ThreadListeners();
			listeners.batches.add(batch);
			listeners.gaps.add(gap);
			listeners.resumes.add(resumed);
			return this.#stream.follow(listeners, from);
		});
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
		fields("send options", options, ["id", "signal", "timeoutMs", "mode", "runId", "traceparent"]);
		const id = options.id === undefined ? randomId() : checkId("id", options.id);
		const signal = abortSignal(options.signal);
		const timeoutMs = options.timeoutMs === undefined ? undefined : integer("timeoutMs", options.timeoutMs, 1, 2_147_483_647);
		const message = snapshot(content);
		const { mode, runId, traceparent } = options;
		if (traceparent !== undefined && !TRACEPARENT.test(traceparent)) refuse("traceparent", traceparent, "one of W3C Trace Context");
		if (mode !== undefined && !["queue", "interrupt", "steer"].includes(mode)) refuse("mode", mode, '"queue", "interrupt" or "steer"');
		if (runId !== undefined && mode !== "steer") refuse("runId", runId, 'left out, unless mode is "steer"');
		const body = {
			message,
			...(mode === undefined ? {} : { mode }),
			...(runId === undefined ? {} : { runId: checkId("runId", runId) }),
			...(traceparent === undefined ? {} : { traceparent }),
		};
		return new SentMessage(this.#context, { kind: 0, id, stream: this.name, body, sentSince: undefined }, { signal, timeoutMs });
	}

	async cancel(what: string | { readonly sendId: string }): Promise<CancelOutcome> {
		const body = typeof what === "string" ? { runId: checkId("runId", what) } : { sendId: checkId("sendId", fields("what", what, ["sendId"])["sendId"]) };
		const { status } = await this.#ask(1, body);
		return status as CancelOutcome;
	}

	async withdraw(sendId: string): Promise<WithdrawOutcome> {
		const { status } = await this.#ask(3, { sendId: checkId("sendId", sendId) });
		return status as WithdrawOutcome;
	}

	async edit(sendId: string, content: MessageContent): Promise<EditOutcome> {
		const { status } = await this.#ask(4, { sendId: checkId("sendId", sendId), message: snapshot(content) });
		return status as EditOutcome;
	}

	async approve(runId: string, approvalId: string, answer: ApprovalAnswer): Promise<ApproveOutcome> {
		const { decision, reason, argsHash } = fields("answer", answer, ["decision", "payload", "editedArgs", "reason", "argsHash"]);
		if (decision !== "approved" && decision !== "denied") refuse("decision", decision, '"approved" or "denied"');
		if (reason !== undefined && typeof reason !== "string") refuse("reason", reason, "a text");
		if (argsHash !== undefined) checkId("argsHash", argsHash);
		const ids = { runId: checkId("runId", runId), approvalId: checkId("approvalId", approvalId) };
		const receipt = await this.#ask(2, { ...copyOf("answer", answer), ...ids });
		return { status: receipt.status, decision: receipt.decision, by: receipt.by } as ApproveOutcome;
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

	/** The core takes only receipts whose status fits the kind. */
	async #ask(kind: 1 | 2 | 3 | 4, body: object): Promise<Receipt> {
		this.#check();
		return this.#context.outbox.send({ kind, id: randomId(), stream: this.name, body, sentSince: undefined });
	}

	#check(): void {
		if (this.#closed) throw new AgentwireError("closed", `thread ${JSON.stringify(this.name)} was closed`);
		this.#context.check();
	}
}

/** A run: what one agent does, from its start to its one end. */
import { randomUUID } from "node:crypto";
import { orAborted } from "../abort.js";
import { BridgeError, isBridgeError, messageOf } from "../errors.js";
import { type AnyEvent, isEnd, isQueued } from "../publish/kinds.js";
import { Producer } from "../publish/producer.js";
import type { Beside } from "../publish/queue.js";
import type { Settings } from "../settings.js";
import { Lease } from "./lease.js";
import { MessageWriter } from "./message.js";
import { Signals } from "./signals.js";
import type { Answer, Completion, Failure, Publishable, Question, RunOptions, Steering, Thinking, ToolOptions } from "./types.js";

/** Which run it is. */
export interface RunName {
	readonly id: string;
	/** The key of its thread. */
	readonly thread: string;
	readonly agent: string;
}

/** What a tool's function is given. */
export interface ToolCall {
	readonly id: string;
	readonly name: string;
	readonly signal: AbortSignal;
}

/** Options of a run below another one. */
export type ChildOptions = Omit<RunOptions, "parent" | "sendId">;
type StartChild = <T>(parent: Run, options: ChildOptions, work: (run: Run) => Promise<T> | T) => Promise<T>;

export class Run implements RunName, AsyncDisposable {
	readonly id: string;
	readonly thread: string;
	readonly agent: string;
	readonly #settings: Settings;
	readonly #child: StartChild;
	readonly #abort: AbortController = new AbortController();
	readonly #producer: Producer;
	#signals: Signals | undefined;
	#lease: Lease | undefined;
	#unfollow: () => void = () => {};
	#ended = false;

	/** `bridge.start` makes runs. */
	constructor(settings: Settings, { id, thread, agent }: RunName, child: StartChild) {
		this.id = id;
		this.thread = thread;
		this.agent = agent;
		this.#settings = settings;
		this.#child = child;
		this.#producer = new Producer(settings, thread, {
			active: () => this.#lease?.touch(),
			cancelled: (runs) => runs.includes(id) && this.#cancelled(),
			failed: (error) => this.#lost(error),
		});
	}

	/** Is aborted when a user cancels the run, when its parent's is, or when the run can't go on. Its reason is a {@link BridgeError}. */
	get signal(): AbortSignal {
		return this.#abort.signal;
	}

	/** Whether a user cancelled the run. */
	get isCancelled(): boolean {
		return isBridgeError(this.signal.reason, "cancelled");
	}

	/** Whether the end was published, or the run can't go on. */
	get isEnded(): boolean {
		return this.#ended;
	}

	/** Publishes the first event, and listens from then on. For `bridge.start`. */
	async begin(first: AnyEvent, beside: Beside & { readonly leaseMs: number }): Promise<void> {
		await this.#producer.durable(this.#complete(first), beside);
		const path = `/v1/threads/${encodeURIComponent(this.thread)}/runs/${encodeURIComponent(this.id)}`;
		const cancelled = (): void => this.#cancelled();
		const over = (): void => this.#lost(new BridgeError("run_over", "the run is over: its lease ran out, or another process ended it"));
		this.#lease = new Lease(this.#settings, `${path}/heartbeat`, beside.leaseMs, { cancelled, over, failed: this.#settings.onError });
		this.#signals = new Signals(this.#settings, `${path}/signals`, { cancelled, over });
	}

	/** Aborts the run together with this signal, that of its parent. For `bridge.start`. */
	follow(parent: AbortSignal): void {
		const abort = (): void => this.#abort.abort(parent.reason);
		if (parent.aborted) return abort();
		parent.addEventListener("abort", abort, { once: true });
		this.#unfollow = () => parent.removeEventListener("abort", abort);
	}

	/** Publishes what the agent is busy with. Resolves when the queue has room for more. */
	async thinking(thought: string | Thinking): Promise<void> {
		await this.#publish({ ...(typeof thought === "string" ? { text: thought } : thought), type: "agent_thinking" });
	}

	/** Publishes a whole answer. Resolves when it is durable. */
	async respond(content: string, { messageId }: { readonly messageId?: string } = {}): Promise<void> {
		await this.#publish({ type: "agent_response", content, ...(messageId === undefined ? {} : { messageId }) });
	}

	/** Writes a message in pieces. Its end is published when `write` ends; it is `interrupted` if `write` throws or the run was cancelled. Returns its text. */
	async message(write: (message: MessageWriter) => Promise<unknown>, { messageId }: { readonly messageId?: string } = {}): Promise<string> {
		const message = this.writer(messageId);
		try {
			await write(message);
		} catch (error) {
			await message.complete(true).catch(this.#settings.onError);
			throw error;
		}
		return await message.complete(this.isCancelled);
	}

	/** A message without a function around it: call its `complete`. */
	writer(messageId?: string): MessageWriter {
		return new MessageWriter((event) => this.#publish(event), messageId);
	}

	/** Publishes a tool call around `call`: its start is durable before `call` begins, its result before this resolves. */
	async tool<T>(name: string, args: unknown, call: (tool: ToolCall) => Promise<T> | T, options: ToolOptions = {}): Promise<T> {
		const { toolCallId = randomUUID(), ...rest } = options;
		await this.#publish({ ...rest, type: "tool_executing", toolCallId, toolName: name, args });
		const begin = performance.now();
		const completed = (outcome: { readonly success: boolean; readonly result?: unknown; readonly error?: string }): Promise<void> =>
			this.#publish({ type: "tool_completed", toolCallId, toolName: name, ...outcome, durationMs: Math.round(performance.now() - begin) });
		let result: T;
		try {
			result = await call({ id: toolCallId, name, signal: this.signal });
		} catch (error) {
			await completed({ success: false, error: messageOf(error) }).catch(this.#settings.onError);
			throw error;
		}
		await completed({ success: true, result });
		return result;
	}

	/** Runs another agent for this one, as `bridge.run` does. It is aborted together with this run. */
	async child<T>(options: ChildOptions, work: (run: Run) => Promise<T> | T): Promise<T> {
		return await this.#child(this, options, work);
	}

	/** Asks a person, and waits for the answer. Rejects if the run is cancelled or over before. */
	async ask(question: Question): Promise<Answer> {
		const { approvalId = randomUUID(), ...rest } = question;
		await this.#publish({ ...rest, type: "approval_requested", approvalId });
		const signals = this.#signals;
		if (signals === undefined) throw new BridgeError("run_over", "the run has not begun");
		return await orAborted(signals.answer(approvalId), this.signal);
	}

	/** Messages of users for this run, until it ends. Each one counts as taken when it is yielded; the others are delivered later. */
	async *steering(): AsyncGenerator<Steering, void, undefined> {
		for (;;) {
			const message = await this.#signals?.nextSteering();
			if (message === undefined || this.#ended) return;
			try {
				await this.#publish({ type: "steering_taken", sendId: message.sendId });
			} catch (error) {
				// Not taken: the server delivers it as a message.
				if (isBridgeError(error, "run_over")) return;
				throw error;
			}
			yield message;
		}
	}

	/** Publishes any event of this run. Deltas and thoughts resolve when the queue has room for more, all others when they are durable. */
	async publish<const T extends string>(event: Publishable<T>): Promise<void> {
		await this.#publish(event as AnyEvent);
	}

	/** Reports a fault with which the run goes on (`agent_error` that is recoverable). */
	async report(fault: Failure): Promise<void> {
		await this.#publish({ severity: "medium", ...fault, type: "agent_error", recoverable: true });
	}

	/** Resolves when everything that was published is durable. */
	async flush(): Promise<void> {
		await this.#producer.flush();
	}

	/** Ends the run well. */
	async complete(completion: Completion = {}): Promise<void> {
		await this.#publish({ ...completion, type: "agent_completed" });
	}

	/** Ends the run with an error. Of an `Error`, its message is published, with the code `agent_failed`. */
	async fail(failure: Failure | Error): Promise<void> {
		const { severity = "high", ...rest }: Failure = failure instanceof Error ? { code: "agent_failed", message: messageOf(failure) } : failure;
		await this.#publish({ ...rest, severity, type: "agent_error", recoverable: false });
	}

	/** Ends the run as cancelled. */
	async cancel(reason?: string): Promise<void> {
		await this.#publish({ type: "agent_cancelled", ...(reason === undefined ? {} : { reason }) });
	}

	/** `await using`: ends a run that was left without an end, as cancelled or failed. */
	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#ended) return;
		await (this.isCancelled ? this.cancel() : this.fail({ code: "agent_failed", message: "the agent left the run without an end" }));
	}

	async #publish(event: AnyEvent): Promise<void> {
		if (this.#ended) throw this.#overError();
		if (isQueued(event)) return await this.#producer.queue(this.#complete(event));
		if (!isEnd(event)) return await this.#producer.durable(this.#complete(event));
		// What was refused before is reported here: the caller can still end the run in another way.
		await this.#producer.flush();
		if (this.#ended) throw this.#overError();
		this.#ended = true;
		this.#lease?.touch();
		try {
			await this.#producer.durable(this.#complete(event));
			this.#stop(new BridgeError("run_over", "the run has ended"));
		} catch (error) {
			// The event itself was refused: the run is still open.
			if (isBridgeError(error) && ["invalid_event", "too_large"].includes(error.code)) this.#ended = false;
			else this.#stop(isBridgeError(error) ? error : new BridgeError("run_over", messageOf(error)));
			throw error;
		}
	}

	#complete(event: AnyEvent): AnyEvent {
		return { runId: this.id, time: Date.now(), ...event, ...(event["agent"] === undefined ? { agent: this.agent } : {}) };
	}

	#overError(): BridgeError {
		const { reason } = this.signal;
		return isBridgeError(reason) && reason.code !== "cancelled" ? reason : new BridgeError("run_over", "the run has ended");
	}

	#cancelled(): void {
		if (!this.#ended) this.#abort.abort(new BridgeError("cancelled", "a user cancelled the run"));
	}

	/** The run can't go on: without an end of ours, its lease ends it. */
	#lost(error: BridgeError): void {
		if (this.#ended) return;
		this.#ended = true;
		this.#abort.abort(error);
		this.#stop(error);
	}

	#stop(error: BridgeError): void {
		this.#unfollow();
		this.#lease?.stop();
		this.#signals?.stop(error);
		this.#producer.end(error);
	}
}

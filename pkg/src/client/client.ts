/** The client: holds the parts together, from the options to the end. */
/// <reference lib="esnext.disposable" preserve="true" />

import { countersOf } from "../core/counters.js";
import type { Instance } from "../core/instance.js";
import type { RawState } from "../core/raw.js";
import { Supervisor } from "../core/supervisor.js";
import { Listed } from "../sends/listed.js";
import type { Message } from "../sends/message.js";
import { Outbox } from "../sends/outbox.js";
import { abortSignal, fields, refuse } from "../shared/check.js";
import { AgentwireError } from "../shared/errors.js";
import { bound, checkListener, emit, type ListenOptions, type Unsubscribe, watch } from "../shared/listeners.js";
import type { Metric } from "../shared/metrics.js";
import { checkName } from "../shared/names.js";
import { Reporter } from "../shared/report.js";
import { checkFrom } from "../thread/from.js";
import { type HandleContext, ThreadHandle } from "../thread/handle.js";
import type { Seat } from "../thread/stream.js";
import { Streams } from "../thread/streams.js";
import type { Thread, ThreadOptions } from "../thread/thread.js";
import { CLIENT_EVENTS, type Client, type ClientEvents } from "./api.js";
import { Connection } from "./connection.js";
import { handleContext, type Over } from "./context.js";
import type { EarlySocket } from "./early.js";
import { Emitter } from "./emitter.js";
import { Failures } from "./failures.js";
import { ClientHost } from "./host.js";
import { type Loader, Loading } from "./loading.js";
import { messageOf } from "./messages.js";
import { watchBrowser } from "./network.js";
import type { Settings } from "./options.js";
import { probe } from "./probe.js";
import { Retries } from "./retries.js";
import type { ConnectionState, Health, StateChange, Stats } from "./state.js";
import { TokenSource } from "./token.js";

/** Name of the user's own stream. */
const INBOX = "inbox";

export class AgentClient implements Client {
	readonly #settings: Settings;
	readonly #reporter: Reporter;
	readonly #failures: Failures;
	readonly #events: Emitter<ClientEvents>;
	readonly #connection: Connection;
	readonly #retries: Retries;
	readonly #supervisor = new Supervisor();
	readonly #tokens: TokenSource;
	readonly #outbox: Outbox;
	readonly #seats = new Map<number, Seat>();
	readonly #streams: Streams;
	readonly #context: HandleContext;
	readonly #load: Loader;
	#loading: Loading;
	#lastId = 0;
	#subject: string | undefined;
	#begun = false;
	#over: Over | undefined;
	#tokenFailure: AgentwireError | undefined;
	/** When `reconnect()` may begin anew after a failure, by `performance.now()`. */
	#restartFrom = 0;
	#unwatch: Unsubscribe = () => undefined;
	#unwatchBrowser: Unsubscribe = () => undefined;

	constructor(settings: Settings, load: Loader) {
		this.#settings = settings;
		this.#reporter = new Reporter(settings.logger);
		this.#failures = new Failures(this.#reporter);
		this.#events = new Emitter(this.#reporter.handlerThrew);
		this.#reporter.listen((error) => {
			const heard = this.#events.has("error");
			this.#events.emit("error", error, this.#reporter.errorHandlerThrew);
			return heard;
		});
		this.#retries = new Retries(settings.backoff);
		this.#connection = new Connection({
			changed: (change) => this.#stateChanged(change),
			health: (health) => this.#events.emit("health", health),
			attempts: () => this.#retries.attempts,
			metric: (metric) => this.#metric(metric),
		});
		this.#tokens = new TokenSource(settings.token, {
			report: (error) => this.#report(error),
			signedOut: (error) => this.#end("failed", error),
		});
		const limits = { count: settings.config.maxPending, bytes: settings.maxPendingBytes };
		const listed = new Listed((messages) => this.#events.emit("outbox", messages));
		this.#outbox = new Outbox(this.#supervisor, limits, listed, (value) => this.#metric({ name: "send_duration", unit: "ms", value }));
		const nextId = (): number => (this.#lastId += 1);
		const owner = { url: settings.url, client: this };
		this.#streams = new Streams({ supervisor: this.#supervisor, reporter: this.#reporter, seats: this.#seats, nextId });
		this.#context = handleContext({ supervisor: this.#supervisor, outbox: this.#outbox, reporter: this.#reporter, nextId, owner, over: () => this.#over });
		this.#openKeeper();
		this.#load = load;
		this.#loading = this.#makeLoading();
		const { signal } = settings;
		const abort = (): void => this.#end("closed", new AgentwireError("closed", "the client was closed by its AbortSignal", { cause: signal?.reason }));
		signal?.addEventListener("abort", abort, { once: true });
		this.#unwatch = () => signal?.removeEventListener("abort", abort);
		if (signal?.aborted === true) abort();
		else if (settings.autoConnect) this.connect();
		this.#failures.reportLater();
	}

	// --- what the application calls ---

	get state(): ConnectionState {
		return this.#connection.state;
	}

	get subject(): string | undefined {
		return this.#subject;
	}

	connect(): void {
		if (this.#begun || this.#over !== undefined) return;
		this.#begun = true;
		this.#connection.set("connecting", "connect", undefined, 0);
		// A handler of the state may have closed the client.
		if (this.#over !== undefined) return;
		if (typeof globalThis.WebSocket === "function") this.#loading.begin();
		else this.#end("failed", new AgentwireError("no_websocket", "there is no WebSocket in this environment"));
	}

	async ready(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
		return this.#connection.ready(abortSignal(fields("ready options", options, ["signal"])["signal"]));
	}

	on<K extends keyof ClientEvents>(type: K, handler: (fact: ClientEvents[K]) => unknown, options: ListenOptions = {}): Unsubscribe {
		if (!CLIENT_EVENTS.includes(type)) refuse("type", type, `one of ${CLIENT_EVENTS.join(", ")}`);
		const signal = checkListener(handler, options);
		if (signal?.aborted === true) return () => undefined;
		const entry = this.#events.add(type, handler);
		const failure = this.#failures.present;
		if (type === "error" && failure !== undefined) {
			queueMicrotask(() => emit([entry], failure as ClientEvents[K], this.#reporter.errorHandlerThrew));
		}
		return bound(() => this.#events.remove(type, entry), signal);
	}

	thread(name: string, options: ThreadOptions = {}): Thread {
		this.#context.check();
		checkName(name);
		fields("thread options", options, ["from"]);
		const from = options.from === undefined ? undefined : checkFrom(options.from);
		const stream = this.#streams.enter(name, from);
		return new ThreadHandle(stream, this.#context, () => this.#streams.leave(stream));
	}

	inbox(options: ThreadOptions = {}): Thread {
		return this.thread(INBOX, options);
	}

	outbox(): readonly Message[] {
		return this.#outbox.listed.all;
	}

	stats(): Stats {
		const counters = this.#supervisor.call(countersOf) ?? countersOf(undefined);
		return { ...counters, state: this.state.name, rebuilds: this.#supervisor.rebuilds, pending: this.#outbox.size };
	}

	health(): Health {
		return this.#connection.health;
	}

	get lastError(): AgentwireError | undefined {
		return this.#failures.last;
	}

	reconnect(): void {
		if (this.#over === undefined) {
			this.#retries.restart();
			this.#loading.hurry();
			return this.#supervisor.call((raw) => raw.reconnect());
		}
		const now = performance.now();
		if (this.#over.name === "closed" || this.#over.reason.code === "subject_changed" || now < this.#restartFrom) return;
		this.#restartFrom = now + RESTART_MS;
		this.#over = undefined;
		this.#begun = false;
		this.#loading = this.#makeLoading();
		this.#retries.restart();
		this.#outbox.reopen();
		this.#openKeeper();
		this.#connection.restart();
		this.connect();
	}

	close(): void {
		this.#end("closed", new AgentwireError("closed", "the client was closed"));
	}

	declare [Symbol.dispose]: () => void;

	// --- from the instance to the first core, and to the next ones ---

	#openKeeper(): void {
		const { outbox, url, user } = this.#settings;
		this.#outbox.keeper = outbox?.open({ url, context: this.#context, streams: this.#streams });
		const subject = this.#subject ?? user;
		if (subject !== undefined) this.#outbox.keeper?.user(subject);
	}

	#makeLoading(): Loading {
		return new Loading(this.#settings, this.#load, this.#tokens, {
			loaded: (instance, early) => this.#begin(instance, early),
			failed: (error) => this.#end("failed", error),
			missed: (error, delay, attempt) => {
				this.#connection.set("waiting", error.code, delay, attempt);
				this.#report(error);
			},
			retrying: (attempt) => this.#connection.set("connecting", "retry", undefined, attempt),
		});
	}

	#begin(instance: Instance, early: EarlySocket | undefined): void {
		this.#supervisor.begin(instance, {
			host: this.#host(),
			config: () => {
				const subject = this.#subject ?? this.#settings.user;
				return { ...this.#settings.config, ...(subject === undefined ? {} : { subject }) };
			},
			threw: this.#reporter.internal,
			lost: (error) => this.#lost(error),
			restore: () => this.#restore(),
			failed: (error) => this.#end("failed", error),
		});
		const opened = early?.take();
		// Before the first attempt, so that its `hello` names every stream and asks for all that is missing.
		this.#fill();
		if (opened === undefined) {
			this.#supervisor.call((raw) => raw.connect());
		} else {
			this.#tokens.spend();
			this.#supervisor.call((raw) => raw.adopt(opened.socket, opened.token));
			if (!this.#supervisor.present) opened.socket.close(1000);
		}
		if (this.#over === undefined) this.#watchBrowser();
	}

	#fill(): void {
		this.#streams.resubscribe();
		this.#outbox.resend();
	}

	#watchBrowser(): void {
		const unwatch = watchBrowser({
			online: (online) => this.#supervisor.call((raw) => raw.online(online)),
			away: (away) => this.#supervisor.call((raw) => raw.away(away)),
			wake: () => this.#supervisor.call((raw) => raw.wake()),
		});
		this.#unwatchBrowser = unwatch;
	}

	#lost(error: AgentwireError): void {
		if (this.#over !== undefined) return;
		this.#connection.set("connecting", "internal", undefined, 0);
		this.#report(error);
	}

	#restore(): void {
		this.#metric({ name: "core_rebuilds", unit: "times", value: this.#supervisor.rebuilds });
		this.#fill();
		if (globalThis.navigator?.onLine === false) this.#supervisor.call((raw) => raw.online(false));
		this.#supervisor.call((raw) => raw.connect());
	}

	// --- what the core says ---

	#host(): ClientHost {
		return new ClientHost(
			{
				outbox: this.#outbox,
				streams: this.#streams,
				seats: this.#seats,
				token: () => this.#askForToken(),
				state: (to, reason, retryInMs, attempt) => this.#coreState(to, reason, retryInMs, attempt),
				welcome: (session, subject) => this.#welcome(session, subject),
				trouble: (reason) => this.#connection.troubled(reason),
				message: (frame) => this.#message(frame),
				tokenMissed: () => {
					const error = this.#tokenFailure ?? new AgentwireError("token_failed", "the token function failed");
					this.#tokenFailure = undefined;
					this.#report(error);
				},
				error: (error) => {
					this.#tokens.judged(error.code);
					this.#report(error);
				},
				metric: (metric) => this.#metric(metric),
			},
			this.#settings.config.tokenTimeoutMs,
		);
	}

	#askForToken(): void {
		this.#tokens.ask(
			this.state.name === "connected" ? "refresh" : "connect",
			(token) => this.#supervisor.call((raw) => raw.tokenReady(token)),
			(error) => {
				// What becomes of it is the core's decision: the error `token_failed`, or the end.
				this.#tokenFailure = error;
				this.#supervisor.call((raw) => raw.tokenFailed(error.retryable));
			},
		);
	}

	#coreState(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void {
		if (this.#over !== undefined) return;
		this.#tokens.judged(reason);
		if (to === "closed") return this.close();
		if (to !== "failed") return this.#goes(to, reason, retryInMs, attempt);
		if (reason === "token_failed" && this.#tokenFailure !== undefined) return this.#end("failed", this.#tokenFailure);
		this.#end("failed", new AgentwireError(reason, `the connection has failed: ${reason}`, { retryable: false }));
	}

	#goes(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void {
		const step = this.#retries.step(this.state.name, to, reason, retryInMs, this.#reporter.handlerThrew);
		if (step.delay === null) return this.#end("failed", new AgentwireError("gave_up", `no connection: ${reason}`, { cause: this.#failures.last }));
		// The core adds what the server asked for, and says when the wait ends.
		const { delay } = step;
		if (delay !== undefined) return this.#supervisor.call((raw) => raw.retryIn(delay));
		this.#connection.set(to, step.reason, retryInMs, attempt);
		if (step.probes) probe(this.#settings.url).then((error) => error !== undefined && this.state.name !== "connected" && this.#report(error));
	}

	#welcome(session: string, subject: string): void {
		if (this.#over !== undefined) return;
		const known = this.#subject;
		// The core ends by itself then; nothing may hang on that (HEL-6).
		if (subject !== (known ?? this.#settings.user ?? subject)) return this.#coreState("failed", "subject_changed", undefined, 0);
		this.#subject = subject;
		this.#outbox.keeper?.user(subject);
		if (known === undefined) this.#events.emit("subject", { subject, session });
	}

	#message(frame: object): void {
		const message = messageOf(frame);
		if (message?.type === "signal") this.#events.emit("signal", message.signal);
		if (message?.type !== "notice") return;
		this.#connection.noticed(message.notice);
		this.#events.emit("notice", message.notice);
	}

	// --- what the application gets ---

	#stateChanged(change: StateChange): void {
		const { from, to, reason, attempt } = change;
		this.#outbox.connected(to === "connected");
		if (to === "connected") this.#failures.clear();
		this.#reporter.log("debug", `state ${from} → ${to}`, { reason, attempt });
		this.#events.emit("state", change);
	}

	#report(error: AgentwireError): void {
		if (this.#over !== undefined && this.#over.reason !== error) return;
		this.#failures.report(error, this.state.name !== "connected");
	}

	#metric(metric: Metric): void {
		try {
			watch(this.#settings.onMetric?.(metric), this.#reporter.handlerThrew);
		} catch (error) {
			this.#reporter.handlerThrew(error);
		}
	}

	#end(name: "closed" | "failed", reason: AgentwireError): void {
		// A client that has failed can still be closed.
		if (this.#over !== undefined && (this.#over.name === "closed" || name === "failed")) return;
		const error = name === "failed" ? reason : undefined;
		this.#over = { name, reason, error };
		this.#unwatchBrowser();
		this.#loading.cancel();
		this.#tokens.close();
		// Before the core says of each that it is closed: why is known here.
		this.#outbox.close(reason);
		this.#supervisor.call((raw) => raw.close());
		this.#supervisor.end();
		this.#connection.end(reason);
		if (error === undefined) this.#streams.close(undefined);
		else this.#streams.fail(error);
		this.#connection.set(name, reason.code, undefined, 0);
		if (error !== undefined) return this.#report(error);
		this.#failures.clear();
		this.#unwatch();
		this.#events.clear();
	}
}

// Only where the platform has it: elsewhere the key would be the text "undefined".
if (typeof Symbol.dispose === "symbol") {
	Object.defineProperty(AgentClient.prototype, Symbol.dispose, { value: AgentClient.prototype.close, configurable: true, writable: true });
}

/** The least time between two restarts after a failure, in milliseconds. */
const RESTART_MS = 2_000;

/**
 * The client: what the application holds of its connection, and the host of the core.
 */
/// <reference lib="esnext.disposable" preserve="true" />
import type { Consumer } from "./consumer.js";
import { AgentwireError, describe } from "./errors.js";
import { EarlySocket } from "./early.js";
import { Emitter, bound, type ListenOptions, type Unsubscribe } from "./listeners.js";
import type { Metric } from "./metrics.js";
import { checkName } from "./names.js";
import { watchBrowser } from "./network.js";
import { fields, refuse, type Settings } from "./options.js";
import { deferred, Outbox } from "./outbox.js";
import { ClientHost } from "./host.js";
import { SafePositions } from "./positions.js";
import type { RawState } from "./raw.js";
import { Reporter } from "./report.js";
import { type ConnectionState, type Health, healthOf, type Notice, noStats, type Signal, type StateChange, type Stats, type Subject } from "./state.js";
import type { StreamContext } from "./stream.js";
import { Streams } from "./streams.js";
import { type Instance, Supervisor } from "./supervisor.js";
import { checkFrom, type Thread, ThreadHandle, type ThreadOptions } from "./thread.js";
import { TokenSource } from "./token.js";

/** What `client.on` tells, by name. */
export interface ClientEvents {
	/** The state of the connection has changed. */
	state: StateChange;
	/** Something went wrong that no call could report; without a handler and a logger it goes to the page's own reporting. */
	error: AgentwireError;
	/** The server says something to people. */
	notice: Notice;
	/** Another page in a thread says something of the moment. */
	signal: Signal;
	/** The server has named the user: once, because a client that is welcomed as another user ends with `subject_changed`. */
	subject: Subject;
}

/** A connection to one server for one user. */
export interface Client {
	readonly state: ConnectionState;
	/** The user, once the server has named it. */
	readonly subject: string | undefined;
	/** Connects; needed only with `autoConnect: false`. Further calls do nothing. */
	connect(): void;
	/** Resolves with the first welcome of the server. Rejects with the signal's reason, or when the client is closed or has failed. */
	ready(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
	/** Calls the handler with each fact of the kind. */
	on<K extends keyof ClientEvents>(type: K, handler: (fact: ClientEvents[K]) => void, options?: ListenOptions): Unsubscribe;
	/** Opens a thread. Handles of one name share the stream; another explicit `from` throws `stream_conflict`. */
	thread(name: string, options?: ThreadOptions): Thread;
	/** Opens the user's own stream, which tells what happens in other threads. */
	inbox(options?: ThreadOptions): Thread;
	stats(): Stats;
	health(): Health;
	/** Closes the connection and every thread for good. Pending messages fail with `closed`, iterators end. */
	close(): void;
	/** As `close()`. */
	[Symbol.dispose](): void;
}

/** Name of the user's own stream. */
const INBOX = "inbox";

/** Gets the wasm instance: at once, or when it is loaded. */
export type Loader = (wasm: string | URL | undefined) => Instance | Promise<Instance>;

export class AgentClient implements Client {
	readonly #settings: Settings;
	readonly #load: Loader;
	readonly #reporter: Reporter;
	readonly #events: Emitter<ClientEvents>;
	readonly #supervisor = new Supervisor();
	readonly #tokens: TokenSource;
	readonly #positions: SafePositions;
	readonly #outbox: Outbox;
	readonly #streams = new Streams();
	readonly #consumers = new Map<number, Consumer>();
	readonly #context: StreamContext;
	readonly #ready = deferred<void>();
	#lastId = 0;
	#state: ConnectionState = { name: "idle", reason: "new", attempt: 0 };
	#subject: string | undefined;
	#begun = false;
	/** Set once the client is closed or has failed. */
	#over: AgentwireError | undefined;
	#tokenFailure: AgentwireError | undefined;
	#early: EarlySocket | undefined;
	#retry: ReturnType<typeof setTimeout> | undefined;
	#connectingSince = 0;
	#notice: { readonly kind: string; readonly at: number } | undefined;
	#unwatch: Unsubscribe = () => undefined;

	constructor(settings: Settings, load: Loader) {
		this.#settings = settings;
		this.#load = load;
		this.#reporter = new Reporter(settings.logger);
		this.#events = new Emitter(this.#reporter);
		this.#reporter.listen((error) => {
			const heard = this.#events.has("error");
			this.#events.emit("error", error, this.#reporter.errorHandlerThrew);
			return heard;
		});
		this.#tokens = new TokenSource(settings.token);
		this.#positions = new SafePositions(settings.positions, this.#reporter);
		this.#positions.scope(addressOnly(settings.url), undefined);
		this.#outbox = new Outbox(this.#supervisor, settings.config.maxPending, (value) => this.#metric({ name: "send_duration", unit: "ms", value }));
		this.#context = {
			supervisor: this.#supervisor,
			positions: this.#positions,
			reporter: this.#reporter,
			consumers: this.#consumers,
			nextId: () => (this.#lastId += 1),
		};
		this.#ready.promise.catch(() => undefined);
		const { signal } = settings;
		const abort = (): void => this.#end("closed", new AgentwireError("closed", "the client was closed by its AbortSignal", { cause: signal?.reason }));
		signal?.addEventListener("abort", abort, { once: true });
		this.#unwatch = () => signal?.removeEventListener("abort", abort);
		if (signal?.aborted === true) abort();
		else if (settings.autoConnect) this.connect();
	}

	// --- what the application calls ---

	get state(): ConnectionState {
		return this.#state;
	}

	get subject(): string | undefined {
		return this.#subject;
	}

	connect(): void {
		if (this.#begun || this.#over !== undefined) return;
		this.#begun = true;
		this.#setState("connecting", "connect", undefined, 0);
		if (typeof globalThis.WebSocket !== "function") {
			return this.#end("failed", new AgentwireError("no_websocket", "there is no WebSocket in this environment"));
		}
		let loading: Instance | Promise<Instance>;
		try {
			loading = this.#load(this.#settings.wasm);
		} catch (error) {
			return this.#loadFailed(error, 0);
		}
		if (!(loading instanceof Promise)) return this.#begin(loading);
		this.#early = new EarlySocket(this.#settings.url, this.#tokens);
		this.#await(loading, 0);
	}

	ready(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
		fields("ready options", options, ["signal"]);
		if (this.#over !== undefined) return Promise.reject(this.#over);
		const { signal } = options;
		if (signal === undefined) return this.#ready.promise.then(() => undefined);
		if (signal.aborted) return Promise.reject(signal.reason);
		return new Promise((resolve, reject) => {
			const abort = (): void => reject(signal.reason);
			signal.addEventListener("abort", abort, { once: true });
			this.#ready.promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
		});
	}

	on<K extends keyof ClientEvents>(type: K, handler: (fact: ClientEvents[K]) => void, options: ListenOptions = {}): Unsubscribe {
		if (!EVENTS.has(type)) refuse("type", type, `one of ${[...EVENTS].join(", ")}`);
		if (typeof handler !== "function") refuse("handler", handler, "a function");
		if (options.signal?.aborted === true) return () => undefined;
		return bound(this.#events.on(type, handler), options.signal);
	}

	thread(name: string, options: ThreadOptions = {}): Thread {
		if (this.#over !== undefined) throw new AgentwireError("closed", "the client is closed or has failed; connect a new one", { cause: this.#over });
		checkName(name);
		fields("thread options", options, ["from"]);
		const from = options.from === undefined ? undefined : checkFrom(options.from);
		const stream = this.#streams.enter(name, from, this.#context);
		return new ThreadHandle(stream, this.#context, this.#outbox, () => this.#streams.leave(stream));
	}

	inbox(options: ThreadOptions = {}): Thread {
		return this.thread(INBOX, options);
	}

	stats(): Stats {
		const raw = this.#supervisor.call((core) => core.stats()) ?? noStats(this.#state.name);
		return { ...raw, rebuilds: this.#supervisor.rebuilds, pending: this.#outbox.size };
	}

	health(): Health {
		return healthOf(this.#state, this.#notice, Date.now());
	}

	close(): void {
		this.#end("closed", new AgentwireError("closed", "the client was closed"));
	}

	declare [Symbol.dispose]: () => void;

	// --- from loading to the first core ---

	#await(loading: Promise<Instance>, attempt: number): void {
		loading.then(
			(instance) => {
				if (this.#over === undefined) this.#begin(instance);
			},
			(error: unknown) => {
				if (this.#over === undefined) this.#loadFailed(error, attempt);
			},
		);
	}

	#loadFailed(thrown: unknown, attempt: number): void {
		this.#early?.cancel();
		this.#early = undefined;
		const error = thrown instanceof AgentwireError ? thrown : new AgentwireError("wasm_failed", describe(thrown), { cause: thrown });
		if (!error.retryable) return this.#end("failed", error);
		this.#reporter.error(error);
		if (this.#over !== undefined) return;
		const { backoffBaseMs, backoffMaxMs } = this.#settings.config;
		const delay = Math.random() * Math.min(backoffMaxMs, backoffBaseMs * 2 ** attempt);
		this.#setState("waiting", error.code, delay, attempt);
		this.#retry = setTimeout(() => {
			this.#retry = undefined;
			this.#setState("connecting", "retry", undefined, attempt + 1);
			this.#await(new Promise((resolve) => resolve(this.#load(this.#settings.wasm))), attempt + 1);
		}, delay);
	}

	#begin(instance: Instance): void {
		this.#supervisor.begin(instance, {
			host: this.#host(),
			config: () => ({ ...this.#settings.config, ...(this.#subject === undefined ? {} : { subject: this.#subject }) }),
			lost: (error) => this.#lost(error),
			restore: () => this.#restore(),
			failed: (error) => this.#end("failed", error),
		});
		const early = this.#early?.take();
		this.#early = undefined;
		// Before the first attempt, so that its `hello` names every stream and asks for all that is missing.
		this.#fill();
		if (early === undefined) {
			this.#supervisor.call((raw) => raw.connect());
		} else {
			this.#tokens.spend();
			this.#supervisor.call((raw) => raw.adopt(early.socket, early.token));
			if (!this.#supervisor.present) early.socket.close(1000);
		}
		this.#watchBrowser();
	}

	#fill(): void {
		for (const stream of this.#streams.open) stream.resubscribe();
		this.#outbox.resend();
	}

	#watchBrowser(): void {
		const unwatch = watchBrowser({
			online: (online) => this.#supervisor.call((raw) => raw.online(online)),
			away: (away) => this.#supervisor.call((raw) => raw.away(away)),
		});
		const former = this.#unwatch;
		this.#unwatch = () => {
			former();
			unwatch();
		};
	}

	#lost(error: AgentwireError): void {
		if (this.#over !== undefined) return;
		this.#setState("connecting", "internal", undefined, 0);
		this.#reporter.error(error);
	}

	#restore(): void {
		this.#metric({ name: "core_rebuilds", unit: "times", value: this.#supervisor.rebuilds });
		this.#fill();
		if (globalThis.navigator?.onLine === false) this.#supervisor.call((raw) => raw.online(false));
		this.#supervisor.call((raw) => raw.connect());
	}

	#host(): ClientHost {
		return new ClientHost({
			supervisor: this.#supervisor,
			tokens: this.#tokens,
			outbox: this.#outbox,
			reporter: this.#reporter,
			consumers: this.#consumers,
			streams: this.#streams.byId,
			tokenFailed: (error) => {
				this.#tokenFailure = error;
			},
			tokenMissed: () => {
				const error = this.#tokenFailure ?? new AgentwireError("token_failed", "the token function failed");
				this.#tokenFailure = undefined;
				this.#reporter.error(error);
			},
			isConnected: () => this.#state.name === "connected",
			isOver: () => this.#over !== undefined,
			state: (to, reason, retryInMs, attempt) => this.#coreState(to, reason, retryInMs, attempt),
			welcome: (session, subject) => this.#welcome(session, subject),
			notice: (notice) => this.#noticed(notice),
			signal: (signal) => this.#events.emit("signal", signal),
			metric: (metric) => this.#metric(metric),
		});
	}

	#coreState(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void {
		if (this.#over !== undefined) return;
		if (to === "closed") return this.close();
		if (to !== "failed") return this.#setState(to, reason, retryInMs, attempt);
		if (reason === "subject_changed") this.#positions.retire();
		if (reason === "token_failed" && this.#tokenFailure !== undefined) return this.#end("failed", this.#tokenFailure);
		this.#end("failed", new AgentwireError(reason, `the connection has failed: ${reason}`, { retryable: false }));
	}

	#welcome(session: string, subject: string): void {
		if (this.#over !== undefined) return;
		const former = this.#subject;
		// The core ends by itself then; nothing may hang on that (HEL-6).
		if (former !== undefined && former !== subject) return this.#coreState("failed", "subject_changed", undefined, 0);
		this.#subject = subject;
		if (former === undefined) {
			const foreign = this.#positions.scope(addressOnly(this.#settings.url), subject);
			// Positions of another user were asked for: what this one has not seen must not be skipped.
			if (foreign) this.#streams.forgetStored();
		}
		this.#ready.resolve();
		if (former === undefined) this.#events.emit("subject", { subject, session });
	}

	#noticed(notice: Notice): void {
		if (notice.level === "warning" || notice.level === "error") this.#notice = { kind: notice.kind, at: Date.now() };
		else if (notice.kind === this.#notice?.kind) this.#notice = undefined;
		this.#events.emit("notice", notice);
	}

	#end(name: "closed" | "failed", error: AgentwireError): void {
		if (this.#over !== undefined) return;
		this.#over = error;
		clearTimeout(this.#retry);
		this.#unwatch();
		this.#early?.cancel();
		this.#tokens.close();
		// Before the core says of each that it is closed: why is known here.
		this.#outbox.close(error);
		this.#supervisor.call((raw) => raw.close());
		this.#supervisor.end();
		this.#ready.reject(error);
		this.#streams.close(name === "closed" ? undefined : error);
		this.#setState(name, error.code, undefined, 0);
		if (name === "failed") this.#reporter.error(error);
		this.#events.clear();
	}

	#setState(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void {
		const from = this.#state.name;
		// A new core begins with what its client does already, and for the client's reason.
		if (from === "connecting" && to === "connecting") return;
		const rest = retryInMs === undefined ? { reason, attempt } : { reason, attempt, retryAt: Date.now() + retryInMs };
		this.#state = { name: to, ...rest };
		if (from === "connected" || from === "idle") this.#connectingSince = Date.now();
		this.#outbox.connected(to === "connected");
		if (to === "connected") this.#metric({ name: "connect_duration", unit: "ms", value: Date.now() - this.#connectingSince });
		this.#reporter.log("debug", `state ${from} → ${to}`, { reason, attempt });
		this.#events.emit("state", { from, to, ...rest });
	}

	#metric(metric: Metric): void {
		try {
			this.#settings.onMetric?.(metric);
		} catch (error) {
			this.#reporter.handlerThrew(error);
		}
	}
}

// Only where the platform has it: elsewhere the key would be the text "undefined".
if (typeof Symbol.dispose === "symbol") {
	Object.defineProperty(AgentClient.prototype, Symbol.dispose, { value: AgentClient.prototype.close, configurable: true, writable: true });
}

const EVENTS: ReadonlySet<string> = new Set<keyof ClientEvents>(["state", "error", "notice", "signal", "subject"]);

/** Without the query, which may differ from page to page. */
function addressOnly(address: string): string {
	const { origin, host, protocol, pathname } = new URL(address);
	return `${origin === "null" ? `${protocol}//${host}` : origin}${pathname}`;
}

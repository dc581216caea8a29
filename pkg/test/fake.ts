/** A core that behaves as `raw.ts` says, fed by a log that the test writes; and what a client needs around it. */
import { AgentClient, type Client } from "../src/client.js";
import type { ConnectOptions } from "../src/options.js";
import { settingsOf } from "../src/options.js";
import type { Host, RawClient, RawConfig, RawGap, RawSendKind, RawState, RawStats } from "../src/raw.js";
import { noStats } from "../src/state.js";
import { type Engine, Instance } from "../src/supervisor.js";

export type Body = Record<string, unknown>;

/** The log of one stream. */
export interface Log {
	epoch: string;
	oldest: number;
	/** events[i] has offset i + 1 */
	readonly events: Body[];
}

/** Shared by the cores of a test: what a server would hold. */
export class FakeServer {
	readonly logs = new Map<string, Log>();

	log(name: string): Log {
		let log = this.logs.get(name);
		if (log === undefined) this.logs.set(name, (log = { epoch: "e1", oldest: 1, events: [] }));
		return log;
	}

	append(name: string, ...events: Body[]): void {
		this.log(name).events.push(...events.map((event) => ({ time: 1, ...event })));
	}
}

interface FakeConsumer {
	readonly id: number;
	next: number;
	done: number;
	begin: { open: number; epoch: string | undefined; offset: number } | undefined;
	/** Where the gap begins of an epoch that ended, until it was taken note of. */
	untold: number | undefined;
}

interface FakeStream {
	readonly id: number;
	readonly name: string;
	readonly open: number;
	epoch: string | undefined;
	next: number;
	reported: number;
	consumers: FakeConsumer[];
	/** Head of the moment of subscribing. */
	head: number;
	subscribed: boolean;
	caughtUp: boolean;
	/** What the present catch-up lost. */
	gap: RawGap | undefined;
	/** By the server, until another consumer attaches. */
	ended: boolean;
}

export class FakeRaw implements RawClient {
	readonly host: Host;
	readonly config: RawConfig;
	readonly calls: string[] = [];
	readonly sent: { kind: RawSendKind; id: string; stream: string; body: object; sentAgoMs: number }[] = [];
	readonly streams: FakeStream[] = [];
	readonly #server: FakeServer;
	/** The user that this core, or one before it, was welcomed as. */
	subject: string | undefined;
	readonly #queue: (() => void)[] = [];
	#running = false;
	/** The welcome is there, the answers to `hello` are not. */
	#greeting = false;
	state: RawState = "idle";
	freed = false;
	dead = false;
	token = "";
	socket: FakeSocket | undefined;
	/** Throws on the next call of this name. */
	trapOn: string | undefined;
	/** Events per frame. */
	batch = 4;

	constructor(host: Host, config: RawConfig, server: FakeServer) {
		this.host = host;
		this.config = config;
		this.subject = config.subject;
		this.#server = server;
	}

	// --- the border ---

	connect(): void {
		this.#enter("connect", () => {
			if (this.state !== "idle") return;
			this.#go("connecting", "connect");
			this.host.token();
		});
	}

	adopt(socket: WebSocket, token: string): void {
		this.#enter("adopt", () => {
			this.token = token;
			this.socket = socket as unknown as FakeSocket;
			this.host.socket(socket);
			this.#go("connecting", "connect");
		});
	}

	close(): void {
		this.#enter("close", () => {
			this.socket?.close(1000);
			for (const { id } of this.sent.splice(0)) this.host.settled(id, undefined, "closed");
			this.#go("closed", "closed");
		});
	}

	subscribe(stream: number, consumer: number, name: string, open: number, epoch: string | undefined, offset: number): void {
		this.#enter(`subscribe ${name} ${open} ${epoch ?? "-"} ${offset}`, () => {
			let found = this.streams.find((known) => known.id === stream);
			if (found === undefined) {
				if (this.streams.some((known) => known.name === name)) throw new Error(`a second id for the stream ${name}`);
				found = { id: stream, name, open, epoch: undefined, next: 0, reported: 0, consumers: [], head: 0, subscribed: false, caughtUp: false, gap: undefined, ended: false };
				this.streams.push(found);
			}
			if (this.streams.some((known) => known.consumers.some((other) => other.id === consumer))) throw new Error("a consumer id was used twice");
			found.ended = false;
			found.consumers.push({ id: consumer, next: 0, done: 0, begin: { open, epoch, offset }, untold: undefined });
			if (!found.subscribed && epoch !== undefined) {
				if (found.epoch === undefined) {
					found.epoch = epoch;
					found.next = offset + 1;
					found.reported = offset;
				} else if (found.epoch === epoch) {
					found.next = Math.min(found.next, offset + 1);
				}
			}
			this.#place(found);
			this.#report(found);
			if (this.state === "connected" && !this.#greeting) this.#serve(found);
		});
	}

	unsubscribe(consumer: number): void {
		this.#enter(`unsubscribe ${consumer}`, () => {
			for (const stream of this.streams) {
				const [last] = stream.consumers;
				if (last === undefined || !stream.consumers.some((known) => known.id === consumer)) continue;
				if (stream.consumers.length === 1) {
					if (stream.epoch !== undefined) stream.next = last.done + 1;
					stream.subscribed = false;
				}
				stream.consumers = stream.consumers.filter((known) => known.id !== consumer);
				this.#report(stream);
			}
		});
	}

	handedOver(consumer: number, offset: number): void {
		this.#enter("handedOver", () => {
			for (const stream of this.streams) {
				const found = stream.consumers.find((known) => known.id === consumer);
				if (found === undefined) continue;
				found.untold = undefined;
				found.done = Math.max(found.done, Math.min(offset, found.next - 1));
				this.#report(stream);
				this.#serve(stream);
			}
		});
	}

	send(kind: RawSendKind, id: string, stream: string, body: object, sentAgoMs: number): void {
		this.#enter(`send ${id}`, () => void this.sent.push({ kind, id, stream, body, sentAgoMs }));
	}

	signal(stream: string, signal: object): void {
		this.#enter(`signal ${stream} ${JSON.stringify(signal)}`, () => undefined);
	}

	tokenReady(token: string): void {
		this.#enter("tokenReady", () => {
			this.token = token;
			if (this.state === "connected") return;
			this.socket = new FakeSocket("ws://core/", "agentwire.v1");
			this.host.socket(this.socket as unknown as WebSocket);
		});
	}

	tokenFailed(retryable: boolean): void {
		this.#enter(`tokenFailed ${retryable}`, () => {
			// As the end of the client it is told once, by the state.
			if (retryable || this.state === "connected") this.host.error("token_failed", "", undefined);
			if (this.state === "connected") return;
			this.#go(retryable ? "waiting" : "failed", "token_failed", retryable ? 100 : undefined);
		});
	}

	online(online: boolean): void {
		this.#enter(`online ${online}`, () => {
			if (!online) this.#go("offline", "offline");
		});
	}

	away(away: boolean): void {
		this.#enter(`away ${away}`, () => {
			if (away) this.#go("offline", "page_left");
		});
	}

	stats(): RawStats {
		if (this.dead) throw new WebAssembly.RuntimeError("unreachable");
		return { ...noStats(this.state), sendsPending: this.sent.length };
	}

	free(): void {
		if (this.#running) throw new Error("freed while it was running");
		this.freed = true;
	}

	// --- what the test plays: the server and the network ---

	welcome(subject = "ada", session = "s-1"): void {
		this.#enter("welcome", () => {
			if ((this.subject ?? subject) !== subject) return this.#end("subject_changed");
			this.subject = subject;
			this.#go("connected", "welcome");
			this.#greeting = true;
			this.host.welcome(session, subject, 1_048_576);
			// The answers to `hello` come after it, and after all that is called meanwhile.
			this.#queue.push(() => {
				this.#greeting = false;
				for (const stream of this.streams) this.#serve(stream);
			});
		});
	}

	/** Brings what the log has. */
	flush(): void {
		this.#enter("flush", () => {
			for (const stream of this.streams) this.#serve(stream);
		});
	}

	settle(id: string, receipt: object | undefined, error?: string): void {
		this.#enter("settle", () => {
			const index = this.sent.findIndex((entry) => entry.id === id);
			if (index >= 0) this.sent.splice(index, 1);
			this.host.settled(id, receipt, error);
		});
	}

	tell(frame: object): void {
		this.#enter("tell", () => this.host.message(frame));
	}

	fail(reason: string): void {
		this.#enter("fail", () => this.#end(reason));
	}

	/** The patience with an answer to `Host.token` is over. */
	tokenTimeout(): void {
		this.#enter("tokenTimeout", () => {
			this.host.error("token_timeout", "", undefined);
			this.host.token();
		});
	}

	lose(): void {
		this.#enter("lose", () => {
			for (const stream of this.streams) stream.subscribed = false;
			this.#go("waiting", "connection_lost", 250, 1);
		});
	}

	end(name: string, reason: string): void {
		this.#enter("end", () => {
			const stream = this.streams.find((known) => known.name === name);
			if (stream === undefined) return;
			stream.subscribed = false;
			stream.ended = true;
			this.host.ended(stream.id, reason);
		});
	}

	/** Ends the epoch: offsets of the new one begin at 1. */
	newEpoch(name: string, epoch: string): void {
		this.#enter("newEpoch", () => {
			const log = this.#server.log(name);
			log.epoch = epoch;
			log.events.length = 0;
			log.oldest = 1;
			const stream = this.streams.find((known) => known.name === name);
			if (stream !== undefined) this.#changeEpoch(stream, epoch, 1);
		});
	}

	/** Loses offsets for good: up to and including `through`. */
	trim(name: string, through: number): void {
		this.#server.log(name).oldest = through + 1;
	}

	// --- inside ---

	#enter(name: string, task: () => void): void {
		if (this.freed) throw new Error("null pointer passed to rust");
		if (this.dead) throw new WebAssembly.RuntimeError("unreachable");
		this.calls.push(name);
		if (this.trapOn !== undefined && name.startsWith(this.trapOn)) {
			this.dead = true;
			throw new WebAssembly.RuntimeError("unreachable");
		}
		this.#queue.push(task);
		if (this.#running) return;
		this.#running = true;
		for (let next = this.#queue.shift(); next !== undefined && !this.dead; next = this.#queue.shift()) next();
		this.#running = false;
	}

	#go(to: RawState, reason: string, retryInMs?: number, attempt = 0): void {
		this.state = to;
		this.host.state(to, reason, retryInMs, attempt);
	}

	#end(reason: string): void {
		for (const { id } of this.sent.splice(0)) this.host.settled(id, undefined, reason);
		this.#go("failed", reason);
	}

	#place(stream: FakeStream): void {
		if (stream.epoch === undefined) return;
		for (const consumer of stream.consumers) {
			const begin = consumer.begin;
			if (begin === undefined) continue;
			consumer.begin = undefined;
			if (begin.epoch !== undefined && begin.epoch !== stream.epoch) {
				this.#enterEpoch(consumer, begin.offset + 1, stream.epoch, stream.next);
				continue;
			}
			// With an epoch it may be ahead of the others.
			consumer.next = begin.offset < 0 ? stream.next : begin.epoch === undefined ? Math.min(stream.next, begin.offset + 1) : begin.offset + 1;
			consumer.done = consumer.next - 1;
			if (begin.epoch === undefined) this.host.placed(consumer.id, stream.epoch, consumer.done);
		}
	}

	#changeEpoch(stream: FakeStream, epoch: string, next: number): void {
		for (const consumer of stream.consumers) {
			if (consumer.begin !== undefined) continue;
			stream.gap = { from: consumer.done + 1, to: undefined, reason: "epoch", epoch, next };
			this.#enterEpoch(consumer, consumer.done + 1, epoch, next);
		}
		stream.epoch = epoch;
		stream.next = next;
		this.#place(stream);
		stream.reported = -1;
		this.#report(stream);
	}

	#enterEpoch(consumer: FakeConsumer, after: number, epoch: string, next: number): void {
		const from = (consumer.untold ??= after);
		consumer.next = next;
		consumer.done = next - 1;
		if (this.host.gap(consumer.id, { from, to: undefined, reason: "epoch", epoch, next })) consumer.untold = undefined;
	}

	#subscribeOn(stream: FakeStream, log: Log): void {
		const head = log.events.length;
		stream.subscribed = true;
		stream.caughtUp = false;
		stream.head = head;
		const fresh = stream.open === -1 ? head + 1 : stream.open > 0 ? Math.max(log.oldest, head - stream.open + 1) : log.oldest;
		if (stream.epoch === undefined) {
			stream.epoch = log.epoch;
			stream.next = fresh;
			this.#place(stream);
			stream.reported = -1;
			this.#report(stream);
		} else if (stream.epoch !== log.epoch) {
			this.#changeEpoch(stream, log.epoch, fresh);
		}
	}

	#serve(stream: FakeStream): void {
		if (this.state !== "connected" || stream.consumers.length === 0 || stream.ended) return;
		const log = this.#server.log(stream.name);
		if (!stream.subscribed) this.#subscribeOn(stream, log);
		for (;;) {
			const before = JSON.stringify(stream.consumers);
			for (const consumer of [...stream.consumers]) this.#step(stream, log, consumer);
			if (JSON.stringify(stream.consumers) === before) break;
		}
		if (!stream.caughtUp && stream.next > stream.head) {
			stream.caughtUp = true;
			const { gap } = stream;
			stream.gap = undefined;
			const verdict = { recovered: gap === undefined, epoch: log.epoch, from: 1, to: stream.head, replayed: stream.head, duplicatesDropped: 0, attempts: 1, openRuns: ["r1"], gap };
			this.host.resumed(stream.id, verdict);
		}
	}

	/** One frame to one consumer, inside the window. */
	#step(stream: FakeStream, log: Log, consumer: FakeConsumer): void {
		if (consumer.next < log.oldest) {
			const gap = { from: consumer.next, to: log.oldest - 1, reason: "trimmed", epoch: undefined, next: log.oldest };
			consumer.next = log.oldest;
			if (this.host.gap(consumer.id, gap)) consumer.done = consumer.next - 1;
			return;
		}
		const room = this.config.windowEvents - (consumer.next - 1 - consumer.done);
		const take = Math.min(this.batch, room, log.events.length - consumer.next + 1);
		if (take <= 0) return;
		const offset = consumer.next;
		// As the parser would make it: one object per event and frame.
		const events = log.events.slice(offset - 1, offset - 1 + take).map((event) => structuredClone(event));
		const frame = { type: "events", ch: 1, first: offset, count: take, events };
		if (!this.host.wellFormed(frame)) throw new Error("a malformed frame in a test");
		consumer.next = offset + take;
		stream.next = Math.max(stream.next, consumer.next);
		const handed = this.host.deliver(consumer.id, frame, 0, take, offset, stream.head);
		// 0 says nothing about earlier frames: an iterator may hold them still.
		if (handed > 0) consumer.done = Math.max(consumer.done, offset + handed - 1);
		if (!this.dead) this.#report(stream);
	}

	#report(stream: FakeStream): void {
		const done = Math.min(...stream.consumers.map((consumer) => consumer.done));
		// Also back: a consumer that began earlier holds it there.
		if (stream.epoch === undefined || stream.consumers.length === 0 || done === stream.reported) return;
		// A page that is left now must hear of the new epoch in its next life.
		if (stream.consumers.some((consumer) => consumer.untold !== undefined)) return;
		stream.reported = done;
		this.host.position(stream.id, stream.epoch, done);
	}
}

export class FakeSocket {
	static readonly CONNECTING = 0;
	static readonly OPEN = 1;
	static readonly made: FakeSocket[] = [];
	readonly url: string;
	readonly protocol: string;
	readyState = 0;
	closedWith: number | undefined;
	onopen: unknown = "set";
	onmessage: unknown = "set";
	onerror: unknown = "set";
	onclose: unknown = "set";

	constructor(url: string, protocol: string) {
		this.url = url;
		this.protocol = protocol;
		FakeSocket.made.push(this);
	}

	close(code?: number): void {
		this.readyState = 3;
		this.closedWith = code;
	}
}

/** Everything of one test: a client with its cores, the newest last. */
export interface Rig {
	readonly client: Client;
	readonly server: FakeServer;
	readonly cores: FakeRaw[];
	readonly errors: { code: string; cause: unknown }[];
	readonly states: string[];
	resets: number;
	/** The core in use. */
	core(): FakeRaw;
}

export interface RigOptions extends Partial<ConnectOptions> {
	readonly server?: FakeServer;
	readonly instance?: Instance;
	readonly now?: () => number;
	/** Called with each new core before the client uses it. */
	readonly onCore?: (core: FakeRaw) => void;
}

/** An instance of the page with cores of this server. */
export function fakeEngine(server: FakeServer, cores: FakeRaw[], onCore?: (core: FakeRaw) => void, onReset?: () => void): Engine {
	return {
		create(host, config) {
			const core = new FakeRaw(host, config, server);
			cores.push(core);
			onCore?.(core);
			return core;
		},
		reset: () => onReset?.(),
	};
}

/** A client whose core is there at once, as with `agentwire/inline`; not welcomed yet. */
export function rig(options: RigOptions = {}): Rig {
	(globalThis as { WebSocket?: unknown }).WebSocket = FakeSocket;
	const { server = new FakeServer(), instance, now, onCore, ...given } = options;
	const cores: FakeRaw[] = [];
	const made: Rig = {
		server,
		cores,
		errors: [],
		states: [],
		resets: 0,
		client: undefined as unknown as Client,
		core() {
			const core = cores.at(-1);
			if (core === undefined) throw new Error("there is no core yet");
			return core;
		},
	};
	const page = instance ?? new Instance(fakeEngine(server, cores, onCore, () => (made.resets += 1)), now);
	const settings = settingsOf({ url: "wss://chat.example.com/ws", token: () => "secret-token", ...given, autoConnect: false });
	const client = new AgentClient(settings, () => page);
	Object.assign(made, { client });
	client.on("error", ({ code, cause }) => made.errors.push({ code, cause }));
	client.on("state", ({ from, to, reason }) => made.states.push(`${from}>${to} ${reason}`));
	if (given.autoConnect !== false) client.connect();
	return made;
}

/** Lets everything that is queued run. */
export function settled(): Promise<void> {
	return new Promise((resolve) => setImmediate(resolve));
}

/** n custom events with `n` counting from `first`. */
export function numbered(count: number, first = 1): Body[] {
	return Array.from({ length: count }, (_, index) => ({ type: "tick", n: first + index }));
}

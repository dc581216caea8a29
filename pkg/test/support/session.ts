/** One connection to the model server. */
import { compacted } from "./deltas.js";
import type { Body, StreamLog } from "./log.js";
import { Requests } from "./requests.js";
import { Sends } from "./sends.js";
import type { ModelServer } from "./server.js";
import type { Frame, Peer } from "./socket.js";
import { isInteger, isObject, isText, sizeOf } from "./values.js";

/** How long a page may take to say hello, in milliseconds (HEL-1). */
const HELLO_TIMEOUT_MS = 10_000;

/** A subscription. */
export interface Sub {
	readonly ch: number;
	readonly name: string;
	readonly log: StreamLog;
	/** The head when it was answered. */
	readonly head: number;
	/** The first offset that was owed. */
	readonly first: number;
	/** The offset to send next. */
	next: number;
	/** The last offset that was sent, replays and ends of gaps included. */
	sent: number;
	/** Sent and not acknowledged. */
	flight: { readonly offset: number; readonly bytes: number }[];
	caughtUp: boolean;
}

/** The proof of a head (SUB-6): nobody forges anything here, so that a text is enough. */
function sealOf(log: StreamLog, head: number): string {
	return `${head}.${log.epoch}`;
}

/** The head that a seal of the present epoch proves; -1 without one. */
function provenHead(log: StreamLog, seal: unknown): number {
	const head = typeof seal === "string" ? Number(seal.split(".")[0]) : -1;
	return seal === sealOf(log, head) ? head : -1;
}

export class Session {
	readonly server: ModelServer;
	readonly peer: Peer;
	readonly name: string;
	readonly subs = new Map<number, Sub>();
	/** Every frame that was sent to the page. */
	readonly sent: Frame[] = [];
	/** Every frame of both sides, as they were sent or arrived here. */
	readonly trace: string[] = [];
	subject: string | undefined;
	window = { events: 0, bytes: 0 };
	#deltas = false;
	#lastCh = 0;
	#pumping = false;
	#stopHello: () => void;
	#stopHeartbeat: () => void = () => undefined;
	readonly #requests: Requests;
	readonly #sends: Sends;

	constructor(server: ModelServer, peer: Peer, name: string) {
		this.server = server;
		this.peer = peer;
		this.name = name;
		this.#requests = new Requests(this);
		this.#sends = new Sends(this);
		this.#stopHello = server.world.later(HELLO_TIMEOUT_MS, () => peer.close(4452));
		peer.onFrame = (frame) => this.#onFrame(frame);
		peer.onGone = () => {
			this.#stopHello();
			this.#stopHeartbeat();
			this.subs.clear();
		};
	}

	get isOpen(): boolean {
		return this.peer.isOpen;
	}

	get isWelcomed(): boolean {
		return this.isOpen && this.subject !== undefined;
	}

	/** The `hello` of the page. */
	get hello(): Frame {
		const [hello] = this.peer.of("hello");
		if (hello === undefined) throw new Error("the page has not said hello");
		return hello;
	}

	sub(name: string): Sub | undefined {
		return [...this.subs.values()].find((sub) => sub.name === name);
	}

	send(frame: Frame): void {
		for (const put of this.server.outgoing(frame, this)) {
			this.sent.push(put);
			this.#note("▼", put);
			this.peer.send(put);
		}
	}

	broken(rule: string, code?: number): void {
		this.server.broken(this.peer, rule, code);
	}

	#note(way: string, frame: Frame): void {
		if (this.server.traces) this.trace.push(`${this.server.world.now} ${way} ${JSON.stringify(frame)}`);
	}

	// --- frames of the page ---

	#onFrame(frame: Frame): void {
		this.#note("▲", frame);
		if (this.server.incoming(frame, this)) return;
		const limit = this.subject === undefined ? 65_536 : this.server.maxFrameBytes;
		if (sizeOf(frame) > limit) return this.broken(`GEN-7: a frame of ${sizeOf(frame)} bytes`, 4402);
		if (frame.type === "hello") return this.#onHello(frame);
		if (this.subject === undefined) return this.broken("HEL-1: a frame before the hello");
		switch (frame.type) {
			case "subscribe":
				return this.#subscribe(frame["streams"], "subscribe");
			case "unsubscribe":
				return this.#unsubscribe(Number(frame["ch"]));
			case "ack":
				return this.#ack(frame["offsets"]);
			case "replay":
				return this.#requests.replay(frame);
			case "refresh":
				return this.#refresh(String(frame["token"]));
			case "ping":
				return this.send({ type: "pong", n: frame["n"] });
			case "send":
			case "cancel":
			case "approve":
				return this.#sends.take(frame);
			case "signal":
				return this.#sends.signal(frame);
			case "history":
				return this.send({ type: "error", code: "unsupported", message: "no history here", retryable: false, req: frame["req"] });
		}
	}

	#onHello(hello: Frame): void {
		if (this.subject !== undefined) return this.broken("HEL-1: a second hello");
		const { token, client, window } = hello;
		if (!isText(token) || !isObject(client) || !isText(client["name"]) || !isText(client["version"]) || !isObject(window))
			return this.broken("HEL-2: a malformed hello");
		const { events, bytes } = window;
		if (!isInteger(events, 1, 65_536) || !isInteger(bytes, 1_024, 67_108_864)) return this.broken("FLO-1: a malformed window");
		this.#stopHello();
		const judged = this.server.judgeToken(token);
		if ("code" in judged) {
			this.peer.send({ type: "error", code: judged.code, message: "the token was refused", retryable: true });
			return this.peer.close(judged.close);
		}
		this.window = { events, bytes };
		this.#deltas = Array.isArray(hello["features"]) && hello["features"].includes("deltas");
		this.subject = judged.subject;
		const { heartbeatMs, maxFrameBytes, maxStreams, sendHorizonMs, tokenExpiresInMs } = this.server;
		const expiry = tokenExpiresInMs === undefined ? {} : { tokenExpiresInMs };
		this.send({ type: "welcome", session: this.name, subject: judged.subject, heartbeatMs, maxFrameBytes, maxStreams, sendHorizonMs, ...expiry, features: [] });
		this.#beat();
		this.#subscribe(hello["streams"], "hello");
	}

	#refresh(token: string): void {
		const judged = this.server.judgeToken(token);
		if ("code" in judged) return this.send({ type: "error", code: judged.code, message: "the token was refused", retryable: true });
		if (judged.subject !== this.subject) return this.send({ type: "error", code: "token_invalid", message: "another subject", retryable: false });
		this.server.refreshed();
		const { tokenExpiresInMs } = this.server;
		this.send({ type: "refreshed", ...(tokenExpiresInMs === undefined ? {} : { tokenExpiresInMs }) });
	}

	// --- streams (section 4) ---

	#subscribe(streams: unknown, where: string): void {
		if (!Array.isArray(streams)) return this.broken(`${where}: streams is no list`);
		const names = new Set<unknown>();
		for (const request of streams as readonly unknown[]) {
			if (!isObject(request) || !isText(request["name"])) return this.broken("SUB-1: a malformed request");
			if (names.has(request["name"]) || this.sub(request["name"]) !== undefined) return this.broken(`SUB-2: ${request["name"]} is subscribed already`);
			names.add(request["name"]);
		}
		for (const request of streams as readonly Body[]) this.#requestOf(request);
		this.pump();
	}

	#requestOf(request: Body): void {
		const name = String(request["name"]);
		const refusal = this.server.refused.get(name);
		if (refusal !== undefined) return this.send({ type: "unsubscribed", name, reason: refusal });
		if (this.subs.size >= this.server.maxStreams) return this.send({ type: "unsubscribed", name, reason: "too_many_streams" });
		const answer = this.#answer(this.server.log(name), request);
		if (answer === undefined) return;
		this.#lastCh += 1;
		const ch = this.#lastCh;
		const log = this.server.log(name);
		const { next, recovered, reason } = answer;
		this.subs.set(ch, { ch, name, log, head: log.head, first: next, next, sent: next - 1, flight: [], caughtUp: false });
		const base = log.base === 0 ? {} : { base: log.base };
		this.send({
			type: "subscribed",
			ch,
			name,
			epoch: log.epoch,
			oldest: log.oldest,
			head: log.head,
			...base,
			next,
			recovered,
			...(reason === undefined ? {} : { reason }),
		});
	}

	/** SUB-4 to SUB-8. */
	#answer(log: StreamLog, request: Body): { readonly next: number; readonly recovered: boolean; readonly reason?: string } | undefined {
		const { position, seen, open = { from: "start" } } = request;
		if (!isObject(open)) return void this.broken("SUB-1: a malformed open");
		const { from, last } = open;
		if (last === undefined ? from !== "start" && from !== "live" : !isInteger(last, 1, 100_000)) return void this.broken("SUB-1: a malformed open");
		const count = isInteger(last, 1, 100_000) ? last : undefined;
		if (position === undefined) {
			if (seen !== undefined || request["seal"] !== undefined) return void this.broken("SUB-1: seen or a seal without a position");
			if (count !== undefined) return { next: Math.max(log.oldest, log.head - count + 1), recovered: true };
			if (from === "live") return { next: log.head + 1, recovered: true };
			return log.oldest > 1 ? { next: log.oldest, recovered: false, reason: "trimmed" } : { next: 1, recovered: true };
		}
		if (!isObject(position) || !isText(position["epoch"]) || !isInteger(position["offset"], 0)) return void this.broken("SUB-1: a malformed position");
		const { epoch, offset } = position;
		if (seen !== undefined && !(isInteger(seen, 0) && seen > Number(offset))) return void this.broken("SUB-1: seen is not above the position");
		const furthest = isInteger(seen, 0) ? seen : Number(offset);
		if (provenHead(log, request["seal"]) > log.head) this.server.restore(String(request["name"]), log.head, `${log.epoch}'`);
		if (epoch !== log.epoch) return { ...this.#anew(log, from), recovered: false, reason: "epoch" };
		if (furthest > log.head) {
			if (!log.isOfFormerProcess) return void this.broken(`SUB-6: ${furthest} is above the head ${log.head} of an epoch that lost nothing`);
			return { next: log.oldest, recovered: false, reason: "ahead" };
		}
		const owed = Number(offset) + 1;
		return owed < log.oldest ? { next: log.oldest, recovered: false, reason: "trimmed" } : { next: owed, recovered: true };
	}

	/** SUB-8: where a page with a position of another epoch begins. */
	#anew(log: StreamLog, from: unknown): { readonly next: number } {
		return { next: from === "start" ? log.oldest : Math.max(log.oldest, log.base + 1) };
	}

	#unsubscribe(ch: number): void {
		const sub = this.subs.get(ch);
		if (sub === undefined) return;
		this.subs.delete(ch);
		this.send({ type: "unsubscribed", ch, name: sub.name, reason: "requested" });
	}

	/** The epoch of a stream is over. */
	epochEnded(name: string): void {
		this.end(name, "epoch");
	}

	/** Ends a subscription. */
	end(name: string, reason: string): void {
		const sub = this.sub(name);
		if (sub === undefined) return;
		this.subs.delete(sub.ch);
		this.send({ type: "unsubscribed", ch: sub.ch, name, reason });
	}

	// --- events and windows (sections 5 and 7) ---

	/** Sends what may be sent: one frame of each stream in turn (FLO-4). */
	pump(): void {
		if (!this.isWelcomed || this.#pumping || this.server.quiet) return;
		this.#pumping = true;
		try {
			let moved = true;
			while (moved) {
				moved = false;
				for (const sub of [...this.subs.values()]) moved = this.#step(sub) || moved;
			}
		} finally {
			this.#pumping = false;
		}
	}

	#step(sub: Sub): boolean {
		const { log, ch } = sub;
		if (!sub.caughtUp && sub.next > sub.head) {
			sub.caughtUp = true;
			this.send({ type: "caughtUp", ch, offset: sub.head, openRuns: log.openRuns(sub.head), seal: sealOf(log, sub.head) });
			return true;
		}
		if (sub.next < log.oldest) {
			this.send({ type: "gap", ch, from: sub.next, to: log.oldest - 1, reason: "trimmed" });
			sub.next = log.oldest;
			sub.sent = Math.max(sub.sent, sub.next - 1);
			return true;
		}
		const events: Body[] = [];
		const first = sub.next;
		let bytes = sub.flight.reduce((sum, entry) => sum + entry.bytes, 0);
		// What was missing and what is live are not mixed in one frame: `caughtUp` stands between them.
		const end = sub.caughtUp ? log.head : sub.head;
		while (events.length < this.server.batch && sub.next <= end) {
			const event = log.at(sub.next);
			const size = sizeOf(event);
			if (sub.flight.length > 0 && (sub.flight.length >= this.window.events || bytes + size > this.window.bytes)) break;
			sub.flight.push({ offset: sub.next, bytes: size });
			bytes += size;
			events.push(event);
			sub.next += 1;
		}
		if (events.length === 0) return false;
		sub.sent = Math.max(sub.sent, sub.next - 1);
		this.sendEvents(ch, first, events);
		return true;
	}

	sendEvents(ch: number, first: number, events: readonly Body[]): void {
		if (this.server.compacts && this.#deltas) for (const frame of compacted(ch, first, events)) this.send(frame);
		else this.send({ type: "events", ch, first, count: events.length, events });
	}

	#ack(offsets: unknown): void {
		if (!isObject(offsets)) return this.broken("FLO-2: a malformed ack");
		for (const [key, offset] of Object.entries(offsets)) {
			const sub = this.subs.get(Number(key));
			if (!isInteger(offset, 0)) return this.broken("FLO-2: a malformed ack");
			if (sub === undefined) continue;
			if (offset > sub.sent) return this.broken(`FLO-3: an ack of ${offset}, above ${sub.sent}, the last that was sent`);
			sub.flight = sub.flight.filter((entry) => entry.offset > offset);
		}
		this.pump();
	}

	// --- heartbeats (section 6) ---

	/** Sends a heartbeat now; several frames when the heads do not fit into one. */
	heartbeat(): void {
		let heads: Record<string, number> = {};
		let seals: Record<string, string> = {};
		for (const { ch, log } of this.subs.values()) {
			const seal = sealOf(log, log.head);
			if (sizeOf({ type: "heartbeat", heads: { ...heads, [ch]: log.head }, seals: { ...seals, [ch]: seal } }) > this.server.maxFrameBytes) {
				this.send({ type: "heartbeat", heads, seals });
				heads = {};
				seals = {};
			}
			heads[ch] = log.head;
			seals[ch] = seal;
		}
		this.send({ type: "heartbeat", heads, seals });
	}

	#beat(): void {
		this.#stopHeartbeat = this.server.world.later(this.server.heartbeatMs, () => {
			this.heartbeat();
			this.#beat();
		});
	}
}

/** A model server, written from `docs/PROTOCOL.md`: what it holds, and what a test does to it. */
import { type Body, StreamLog } from "./log.js";
import { Session } from "./session.js";
import type { Frame, Peer } from "./socket.js";
import type { World } from "./world.js";

/** A message that was applied. */
export interface Applied {
	readonly subject: string;
	readonly stream: string;
	readonly id: string;
	/** Its JSON. */
	readonly body: string;
	readonly position: { readonly epoch: string; readonly offset: number };
	readonly at: number;
}

export class ModelServer {
	readonly world: World;
	readonly logs = new Map<string, StreamLog>();
	/** Every connection that was ever made, the newest last. */
	readonly sessions: Session[] = [];
	/** Rules of the protocol that a page broke. */
	readonly violations: string[] = [];
	/** Every send that was applied. */
	readonly applied: Applied[] = [];
	/** Sets what a token says: a user, or the code of a refusal. */
	judgeToken: (token: string) => { readonly subject: string } | { readonly code: string; readonly close: number } = () => ({ subject: this.subject });
	/** Takes the place of each frame to a page. */
	outgoing: (frame: Frame, session: Session) => readonly Frame[] = (frame) => [frame];
	/** Hears each frame of a page first; true: the server does nothing about it. */
	incoming: (frame: Frame, session: Session) => boolean = () => false;
	/** Names that nobody may follow, with the reason (SUB-11). */
	readonly refused = new Map<string, string>();
	/** Whom a token names. */
	subject = "ada";
	/** Largest number of events in a frame. */
	batch = 4;
	/** Largest number of events that answer one `replay`. */
	replayPage = 10_000;
	heartbeatMs = 15_000;
	maxFrameBytes = 1_048_576;
	maxStreams = 64;
	sendHorizonMs = 86_400_000;
	tokenExpiresInMs: number | undefined;
	/** Writes runs of deltas in their compact form (DLT-1). */
	compacts = false;
	/** Applies sends and says nothing. */
	withholdReceipts = false;
	/** Sends that are refused for good, once each. */
	readonly forbidden = new Set<string>();
	/** So many of the next sends are put off (SND-9). */
	overloaded = 0;
	/** Handshakes are refused. */
	down = false;
	/** Handshakes are neither accepted nor refused. */
	unreachable = false;
	/** Nothing is sent but what answers a request: for tests that put frames on the wire by hand. */
	quiet = false;
	/** Keeps every frame as text, for whoever looks into a failure. */
	traces = false;
	#tokensRefreshed = 0;
	#lastSession = 0;

	constructor(world: World) {
		this.world = world;
		world.onSocket = (peer) => this.accept(peer);
	}

	/** The connection in use. */
	get session(): Session {
		const session = this.latest;
		if (session === undefined) throw new Error("no page is connected");
		return session;
	}

	/** The connection in use, if there is one. */
	get latest(): Session | undefined {
		return this.sessions.filter((known) => known.isOpen).at(-1);
	}

	get isConnected(): boolean {
		return this.sessions.some((session) => session.isOpen);
	}

	get tokensRefreshed(): number {
		return this.#tokensRefreshed;
	}

	/** Every frame of a type that pages sent, over all connections. */
	received(type: string): Frame[] {
		return this.sessions.flatMap((session) => session.peer.of(type));
	}

	accept(peer: Peer): void {
		if (this.unreachable) return;
		if (this.down) return peer.drop();
		this.#lastSession += 1;
		this.sessions.push(new Session(this, peer, `s-${this.#lastSession}`));
		peer.open();
	}

	// --- what happens to logs ---

	log(name: string): StreamLog {
		let log = this.logs.get(name);
		if (log === undefined) this.logs.set(name, (log = new StreamLog(name)));
		return log;
	}

	append(name: string, ...events: readonly Body[]): void {
		this.log(name).append(events.map((event) => ({ time: 1, ...event })));
		this.#pump();
	}

	/** Loses the first events for good, up to `through`. */
	trim(name: string, through: number): void {
		this.log(name).trim(through);
		this.#pump();
	}

	/** The log is put back to `keep` events, and says so (LIF-4): a new epoch, which `then` is written in. */
	restore(name: string, keep: number, epoch: string, ...then: readonly Body[]): void {
		const log = this.log(name);
		log.begin(epoch, Math.min(keep, log.head));
		log.append(then.map((event) => ({ time: 1, ...event })));
		for (const session of this.sessions) session.epochEnded(name);
		this.#pump();
	}

	/** The server crashes, and its log loses what comes after `keep` without knowing it (SUB-6). */
	crash(name: string, keep: number): void {
		this.cut();
		this.log(name).loseTail(keep);
	}

	/** Ends the subscriptions of a name (SUB-11). */
	end(name: string, reason: string): void {
		for (const session of this.sessions) session.end(name, reason);
	}

	// --- what happens to connections ---

	/** Cuts every connection: pages hear 1006. */
	cut(): void {
		for (const session of this.sessions) session.peer.drop();
	}

	/** Closes every connection with a code. */
	close(code: number, reason = ""): void {
		for (const session of this.sessions) session.peer.close(code, reason);
	}

	/** Sends a frame to every page, as it is. */
	tell(frame: Frame): void {
		for (const session of this.sessions) if (session.isWelcomed) session.peer.send(frame);
	}

	/** A page broke a rule: it is noted, and the connection ends as the protocol says. */
	broken(peer: Peer, rule: string, code = 4400): void {
		this.violations.push(rule);
		peer.send({ type: "error", code: code === 4402 ? "message_too_large" : "bad_frame", message: rule, retryable: false });
		peer.close(code);
	}

	refreshed(): void {
		this.#tokensRefreshed += 1;
	}

	#pump(): void {
		for (const session of this.sessions) session.pump();
	}
}

/** `count` custom events with `n` counting from `first`. */
export function numbered(count: number, first = 1): Body[] {
	return Array.from({ length: count }, (_, index) => ({ type: "tick", n: first + index }));
}

/**
 * The border between the wasm core and the package: what the core offers ({@link RawClient}) and what it asks of its
 * host ({@link Host}). Only `load.ts` imports the generated glue; everything else knows these types.
 *
 * Numbers, short texts and handles cross; bodies of events never do: the core holds the parsed frame by reference and
 * says which of its events go to whom.
 */

/** A frame of events as `JSON.parse` made it: `events` (EVT-1) or `deltas` (DLT-1). */
export interface RawEventsFrame {
	readonly type: string;
	readonly ch: number;
	readonly first: number;
	readonly count: number;
	readonly events?: readonly Record<string, unknown>[];
	readonly head?: Record<string, unknown>;
	readonly times?: readonly number[];
	readonly texts?: readonly string[];
}

/** States of the connection. `closed` and `failed` are terminal. */
export type RawState = "idle" | "connecting" | "connected" | "waiting" | "offline" | "closed" | "failed";

/** The end of one catch-up of one stream (I3). */
export interface RawVerdict {
	readonly recovered: boolean;
	readonly epoch: string;
	readonly from: number;
	readonly to: number;
	readonly replayed: number;
	readonly duplicatesDropped: number;
	readonly attempts: number;
	readonly openRuns: readonly string[];
	readonly gap?: RawGap | undefined;
}

export interface RawGap {
	readonly from: number;
	/** `undefined`: the rest of the epoch. */
	readonly to: number | undefined;
	readonly reason: string;
	/** The new epoch, when this one ended. */
	readonly epoch: string | undefined;
	/** The offset of the event that follows the gap. */
	readonly next: number;
}

/**
 * What the core calls. None may throw, and each may call the core again: such calls only queue and take effect when
 * the running one is over, so that every consumer sees offset order (I10).
 */
export interface Host {
	/** The socket in use now, so that it can be detached when the wasm instance is lost. */
	socket(socket: WebSocket | undefined): void;
	/**
	 * Whether each event of a frame is an object with a text `type` (EVT-1), or the parts of a `deltas` frame are what DLT-1
	 * says. Here, because looking at each event from wasm would cost a crossing per event.
	 */
	wellFormed(frame: RawEventsFrame): boolean;
	/** Asks for a token; to be answered by `tokenReady` or `tokenFailed`. Called again without an answer, the earlier question needs none any more. */
	token(): void;
	/**
	 * Hands `take` events of `frame`, beginning at index `skip`, to one consumer. `offset` belongs to the first of them;
	 * offsets up to `replayThrough` are replays. Returns how many were handed over before it returned (0 for an
	 * iterator, which reports its pulls by `handedOver`).
	 */
	deliver(consumer: number, frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number;
	/**
	 * A consumer that was attached without an epoch begins here: `offset` is the last one before what it gets first. Told once
	 * for each of them, as soon as it is known: before the `position` that counts it, and before anything goes to it.
	 */
	placed(consumer: number, epoch: string, offset: number): void;
	/**
	 * The position of the stream is now this: the slowest consumer's, and the one to store. Called when the server has
	 * answered, before the first `deliver`, and then whenever the position changes.
	 */
	position(stream: number, epoch: string, offset: number): void;
	/** A change of state. `retryInMs` only for `waiting`. */
	state(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void;
	welcome(session: string, subject: string, maxFrameBytes: number): void;
	/**
	 * Offsets this consumer will never get. Returns whether it was handed over at once (listeners), or waits in a queue
	 * (an iterator, which reports it by `handedOver(consumer, gap.to)` when it is pulled). With `to` undefined the epoch is
	 * over: whatever waits in the queue belongs to it and must be dropped, and the gap begins after what was pulled; an
	 * iterator then reports `handedOver(consumer, gap.next - 1)`.
	 */
	gap(consumer: number, gap: RawGap): boolean;
	/** A catch-up is complete. */
	resumed(stream: number, verdict: RawVerdict): void;
	/** The server ended the subscription for good. */
	ended(stream: number, reason: string): void;
	/** A send, cancel or approval is settled: by the parsed `receipt` frame, or by an error code of our own. */
	settled(id: string, receipt: object | undefined, error: string | undefined): void;
	/** A parsed `signal` or `notice` frame. */
	message(frame: object): void;
	/** Something went wrong that ended nothing: a parsed `error` frame, or a code of our own. */
	error(code: string, message: string, frame: object | undefined): void;
}

export interface RawConfig {
	/** Seed of the jitter: any integer below 2^53. */
	readonly seed: number;
	readonly url: string;
	readonly clientVersion: string;
	readonly windowEvents: number;
	readonly windowBytes: number;
	readonly maxPending: number;
	readonly backoffBaseMs: number;
	readonly backoffMaxMs: number;
	readonly connectTimeoutMs: number;
	/** The user that an earlier core of this client was welcomed as: the core ends with `subject_changed` when another one is. */
	readonly subject?: string;
}

/** Where a stream without a position begins: 0 is the start, -1 live, n > 0 the last n events. */
export type RawOpen = number;

/** What a `send` carries: 0 a message, 1 a cancel, 2 an approval. */
export type RawSendKind = 0 | 1 | 2;

export interface RawStats {
	readonly state: RawState;
	readonly attempts: number;
	readonly connects: number;
	readonly framesReceived: number;
	readonly framesIgnored: number;
	readonly malformedFrames: number;
	readonly eventsDelivered: number;
	readonly eventsReplayed: number;
	readonly duplicatesDropped: number;
	readonly outOfOrder: number;
	readonly replayRequests: number;
	readonly gaps: number;
	readonly acksSent: number;
	readonly staleEvents: number;
	readonly parkedFrames: number;
	readonly sendsPending: number;
}

export interface RawClient {
	/** Leaves `idle`: asks for a token, then opens a socket. Does nothing in another state. */
	connect(): void;
	/** Leaves `idle` with a socket that is connecting or open already, and the token for its `hello`. */
	adopt(socket: WebSocket, token: string): void;
	/** Closes for good. Pending sends settle with `closed`. */
	close(): void;
	/**
	 * Attaches a consumer to a stream; ids are the caller's and are never used twice, and a name has one id for as long as the
	 * core knows it. With `epoch`, the consumer has everything up to `offset` of it, also when others of the stream have less.
	 * Without, it begins after `offset`, or if that is -1 at the stream's position, which `open` says as long as there is none;
	 * `Host.placed` tells where that is.
	 */
	subscribe(stream: number, consumer: number, name: string, open: RawOpen, epoch: string | undefined, offset: number): void;
	/** Detaches a consumer; with the last one the stream is unsubscribed. */
	unsubscribe(consumer: number): void;
	/** An iterator's consumer has pulled everything up to `offset`. */
	handedOver(consumer: number, offset: number): void;
	/**
	 * Queues a message; `body` holds the further fields of the frame (`message`, or `runId`, …). Settles exactly once.
	 * `sentAgoMs`: milliseconds since it may have gone out for the first time, through an earlier core; -1 if it cannot have.
	 */
	send(kind: RawSendKind, id: string, stream: string, body: object, sentAgoMs: number): void;
	/** Sends at once or not at all. */
	signal(stream: string, signal: object): void;
	tokenReady(token: string): void;
	tokenFailed(retryable: boolean): void;
	online(online: boolean): void;
	/**
	 * The page goes into the back/forward cache, or away for good: closes the socket, so that the page can be cached and
	 * nothing is handed over that nobody keeps. With `false` it is back, and the core connects.
	 */
	away(away: boolean): void;
	stats(): RawStats;
	free(): void;
}

/**
 * The border between the wasm core and the package: what the core offers ({@link RawClient}) and what it asks of its
 * host ({@link Host}), in words. Only `load.ts` imports the generated glue.
 *
 * What really crosses to wasm is numbers: `core.ts` and `border.ts` stand between these words and them. Bodies of events stay on
 * this side: the core says which events of which frame go to which consumer.
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

/** Offsets from one to another, both included. */
export interface RawRange {
	readonly from: number;
	readonly to: number;
}

/** The end of one catch-up, for one consumer (I3). */
export interface RawResumeResult {
	readonly recovered: boolean;
	readonly epoch: string;
	readonly from: number;
	/** The offset of the position that the result leads to. */
	readonly to: number;
	readonly replayed: number;
	readonly duplicatesDropped: number;
	readonly attempts: number;
	readonly openRuns?: readonly string[] | undefined;
	readonly gap?: RawGap | undefined;
	/** What exists of a new epoch and is not owed to this consumer (GAP-4). */
	readonly skipped?: RawRange | undefined;
}

/** Offsets that one consumer will never get. */
export interface RawGap {
	readonly from: number;
	/** `undefined`: the rest of the epoch. */
	readonly to?: number | undefined;
	readonly reason: string;
	/** The new epoch, when this one ended. */
	readonly epoch?: string | undefined;
	/** Number of epochs that this consumer has entered: 0 at first. It grows by one with each gap that names a new epoch. */
	readonly life: number;
	/** The offset of the event that follows the gap. */
	readonly next: number;
}

/**
 * What the core calls. Each callback may call the core again: such calls only queue, and take effect when the running one
 * is over, so that every consumer sees offset order (I10).
 *
 * None may throw: the core ignores what is thrown. The `Gate` catches and reports it.
 */
export interface Host {
	/** The socket in use now: the host detaches it when the wasm instance is lost. */
	socket(socket: WebSocket | undefined): void;
	/** A call into the core threw where nobody else hears of it: a message of the socket came. */
	trapped(error: unknown): void;
	/** Asks for a token, which `tokenReady` or `tokenFailed` answers. Called again without an answer, the earlier question needs none any more. */
	token(): void;
	/**
	 * Delivers `take` events of a frame to one consumer, beginning at index `skip`. `offset` belongs to the first of them;
	 * offsets up to `replayThrough` are replays. Returns how many were delivered before it returned (0 for an iterator,
	 * which reports what it pulls by `RawClient.delivered`).
	 */
	deliver(consumer: number, frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number;
	/**
	 * A consumer that was attached without an epoch begins here: `offset` is the last one before what it gets first. Called once
	 * for each of them, as soon as the place is known and before anything else goes to it.
	 */
	placed(consumer: number, epoch: string, offset: number): void;
	/** The state has changed. `retryInMs` is given only for `waiting`. */
	state(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void;
	/** What is wrong with a connection that stands: `silent`, `unanswered` or `slow`. */
	trouble(reason: string | undefined): void;
	/** The server has named the connection and the user, and its time, in milliseconds since the Unix epoch. */
	welcome(session: string, subject: string, time: number | undefined): void;
	/**
	 * Offsets that this consumer will never get. Returns whether the gap was delivered at once (handlers) or waits in a queue (an
	 * iterator, which reports it by `delivered(consumer, gap.life, gap.next - 1)` when it is pulled). With `to` undefined the
	 * epoch is over: whatever waits in the queue belongs to it and is dropped, and the gap begins after what was pulled.
	 */
	gap(consumer: number, gap: RawGap): boolean;
	/** A catch-up is complete, for this consumer: called in its place among the events. An iterator queues it and reports nothing. */
	resumed(consumer: number, result: RawResumeResult): void;
	/** The server ended the subscription for good. */
	ended(stream: number, reason: string): void;
	/** The frame of a send, cancel or approval is written for the socket in use. */
	written(id: string): void;
	/** A send, cancel or approval is settled: by the parsed `receipt` frame, or by an error code of our own. */
	settled(id: string, receipt: object | undefined, error: string | undefined): void;
	/** A parsed `signal` or `notice` frame has come. */
	message(frame: object): void;
	/** Something went wrong that ended nothing: a parsed `error` frame, or a code of our own. With `send_held` the message is the key of the send. */
	error(code: string, message: string, frame: object | undefined): void;
}

/** What a core is made with. The package has checked it. */
export interface RawConfig {
	/** Seed of the jitter: any integer below 2^53. */
	readonly seed: number;
	readonly url: string;
	readonly clientVersion: string;
	/** The application's name for the device. */
	readonly device?: string | undefined;
	readonly windowEvents: number;
	readonly windowBytes: number;
	readonly windowTotalBytes: number;
	readonly maxPending: number;
	readonly backoffBaseMs: number;
	/** `undefined`: what the server says, or 20 s. */
	readonly backoffMaxMs: number | undefined;
	/** Hundredths of the step before that a step has. */
	readonly backoffGrowth: number;
	/** Hundredths of a step that are drawn. */
	readonly backoffJitter: number;
	/** Attempts that may be made at once (I14). */
	readonly attemptBurst: number;
	/** Transmissions of one send within 10 minutes (I14). */
	readonly maxUploads: number;
	/** The server needs no network. */
	readonly isLocal: boolean;
	readonly connectTimeoutMs: number;
	readonly tokenTimeoutMs: number;
	/** The expected user: the core ends with `subject_changed` when another one is welcomed. */
	readonly subject?: string;
}

/** Where a stream without a position begins: 0 is the start, -1 live, n > 0 the last n events. */
export type RawOpen = number;

/** What a `send` carries: 0 a message, 1 a cancel, 2 an approval, 3 a withdrawal, 4 an edit. */
export type RawSendKind = 0 | 1 | 2 | 3 | 4;

/** The core of one client. */
export interface RawClient {
	/** Leaves `idle`: asks for a token, then opens a socket. Does nothing in another state. */
	connect(): void;
	/** Leaves `idle` with a socket that is connecting or open already, and the token for its `hello`. */
	adopt(socket: WebSocket, token: string): void;
	/** Closes for good. Pending sends settle with `closed`. */
	close(): void;
	/**
	 * Attaches a consumer to a stream; `flush` asks the server. Consumer ids are the caller's and are never used twice. A name
	 * may come under a new stream id: the core keeps one stream per name, and uses the newest id.
	 *
	 * With `epoch`, the consumer has everything up to `offset` of it, also when others of the stream have less. Without, it
	 * begins after `offset`, or if that is -1 at the stream's position, which `open` says as long as there is none;
	 * `Host.placed` says where that is. `maxQueued` events may wait to be delivered to it; what comes beyond them is asked for
	 * again. 0: it takes everything at once.
	 */
	subscribe(stream: number, consumer: number, name: string, open: RawOpen, epoch: string | undefined, offset: number, maxQueued: number): void;
	/** Asks the server for all that was attached since the last call, in one frame. Needed only while connected. */
	flush(): void;
	/** Detaches a consumer; with the last one the stream is unsubscribed. */
	unsubscribe(consumer: number): void;
	/**
	 * An iterator has pulled everything up to `offset` in the epoch that `life` counts (see {@link RawGap}). The core ignores a
	 * report of an older life.
	 */
	delivered(consumer: number, life: number, offset: number): void;
	/**
	 * Queues a message; `body` holds the further fields of the frame (`message`, or `runId`, …), `bytes` of JSON. It settles exactly once.
	 * `sentAgoMs`: milliseconds since it may have gone out for the first time, through an earlier core or before it failed; -1
	 * if it cannot have. `sentAt` is the server's time of that, if it is known.
	 */
	send(kind: RawSendKind, id: string, stream: string, body: object, bytes: number, sentAgoMs: number, sentAt?: number): void;
	/** Takes a send back: it settles with the code `reason`, unless it may have gone out. */
	takeBack(id: string, reason: string): void;
	/** Sends at once or not at all. */
	signal(stream: string, signal: object): void;
	tokenReady(token: string): void;
	tokenFailed(retryable: boolean): void;
	/** Says whether there is a network. */
	online(online: boolean): void;
	/**
	 * The page goes into the back/forward cache, or away for good: closes the socket, so that the page can be cached and
	 * nothing is delivered that nobody keeps. With `false` it is back, and the core connects.
	 */
	away(away: boolean): void;
	/** The application wants an attempt now: while waiting, offline, or after a failure. */
	reconnect(): void;
	/** Chooses another delay for the wait that has just begun. */
	retryIn(delayMs: number): void;
	/** The page became visible or focused, or was resumed. */
	wake(): void;
	/** The counter at a place in the list of `counters.ts`. */
	counter(place: number): number;
	/**
	 * Answers whether no call into this core was left in the middle: the core counts up when a method or a callback of a socket
	 * or timer enters it, and down when that returns. Asked only while nothing of the core is on the stack, so false means a
	 * trap. It may throw instead.
	 */
	alive(): boolean;
	free(): void;
}

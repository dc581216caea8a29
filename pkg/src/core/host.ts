/** The client's side of the border: what the core calls, taken to the part that it concerns. */
import type { Consumer } from "./consumer.js";
import type { AgentwireError } from "./errors.js";
import { wellFormed } from "./frames.js";
import type { Metric } from "./metrics.js";
import { errorOf, type Outbox } from "./outbox.js";
import type { Host, RawEventsFrame, RawGap, RawState, RawVerdict } from "./raw.js";
import type { Reporter } from "./report.js";
import type { Notice, Signal } from "./state.js";
import type { Stream } from "./stream.js";
import type { Supervisor } from "./supervisor.js";
import type { TokenSource } from "./token.js";

/** The parts of a client that its core reaches. */
export interface HostParts {
	readonly supervisor: Supervisor;
	readonly tokens: TokenSource;
	readonly outbox: Outbox;
	readonly reporter: Reporter;
	readonly consumers: ReadonlyMap<number, Consumer>;
	readonly streams: ReadonlyMap<number, Stream>;
	/** The token function failed. What becomes of it is the core's word: the error `token_failed`, or the end. */
	tokenFailed(error: AgentwireError): void;
	/** The core goes on without the token. */
	tokenMissed(): void;
	isConnected(): boolean;
	isOver(): boolean;
	state(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void;
	welcome(session: string, subject: string): void;
	notice(notice: Notice): void;
	signal(signal: Signal): void;
	metric(metric: Metric): void;
}

export class ClientHost implements Host {
	readonly #parts: HostParts;

	constructor(parts: HostParts) {
		this.#parts = parts;
	}

	socket(): void {
		// The supervisor keeps it.
	}

	wellFormed(frame: RawEventsFrame): boolean {
		return wellFormed(frame);
	}

	token(): void {
		const { supervisor, tokens, tokenFailed, isConnected } = this.#parts;
		tokens.ask(
			isConnected() ? "refresh" : "connect",
			(token) => supervisor.call((raw) => raw.tokenReady(token)),
			(error) => {
				tokenFailed(error);
				supervisor.call((raw) => raw.tokenFailed(error.retryable));
			},
		);
	}

	deliver(consumer: number, frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number {
		return this.#parts.consumers.get(consumer)?.deliver(frame, skip, take, offset, replayThrough) ?? 0;
	}

	placed(consumer: number, epoch: string, offset: number): void {
		const found = this.#parts.consumers.get(consumer);
		if (found === undefined) return;
		found.epoch = epoch;
		found.offset = offset;
	}

	position(stream: number, epoch: string, offset: number): void {
		this.#parts.streams.get(stream)?.moved(epoch, offset);
	}

	state(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void {
		this.#parts.state(to, reason, retryInMs, attempt);
	}

	welcome(session: string, subject: string): void {
		this.#parts.welcome(session, subject);
	}

	gap(consumer: number, gap: RawGap): boolean {
		const found = this.#parts.consumers.get(consumer);
		if (found === undefined) return true;
		for (const stream of this.#parts.streams.values()) {
			if (!stream.has(found)) continue;
			this.#parts.metric({ name: "gap_offsets", unit: "offsets", value: gap.to === undefined ? 0 : gap.to - gap.from + 1, thread: stream.name });
			return stream.gap(found, gap);
		}
		return true;
	}

	resumed(stream: number, verdict: RawVerdict): void {
		const found = this.#parts.streams.get(stream);
		if (found === undefined) return;
		this.#parts.metric({ name: "replayed_events", unit: "events", value: verdict.replayed, thread: found.name });
		found.resumed(verdict);
	}

	ended(stream: number, reason: string): void {
		this.#parts.streams.get(stream)?.ended(reason);
	}

	settled(id: string, receipt: object | undefined, error: string | undefined): void {
		this.#parts.outbox.settled(id, receipt, error);
	}

	message(frame: object): void {
		const fields = frame as Readonly<Record<string, unknown>>;
		if (fields["type"] === "notice") {
			const { type: _type, ...notice } = fields;
			this.#parts.notice(notice as unknown as Notice);
		} else if (fields["type"] === "signal") {
			const { stream, from, signal, expiresInMs } = frame as { stream: string; from?: string; signal: Signal["signal"]; expiresInMs?: number };
			this.#parts.signal({ thread: stream, from, signal, expiresInMs });
		}
	}

	error(code: string, message: string, frame: object | undefined): void {
		if (this.#parts.isOver()) return;
		// Why is known here only.
		if (code === "token_failed") return this.#parts.tokenMissed();
		const text = code === "token_timeout" ? "the token function did not answer within 30 seconds" : message;
		this.#parts.reporter.error(errorOf(frame, code, text));
	}
}

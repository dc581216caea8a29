/** The client's side of the border: what the core calls, taken to the part that it concerns. */

import type { ClientSide } from "../core/gate.js";
import type { RawEventsFrame, RawGap, RawResumeResult, RawState } from "../core/raw.js";
import type { Outbox } from "../sends/outbox.js";
import { errorOf } from "../sends/receipt.js";
import type { AgentwireError } from "../shared/errors.js";
import type { Metric } from "../shared/metrics.js";
import type { Seat } from "../thread/stream.js";
import type { Streams } from "../thread/streams.js";

/** The parts of a client that its core reaches. */
export interface HostParts {
	readonly outbox: Outbox;
	readonly streams: Streams;
	readonly seats: ReadonlyMap<number, Seat>;
	token(): void;
	state(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void;
	welcome(session: string, subject: string): void;
	trouble(reason: string | undefined): void;
	/** A parsed `signal` or `notice` frame. */
	message(frame: object): void;
	/** The core goes on without a token. */
	tokenMissed(): void;
	error(error: AgentwireError): void;
	metric(metric: Metric): void;
}

export class ClientHost implements ClientSide {
	readonly #parts: HostParts;
	readonly #tokenTimeoutMs: number;

	constructor(parts: HostParts, tokenTimeoutMs: number) {
		this.#parts = parts;
		this.#tokenTimeoutMs = tokenTimeoutMs;
	}

	deliver(consumer: number, frame: RawEventsFrame, skip: number, take: number, offset: number, replayThrough: number): number {
		const seat = this.#parts.seats.get(consumer);
		if (seat === undefined) return 0;
		const delivered = seat.consumer.deliver(frame, skip, take, offset, replayThrough);
		this.#parts.outbox.keeper?.delivered(seat, frame, skip, take, offset);
		return delivered;
	}

	placed(consumer: number, epoch: string, offset: number): void {
		const seat = this.#parts.seats.get(consumer);
		seat?.stream.placed(seat.consumer, epoch, offset);
	}

	gap(consumer: number, gap: RawGap): boolean {
		const seat = this.#parts.seats.get(consumer);
		if (seat === undefined) return true;
		const value = gap.to === undefined ? 0 : gap.to - gap.from + 1;
		this.#parts.metric({ name: "gap_offsets", unit: "offsets", value, thread: seat.stream.name });
		return seat.stream.gap(seat.consumer, gap);
	}

	resumed(consumer: number, result: RawResumeResult): void {
		const seat = this.#parts.seats.get(consumer);
		if (seat === undefined) return;
		this.#parts.metric({ name: "replayed_events", unit: "events", value: result.replayed, thread: seat.stream.name });
		seat.consumer.resumed(result);
		this.#parts.outbox.keeper?.moved(seat.stream);
	}

	ended(stream: number, reason: string): void {
		this.#parts.streams.byId(stream)?.ended(reason);
	}

	token(): void {
		this.#parts.token();
	}

	state(to: RawState, reason: string, retryInMs: number | undefined, attempt: number): void {
		this.#parts.state(to, reason, retryInMs, attempt);
	}

	welcome(session: string, subject: string, time: number | undefined): void {
		this.#parts.welcome(session, subject);
		this.#parts.outbox.welcomed(time);
	}

	trouble(reason: string | undefined): void {
		this.#parts.trouble(reason);
	}

	written(id: string): void {
		this.#parts.outbox.written(id);
	}

	settled(id: string, receipt: object | undefined, error: string | undefined): void {
		this.#parts.outbox.settled(id, receipt, error);
	}

	message(frame: object): void {
		this.#parts.message(frame);
	}

	error(code: string, message: string, frame: object | undefined): void {
		// Why is known to the client only.
		if (code === "token_failed") return this.#parts.tokenMissed();
		let text = message;
		if (code === "token_timeout") text = `the token function did not answer within ${this.#tokenTimeoutMs} ms`;
		else if (code === "send_held") text = `the connection was lost each time that message ${message} was sent`;
		this.#parts.error(errorOf(frame, code, text));
	}
}

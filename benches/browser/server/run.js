/** One run: the frames of one page's load, the connection that gets them, and the pace. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { DIALECTS } from "../shared/dialects/index.js";
import { textOf } from "../shared/events.js";

/** Events that are encoded before a run begins; what is beyond is encoded on the way (the load for memory alone has so many). */
const ENCODED_BEFORE = 150_000;
/** Bytes that may wait in the process for a page that does not read, where no time is measured. */
const MAX_BUFFERED = 4_194_304;
/** Frames that are sent without a pause to others. */
const FRAMES_PER_TURN = 64;

/**
 * @typedef {object} Plan
 * @property {string} dialect
 * @property {"events" | "tokens"} kind
 * @property {number} perFrame Events of a frame, or of a burst if `natural`.
 * @property {boolean} natural Frames as the protocol's server makes them of a burst.
 * @property {number} total Events of the run.
 * @property {boolean} atOnce Everything is there when the client subscribes, and is sent without being told.
 */

export class Run {
	#id;
	#plan;
	#tell;
	#dialect;
	/** @type {{ data: Buffer, first: number, last: number, bytes: number }[]} */
	#frames = [];
	/** The number of the last event that has a frame. */
	#encoded = 0;
	#nextFrame = 0;
	#connection;
	#session;
	#isOver = false;
	/** The last event that was sent in the turn before. */
	#reached = -1;
	/** Takes the turn that waits for the client. */
	#blocked;

	/** @param {string} id @param {Plan} plan @param {(message: object) => void} tell */
	constructor(id, plan, tell) {
		this.#id = id;
		this.#plan = plan;
		this.#tell = tell;
		this.#dialect = DIALECTS[plan.dialect];
	}

	/** Encodes what the run will send. */
	async encode() {
		const end = Math.min(this.#plan.total, ENCODED_BEFORE);
		while (this.#encoded < end) {
			for (let turn = 0; turn < FRAMES_PER_TURN && this.#encoded < end; turn += 1) this.#encodeFrame();
			await nextTurn();
		}
	}

	/** The events of a burst are cut into frames one after the other, so that a burst ends with a frame. */
	#encodeFrame() {
		const { kind, natural, perFrame, total } = this.#plan;
		const size = natural ? this.#dialect.burst(perFrame) : perFrame;
		const first = this.#encoded + 1;
		const burstEnd = Math.ceil(first / perFrame) * perFrame;
		const last = Math.min(first + size - 1, burstEnd, total);
		const events = [];
		let bytes = 0;
		for (let n = first; n <= last; n += 1) {
			const text = textOf(kind, n);
			bytes += text.length;
			events.push(text);
		}
		this.#frames.push({ data: Buffer.from(this.#dialect.encode(events, first), "latin1"), first, last, bytes });
		this.#encoded = last;
	}

	/** A client has a socket. Returns what it says and is told. */
	connected(connection) {
		if (this.#connection !== undefined) this.#fail("the client connected twice");
		this.#connection = connection;
		this.#session = this.#dialect.session({
			send: (text) => connection.send(text),
			subscribed: () => this.subscribed(),
			fail: (reason) => this.#fail(reason),
			history: this.#plan.atOnce ? this.#plan.total : 0,
		});
		return this.#session;
	}

	closed(code) {
		if (!this.#isOver) this.#fail(`the connection closed with ${code}`);
	}

	/** The client gets events from now on. */
	subscribed() {
		this.#tell({ type: "subscribed", run: this.#id });
		if (this.#plan.atOnce) this.go(this.#plan.total, undefined);
	}

	/** What a session throws is the run's failure. */
	guard(work) {
		try {
			work();
		} catch (error) {
			this.#fail(String(error?.stack ?? error));
		}
	}

	/**
	 * Sends the next `count` events: `pace.events` at a time, `pace.everyMs` apart; without a pace as fast as flow control and the
	 * socket take them.
	 */
	go(count, pace) {
		const from = this.#frames[this.#nextFrame - 1]?.last ?? 0;
		const end = Math.min(from + count, this.#plan.total);
		const started = performance.now();
		const turn = () => {
			if (this.#isOver) return;
			const due = pace === undefined ? end : Math.min(end, from + pace.events * (1 + Math.floor((performance.now() - started) / pace.everyMs)));
			let last = from;
			this.guard(() => (last = this.#sendThrough(due, pace === undefined)));
			if (last >= end) this.#tell({ type: "sent", run: this.#id, ms: performance.now() - started });
			else if (pace === undefined) this.#goOn(turn, last);
			else setTimeout(turn, 1);
		};
		turn();
	}

	/** Takes the next turn soon; if the last one could send nothing, when the client has said something, or a little later. */
	#goOn(turn, last) {
		const isBlocked = last === this.#reached;
		this.#reached = last;
		if (!isBlocked) return void setImmediate(turn);
		const timer = setTimeout(turn, 2);
		this.#blocked = () => {
			clearTimeout(timer);
			turn();
		};
	}

	/** The client has said something: what waits for it may go on. */
	wake() {
		const blocked = this.#blocked;
		this.#blocked = undefined;
		blocked?.();
	}

	/** Sends frames up to event `due`, or what may go now. Returns the number of the last event that went. */
	#sendThrough(due, polite) {
		for (let turn = 0; turn < FRAMES_PER_TURN; turn += 1) {
			if (this.#nextFrame === this.#frames.length && this.#encoded < this.#plan.total) this.#encodeFrame();
			const frame = this.#frames[this.#nextFrame];
			if (frame === undefined || frame.last > due) break;
			if (polite && !this.#plan.atOnce && this.#connection.buffered() > MAX_BUFFERED) break;
			if (!this.#session.room(frame.first, frame.last - frame.first + 1, frame.bytes)) break;
			this.#connection.send(frame.data);
			this.#session.sent(frame.last, frame.bytes);
			this.#nextFrame += 1;
			// What was encoded on the way is not kept.
			if (frame.last > ENCODED_BEFORE) {
				this.#frames.splice(0, this.#nextFrame - 1);
				this.#nextFrame = 1;
			}
		}
		return this.#frames[this.#nextFrame - 1]?.last ?? 0;
	}

	#fail(reason) {
		if (!this.#isOver) this.#tell({ type: "failed", run: this.#id, reason });
	}

	forget() {
		this.#isOver = true;
		this.#frames = [];
	}
}

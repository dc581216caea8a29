/**
 * The border to wasm. Only numbers cross it, and the socket: here the core's numbers become the words of {@link Host}. `core.ts` takes
 * the other direction.
 */
import { isLonger } from "./frames.js";
import type { CoreHost, NumberCore } from "./glue.js";
import type { Host, RawEventsFrame, RawGap, RawState } from "./raw.js";
import { FrameReader } from "./reader.js";
import { Slots } from "./slots.js";
import { Texts } from "./texts.js";
import { CONTRADICTIONS } from "./words.js";
import { frameOf, isKeyed, type Writing } from "./written.js";

/** The kinds of reports, in the order of `Report` in `src/web/report.rs`. */
const ENDED = 0;
const ERROR = 1;
const GAP = 2;
const MESSAGE = 3;
const PLACED = 4;
const RESUMED = 5;
const SETTLED = 6;
const STATE = 7;
const TOKEN = 8;
const TROUBLE = 9;

/** In the order of `State` in `src/proto/output.rs`. */
const STATES: readonly RawState[] = ["closed", "connected", "connecting", "failed", "idle", "offline", "waiting"];

/** The subprotocol (GEN-1). */
const PROTOCOL = "agentwire.v1";

/** Texts beyond which those that the core does not hold are forgotten. */
const MOST_TEXTS = 1_024;

export class Border implements CoreHost {
	readonly #host: Host;
	readonly #writing: Writing;
	readonly #reader: FrameReader;
	/** What the core gave for the report or the frame that follows. */
	#numbers: number[] = [];
	/** What is given to the core, and how far it has read. */
	#given: readonly number[] = [];
	#read = 0;
	#mostTexts = MOST_TEXTS;

	constructor(host: Host, version: string, device: string | undefined) {
		this.#host = host;
		this.#writing = { texts: new Texts(), slots: new Slots(), version, device };
		this.#reader = new FrameReader(host, this);
	}

	get texts(): Texts {
		return this.#writing.texts;
	}

	get slots(): Slots {
		return this.#writing.slots;
	}

	/** Gives what comes on sockets to a core. */
	serve(core: NumberCore): void {
		this.#reader.serve(core);
	}

	/** Gives numbers to the core, for the call that follows. */
	give(numbers: readonly number[]): void {
		this.#given = numbers;
		this.#read = 0;
	}

	/** Forgets the texts that nobody needs, when there are many. Called while nothing of the core is on the stack. */
	tidy(core: NumberCore): void {
		if (this.texts.size <= this.#mostTexts) return;
		this.#numbers = [];
		if (core.texts()) this.texts.keep(this.#numbers);
		this.#numbers = [];
		this.#mostTexts = Math.max(MOST_TEXTS, 2 * this.texts.size);
	}

	// --- what the core calls ---

	next(): number {
		return this.#given[this.#read++] ?? -1;
	}

	put(number: number): void {
		this.#numbers.push(number);
	}

	text(number: number): string {
		return this.texts.text(number);
	}

	write(kind: number): string | undefined {
		const numbers = this.#taken();
		const text = JSON.stringify(frameOf(kind, numbers, this.#writing));
		if (!isKeyed(kind)) return text;
		if (isLonger(text, this.#reader.maxBytes)) return undefined;
		this.#host.written(this.text(numbers[0] ?? -1));
		return text;
	}

	open(address: number): WebSocket | undefined {
		try {
			return new WebSocket(this.text(address), PROTOCOL);
		} catch (error) {
			const { message } = error as { readonly message?: unknown };
			this.#host.error("socket_refused", typeof message === "string" ? message : "", undefined);
			return undefined;
		}
	}

	socket(socket: WebSocket | undefined, id: number): void {
		if (socket !== undefined) {
			this.#reader.attach(socket, id);
			closeAfterError(socket, () => this.#host.error("socket_refused", "the browser refused to open the address", undefined));
		}
		this.#host.socket(socket);
	}

	release(slot: number): void {
		this.slots.release(slot);
	}

	deliver(consumer: number, slot: number, skip: number, take: number, offset: number, replayThrough: number): number {
		return this.#host.deliver(consumer, this.slots.get(slot) as RawEventsFrame, skip, take, offset, replayThrough);
	}

	report(kind: number): boolean {
		const numbers = this.#taken();
		const [first = 0, second = 0, third = 0, fourth = 0] = numbers;
		const host = this.#host;
		switch (kind) {
			case ENDED:
				host.ended(first, this.text(second));
				break;
			case ERROR:
				this.#error(first, second, third);
				break;
			case GAP:
				return host.gap(first, this.#gap(numbers, 1));
			case MESSAGE:
				host.message(this.slots.get(first) as object);
				break;
			case PLACED:
				host.placed(first, this.text(second), third);
				break;
			case RESUMED:
				this.#resumed(numbers);
				break;
			case SETTLED:
				host.settled(this.text(first), this.slots.get(third) as object | undefined, second < 0 ? undefined : this.text(second));
				break;
			case STATE:
				host.state(STATES[first] as RawState, this.text(second), third < 0 ? undefined : third, fourth);
				break;
			case TOKEN:
				host.token();
				break;
			case TROUBLE:
				host.trouble(first < 0 ? undefined : this.text(first));
				break;
			default:
				this.#reader.maxBytes = third;
				host.welcome(this.text(first), this.text(second), fourth < 0 ? undefined : fourth);
		}
		return false;
	}

	#taken(): readonly number[] {
		const numbers = this.#numbers;
		this.#numbers = [];
		return numbers;
	}

	#error(code: number, slot: number, contradiction: number): void {
		const frame = this.slots.get(slot);
		// A message that is no frame leaves a text that says why.
		if (typeof frame === "string") this.#host.error(this.text(code), frame, undefined);
		else if (this.text(code) === "send_held") this.#host.error("send_held", this.text(contradiction), undefined);
		else this.#host.error(this.text(code), CONTRADICTIONS[contradiction] ?? "", frame);
	}

	#gap(numbers: readonly number[], at: number): RawGap {
		const [from = 0, to = 0, reason = 0, epoch = 0, life = 0, next = 0] = numbers.slice(at);
		return { from, to: to < 0 ? undefined : to, reason: this.text(reason), epoch: epoch < 0 ? undefined : this.text(epoch), life, next };
	}

	#resumed(numbers: readonly number[]): void {
		const [consumer = 0, recovered, epoch = 0, from = 0, to = 0, replayed = 0, duplicatesDropped = 0, attempts = 0, skippedFrom = 0, skippedTo = 0, hasGap] =
			numbers;
		const runsAt = hasGap === 1 ? 17 : 11;
		this.#host.resumed(consumer, {
			recovered: recovered === 1,
			epoch: this.text(epoch),
			from,
			to,
			replayed,
			duplicatesDropped,
			attempts,
			openRuns: numbers[runsAt] === -1 ? undefined : numbers.slice(runsAt + 1).map((run) => this.text(run)),
			gap: hasGap === 1 ? this.#gap(numbers, 11) : undefined,
			// 0 is no offset.
			skipped: skippedFrom === 0 ? undefined : { from: skippedFrom, to: skippedTo },
		});
	}
}

/** Chromium reports a socket that the page's content security policy forbids by `error`, and never by `close`. */
function closeAfterError(socket: WebSocket, refused: () => void): void {
	let closed = false;
	socket.addEventListener("close", () => (closed = true));
	socket.addEventListener("error", () => {
		// Everywhere else `close` follows in the same task.
		setTimeout(() => {
			if (closed || socket.readyState !== WebSocket.CLOSED) return;
			refused();
			socket.dispatchEvent(Object.assign(new Event("close"), { code: 1006 }));
		});
	});
}

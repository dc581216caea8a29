/** Sends the events of one run: numbered, in small batches, one request at a time. */
import { randomUUID } from "node:crypto";
import { BridgeError, isBridgeError } from "../errors.js";
import { repeat } from "../http/repeat.js";
import { request } from "../http/request.js";
import type { Settings } from "../settings.js";
import type { AnyEvent } from "./kinds.js";
import { type Beside, type Entry, entryOf, Queue } from "./queue.js";

/** A batch does not wait for its time once it has this many events or bytes. */
const FULL_EVENTS = 100;
const FULL_BYTES = 64 << 10;
/** The server forgets a producer after 24 hours: one that was silent for half of it goes on under a new id. */
const FORGOTTEN_MS = 12 * 3_600_000;
const MOST_GAPS = 5;
/** With these, other events of the same producer can still succeed. */
const CONCERNS_EVENTS: ReadonlySet<string> = new Set(["invalid_event", "too_large", "approval_conflict", "bad_request"]);
/** So many times the soft limit of the queue is refused. */
const HARD = 10;

export interface ProducerHooks {
	/** A batch goes out, or is durable. */
	readonly active: () => void;
	/** An answer names these runs as cancelled by a user. */
	readonly cancelled: (runs: readonly unknown[]) => void;
	/** Nothing can be sent any more. */
	readonly failed: (error: BridgeError) => void;
}

export class Producer {
	readonly #settings: Settings;
	readonly #path: string;
	readonly #hooks: ProducerHooks;
	readonly #queue: Queue = new Queue();
	#id: string = randomUUID();
	#timer: NodeJS.Timeout | undefined;
	#sending = false;
	#gaps = 0;
	#answered: number = performance.now();
	#dead: BridgeError | undefined;
	/** An event that was refused after its call had returned: the next call reports it. */
	#refused: BridgeError | undefined;
	#room: { readonly promise: Promise<void>; readonly open: () => void } | undefined;

	constructor(settings: Settings, thread: string, hooks: ProducerHooks) {
		this.#settings = settings;
		this.#path = `/v1/threads/${encodeURIComponent(thread)}/events`;
		this.#hooks = hooks;
	}

	/** Queues an event. Resolves when the queue has room for more. */
	async queue(event: AnyEvent): Promise<void> {
		this.#add(entryOf(event));
		this.#send(this.#queue.length >= FULL_EVENTS || this.#queue.size >= FULL_BYTES);
		while (this.#isFull(1)) {
			await this.#roomLeft();
			if (this.#dead !== undefined) throw this.#dead;
		}
	}

	/** Sends an event, and what waits before it, at once. Resolves when it is durable. */
	async durable(event: AnyEvent, beside?: Beside): Promise<void> {
		await new Promise<void>((resolve, reject) => {
			this.#add(entryOf(event, beside, (error) => (error === undefined ? resolve() : reject(error))));
			this.#send(true);
		});
	}

	/** Resolves when everything that was queued is durable. */
	async flush(): Promise<void> {
		this.#send(true);
		while (this.#queue.length > 0 && this.#dead === undefined) await this.#roomLeft();
		this.#check();
	}

	/** Refuses everything that waits or comes later. */
	end(error: BridgeError): void {
		if (this.#dead !== undefined) return;
		this.#dead = error;
		clearTimeout(this.#timer);
		this.#queue.fail(error);
		this.#openRoom();
	}

	#check(): void {
		if (this.#dead !== undefined) throw this.#dead;
		const refused = this.#refused;
		this.#refused = undefined;
		if (refused !== undefined) throw refused;
	}

	#add(entry: Entry): void {
		this.#check();
		if (this.#isFull(HARD)) {
			throw new BridgeError("queue_full", "too many events wait for the server: `await` each call of the run", { retryable: true });
		}
		this.#queue.add(entry);
	}

	#isFull(times: number): boolean {
		return this.#queue.length >= this.#settings.maxQueuedEvents * times || this.#queue.size >= this.#settings.maxQueuedBytes * times;
	}

	#send(now: boolean): void {
		// While a request is under way, its answer sends what came meanwhile.
		if (this.#sending || this.#queue.length === 0) return;
		if (!now) {
			this.#timer ??= setTimeout(() => this.#send(true), this.#settings.batchMs);
			return;
		}
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#sending = true;
		void this.#drain();
	}

	async #drain(): Promise<void> {
		let most: number | undefined;
		while (this.#queue.length > 0 && this.#dead === undefined) {
			if (performance.now() - this.#answered > FORGOTTEN_MS) this.#begin();
			const batch = this.#queue.batch(most);
			most = undefined;
			try {
				const answer = await repeat(() => this.#post(batch), this.#settings.deadlineMs);
				this.#confirmed(batch, answer);
			} catch (error) {
				most = this.#failed(batch, error);
			}
			this.#openRoom();
		}
		// In the same turn as the check of the loop: what is queued after it must be sent by its own call.
		this.#sending = false;
	}

	#begin(): void {
		this.#id = randomUUID();
		this.#queue.renumber();
	}

	#post(batch: readonly Entry[]): Promise<Readonly<Record<string, unknown>>> {
		this.#hooks.active();
		const producer = JSON.stringify({ id: this.#id, seq: this.#queue.first });
		const beside = Object.entries(batch[0]?.beside ?? {}).map(([name, value]) => `,${JSON.stringify(name)}:${JSON.stringify(value)}`);
		const body = `{"producer":${producer},"events":[${batch.map(({ text }) => text).join(",")}]${beside.join("")}}`;
		return request(this.#settings, "POST", this.#path, { body });
	}

	#confirmed(batch: readonly Entry[], answer: Readonly<Record<string, unknown>>): void {
		// Ended meanwhile: nobody waits for it.
		if (this.#dead !== undefined) return;
		const last = this.#queue.first + batch.length - 1;
		if (answer["seq"] !== last) throw new BridgeError("bad_answer", `the server confirmed event ${String(answer["seq"])} instead of ${last}`);
		this.#gaps = 0;
		this.#answered = performance.now();
		this.#queue.confirm(batch.length);
		const { cancelled } = answer;
		if (Array.isArray(cancelled) && cancelled.length > 0) this.#hooks.cancelled(cancelled);
	}

	/** Takes what can be saved from a batch that failed; returns how many events the next one may have. */
	#failed(batch: readonly Entry[], thrown: unknown): number | undefined {
		if (this.#dead !== undefined) return undefined;
		const error = isBridgeError(thrown) ? thrown : new BridgeError("bad_answer", "the request failed in an unexpected way", { cause: thrown });
		if (error.code === "producer_gap" && error.expected !== undefined && this.#gaps++ < MOST_GAPS && this.#queue.rewind(error.expected)) return undefined;
		const index = error.index ?? (batch.length === 1 ? 0 : undefined);
		const entry = index === undefined ? undefined : batch[index];
		if (!CONCERNS_EVENTS.has(error.code) || (index !== undefined && entry === undefined)) {
			this.#hooks.failed(error);
			this.end(error);
			return undefined;
		}
		// The place of the fault is not known: smaller batches find it.
		if (index === undefined || entry === undefined) return Math.ceil(batch.length / 2);
		if (entry.settle === undefined) this.#refused ??= error;
		this.#queue.refuse(index, error);
		return undefined;
	}

	#roomLeft(): Promise<void> {
		if (this.#room === undefined) {
			let open = (): void => {};
			const promise = new Promise<void>((resolve) => {
				open = resolve;
			});
			this.#room = { promise, open };
		}
		return this.#room.promise;
	}

	#openRoom(): void {
		this.#room?.open();
		this.#room = undefined;
	}
}

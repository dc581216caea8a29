/**
 * Keeps the messages of one client in the database. A message goes out only when its row says since when the server may know it,
 * and that is durable: so a page that finds the row never takes a message for a new one. Messages go out in the order in which they
 * were typed, those of former pages first.
 *
 * A row goes when its message has failed for certain, or when it is stored and its event came to this page. Between receipt and event
 * the row stays if the thread is open for events, so that a reload still shows the message.
 */
import type { KeptClient } from "../../client/kept.js";
import type { RawEventsFrame } from "../../core/raw.js";
import type { Keeper } from "../../sends/keeper.js";
import { bytesOf, type Letter } from "../../sends/letter.js";
import type { Receipt } from "../../sends/receipt.js";
import { SentMessage } from "../../sends/sent.js";
import { AgentwireError, describe } from "../../shared/errors.js";
import type { Position } from "../../thread/position.js";
import type { Seat, Stream } from "../../thread/stream.js";
import { scopeOf } from "../scope.js";
import { Database } from "./database.js";
import { Pages } from "./pages.js";
import { letterOf, type Row, rowOf } from "./row.js";

/** Stored messages that may wait for their events at once. More: the oldest is not kept any longer. */
const MAX_STORED = 256;

/** When a page that has started looks again for pages that are gone, in milliseconds: the one before it may still be on its way out. */
const SECOND_LOOK_MS = 1_000;

/** Only messages are kept. */
const MESSAGE = 0;

export class PersistentKeeper implements Keeper {
	readonly #client: KeptClient;
	readonly #pages = new Pages();
	/** What this page keeps, by the id of the message. */
	readonly #rows = new Map<string, Row>();
	/** Letters that may not go out yet, in their order. */
	#held: Letter[] = [];
	/** Ids whose rows say durably since when the server may know them. */
	readonly #marked = new Set<string>();
	#user: string | undefined;
	#scope = "";
	#database: Database | undefined;
	/** Former messages were read, or cannot be. */
	#ready = false;
	/** What was kept is waited for no more: the browser does not do it. */
	#broken = false;
	#connected = false;
	#ended = false;
	#lastOrder = 0;
	/** There was no room for everything that a former page left. */
	#isLeft = false;
	#secondLook: ReturnType<typeof setTimeout> | undefined;

	constructor(client: KeptClient) {
		this.#client = client;
	}

	user(name: string): void {
		if (this.#user !== undefined) return;
		this.#user = name;
		this.#scope = scopeOf(this.#client.url, name);
		void this.#attempt(async () => {
			const database = await Database.open();
			if (this.#ended) return database.close();
			this.#database = database;
			await this.#pages.begin();
			const allGone = await this.#takeOver();
			if (!allGone && !this.#ended) this.#secondLook = setTimeout(this.#look, SECOND_LOOK_MS);
		}).then(() => {
			if (this.#ended) return;
			this.#ready = true;
			globalThis.document?.addEventListener("visibilitychange", this.#onVisible);
			this.#keepHeld();
		});
	}

	connected(connected: boolean): void {
		this.#connected = connected;
		if (!connected || !this.#ready) return;
		this.#keepHeld();
		this.#look();
	}

	take(letter: Letter): void {
		this.#held.push(letter);
		if (this.#ready) this.#keep([letter]);
	}

	settled({ id, stream }: Letter, receipt: Receipt | undefined, code: string | undefined): void {
		this.#held = this.#held.filter((letter) => letter.id !== id);
		const row = this.#rows.get(id);
		const stays = row !== undefined && (receipt === undefined ? code === "outcome_unknown" : this.#awaitsEvent(stream, receipt));
		if (!stays) {
			this.forget(id);
			// After this call the outbox has room.
			if (this.#isLeft) queueMicrotask(this.#look);
		} else if (receipt !== undefined) {
			row.stored = receipt;
			this.#write([row]);
			this.#boundStored();
		}
	}

	keeps(id: string): boolean {
		return this.#rows.has(id);
	}

	forget(id: string): void {
		if (!this.#rows.delete(id)) return;
		this.#marked.delete(id);
		void this.#attempt(async () => this.#database?.delete(this.#scope, id));
	}

	delivered({ stream, consumer }: Seat, frame: RawEventsFrame, skip: number, take: number, offset: number): void {
		if (this.#rows.size === 0) return;
		for (const [index, event] of (frame.events ?? []).slice(skip, skip + take).entries()) {
			const row = this.#rows.get(String(event["sendId"]));
			if (row === undefined || row.thread !== stream.name || (event["user"] ?? this.#user) !== this.#user) continue;
			this.#proved(row, { epoch: consumer.front?.epoch ?? "", offset: offset + index });
		}
		this.moved(stream);
	}

	moved(stream: Stream): void {
		for (const { id, thread, stored } of [...this.#rows.values()]) {
			if (thread === stream.name && stored !== undefined && isReached(stream.position, stored.position)) this.#let(id);
		}
	}

	end(): void {
		this.#ended = true;
		clearTimeout(this.#secondLook);
		globalThis.document?.removeEventListener("visibilitychange", this.#onVisible);
		this.#pages.end();
		this.#database?.close();
	}

	// --- what former pages left ---

	readonly #onVisible = (): void => {
		if (globalThis.document?.visibilityState === "visible") this.#look();
	};

	readonly #look = (): void => void this.#attempt(() => this.#takeOver());

	/** Takes over the messages of pages that are gone, as many as there is room for. Returns whether all other pages are gone. */
	async #takeOver(): Promise<boolean> {
		const database = this.#database;
		// Without locks, a page that is alive cannot be told from one that is gone: only what was there at the start is taken.
		if (database === undefined || (this.#ready && !this.#pages.areKnown)) return true;
		const owners = new Set((await database.read(this.#scope)).map(({ owner }) => owner));
		owners.delete(this.#pages.me);
		const found: Row[] = [];
		let allGone = true;
		let [count, bytes] = [0, 0];
		this.#isLeft = false;
		const fits = (row: Row): boolean => {
			if (row.stored !== undefined) return true;
			const size = bytesOf(letterOf(row));
			if (this.#client.context.outbox.refusal(count + 1, bytes + size) !== undefined) {
				this.#isLeft = true;
				return false;
			}
			[count, bytes] = [count + 1, bytes + size];
			return true;
		};
		try {
			for (const owner of owners) {
				const isGone = await this.#pages.ifGone(owner, async () => {
					found.push(...(await database.claim(this.#scope, this.#pages.me, (row) => row.owner === owner && fits(row))));
				});
				allGone &&= isGone;
			}
		} finally {
			// What was claimed is this page's, whatever became of the rest.
			if (!this.#ended) this.#restore(found.sort((one, other) => one.order - other.order));
		}
		return allGone;
	}

	/** Shows messages of former pages, and sends those that are not stored before the ones of this page that still wait. */
	#restore(rows: readonly Row[]): void {
		if (rows.length === 0) return;
		const { outbox } = this.#client.context;
		const typed = [...outbox.listed.messages];
		const waiting = this.#held;
		this.#held = [];
		for (const row of rows) {
			this.#lastOrder = Math.max(this.#lastOrder, row.order);
			// The page that had it may still be alive, and may have sent it.
			if (!this.#pages.areKnown) row.sentSince ??= row.order;
			const known = outbox.find(row.id);
			if (known !== undefined && known.sentSince === undefined) {
				known.sentSince = row.sentSince;
				known.sentAt = row.sentAt;
			}
			this.#rows.set(row.id, row);
			if (known === undefined) new SentMessage(this.#client.context, letterOf(row), {}, row.stored);
		}
		// What was typed meanwhile comes behind what was typed before.
		for (const [id, message] of typed) {
			outbox.listed.messages.delete(id);
			outbox.listed.messages.set(id, message);
		}
		outbox.listed.changed();
		this.#held = [...this.#held, ...waiting];
		if (this.#ready) this.#keepHeld();
		this.#boundStored();
	}

	// --- from a letter to its row, and out ---

	#keepHeld(): void {
		this.#keep(this.#held);
	}

	/** Writes the rows of letters, and once the client is connected the time from which the server may know them. */
	#keep(letters: readonly Letter[]): void {
		const rows: Row[] = [];
		for (const letter of letters) {
			const { id, kind } = letter;
			if (kind !== MESSAGE || this.#marked.has(id)) continue;
			// There is a row of a message that a former page left, and of one that is sent again.
			const row = this.#rows.get(id) ?? rowOf(letter, this.#scope, this.#pages.me, this.#nextOrder());
			// Not later: the time of a second transmission would make it younger than it is.
			if (row.sentSince === undefined && this.#connected) {
				row.sentSince = Date.now();
				row.sentAt = this.#client.context.outbox.serverNow();
			}
			this.#rows.set(id, row);
			rows.push(row);
		}
		if (rows.length > 0) this.#write(rows);
		this.#release();
	}

	#write(rows: readonly Row[]): void {
		const marks = rows.filter(({ sentSince }) => sentSince !== undefined).map(({ id }) => id);
		void this.#attempt(async () => this.#database?.put(rows)).then(() => {
			for (const id of marks) if (this.#rows.has(id)) this.#marked.add(id);
			this.#release();
		});
	}

	/** Lets those go out that may, in their order. */
	#release(): void {
		while (this.#ready && !this.#ended) {
			const [first] = this.#held;
			if (first === undefined || (first.kind === MESSAGE && !this.#broken && !this.#marked.has(first.id))) return;
			this.#held.shift();
			this.#client.context.outbox.release(first);
		}
	}

	#nextOrder(): number {
		this.#lastOrder = Math.max(this.#lastOrder + 1, Date.now());
		return this.#lastOrder;
	}

	// --- from a receipt to the event ---

	/** Does the event of a stored message still have to come to this page? */
	#awaitsEvent(thread: string, { position }: Receipt): boolean {
		const stream = this.#client.streams.byName(thread);
		return position !== undefined && stream?.isConsumed === true && !isReached(stream.position, position);
	}

	/** The event of a message came: the server has stored it, whether or not the receipt came. */
	#proved(row: Row, position: Position): void {
		if (row.stored !== undefined) return;
		const { outbox } = this.#client.context;
		const letter = outbox.find(row.id);
		if (letter === undefined) this.#let(row.id);
		else outbox.settled(row.id, { status: "accepted", position }, undefined);
	}

	/** The page shows a message no more: it has its event. */
	#let(id: string): void {
		this.forget(id);
		this.#client.context.outbox.listed.delete(id);
	}

	#boundStored(): void {
		const stored = [...this.#rows.values()].filter((row) => row.stored !== undefined);
		for (const { id } of stored.slice(0, Math.max(0, stored.length - MAX_STORED))) this.#let(id);
	}

	/** Does what may fail. The first failure is reported, and nothing is waited for from then on. */
	async #attempt(work: () => Promise<unknown>): Promise<void> {
		try {
			await work();
		} catch (cause) {
			if (this.#broken || this.#ended) return;
			this.#broken = true;
			const message = `messages cannot be kept in this browser: ${describe(cause)}`;
			const remediation = "Let the page store data (IndexedDB). Until then a reload loses messages that are not stored.";
			this.#client.context.reporter.error(new AgentwireError("storage_failed", message, { cause, remediation }));
			this.#release();
		}
	}
}

/** Has a thread got everything up to a position? What belongs to another epoch will not come in its place. */
function isReached(place: Position | undefined, position: Position | undefined): boolean {
	if (place === undefined || position === undefined) return position === undefined;
	return place.epoch !== position.epoch || place.offset >= position.offset;
}

/**
 * The conversation of one thread in the database. It is written at most once a second, and when the page may end. Two tabs may
 * write: what is further in the log is never replaced by what is less far.
 */
import type { Conversation } from "../../conversation/model.js";
import { AgentwireError, describe } from "../../shared/errors.js";
import { randomId } from "../../shared/names.js";
import type { Reporter } from "../../shared/report.js";
import { CacheDatabase, type Write } from "./database.js";
import { changesOf, conversationOf, type Head, headOf, type Place } from "./records.js";

/** Least time between two flushes, in milliseconds. */
const FLUSH_MS = 1_000;

/** What all threads of a cache have in common. */
export interface CacheSettings {
	readonly version: string;
	readonly maxThreads: number;
}

export class CachedThread {
	readonly #place: Place;
	readonly #settings: CacheSettings;
	readonly #reporter: Reporter;
	#database: Promise<CacheDatabase> | undefined;
	/** What this page has written, or read: the records of the line have it, or are further. */
	#written: Conversation<unknown> | undefined;
	#line: string | undefined;
	#next: Conversation<unknown> | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#isWriting = false;
	#isOver = false;

	constructor(place: Place, settings: CacheSettings, reporter: Reporter) {
		this.#place = place;
		this.#settings = settings;
		this.#reporter = reporter;
		globalThis.addEventListener?.("pagehide", this.#flush);
		globalThis.document?.addEventListener("visibilitychange", this.#onVisibility);
	}

	/** What a former page kept, if it can be used. */
	async read(): Promise<Conversation<unknown> | undefined> {
		const found = await this.#attempt((database) => database.read(this.#place));
		const { head, entries } = found ?? {};
		if (head === undefined || entries === undefined || head.version !== this.#settings.version) return undefined;
		const conversation = conversationOf(head, entries);
		if (conversation?.position === undefined || this.#isOver) return undefined;
		[this.#written, this.#line] = [conversation, head.line];
		return conversation;
	}

	/** Keeps it, soon. */
	keep(conversation: Conversation<unknown>): void {
		if (this.#isOver || conversation === this.#next) return;
		this.#next = conversation;
		this.#timer ??= setTimeout(this.#flush, FLUSH_MS);
	}

	/** Deletes what is kept of the thread; with `all`, of the user. Nothing is kept from then on. */
	purge(all: boolean): void {
		const { scope } = this.#place;
		this.#stop();
		void this.#attempt((database) => (all ? database.clear(scope) : database.delete(this.#place)), true).then(this.#close);
	}

	/** Keeps what is not kept yet, and ends. */
	end(): void {
		if (this.#isOver) return;
		this.#flush();
		this.#stop();
		if (!this.#isWriting) this.#close();
	}

	// --- writing ---

	readonly #onVisibility = (): void => {
		if (globalThis.document?.visibilityState === "hidden") this.#flush();
	};

	readonly #flush = (): void => {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		const next = this.#next;
		if (this.#isOver || this.#isWriting || next?.position === undefined || next === this.#written) return;
		this.#isWriting = true;
		let kept: string | undefined;
		const decide = (stored: Head | undefined): Write | undefined => {
			const write = this.#decide(stored, next);
			kept = write?.head.line;
			return write;
		};
		void this.#attempt((database) => database.write(this.#place, this.#settings.maxThreads, decide)).then(() => {
			this.#isWriting = false;
			if (kept !== undefined) [this.#written, this.#line] = [next, kept];
			if (this.#isOver) this.#close();
			else if (this.#next !== next) this.#timer ??= setTimeout(this.#flush, FLUSH_MS);
		});
	};

	/**
	 * What to write over what is stored. In one line, everything that changed since this page wrote last is written anew: that covers
	 * whatever another tab wrote meanwhile, because the same events make the same conversation.
	 */
	#decide(stored: Head | undefined, next: Conversation<unknown>): Write | undefined {
		const { version } = this.#settings;
		const known = stored?.version === version ? stored : undefined;
		if (known !== undefined && isFurther(known, next)) return undefined;
		const isLine = known !== undefined && known.line === this.#line;
		const changes = changesOf(this.#place, isLine ? this.#written : undefined, next);
		return { ...changes, anew: !isLine, head: headOf(this.#place, version, isLine ? known.line : randomId(), next) };
	}

	// --- the end ---

	#stop(): void {
		this.#isOver = true;
		clearTimeout(this.#timer);
		globalThis.removeEventListener?.("pagehide", this.#flush);
		globalThis.document?.removeEventListener("visibilitychange", this.#onVisibility);
	}

	readonly #close = (): void => {
		void this.#database?.then(
			(database) => database.close(),
			() => undefined,
		);
	};

	/** Does what may fail. The first failure is reported, and ends the cache of the thread. */
	async #attempt<T>(work: (database: CacheDatabase) => Promise<T>, isLast = false): Promise<T | undefined> {
		if (this.#isOver && !isLast) return undefined;
		try {
			return await work(await (this.#database ??= CacheDatabase.open()));
		} catch (cause) {
			if (this.#isOver && !isLast) return undefined;
			this.#stop();
			const message = `the conversation cannot be cached in this browser: ${describe(cause)}`;
			const remediation = "Let the page store data (IndexedDB), or free some room. Until then a reload gets everything from the server.";
			this.#reporter.error(new AgentwireError("storage_failed", message, { cause, remediation }));
			return undefined;
		}
	}
}

/** Is what is stored further in the log, or of a later epoch? */
function isFurther({ rest: { position, formerEpochs } }: Head, next: Conversation<unknown>): boolean {
	if (position === undefined || next.position === undefined) return false;
	if (position.epoch === next.position.epoch) return position.offset > next.position.offset;
	return formerEpochs.includes(next.position.epoch) && !next.formerEpochs.includes(position.epoch);
}

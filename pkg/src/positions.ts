/**
 * Where a page keeps its positions, so that the next page goes on with the next event (LIF-2).
 */
import { AgentwireError, describe } from "./errors.js";
import type { Position } from "./events.js";
import { isSized } from "./names.js";
import type { Reporter } from "./report.js";

/** Whose positions are asked for. */
export interface PositionScope {
	/** Address of the server, without its query. */
	readonly url: string;
	/** The user, once the server has named it. */
	readonly subject: string | undefined;
	/** Takes a failure of the storage. */
	report(error: unknown): void;
}

/** A position and whose it is. */
export interface StoredPosition extends Position {
	/** The user. Without it, a loaded position counts as that of whoever is asking. */
	readonly subject?: string | undefined;
}

/**
 * Keeps the position of each stream. A method that throws is reported once, and memory takes its place.
 *
 * A store that gives back the `subject` it was given needs nothing else to keep users apart: what belongs to another one is
 * not used.
 */
export interface PositionStore {
	/** The last saved position of a stream. It may be asked for before the server has named the user. */
	load(stream: string): StoredPosition | undefined;
	/** Called after each batch of events that was handed over, and always with the user that they were handed to. */
	save(stream: string, position: StoredPosition): void;
	/** Forgets everything; called when the user has changed. */
	clear(): void;
	/**
	 * Tells the scope: once when the client is made, and again when the server has named the user. A store that holds
	 * positions of another user must forget them then, and answer true.
	 */
	scope?(scope: PositionScope): boolean;
}

/** How the built-in stores keep positions. */
export interface WebPositionsOptions {
	/** Keeps apart what belongs to different parts of an application: 1 to 64 bytes. @default "default" */
	readonly key?: string;
}

/** Streams whose positions are kept per store; the one not saved for longest is forgotten first. */
export const MAX_STORED_STREAMS = 256;

/** Keeps positions in `sessionStorage`: they survive a reload of this tab. The right store for most pages. */
export function sessionPositions(options: WebPositionsOptions = {}): PositionStore {
	return new WebPositions("sessionStorage", options.key ?? "default");
}

/**
 * Keeps positions in `localStorage`: they survive the tab. For pages that are open once at a time: two open tabs of one
 * user write the same entries, and the next page goes on where the last writer was.
 */
export function localPositions(options: WebPositionsOptions = {}): PositionStore {
	return new WebPositions("localStorage", options.key ?? "default");
}

class WebPositions implements PositionStore {
	readonly #kind: "sessionStorage" | "localStorage";
	readonly #key: string;
	readonly #memory = new Map<string, StoredPosition>();
	#prefix: string;
	/** The user, once the server has named it. Until then the one it named last is taken for it. */
	#subject: string | undefined;
	#report: ((error: unknown) => void) | undefined;
	#failure: unknown;
	#failed = false;
	readonly #known = new Set<string>();

	constructor(kind: "sessionStorage" | "localStorage", key: string) {
		if (!isSized(key, 64)) throw new AgentwireError("invalid_option", `key is ${show(key)}, it must be a text of 1 to 64 bytes`);
		this.#kind = kind;
		this.#key = key;
		this.#prefix = this.#prefixOf("");
	}

	scope(scope: PositionScope): boolean {
		const { url, subject, report } = scope;
		this.#report = report;
		this.#prefix = this.#prefixOf(url);
		this.#subject = subject;
		if (this.#failed) report(this.#failure);
		if (subject === undefined) return false;
		const former = this.#try((storage) => {
			const last = storage.getItem(this.#last);
			// Of other users nothing is kept, nor what an earlier version of the package wrote.
			const own = this.#start(subject);
			for (const key of keysOf(storage, this.#prefix)) if (key !== this.#last && !key.startsWith(own)) storage.removeItem(key);
			if (last !== subject) storage.setItem(this.#last, subject);
			return last;
		});
		this.#known.clear();
		return typeof former === "string" && former !== subject;
	}

	load(stream: string): StoredPosition | undefined {
		const stored = this.#try((storage) => {
			const subject = this.#subject ?? storage.getItem(this.#last);
			if (subject === null) return undefined;
			const position = parse(storage.getItem(this.#entry(subject, stream)) ?? "")?.position;
			return position && { ...position, subject };
		});
		return stored ?? this.#memory.get(stream);
	}

	save(stream: string, position: StoredPosition): void {
		const { epoch, offset } = position;
		const subject = position.subject ?? this.#subject;
		if (subject === undefined) return;
		const saved = this.#try((storage) => {
			const entry = this.#entry(subject, stream);
			if (!this.#known.has(entry)) {
				this.#makeRoom(storage, entry);
				this.#known.add(entry);
			}
			storage.setItem(entry, JSON.stringify([epoch, offset, Date.now()]));
			return true;
		});
		if (saved !== true) this.#remember(stream, { epoch, offset, subject });
	}

	clear(): void {
		this.#memory.clear();
		this.#known.clear();
		this.#try((storage) => {
			for (const key of keysOf(storage, this.#prefix)) storage.removeItem(key);
		});
	}

	#remember(stream: string, position: StoredPosition): void {
		remember(this.#memory, stream, position);
	}

	#makeRoom(storage: Storage, entry: string): void {
		const keys = keysOf(storage, `${this.#prefix}user/`).filter((key) => key !== entry);
		if (keys.length < MAX_STORED_STREAMS) return;
		const age = (key: string): number => parse(storage.getItem(key) ?? "")?.savedAt ?? 0;
		const oldestFirst = keys.map((key) => ({ key, savedAt: age(key) })).sort((one, other) => one.savedAt - other.savedAt);
		for (const { key } of oldestFirst.slice(0, keys.length - MAX_STORED_STREAMS + 1)) {
			storage.removeItem(key);
			this.#known.delete(key);
		}
	}

	#start(subject: string): string {
		return `${this.#prefix}user/${encodeURIComponent(subject)}/`;
	}

	#entry(subject: string, stream: string): string {
		return this.#start(subject) + encodeURIComponent(stream);
	}

	/** Where the user is that was named last. */
	get #last(): string {
		return `${this.#prefix}subject`;
	}

	#prefixOf(url: string): string {
		return `agentwire/${encodeURIComponent(this.#key)}/${encodeURIComponent(url)}/`;
	}

	#try<T>(use: (storage: Storage) => T): T | undefined {
		if (this.#failed) return undefined;
		try {
			// The mere access throws where storage is forbidden.
			const storage = globalThis[this.#kind];
			if (storage === undefined || storage === null) throw new Error(`there is no ${this.#kind} here`);
			return use(storage);
		} catch (error) {
			this.#failed = true;
			this.#failure = error;
			this.#report?.(error);
			return undefined;
		}
	}
}

function keysOf(storage: Storage, prefix: string): string[] {
	const keys: string[] = [];
	for (let index = 0; index < storage.length; index += 1) {
		const key = storage.key(index);
		if (key?.startsWith(prefix) === true) keys.push(key);
	}
	return keys;
}

/** Puts an entry last, and drops the first ones beyond the limit. */
function remember<T>(memory: Map<string, T>, stream: string, position: T): void {
	memory.delete(stream);
	memory.set(stream, position);
	const oldest = memory.keys().next();
	if (memory.size > MAX_STORED_STREAMS && oldest.done !== true) memory.delete(oldest.value);
}

function parse(text: string): { position: Position; savedAt: number } | undefined {
	try {
		const value: unknown = JSON.parse(text);
		if (!Array.isArray(value)) return undefined;
		const [epoch, offset, savedAt] = value as readonly unknown[];
		if (!isPosition({ epoch, offset }) || typeof savedAt !== "number") return undefined;
		return { position: { epoch: epoch as string, offset: offset as number }, savedAt };
	} catch {
		return undefined;
	}
}

/** Is it a position in the sense of GEN-5 and GEN-6? */
export function isPosition(value: unknown): value is Position {
	if (typeof value !== "object" || value === null || !("epoch" in value) || !("offset" in value)) return false;
	const { epoch, offset } = value;
	return isSized(epoch, 64) && Number.isSafeInteger(offset) && (offset as number) >= 0;
}

function show(value: unknown): string {
	return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** The store of the application behind a guard: it may be missing, throw, answer nonsense, or hold what is another user's. */
export class SafePositions {
	readonly #store: PositionStore | undefined;
	readonly #reporter: Reporter;
	readonly #memory = new Map<string, Position>();
	/** Whose positions were loaded before the server had named the user. */
	readonly #loadedOf = new Set<string>();
	#subject: string | undefined;
	#reported = false;
	#retired = false;

	constructor(store: PositionStore | undefined, reporter: Reporter) {
		this.#store = store;
		this.#reporter = reporter;
	}

	/** Does anything outlive a stream here? */
	get kept(): boolean {
		return this.#store !== undefined && !this.#retired;
	}

	/** Says whether positions that were loaded are another user's, or that user's were forgotten. */
	scope(url: string, subject: string | undefined): boolean {
		this.#subject = subject;
		const forgotten = this.#try((store) => store.scope?.({ url, subject, report: (error) => this.#report(error) })) === true;
		if (subject === undefined) return forgotten;
		const foreign = [...this.#loadedOf].some((other) => other !== subject);
		this.#loadedOf.clear();
		return forgotten || foreign;
	}

	load(stream: string): Position | undefined {
		const position = this.#memory.get(stream) ?? this.#try((store) => store.load(stream));
		if (position === undefined || position === null) return undefined;
		if (!isPosition(position)) {
			this.#report(new Error(`load(${JSON.stringify(stream)}) did not answer a position`));
			return undefined;
		}
		const { epoch, offset, subject }: StoredPosition = position;
		if (subject !== undefined) {
			if (this.#subject === undefined) this.#loadedOf.add(subject);
			else if (subject !== this.#subject) return undefined;
		}
		return { epoch, offset };
	}

	save(stream: string, position: Position): void {
		const subject = this.#subject;
		// Nothing is handed over before the server has named the user.
		if (subject === undefined) return;
		const saved = this.#try((store) => {
			store.save(stream, { ...position, subject });
			return true;
		});
		if (saved === true) this.#memory.delete(stream);
		else if (this.kept) remember(this.#memory, stream, position);
	}

	/** Forgets everything and keeps nothing from now on: the user has changed. */
	retire(): void {
		this.#memory.clear();
		this.#try((store) => store.clear());
		this.#retired = true;
	}

	#try<T>(use: (store: PositionStore) => T): T | undefined {
		if (this.#store === undefined || this.#retired) return undefined;
		try {
			return use(this.#store);
		} catch (error) {
			this.#report(error);
			return undefined;
		}
	}

	#report(cause: unknown): void {
		if (this.#reported) return;
		this.#reported = true;
		this.#reporter.error(new AgentwireError("position_store_failed", `positions cannot be stored: ${describe(cause)}`, { cause }));
	}
}

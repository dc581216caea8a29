/**
 * Where a page keeps its positions, so that the next page goes on with the next event (LIF-2).
 */
import { AgentwireError, describe } from "./errors.js";
import type { Position } from "./events.js";
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

/** Keeps the position of each stream. A method that throws is reported once, and memory takes its place. */
export interface PositionStore {
	/** The last saved position of a stream. */
	load(stream: string): Position | undefined;
	/** Called after each batch of events that was handed over. */
	save(stream: string, position: Position): void;
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
	/** Keeps apart what belongs to different parts of an application: 1 to 64 characters. @default "default" */
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
	readonly #memory = new Map<string, Position>();
	#prefix: string;
	#report: ((error: unknown) => void) | undefined;
	#failure: unknown;
	#failed = false;
	readonly #known = new Set<string>();

	constructor(kind: "sessionStorage" | "localStorage", key: string) {
		if (typeof key !== "string" || key.length < 1 || key.length > 64) {
			throw new AgentwireError("invalid_option", `key is ${show(key)}, it must be a text of 1 to 64 characters`);
		}
		this.#kind = kind;
		this.#key = key;
		this.#prefix = this.#prefixOf("");
	}

	scope(scope: PositionScope): boolean {
		this.#report = scope.report;
		this.#prefix = this.#prefixOf(scope.url);
		if (this.#failed) scope.report(this.#failure);
		const { subject } = scope;
		if (subject === undefined) return false;
		const key = `${this.#prefix}subject`;
		const former = this.#try((storage) => storage.getItem(key)) ?? undefined;
		const other = former !== undefined && former !== subject;
		if (other) this.clear();
		if (former !== subject) this.#try((storage) => storage.setItem(key, subject));
		return other;
	}

	load(stream: string): Position | undefined {
		const text = this.#try((storage) => storage.getItem(this.#entry(stream)));
		return (text === undefined || text === null ? undefined : parse(text)?.position) ?? this.#memory.get(stream);
	}

	save(stream: string, position: Position): void {
		const { epoch, offset } = position;
		if (this.#failed) return this.#remember(stream, position);
		const entry = this.#entry(stream);
		this.#try((storage) => {
			if (!this.#known.has(entry)) {
				this.#makeRoom(storage, entry);
				this.#known.add(entry);
			}
			storage.setItem(entry, JSON.stringify([epoch, offset, Date.now()]));
		});
		if (this.#failed) this.#remember(stream, position);
	}

	clear(): void {
		this.#memory.clear();
		this.#known.clear();
		this.#try((storage) => {
			for (const key of this.#keys(storage)) storage.removeItem(key);
			storage.removeItem(`${this.#prefix}subject`);
		});
	}

	#remember(stream: string, position: Position): void {
		this.#memory.delete(stream);
		this.#memory.set(stream, position);
		const oldest = this.#memory.keys().next();
		if (this.#memory.size > MAX_STORED_STREAMS && oldest.done !== true) this.#memory.delete(oldest.value);
	}

	#makeRoom(storage: Storage, entry: string): void {
		const keys = this.#keys(storage).filter((key) => key !== entry);
		if (keys.length < MAX_STORED_STREAMS) return;
		const age = (key: string): number => parse(storage.getItem(key) ?? "")?.savedAt ?? 0;
		const oldestFirst = keys.map((key) => ({ key, savedAt: age(key) })).sort((one, other) => one.savedAt - other.savedAt);
		for (const { key } of oldestFirst.slice(0, keys.length - MAX_STORED_STREAMS + 1)) {
			storage.removeItem(key);
			this.#known.delete(key);
		}
	}

	#keys(storage: Storage): string[] {
		const start = `${this.#prefix}stream/`;
		const keys: string[] = [];
		for (let index = 0; index < storage.length; index += 1) {
			const key = storage.key(index);
			if (key?.startsWith(start) === true) keys.push(key);
		}
		return keys;
	}

	#entry(stream: string): string {
		return `${this.#prefix}stream/${encodeURIComponent(stream)}`;
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
	return typeof epoch === "string" && epoch.length >= 1 && epoch.length <= 64 && Number.isSafeInteger(offset) && (offset as number) >= 0;
}

function show(value: unknown): string {
	return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** The store of the application behind a guard: it may be missing, throw, or answer nonsense. */
export class SafePositions {
	readonly #store: PositionStore | undefined;
	readonly #reporter: Reporter;
	readonly #memory = new Map<string, Position>();
	#reported = false;
	#retired = false;

	constructor(store: PositionStore | undefined, reporter: Reporter) {
		this.#store = store;
		this.#reporter = reporter;
	}

	/** Says whether positions of another user were forgotten. */
	scope(url: string, subject: string | undefined): boolean {
		return this.#try((store) => store.scope?.({ url, subject, report: (error) => this.#report(error) })) ?? false;
	}

	load(stream: string): Position | undefined {
		const position = this.#memory.get(stream) ?? this.#try((store) => store.load(stream));
		if (position === undefined || position === null) return undefined;
		if (isPosition(position)) return position;
		this.#report(new Error(`load(${JSON.stringify(stream)}) did not answer a position`));
		return undefined;
	}

	save(stream: string, position: Position): void {
		const saved = this.#try((store) => {
			store.save(stream, position);
			return true;
		});
		if (saved === true) this.#memory.delete(stream);
		else if (this.#store !== undefined && !this.#retired) this.#memory.set(stream, position);
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

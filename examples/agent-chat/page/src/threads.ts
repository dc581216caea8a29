/** The conversations that this browser knows. Their content is in the log; here are only titles and what was read. */
import { Observed } from "./observed.ts";

export interface Entry {
	readonly id: string;
	readonly title: string;
	/** Milliseconds since the Unix epoch. */
	readonly changedAt: number;
	/** Offset in the inbox of the newest event about it. */
	readonly newest: number;
	/** The same when it was on screen last. */
	readonly seen: number;
}

/** Has something happened in it that nobody saw here? */
export function isUnread({ newest, seen }: Entry): boolean {
	return newest > seen;
}

/** What is stored. */
interface Book {
	readonly entries: readonly Entry[];
	/** Conversations that were deleted here: the inbox may still name them. */
	readonly deleted: readonly string[];
}

export const UNTITLED = "New conversation";
const MAX_ENTRIES = 500;
const MAX_TITLE = 60;

export class Threads extends Observed {
	/** True in a browser that has no list yet. */
	readonly blank: boolean;
	readonly #key: string;
	#entries: readonly Entry[];
	#deleted: readonly string[];
	#saving: ReturnType<typeof setTimeout> | undefined;

	constructor(user: string) {
		super();
		this.#key = `agent-chat.threads.${user}`;
		const book = load(this.#key);
		this.#deleted = book.deleted;
		this.blank = book.entries.length === 0 && book.deleted.length === 0;
		this.#entries = book.entries;
		addEventListener("pagehide", () => this.#save());
	}

	/** The newest first. The same list as long as nothing changes. */
	get list(): readonly Entry[] {
		return this.#entries;
	}

	get(id: string): Entry | undefined {
		return this.#entries.find((entry) => entry.id === id);
	}

	/** Makes an id; the conversation is listed with its first question. */
	fresh(): string {
		return `c-${crypto.randomUUID().slice(0, 13)}`;
	}

	/** Lists a conversation with its first question as the title, unless it has a title already. */
	asked(id: string, question: string, time: number): void {
		const known = this.get(id);
		if (this.#deleted.includes(id)) return;
		if (known === undefined) this.#put({ id, title: titleOf(question), changedAt: time, newest: 0, seen: 0 });
		else if (known.title === UNTITLED) this.#put({ ...known, title: titleOf(question) });
	}

	/** The inbox says, at this offset, that something happened. Returns whether the conversation was unknown. */
	changed(id: string, offset: number, time: number): boolean {
		if (this.#deleted.includes(id)) return false;
		const known = this.get(id);
		if (known === undefined) this.#put({ id, title: UNTITLED, changedAt: time, newest: offset, seen: 0 });
		else if (offset > known.newest) this.#put({ ...known, newest: offset, changedAt: Math.max(time, known.changedAt) });
		return known === undefined;
	}

	/** It is on screen. */
	read(id: string): void {
		const known = this.get(id);
		if (known !== undefined && isUnread(known)) this.#put({ ...known, seen: known.newest });
	}

	/** The inbox began anew: its former offsets mean nothing. */
	forgetOffsets(): void {
		this.#set(this.#entries.map((entry) => ({ ...entry, newest: 0, seen: 0 })));
	}

	rename(id: string, title: string): void {
		const known = this.get(id);
		const short = title.trim().slice(0, 2 * MAX_TITLE);
		if (known !== undefined && short !== "") this.#put({ ...known, title: short });
	}

	/** Removes a conversation from this browser; the log keeps it. */
	remove(id: string): void {
		this.#deleted = [...this.#deleted.filter((one) => one !== id), id].slice(-MAX_ENTRIES);
		this.#set(this.#entries.filter((entry) => entry.id !== id));
	}

	#put(entry: Entry): void {
		const rest = this.#entries.filter((one) => one.id !== entry.id);
		this.#set([...rest, entry].sort((one, other) => other.changedAt - one.changedAt).slice(0, MAX_ENTRIES));
	}

	#set(entries: readonly Entry[]): void {
		this.#entries = entries;
		this.notify();
		// A replay of the inbox changes many in a row: they are written together.
		this.#saving ??= setTimeout(() => this.#save(), 300);
	}

	#save(): void {
		clearTimeout(this.#saving);
		this.#saving = undefined;
		try {
			localStorage.setItem(this.#key, JSON.stringify({ entries: this.#entries, deleted: this.#deleted } satisfies Book));
		} catch {
			// Full or forbidden: the list lives as long as the page.
		}
	}
}

/** A title from a question: its first line, cut between words. */
export function titleOf(question: string): string {
	const line = question.trim().split("\n", 1)[0]?.trim() ?? "";
	if (line === "") return UNTITLED;
	if (line.length <= MAX_TITLE) return line;
	const cut = line.slice(0, MAX_TITLE);
	const space = cut.lastIndexOf(" ");
	return `${cut.slice(0, space > MAX_TITLE / 2 ? space : MAX_TITLE).trimEnd()}…`;
}

function load(key: string): Book {
	try {
		const stored: unknown = JSON.parse(localStorage.getItem(key) ?? "null");
		if (typeof stored !== "object" || stored === null) return { entries: [], deleted: [] };
		const { entries, deleted } = stored as { entries?: unknown; deleted?: unknown };
		return {
			entries: Array.isArray(entries) ? entries.filter(isEntry) : [],
			deleted: Array.isArray(deleted) ? deleted.filter((one) => typeof one === "string") : [],
		};
	} catch {
		return { entries: [], deleted: [] };
	}
}

function isEntry(value: unknown): value is Entry {
	if (typeof value !== "object" || value === null) return false;
	const { id, title, changedAt, newest, seen } = value as Record<keyof Entry, unknown>;
	return typeof id === "string" && id !== "" && typeof title === "string" && [changedAt, newest, seen].every((one) => typeof one === "number");
}

/** Questions that the server has not confirmed, kept over a reload: sent again with the same id, they count once. */

export interface Kept {
	readonly id: string;
	readonly thread: string;
	readonly content: string;
}

const MAX_KEPT = 50;

export class Pending {
	readonly #key: string;

	constructor(user: string) {
		this.#key = `agent-chat.pending.${user}`;
	}

	all(): readonly Kept[] {
		try {
			const stored: unknown = JSON.parse(localStorage.getItem(this.#key) ?? "[]");
			return Array.isArray(stored) ? stored.filter(isKept) : [];
		} catch {
			return [];
		}
	}

	keep(kept: Kept): void {
		this.#save([...this.all().filter(({ id }) => id !== kept.id), kept].slice(-MAX_KEPT));
	}

	settle(id: string): void {
		this.#save(this.all().filter((kept) => kept.id !== id));
	}

	#save(all: readonly Kept[]): void {
		try {
			localStorage.setItem(this.#key, JSON.stringify(all));
		} catch {
			// Full or forbidden: an unconfirmed question does not survive a reload.
		}
	}
}

function isKept(value: unknown): value is Kept {
	if (typeof value !== "object" || value === null) return false;
	const { id, thread, content } = value as Record<keyof Kept, unknown>;
	return typeof id === "string" && typeof thread === "string" && typeof content === "string" && content !== "";
}

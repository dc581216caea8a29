/** Takes each attempt of a delivery once, and one attempt at a time. */

interface Taken<T> {
	readonly answer: Promise<T>;
	readonly at: number;
}

/** Longer than a signature is valid, in both directions. */
const KEPT_MS = 11 * 60_000;

export class Replays<T> {
	readonly #keep: (answer: T) => boolean;
	readonly #most: number;
	readonly #now: () => number;
	readonly #taken: Map<string, Taken<T>> = new Map();
	readonly #running: Map<string, Taken<T>> = new Map();

	/** `keep` says which answers count: after another one, the same attempt can be taken again. */
	constructor(keep: (answer: T) => boolean, most: number = 10_000, now: () => number = () => performance.now()) {
		this.#keep = keep;
		this.#most = most;
		this.#now = now;
	}

	/** Calls `take` for an attempt that is new. A copy, or another attempt while the first one runs, gets the same answer. */
	once(id: string, attempt: number, take: () => Promise<T>): Promise<T> {
		const name = `${attempt}:${id}`;
		this.#forget();
		const known = this.#taken.get(name) ?? this.#running.get(id);
		if (known !== undefined) return known.answer;
		const taken: Taken<T> = { answer: take(), at: this.#now() };
		this.#taken.set(name, taken);
		this.#running.set(id, taken);
		this.#forget();
		const settled = (keep: boolean): void => {
			this.#running.delete(id);
			if (!keep && this.#taken.get(name) === taken) this.#taken.delete(name);
		};
		taken.answer.then(
			(answer) => settled(this.#keep(answer)),
			() => settled(false),
		);
		return taken.answer;
	}

	/** The oldest go first: when they are too old, or when there are too many. */
	#forget(): void {
		const old = this.#now() - KEPT_MS;
		for (const [name, { at }] of this.#taken) {
			if (at > old && this.#taken.size <= this.#most) return;
			this.#taken.delete(name);
		}
	}
}

/** The last messages that a handler left without a run, after they had been accepted. They come again once: then they are done. */
export class Left {
	readonly #ids: Set<string> = new Set();
	readonly #most: number;

	constructor(most: number = 1_000) {
		this.#most = most;
	}

	has(id: string): boolean {
		return this.#ids.has(id);
	}

	add(id: string): void {
		this.#ids.add(id);
		for (const oldest of this.#ids) {
			if (this.#ids.size <= this.#most) return;
			this.#ids.delete(oldest);
		}
	}
}

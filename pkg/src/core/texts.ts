/** Texts by number. The core compares names, epochs, ids and reasons by their numbers, and no text enters its memory. */
import { WORDS } from "./words.js";

export class Texts {
	readonly #texts: (string | undefined)[] = [...WORDS];
	readonly #numbers = new Map<string, number>(WORDS.map((word, number) => [word, number]));
	#free: number[] = [];

	/** How many there are. */
	get size(): number {
		return this.#numbers.size;
	}

	/** The number of a text. */
	number(text: string): number {
		const known = this.#numbers.get(text);
		if (known !== undefined) return known;
		const number = this.#free.pop() ?? this.#texts.length;
		this.#texts[number] = text;
		this.#numbers.set(text, number);
		return number;
	}

	/** The text of a number. */
	text(number: number): string {
		return this.#texts[number] ?? "";
	}

	/** Forgets every text that is neither a word nor one of `held`. */
	keep(held: readonly number[]): void {
		const kept = new Set(held);
		for (const [text, number] of this.#numbers) {
			if (number < WORDS.length || kept.has(number)) continue;
			this.#numbers.delete(text);
			this.#texts[number] = undefined;
			this.#free.push(number);
		}
	}
}

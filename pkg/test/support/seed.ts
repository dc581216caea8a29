/** Random numbers that a seed decides (SplitMix32), so that what failed once fails again. */
export class Random {
	#state: number;

	constructor(seed: number) {
		this.#state = seed | 0;
	}

	/** A 32-bit integer. */
	next(): number {
		this.#state = (this.#state + 0x9e3779b9) | 0;
		let mixed = this.#state;
		mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
		mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
		return (mixed ^ (mixed >>> 15)) >>> 0;
	}

	/** From 0 to 1, without 1. */
	fraction(): number {
		return this.next() / 2 ** 32;
	}

	/** An integer from `least` to `most`, both included. */
	integer(least: number, most: number): number {
		return least + Math.floor(this.fraction() * (most - least + 1));
	}

	/** True with this probability. */
	chance(probability: number): boolean {
		return this.fraction() < probability;
	}

	pick<T>(values: readonly T[]): T {
		const value = values[this.integer(0, values.length - 1)];
		if (value === undefined) throw new Error("nothing to pick from");
		return value;
	}
}

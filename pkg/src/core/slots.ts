/** Values that the core only moves around, by number: frames, bodies and tokens. They never enter its memory. */
export class Slots {
	#values: (object | string | undefined)[] = [];
	#free: number[] = [];

	/** Keeps a value until it is released. */
	keep(value: object | string): number {
		const slot = this.#free.pop() ?? this.#values.length;
		this.#values[slot] = value;
		return slot;
	}

	/** The value in a slot; `undefined` if it was released. */
	get(slot: number): object | string | undefined {
		return this.#values[slot];
	}

	release(slot: number): void {
		if (this.#values[slot] === undefined) return;
		this.#values[slot] = undefined;
		this.#free.push(slot);
	}
}

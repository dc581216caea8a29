/** Messages that no server should send: frames of the vectors, changed at random places. */
import { Random } from "../support/seed.js";
import { isObject } from "../support/values.js";

/** Values at the edges of what fields may be. */
// biome-ignore format: a line for each kind
const VALUES: readonly unknown[] = [
	null, true, false, 0, -0, 1, -1, 0.5, 2, 99, 100, 4_096, 10_000, 10_001, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 2, 2 ** 53 - 1, 2 ** 53, 1e21, -1e21,
	"", "a", "events", "deltas", "epoch", "rejected", "x".repeat(64), "x".repeat(65), "é".repeat(32), "é".repeat(33), "é".repeat(128), "😀".repeat(16), "😀".repeat(17), "x".repeat(128), "x".repeat(129), "\u0000", "1",
	[], [1], ["a"], ["a", 1], [[]], [{ type: "a" }], [{ type: 1 }], [null],
	{}, { type: "a" }, { code: "a" }, { code: "a", retryable: true }, { "1": 1 }, { "0": 1 }, { "01": 1 }, { "1": -1 }, { "1": "1" }, { [2 ** 31]: 1 }, { time: 1 },
];

/** Numbers as only a text can have them. */
const NUMBERS = ["1.0", "1e2", "1E0", "-0", "-0.0", "1e-1", "9007199254740993", "1e15", "0.1e1"];

export class Texts {
	readonly #random: Random;
	readonly #frames: readonly string[];

	/** `frames`: what is changed. */
	constructor(seed: number, frames: readonly string[]) {
		this.#random = new Random(seed);
		this.#frames = frames;
	}

	next(): string {
		const random = this.#random;
		let text = random.pick(this.#frames);
		const frame = parsed(text);
		if (frame !== undefined && random.chance(0.9)) {
			for (let changes = random.integer(0, 3); changes > 0; changes -= 1) this.#change(frame);
			text = JSON.stringify(frame);
		}
		// As a socket brings it: in UTF-8, which has no halves of a pair.
		return random.chance(0.15) ? Buffer.from(this.#spoil(text)).toString() : text;
	}

	#change(value: object): void {
		const random = this.#random;
		const keys = Object.keys(value);
		const holder = value as Record<string, unknown>;
		if (keys.length === 0 || random.chance(0.1)) {
			if (Array.isArray(value)) value.push(structuredClone(random.pick(VALUES)));
			else holder[random.pick(this.#names())] = structuredClone(random.pick(VALUES));
			return;
		}
		const key = random.pick(keys);
		const inner = holder[key];
		if (typeof inner === "object" && inner !== null && random.chance(0.6)) return this.#change(inner);
		if (random.chance(0.15)) Array.isArray(value) ? value.splice(Number(key), 1) : delete holder[key];
		else holder[key] = typeof inner === "number" && random.chance(0.4) ? inner + random.pick([-1, 1, 0.5, 2 ** 32]) : structuredClone(random.pick(VALUES));
	}

	/** The fields of some frame: one that another frame must not have, or may have too. */
	#names(): readonly string[] {
		return ["__proto__", "constructor", "toString", ...Object.keys(parsed(this.#random.pick(this.#frames)) ?? { type: 0 })];
	}

	/** Changes the text itself. */
	#spoil(text: string): string {
		const random = this.#random;
		const at = random.integer(0, text.length);
		const number = /(?<=[:,[])-?\d+(?=[,}\]])/g;
		switch (random.integer(0, 5)) {
			case 0:
				return text.slice(0, at);
			case 1:
				return text.slice(0, at) + random.pick(['"', "{", "}", "[", "]", ",", ":", "0", " ", "\\", "\u0000", "e"]) + text.slice(at);
			case 2:
				return text.slice(0, at) + text.slice(at + random.integer(1, 5));
			case 3:
				return ` ${text}\n`;
			case 4:
				// The same field twice: the last one counts.
				return text.replace("{", `{"type":"gap","ch":${random.pick(NUMBERS)},`);
			default:
				return text.replace(number, () => random.pick(NUMBERS));
		}
	}
}

function parsed(text: string): Record<string, unknown> | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return isObject(value) ? { ...value } : undefined;
	} catch {
		return undefined;
	}
}

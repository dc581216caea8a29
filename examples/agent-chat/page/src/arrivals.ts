/** When which offsets were delivered, for the live picture. */

/** A stretch of offsets that came in one go. */
export interface Stretch {
	readonly since: number;
	until: number;
	readonly from: number;
	to: number;
	readonly delivery: "live" | "replay";
}

/** A moment that is marked: a gap, or duplicates that were dropped. */
export interface Mark {
	readonly at: number;
	readonly kind: "gap" | "duplicates";
	readonly offset: number;
	readonly count: number;
}

/** Events this close together are drawn as one stretch. */
const TOGETHER_MS = 60;
/** Longer ago is not drawn. */
export const SHOWN_MS = 30_000;
const MAX_STRETCHES = 4_000;

export class Arrivals {
	readonly stretches: Stretch[] = [];
	readonly marks: Mark[] = [];

	add(offset: number, delivery: "live" | "replay", now: number): void {
		const last = this.stretches.at(-1);
		if (last !== undefined && last.delivery === delivery && last.to + 1 === offset && now - last.until < TOGETHER_MS && now - last.since < 4 * TOGETHER_MS) {
			last.until = now;
			last.to = offset;
			return;
		}
		this.stretches.push({ since: now, until: now, from: offset, to: offset, delivery });
		this.#trim(now);
	}

	mark(mark: Mark): void {
		this.marks.push(mark);
		this.#trim(mark.at);
	}

	#trim(now: number): void {
		// The last one that is out of sight stays: the picture begins at its height.
		while (this.stretches.length > MAX_STRETCHES || (this.stretches.length > 1 && (this.stretches[1]?.until ?? now) < now - SHOWN_MS)) this.stretches.shift();
		while (this.marks.length > 0 && (this.marks[0]?.at ?? now) < now - SHOWN_MS) this.marks.shift();
	}
}

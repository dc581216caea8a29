/** What happens in a scenario, and what was broken. */
import type { World } from "../support/world.js";

/** What happened how often: a run whose faults do not take effect proves nothing. */
export class Tally {
	readonly counts = new Map<string, number>();

	add(what: string, count = 1): void {
		this.counts.set(what, (this.counts.get(what) ?? 0) + count);
	}
}

export class Journal {
	readonly broken: string[] = [];
	readonly tally: Tally;
	readonly #world: World;
	readonly #steps: string[] = [];
	#consumers = 0;

	constructor(world: World, tally: Tally) {
		this.#world = world;
		this.tally = tally;
	}

	/** Notes a step, for the report of a failure. */
	note(step: string): void {
		this.#steps.push(`${this.#world.now}: ${step}`);
	}

	fail(rule: string): void {
		this.broken.push(rule);
	}

	/** Numbers a consumer, so that a report can name it. */
	nextConsumer(): number {
		this.tally.add("consumers");
		this.#consumers += 1;
		return this.#consumers;
	}

	/** What was broken, and all that led to it; nothing when all is well. */
	get report(): string | undefined {
		if (this.broken.length === 0) return undefined;
		return `${this.broken.slice(0, 3).join("\n  ")}\n  steps: ${this.#steps.join(" · ")}`;
	}
}

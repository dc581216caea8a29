/** The log of one stream as a server keeps it, with the history by which a test judges what a page was told. */

/** An event as it is stored. */
export type Body = Readonly<Record<string, unknown>>;

/** One epoch: what was in it, and what was lost of it. */
export interface Life {
	readonly epoch: string;
	/** The head at which it began; less where a crash took a part of it. */
	readonly base: number;
	/** Every value that `base` had. */
	readonly bases: readonly number[];
	/** `events[i]` has the offset `i + 1`. What was trimmed stays here, for the judge. */
	readonly events: Body[];
	/** Every value that `oldest` had, the present one last. */
	readonly oldests: number[];
	/** By offset, everything that was ever written there in this epoch: more than one where a crash lost an event. */
	readonly ever: Map<number, Body[]>;
}

export class StreamLog {
	/** The present one last. */
	readonly lives: Life[];
	/** The epoch is of a former process, which may have sent more of it: an offset above the head is believed (SUB-6). */
	isOfFormerProcess = false;
	readonly #name: string;

	constructor(name: string) {
		this.#name = name;
		this.lives = [{ epoch: "e1", base: 0, bases: [0], events: [], oldests: [1], ever: new Map() }];
	}

	get life(): Life {
		const life = this.lives.at(-1);
		if (life === undefined) throw new Error("a log has an epoch");
		return life;
	}

	get epoch(): string {
		return this.life.epoch;
	}

	get base(): number {
		return this.life.base;
	}

	get head(): number {
		return this.life.events.length;
	}

	/** The smallest offset that can still be sent. */
	get oldest(): number {
		return this.life.oldests.at(-1) ?? 1;
	}

	/** The event of an offset. */
	at(offset: number): Body {
		const event = this.life.events[offset - 1];
		if (event === undefined) throw new Error(`${this.#name} has no event ${offset}`);
		return event;
	}

	append(events: readonly Body[]): void {
		for (const event of events) {
			this.life.events.push(event);
			this.life.ever.set(this.head, [...(this.life.ever.get(this.head) ?? []), event]);
		}
	}

	/** Loses everything up to `through`. */
	trim(through: number): void {
		const oldest = Math.min(through, this.head) + 1;
		if (oldest > this.oldest) this.life.oldests.push(oldest);
	}

	/** Begins a new epoch with the first `keep` events of this one. */
	begin(epoch: string, keep: number): void {
		const events = this.life.events.slice(0, keep);
		const ever = new Map(events.map((event, index) => [index + 1, [event]]));
		this.lives.push({ epoch, base: keep, bases: [keep], events, oldests: [Math.min(this.oldest, keep + 1)], ever });
		this.isOfFormerProcess = false;
	}

	/** Loses what comes after `keep` without knowing it: the epoch stays. */
	loseTail(keep: number): void {
		const life = this.lives.pop();
		if (life === undefined) return;
		const oldests = [...life.oldests, Math.min(life.oldests.at(-1) ?? 1, keep + 1)];
		const base = Math.min(life.base, keep);
		this.lives.push({ ...life, base, bases: [...life.bases, base], events: life.events.slice(0, keep), oldests });
		this.isOfFormerProcess = true;
	}

	/** Runs that have begun and not ended at an offset, in the order they began. */
	openRuns(offset: number, life: Life = this.life): string[] {
		const open = new Set<string>();
		for (const { type, runId, recoverable } of life.events.slice(0, offset)) {
			if (typeof runId !== "string") continue;
			if (type === "agent_started" || type === "run_accepted") open.add(runId);
			else if (ENDS.has(String(type)) && !(type === "agent_error" && recoverable === true)) open.delete(runId);
		}
		return [...open];
	}

	/** What became of a run. */
	run(runId: string): "open" | "ended" | "unknown" {
		if (this.openRuns(this.head).includes(runId)) return "open";
		return this.life.events.some((event) => event["runId"] === runId) ? "ended" : "unknown";
	}

	/** What became of an approval: the event that resolved it, if there is one. */
	approval(runId: string, approvalId: string): "open" | "run_over" | "unknown" | Readonly<Record<string, unknown>> {
		const of = (type: string) => this.life.events.find((event) => event["type"] === type && event["runId"] === runId && event["approvalId"] === approvalId);
		if (of("approval_requested") === undefined) return "unknown";
		return of("approval_resolved") ?? (this.run(runId) === "ended" ? "run_over" : "open");
	}
}

const ENDS: ReadonlySet<string> = new Set(["agent_completed", "agent_error", "agent_cancelled", "agent_died"]);

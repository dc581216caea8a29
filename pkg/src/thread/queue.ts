/** What the core brought to an iterator and nobody has pulled yet. The core knows its bound: it counts what was pulled. */
import type { RawEventsFrame, RawGap, RawResumeResult } from "../core/raw.js";
import type { AgentEvent } from "./events.js";
import { gapOf, metaOf, type Resumed, resumedOf, type ThreadItem } from "./facts.js";
import { eventsOf } from "./frames.js";
import type { Position } from "./position.js";

/** A part of a frame. */
interface Chunk {
	readonly events: readonly AgentEvent[];
	readonly epoch: string;
	index: number;
	readonly end: number;
	offset: number;
	readonly replayThrough: number;
}

/** A gap or the end of a catch-up. */
interface Fact {
	readonly item: ThreadItem;
	/** The life that a gap leads to. */
	readonly life: number | undefined;
}

export class Queue {
	#parts: (Chunk | Fact)[] = [];
	#front: Position | undefined;
	#life = 0;

	/** The last offset that was queued, with its epoch; `undefined` when nothing waits. */
	get front(): Position | undefined {
		return this.#front;
	}

	/** The life of what was pulled last (see `RawGap`). */
	get life(): number {
		return this.#life;
	}

	/** Forgets what waits. */
	clear(): void {
		this.#parts = [];
		this.#front = undefined;
	}

	/** Begins with a core that knows nothing of earlier lives. */
	restart(): void {
		this.clear();
		this.#life = 0;
	}

	/** `epoch`: the one of the consumer, unless a gap to another one waits. */
	events(frame: RawEventsFrame, skip: number, take: number, epoch: string, offset: number, replayThrough: number): void {
		const events = eventsOf(frame) as readonly AgentEvent[];
		const part = { events, epoch: this.#front?.epoch ?? epoch, index: skip, end: Math.min(skip + take, events.length), offset, replayThrough };
		if (part.index >= part.end) return;
		this.#parts.push(part);
		this.#front = { epoch: part.epoch, offset: offset + part.end - skip - 1 };
	}

	gap(gap: RawGap, epoch: string): void {
		// What waits belongs to an epoch that is over, and is lost with it.
		if (gap.epoch !== undefined) this.clear();
		const fact = gapOf(gap, this.#front?.epoch ?? epoch);
		this.#parts.push({ item: { kind: "gap", gap: fact }, life: gap.life });
		this.#front = fact.position;
	}

	/** `delivered`: where the consumer is. Two results with nothing between them become one, so that a connection that comes and goes fills no queue (I9). */
	resumed(result: RawResumeResult, delivered: Position | undefined): void {
		let resumed = resumedOf(result, this.#front ?? delivered);
		const last = this.#parts.at(-1);
		if (last !== undefined && "item" in last && last.item.kind === "resumed") {
			this.#parts.pop();
			resumed = joined(last.item.resumed, resumed);
		}
		this.#parts.push({ item: { kind: "resumed", resumed }, life: undefined });
	}

	/** Takes the next item. */
	pull(): ThreadItem | undefined {
		const first = this.#parts[0];
		if (first === undefined) return undefined;
		let item: ThreadItem;
		if ("item" in first) {
			item = first.item;
			this.#life = first.life ?? this.#life;
			this.#parts.shift();
		} else {
			item = { kind: "event", event: first.events[first.index] as AgentEvent, meta: metaOf(first.epoch, first.offset, first.replayThrough) };
			first.index += 1;
			first.offset += 1;
			if (first.index >= first.end) this.#parts.shift();
		}
		if (this.#parts.length === 0) this.#front = undefined;
		return item;
	}
}

/** One resume result for two catch-ups, where nothing came between them. */
function joined(former: Resumed, latter: Resumed): Resumed {
	return {
		...latter,
		recovered: former.recovered && latter.recovered,
		from: Math.min(former.from, latter.from),
		replayed: former.replayed + latter.replayed,
		duplicatesDropped: former.duplicatesDropped + latter.duplicatesDropped,
		attempts: former.attempts + latter.attempts,
		gap: latter.gap ?? former.gap,
		skipped: latter.skipped ?? former.skipped,
	};
}

/**
 * The promise, for one consumer: what it was given is held against the logs of the model server, and nothing else. Each rule
 * names the invariant that it holds the package to (`docs`: I1 once and in order, I2 gaps, I3 resume results, I4 positions).
 */
import type { Life, StreamLog } from "../support/log.js";
import type { AgentEvent, EventMeta, Gap, Position, Resumed, ThreadItem } from "../support/package.js";
import { itemText, placeText } from "../support/record.js";
import { canonical } from "../support/values.js";

/** Where a consumer may begin. */
export type Begin =
	/** After this position. */
	| { readonly kind: "at"; readonly position: Position }
	/** Before the first offset of whichever epoch. */
	| { readonly kind: "start" }
	/** Not before `offset`, if it begins in this life of the log, and no crash has taken a part of it meanwhile. */
	| { readonly kind: "from"; readonly life: Life | undefined; readonly offset: number };

/** Which offset of a new epoch a consumer is owed first (SUB-8). */
export type Owed = "all" | "written" | "either";

export class Witness {
	readonly name: string;
	readonly log: StreamLog;
	/** What it was given, in words, for the report of a failure. */
	readonly story: string[] = [];
	/** Where it is; unknown until it was given something, or the package said. */
	place: Position | undefined;
	/** Number of resume results. */
	resumes = 0;
	readonly #begin: Begin;
	readonly #owed: () => Owed;
	readonly #broken: (rule: string) => void;
	/** The last gap since the last resume result. */
	#gap: Gap | undefined;
	/** What knew of that gap is gone. */
	#forgotten = false;

	constructor(name: string, log: StreamLog, begin: Begin, owed: () => Owed, broken: (rule: string) => void) {
		this.name = name;
		this.log = log;
		this.#begin = begin;
		this.#owed = owed;
		this.#broken = (rule) => broken(`${name}: ${rule}\n    it got: ${this.story.join(", ")}`);
		if (begin.kind === "at") this.place = begin.position;
	}

	item(item: ThreadItem): void {
		if (item.kind === "event") this.event(item.event, item.meta);
		else if (item.kind === "gap") this.gap(item.gap);
		else this.resumed(item.resumed);
	}

	event(event: AgentEvent, meta: EventMeta): void {
		this.story.push(itemText({ kind: "event", event, meta }));
		const { epoch, offset } = meta;
		const life = this.#life(epoch);
		if (life === undefined) return this.#broken(`I1: ${placeText(meta)} is of an epoch that never was`);
		const written = life.ever.get(offset) ?? [];
		if (!written.some((body) => canonical(body) === canonical(event)))
			return this.#broken(`I1: ${placeText(meta)} is ${canonical(event)}, the log has ${canonical(written)}`);
		if (placeText(meta.position) !== placeText(meta)) this.#broken(`I4: the meta of ${placeText(meta)} names the position ${placeText(meta.position)}`);
		const place = this.place ?? this.#beginAt({ epoch, offset: offset - 1 });
		if (epoch !== place.epoch || offset !== place.offset + 1) this.#broken(`I1: ${placeText(meta)} follows ${placeText(place)}`);
		this.place = { epoch, offset };
	}

	gap(gap: Gap): void {
		this.story.push(itemText({ kind: "gap", gap }));
		this.#gap = gap;
		const epoch = gap.to === undefined ? undefined : gap.position.epoch;
		const place = this.place ?? (epoch === undefined ? undefined : this.#beginAt({ epoch, offset: gap.from - 1 }));
		if (place !== undefined && gap.from !== place.offset + 1) this.#broken(`I2: the gap from ${gap.from} follows ${placeText(place)}`);
		const life = this.#life(gap.position.epoch);
		if (life === undefined) return this.#broken(`I2: the gap leads to ${placeText(gap.position)}, an epoch that never was`);
		if (gap.to === undefined) this.#reset(gap, place, life);
		else this.#trimmed(gap, gap.to, place, life);
		this.place = gap.position;
	}

	#trimmed(gap: Gap, to: number, place: Position | undefined, life: Life): void {
		if (gap.remedy !== "refetch" || gap.epoch !== undefined) this.#broken(`I2: a bounded gap has the remedy ${gap.remedy}`);
		if (place !== undefined && gap.position.epoch !== place.epoch)
			this.#broken(`I2: a bounded gap leads from ${placeText(place)} to ${placeText(gap.position)}`);
		if (gap.position.offset !== to || to < gap.from) this.#broken(`I2: the gap ${gap.from}-${to} leads to ${placeText(gap.position)}`);
		if (!life.oldests.includes(to + 1)) this.#broken(`I2: ${gap.from}-${to} is not what the log lost: its oldest was ${life.oldests.join(", ")}`);
	}

	#reset(gap: Gap, place: Position | undefined, life: Life): void {
		const isAnew = gap.reason === "ahead";
		if (gap.remedy !== "reset" || gap.epoch !== life.epoch)
			this.#broken(`I2: the end of an epoch has the remedy ${gap.remedy} and the epoch ${String(gap.epoch)}`);
		if (place !== undefined && (isAnew ? place.epoch !== life.epoch : this.#index(place.epoch) >= this.#index(life.epoch)))
			this.#broken(`I2: a gap leads from ${placeText(place)} back to ${placeText(gap.position)}`);
		const { offset } = gap.position;
		const owed = this.#owed();
		// A page that claims what the log has lost, without a proof, starts over with what there is (SUB-6).
		const allowed = isAnew ? life.oldests.map((oldest) => oldest - 1) : owed === "all" ? [0] : owed === "written" ? life.bases : [0, ...life.bases];
		if (!allowed.includes(offset)) this.#broken(`I2: of the new epoch it gets what follows ${offset}, and is owed what follows ${allowed.join(" or ")}`);
	}

	resumed(resumed: Resumed): void {
		this.story.push(itemText({ kind: "resumed", resumed }));
		this.resumes += 1;
		const { position, openRuns, gap, recovered, skipped } = resumed;
		const place = this.place ?? this.#beginAt(position);
		if (placeText(position) !== placeText(place)) this.#broken(`I3: the result of ${placeText(position)} came at ${placeText(place)}`);
		if (position.offset < resumed.to || position.epoch !== resumed.epoch)
			this.#broken(`I3: the result names ${resumed.epoch}/${resumed.to} and the position ${placeText(position)}`);
		const life = this.#life(position.epoch);
		if (life === undefined) return this.#broken(`I3: ${position.epoch} never was`);
		if (openRuns !== undefined && life.events.length >= resumed.to) {
			const open = this.log.openRuns(resumed.to, life);
			if (canonical(openRuns) !== canonical(open))
				this.#broken(`I3: open runs at ${resumed.epoch}/${resumed.to} are ${open.join(", ")}, and not ${openRuns.join(", ")}`);
		}
		if (recovered !== (gap === undefined)) this.#broken(`I3: recovered is ${recovered}, with the gap ${canonical(gap ?? null)}`);
		// A gap that came while the stream was live belongs to no catch-up.
		const mayBeNone = this.#forgotten || this.resumes > 1;
		const mayBeUnseen = this.#forgotten && this.#gap === undefined;
		if (canonical(gap ?? null) !== canonical(this.#gap ?? null) && !(gap === undefined ? mayBeNone : mayBeUnseen))
			this.#broken(`I3: its gap is ${canonical(gap ?? null)}, the last that was delivered ${canonical(this.#gap ?? null)}`);
		if (skipped !== undefined && (!life.bases.includes(skipped.to) || !life.oldests.includes(skipped.from)))
			this.#broken(`I2: skipped ${skipped.from}-${skipped.to}, the epoch began at ${life.base}`);
		this.#gap = undefined;
		this.#forgotten = false;
		this.place = position;
	}

	/** A new core or a new subscription goes on, which knows places and no history. */
	forget(): void {
		this.#forgotten = true;
	}

	/** The package says where the consumer is, before it was given anything. */
	placed(position: Position): void {
		this.place ??= this.#beginAt(position);
	}

	/** Nothing is missing any more. */
	finish(): void {
		const end = { epoch: this.log.epoch, offset: this.log.head };
		if (this.place === undefined || placeText(this.place) !== placeText(end)) {
			this.#broken(`I1: at the end it is at ${this.place === undefined ? "no place" : placeText(this.place)}, and the log at ${placeText(end)}`);
		}
		if (this.resumes === 0) this.#broken("I3: its catch-up has no result");
	}

	#beginAt(position: Position): Position {
		const begin = this.#begin;
		if (begin.kind === "start" && position.offset !== 0) this.#broken(`I2: it begins at ${placeText(position)}, and should at the start`);
		if (begin.kind === "from" && begin.life === this.#life(position.epoch) && position.offset < begin.offset) {
			this.#broken(`I2: it begins at ${placeText(position)}, before ${begin.offset}`);
		}
		return position;
	}

	#life(epoch: string): Life | undefined {
		return this.log.lives.find((life) => life.epoch === epoch);
	}

	#index(epoch: string): number {
		return this.log.lives.findIndex((life) => life.epoch === epoch);
	}
}

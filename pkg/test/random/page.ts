/** The application of a scenario: threads with handlers and iterators, each with a witness, and messages. */
import type { StreamLog } from "../support/log.js";
import {
	type AgentwireError,
	type From,
	isAgentwireError,
	type Message,
	type Position,
	type Receipt,
	type Thread,
	type ThreadItem,
} from "../support/package.js";
import { placeText } from "../support/record.js";
import type { Begin, Owed, Witness } from "./oracle.js";

/** An iterator and how far it is. */
export interface Reading {
	readonly witness: Witness;
	readonly iterator: AsyncIterator<ThreadItem, undefined>;
	/** Calls of `next()` that wait. */
	waiting: number;
	/** It is no consumer any more, though it may still yield what it holds. */
	detached: boolean;
	over: boolean;
}

/** A handle with its handlers and iterators. */
export interface Handle {
	readonly thread: Thread;
	/** Its recorder, while it listens. */
	witness: Witness | undefined;
	stop: (() => void) | undefined;
	readonly readings: Set<Reading>;
}

/** A stream as the page uses it. */
export class Story {
	readonly name: string;
	readonly log: StreamLog;
	readonly handles = new Set<Handle>();
	/** Where the last consumer left it. */
	left: Position | undefined;
	/** Was it left at a place that the witnesses do not know? */
	leftUnknown = false;
	/** What the consumers since the last reopening began with. */
	opened = new Set<"start" | "other">();
	/** The `from` of the handles, as the package has it; `undefined` until a handle or the first consumer names one. */
	from: From | undefined;
	started = false;
	/** The server ended the subscription, and nobody has come since. */
	ended = false;
	/** Every position that the application was given, and may begin at again. */
	positions: Position[] = [];

	constructor(name: string, log: StreamLog) {
		this.name = name;
		this.log = log;
	}

	/** Its consumers: one for all handlers, and each iterator that was pulled. */
	get witnesses(): Witness[] {
		const handles = [...this.handles];
		return [
			...(this.ended ? [] : this.listening),
			...handles.flatMap(({ readings }) => [...readings].filter(({ detached }) => !detached).map(({ witness }) => witness)),
		];
	}

	/** The handlers, whether or not the server ended their subscription. */
	get listening(): Witness[] {
		return [...this.handles].flatMap(({ witness }) => (witness === undefined ? [] : [witness]));
	}

	/** The server ended the subscription (SUB-11). */
	end(): void {
		this.leave(() => {
			this.ended = true;
			for (const witness of this.listening) witness.forget();
			for (const { readings } of this.handles) for (const reading of readings) reading.detached = true;
		});
	}

	get owed(): Owed {
		if (this.opened.size !== 1) return "either";
		return this.opened.has("start") ? "all" : "written";
	}

	/** Where a consumer begins that names `own`. `connected`: the client is. */
	begin(own: From | undefined, ofHandlers: boolean, connected: boolean): Begin {
		// Whoever comes brings the handlers back.
		this.ended = false;
		const others = this.witnesses;
		const listening = ofHandlers ? this.listening[0] : undefined;
		if (listening !== undefined)
			return listening.place === undefined ? { kind: "from", life: undefined, offset: 0 } : { kind: "at", position: listening.place };
		let from = own;
		const isFirst = !this.started;
		if (isFirst && (own === undefined || this.from === undefined)) {
			this.started = true;
			this.from ??= own ?? "start";
			from = this.from;
		}
		const asked = from ?? this.from ?? "start";
		this.opened.add(asked === "live" || (typeof asked === "object" && "last" in asked) ? "other" : "start");
		if (asked === "start" && (this.from === "live" || (typeof this.from === "object" && "last" in this.from))) this.opened.add("other");
		if (typeof from === "object" && "epoch" in from) return { kind: "at", position: from };
		if (from === "start") return { kind: "start" };
		const { life, epoch, head, oldest } = this.log;
		const back = typeof from === "object" ? from.last : 0;
		if (others.length === 0) {
			// Before the client is connected, a thread that is at a position for one consumer is there for all.
			if (this.leftUnknown || (this.left === undefined && (!connected || (typeof this.from === "object" && "epoch" in this.from))))
				return { kind: "from", life: undefined, offset: 0 };
			// A crash has taken what it counts from.
			if (this.left !== undefined && this.left.epoch === epoch && this.left.offset > head && back > 0) return { kind: "from", life: undefined, offset: 0 };
			if (this.left !== undefined)
				return back === 0
					? { kind: "at", position: this.left }
					: { kind: "from", life: this.log.lives.find((known) => known.epoch === this.left?.epoch), offset: Math.max(0, this.left.offset - back) };
			return { kind: "from", life, offset: back === 0 ? head : Math.max(oldest - 1, head - back) };
		}
		// Whoever was given nothing yet may not be where it asked to be.
		const furthest = Math.max(0, ...others.map(({ place, story }) => (place?.epoch === epoch && story.length > 0 ? place.offset : 0)));
		return { kind: "from", life, offset: Math.max(0, furthest - back) };
	}

	/** Where the slowest consumer is; `undefined` when the witnesses cannot know. */
	get slowest(): Position | undefined {
		const places = this.witnesses.map(({ place }) => place);
		if (places.length === 0) return this.leftUnknown ? undefined : this.left;
		const known = places.flatMap((place) => (place === undefined ? [] : [place]));
		if (known.length < places.length) return undefined;
		const present = Math.max(...known.map(({ epoch }) => this.#index(epoch)));
		const behind = known.filter(({ epoch }) => this.#index(epoch) < present);
		if (new Set(behind.map(({ epoch }) => epoch)).size > 1) return undefined;
		return (behind.length > 0 ? behind : known).reduce((one, other) => (other.offset < one.offset ? other : one));
	}

	/** Consumers leave together: when none stays, it was left where the slowest was. `delivering`: a handler is running. */
	leave(run: () => void, delivering = false): void {
		const before = this.witnesses.length;
		const { slowest } = this;
		// What a waiting pull was given in this task counts, and its witness has not seen it yet.
		const waits = delivering && [...this.handles].some(({ readings }) => [...readings].some(({ waiting, detached }) => waiting > 0 && !detached));
		run();
		if (before === 0 || this.witnesses.length > 0) return;
		this.left = waits ? undefined : slowest;
		this.leftUnknown = this.left === undefined;
	}

	/** Does the package agree on where the slowest consumer is (I4)? `caughtUp`: the server has said so of the stream on this socket. */
	check(caughtUp: boolean, broken: (rule: string) => void): void {
		const [handle] = this.handles;
		if (handle === undefined) return;
		const { position } = handle.thread;
		const [only, ...others] = this.witnesses;
		// What the package says of a consumer that was given nothing yet is the place from which everything is owed to it.
		if (only !== undefined && others.length === 0 && position !== undefined && caughtUp) only.placed(position);
		const { slowest } = this;
		if (slowest === undefined || position === undefined) return;
		if (placeText(position) !== placeText(slowest))
			broken(`${this.name}: I4: the position is ${placeText(position)}, the slowest consumer is at ${placeText(slowest)}`);
	}

	#index(epoch: string): number {
		return this.log.lives.findIndex((life) => life.epoch === epoch);
	}
}

/** A message of the application. */
export interface Sent {
	readonly message: Message;
	readonly outcomes: (Receipt | AgentwireError)[];
	attempts: number;
}

/** Follows one attempt to send. */
export function follow(sent: Sent, receipt: Promise<Receipt>): void {
	sent.attempts += 1;
	receipt.then(
		(outcome) => sent.outcomes.push(outcome),
		(error: unknown) => {
			if (isAgentwireError(error)) sent.outcomes.push(error);
			else throw error;
		},
	);
}

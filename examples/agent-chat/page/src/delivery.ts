/** What a thread delivers, on its way past the conversation: recorded event by event, and compared with the log. */
import { type AgentEvent, AgentwireError, type EventMeta, type Gap, type Resumed, type Thread, type ThreadItem } from "agentwire";
import type { Conversation } from "agentwire/conversation";
import { Arrivals } from "./arrivals.ts";
import { Observed } from "./observed.ts";
import { Shown } from "./shown.ts";
import type { Timeline } from "./timeline.ts";
import { type Outcome, type ReadLog, Recorder } from "./truth.ts";

/** How much is compared: what was not compared yet, or everything. */
type Which = "rest" | "all";

export interface DeliveryView {
	/** A comparison is under way. */
	readonly busy: boolean;
	readonly outcome: Outcome;
	/** Does the conversation show what the log says? `undefined`: that was not compared. */
	readonly isShown: boolean | undefined;
	/** The last catch-up. */
	readonly resumed: Resumed | undefined;
}

/** Events that may wait to be recorded. */
const MAX_QUEUED = 16_384;
const ENDS: readonly string[] = ["agent_completed", "agent_error", "agent_cancelled", "agent_died"];

export class Delivery extends Observed {
	readonly arrivals = new Arrivals();
	readonly #log: ReadLog;
	readonly #timeline: Timeline;
	readonly #conversation: () => Conversation;
	readonly #recorder = new Recorder();
	#shown = new Shown();
	/** Answers at work: when the last one ends, there is something to compare. */
	readonly #open = new Set<unknown>();
	#view: DeliveryView = { busy: false, outcome: { state: "none" }, isShown: undefined, resumed: undefined };
	#wanted: Which | undefined;

	/** `shown` answers with what is shown at the moment. */
	constructor(log: ReadLog, timeline: Timeline, shown: () => Conversation) {
		super();
		this.#conversation = shown;
		this.#log = log;
		this.#timeline = timeline;
	}

	/** The same object as long as nothing changes. */
	get view(): DeliveryView {
		return this.#view;
	}

	/** Records everything that the thread delivers from its start, or from where it was left, until aborted. */
	async follow(thread: Thread, signal: AbortSignal): Promise<void> {
		try {
			// A consumer of its own: the conversation may begin elsewhere, with what this browser has kept of it.
			const items = thread.events({ from: this.#recorder.position ?? "start", maxQueued: MAX_QUEUED, signal });
			for await (const item of items) this.#take(item);
		} catch (error) {
			// The client has failed, or the server ended the thread: whoever shows the conversation says so.
			if (!signal.aborted && !(error instanceof AgentwireError)) throw error;
		}
	}

	/** Compares what was delivered, and what is shown, with the log. */
	async verify(which: Which): Promise<void> {
		if (this.#view.busy) {
			this.#wanted = this.#wanted === "all" ? "all" : which;
			return;
		}
		this.#set({ busy: true });
		let next: Which | undefined = which;
		let { outcome, isShown } = this.#view;
		while (next !== undefined) {
			this.#wanted = undefined;
			outcome = await this.#recorder.compare(this.#log, next === "all");
			if (next === "all") this.#shown = new Shown();
			isShown = await this.#shown.compare(this.#conversation(), this.#log);
			next = this.#wanted;
		}
		this.#set({ busy: false, outcome, isShown });
	}

	#take(item: ThreadItem): void {
		if (item.kind === "event") this.#event(item.event, item.meta);
		else if (item.kind === "gap") this.#gap(item.gap);
		else this.#resumed(item.resumed);
	}

	#event(event: AgentEvent, meta: EventMeta): void {
		const now = Date.now();
		this.#recorder.record(event, meta);
		this.arrivals.add(meta.offset, meta.delivery, now);
		this.#timeline.event(now);
		const { type, runId, parentRunId, recoverable } = event as { readonly [field: string]: unknown };
		if (type === "agent_started" && parentRunId === undefined) this.#open.add(runId);
		const ends = ENDS.includes(String(type)) && recoverable !== true && this.#open.delete(runId);
		if (ends && this.#open.size === 0 && meta.delivery === "live") void this.verify("rest");
	}

	#gap(gap: Gap): void {
		this.#recorder.gap(gap);
		this.#open.clear();
		this.arrivals.mark({ at: Date.now(), kind: "gap", offset: gap.from, count: gap.to === undefined ? 0 : gap.to - gap.from + 1 });
	}

	#resumed(resumed: Resumed): void {
		const now = Date.now();
		const { to: offset, duplicatesDropped: count } = resumed;
		if (count > 0) this.arrivals.mark({ at: now, kind: "duplicates", offset, count });
		this.#timeline.caughtUp(now);
		this.#set({ resumed });
		void this.verify("rest");
	}

	#set(change: Partial<DeliveryView>): void {
		this.#view = { ...this.#view, ...change };
		this.notify();
	}
}

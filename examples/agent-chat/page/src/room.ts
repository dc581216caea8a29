/** One open conversation: its thread, what is folded from it, what is on its way, and the record of what was delivered. */
import type { AgentwireError, CancelOutcome, Client, Decision, Ended, Message, Resumed, Thread, ThreadItem } from "agentwire";
import { Arrivals } from "./arrivals.ts";
import { type Conversation, EMPTY, fold } from "./fold.ts";
import type { Kept, Pending } from "./pending.ts";
import { atNextFrame, Store } from "./store.ts";
import { type Outcome, type ReadLog, Recorder } from "./truth.ts";

/** A message of the user whose event has not come yet. */
export interface Outgoing {
	readonly id: string;
	readonly content: string;
	readonly time: number;
	readonly state: Message["state"];
	readonly error: AgentwireError | undefined;
}

/** A conversation as it is shown. */
export interface View {
	readonly conversation: Conversation;
	readonly outgoing: readonly Outgoing[];
	/** False until the log was read to its end for the first time. */
	readonly loaded: boolean;
	/** The last catch-up. */
	readonly resumed: Resumed | undefined;
	readonly ended: Ended | undefined;
}

/** What a room needs of its session. */
export interface RoomHost {
	readonly client: Client;
	readonly pending: Pending;
	readonly readLog: (thread: string) => ReadLog;
	event(room: Room): void;
	caughtUp(room: Room): void;
}

/** How much is compared: what was not compared yet, or everything. */
type Which = "rest" | "all";

/** A comparison with the log and whether one is under way. */
export interface Verification {
	readonly busy: boolean;
	readonly outcome: Outcome;
}

/** A new object says: show this text. */
export interface Draft {
	text: string;
}

export class Room {
	readonly id: string;
	readonly view: Store<View>;
	readonly verification = new Store<Verification>({ busy: false, outcome: { state: "none" } });
	readonly arrivals = new Arrivals();
	/** What is being written. The field shows what is set here; what it holds itself is reported by {@link Room.wrote}. */
	readonly draft = new Store<Draft>({ text: "" });
	readonly #host: RoomHost;
	readonly #thread: Thread;
	readonly #recorder = new Recorder();
	readonly #messages = new Map<string, Message>();
	/** Runs that were at work while this page watched. */
	readonly #watched = new Set<string>();
	#queue: ThreadItem[] = [];
	#wanted: Which | undefined;
	readonly #fold = (): void => this.#foldQueue();

	constructor(id: string, host: RoomHost, known: boolean) {
		this.id = id;
		this.#host = host;
		this.view = new Store<View>({ conversation: EMPTY, outgoing: [], loaded: !known, resumed: undefined, ended: undefined });
		// From the start, as the page stores no conversation: a position belongs to what was made of the events up to it.
		this.#thread = host.client.thread(id, { from: "start" });
		this.#thread.onEvent((event, meta) => {
			this.#recorder.record(event, meta);
			this.arrivals.add(meta.offset, meta.delivery, Date.now());
			if (meta.delivery === "live" && "runId" in event && typeof event.runId === "string") this.#watched.add(event.runId);
			this.#take({ kind: "event", event, meta });
			host.event(this);
		});
		this.#thread.onGap((gap) => {
			this.#recorder.gap(gap);
			this.arrivals.mark({ at: Date.now(), kind: "gap", offset: gap.from, count: gap.to === undefined ? 0 : gap.to - gap.from + 1 });
			this.#take({ kind: "gap", gap });
		});
		this.#thread.onResumed((resumed) => {
			if (resumed.duplicatesDropped > 0) this.arrivals.mark({ at: Date.now(), kind: "duplicates", offset: resumed.to, count: resumed.duplicatesDropped });
			this.view.update((view) => ({ ...view, resumed, loaded: true }));
			this.#take({ kind: "resumed", resumed });
			host.caughtUp(this);
			void this.verify("rest");
		});
		this.#thread.onEnded((ended) => this.view.update((view) => ({ ...view, ended, loaded: true })));
		for (const kept of host.pending.all()) if (kept.thread === id) this.#send(kept);
	}

	/** The last offset that was delivered. */
	get last(): number {
		return this.#recorder.last;
	}

	/** Whether somebody would miss this room: a run is at work, a message is on its way or being written. */
	get busy(): boolean {
		const { conversation, outgoing } = this.view.get();
		return conversation.open > 0 || outgoing.length > 0 || this.draft.get().text !== "";
	}

	/** Was this run at work while the page watched? */
	watched(runId: string): boolean {
		return this.#watched.has(runId);
	}

	ask(content: string): void {
		this.#send({ id: crypto.randomUUID(), thread: this.id, content });
	}

	/** Sends a failed message again, under its id: if the server has it already, it counts once. */
	retry(id: string): void {
		const message = this.#messages.get(id);
		if (message !== undefined) return void message.retry();
		// The client did not take it.
		const failed = this.view.get().outgoing.find((one) => one.id === id && one.state === "failed");
		if (failed !== undefined) this.#send({ id, thread: this.id, content: failed.content });
	}

	/** Puts a failed message back into the field, before what is being written there. */
	edit(id: string): void {
		const failed = this.view.get().outgoing.find((one) => one.id === id && one.state === "failed");
		if (failed === undefined) return;
		this.discard(id);
		const { text } = this.draft.get();
		this.draft.set({ text: text === "" ? failed.content : `${failed.content}\n\n${text}` });
	}

	/** The field holds this now. */
	wrote(text: string): void {
		this.draft.get().text = text;
	}

	/** Forgets a failed message. */
	discard(id: string): void {
		this.#messages.delete(id);
		this.view.update((view) => ({ ...view, outgoing: view.outgoing.filter((one) => one.id !== id) }));
	}

	/** Asks to end every run that was asked for here. */
	async stop(): Promise<readonly CancelOutcome[]> {
		const { conversation } = this.view.get();
		const roots = [...conversation.runs.values()].filter((run) => run.status === "running" && run.parentRunId === undefined);
		return Promise.all(roots.map((run) => this.#thread.cancel(run.runId)));
	}

	decide(runId: string, approvalId: string, decision: Decision): Promise<unknown> {
		return this.#thread.approve(runId, approvalId, { decision });
	}

	/** Compares what was delivered with the log. */
	async verify(which: Which): Promise<void> {
		if (this.verification.get().busy) {
			this.#wanted = this.#wanted === "all" ? "all" : which;
			return;
		}
		this.verification.update((former) => ({ ...former, busy: true }));
		let next: Which | undefined = which;
		let outcome: Outcome = { state: "none" };
		while (next !== undefined) {
			this.#wanted = undefined;
			outcome = await this.#recorder.compare(this.#host.readLog(this.id), next === "all");
			next = this.#wanted;
		}
		this.verification.set({ busy: false, outcome });
	}

	close(): void {
		this.#thread.close();
	}

	#send(kept: Kept): void {
		const { id, content } = kept;
		const { client, pending } = this.#host;
		const time = Date.now();
		pending.keep(kept);
		let message: Message;
		try {
			message = this.#thread.send({ content }, { id });
		} catch (error) {
			pending.settle(id);
			this.#show({ id, content, time, state: "failed", error: error as AgentwireError });
			return;
		}
		this.#messages.set(id, message);
		this.#show({ id, content, time, state: message.state, error: message.error });
		message.on("change", ({ state, error }) => {
			// A client that is over fails what it had not sent. It stays kept, and the next client sends it.
			const over = ["closed", "failed"].includes(client.state.name);
			if (state === "failed" && over && error?.code !== "frame_too_large") return;
			if (state === "queued" || state === "sending") pending.keep(kept);
			else pending.settle(id);
			this.#show({ id, content, time, state, error });
		});
	}

	#show(outgoing: Outgoing): void {
		this.view.update((view) => {
			if (view.conversation.sent.has(outgoing.id)) return view;
			const index = view.outgoing.findIndex(({ id }) => id === outgoing.id);
			return { ...view, outgoing: index < 0 ? [...view.outgoing, outgoing] : view.outgoing.with(index, outgoing) };
		});
	}

	#take(item: ThreadItem): void {
		this.#queue.push(item);
		atNextFrame(this.#fold);
	}

	#foldQueue(): void {
		const items = this.#queue;
		if (items.length === 0) return;
		this.#queue = [];
		const { open } = this.view.get().conversation;
		this.view.update((view) => {
			const conversation = fold(view.conversation, items);
			const waiting = view.outgoing.filter(({ id }) => !conversation.sent.has(id));
			return { ...view, conversation, outgoing: waiting.length === view.outgoing.length ? view.outgoing : waiting };
		});
		const { conversation, loaded } = this.view.get();
		if (loaded && open > 0 && conversation.open === 0) void this.verify("rest");
	}
}

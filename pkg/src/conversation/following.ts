/** The store at work: from the thread's frames to snapshots, and from the page's calls to the thread. */
import type { MessageContent } from "../sends/content.js";
import type { Message, SendOptions } from "../sends/message.js";
import type { Receipt } from "../sends/receipt.js";
import { boolean, callable, fields, refuse, withMethods } from "../shared/check.js";
import { AgentwireError } from "../shared/errors.js";
import { emit, Listeners, type Unsubscribe } from "../shared/listeners.js";
import type { AgentEvent, Decision } from "../thread/events.js";
import type { BatchMeta, Ended, Gap, Resumed } from "../thread/facts.js";
import { type Followable, followable } from "../thread/follow.js";
import type { ApprovalAnswer, ApproveOutcome, CancelOutcome, EditOutcome, Thread, WithdrawOutcome } from "../thread/thread.js";
import type { CachedConversation } from "./cache.js";
import { differs } from "./draft.js";
import { emptyConversation, Folding, type FoldSettings, settingsOf } from "./fold.js";
import { Frame } from "./frame.js";
import type { Conversation, UserMessage } from "./model.js";
import { Outgoing } from "./outgoing.js";
import { hasMessage, runOf } from "./select.js";
import type { Snapshot } from "./snapshot.js";
import type { Stall, StallWatch, StallWatcher } from "./stall.js";
import type { ConversationOptions, ConversationStore } from "./store.js";

const NONE: readonly Stall[] = [];

/**
 * Follows a thread, as a consumer of its own: from where the thread begins, or from what `cache` or `initial` has. Throws `invalid_option`, and `closed` as
 * the thread does.
 */
export function conversation<C = undefined>(thread: Thread, options: ConversationOptions<C> = {}): ConversationStore<C> {
	return new Following(thread, options);
}

class Following<C> implements ConversationStore<C> {
	readonly #thread: Followable;
	readonly #settings: FoldSettings<C>;
	readonly #merges: boolean;
	readonly #listeners = new Listeners<() => unknown>();
	readonly #caughtUpHandlers = new Listeners<(resumed: Resumed) => unknown>();
	readonly #offs: Unsubscribe[] = [];
	readonly #outgoing = new Outgoing(() => this.#update(true));
	readonly #watcher: StallWatcher | undefined;
	readonly #cached: CachedConversation | undefined;
	readonly #frame = new Frame(() => this.#onFrame());
	readonly #first: Snapshot<C>;
	#conversation: Conversation<C>;
	#snapshot: Snapshot<C>;
	/** What is on its way in the snapshot. */
	#shown: readonly UserMessage[] = [];
	#caughtUp = false;
	#replayedThrough = 0;
	#ended: Ended | undefined;
	/** Something is not in the snapshot yet. */
	#isBehind = false;
	/** Changes that belong together are under way. */
	#isBusy = false;
	/** Listeners are being called. */
	#isNotifying = false;
	#isFollowing = false;
	#disposed = false;

	constructor(thread: Thread, options: ConversationOptions<C>) {
		const known = ["limits", "customEvents", "initial", "cache", "mergeDeltas", "stalls"];
		const { limits, customEvents, initial, cache, mergeDeltas, stalls } = fields("options", options, known) as ConversationOptions<C>;
		withMethods("cache", cache, ["open"]);
		if (cache !== undefined && initial !== undefined) refuse("initial", initial, "left out with a cache");
		this.#thread = followable(thread);
		this.#settings = settingsOf({ limits, customEvents });
		this.#merges = boolean("mergeDeltas", mergeDeltas, true);
		if (stalls !== undefined) this.#watcher = callable<StallWatch>("stalls", stalls)(() => this.#update());
		this.#conversation = initial ?? emptyConversation({ customEvents });
		this.#replayedThrough = offsetOf(this.#conversation);
		this.#first = this.#snapshot = this.#take();
		const { client } = this.#thread.owner;
		this.#offs.push(
			thread.onEnded((ended) => this.#change(() => (this.#ended = ended))),
			client.on("outbox", (messages) => this.#restore(messages)),
		);
		const first = this.#first.conversation;
		if (cache === undefined) this.#begin(first);
		else this.#cached = cache.open(this.#thread, (found) => this.#begin((found as Conversation<C> | undefined) ?? first));
		this.#restore(client.outbox());
	}

	readonly getSnapshot = (): Snapshot<C> => this.#snapshot;

	readonly getServerSnapshot = (): Snapshot<C> => this.#first;

	readonly subscribe = (listener: () => unknown): Unsubscribe => this.#listen(this.#listeners, listener);

	readonly onCaughtUp = (handler: (resumed: Resumed) => unknown): Unsubscribe => this.#listen(this.#caughtUpHandlers, handler);

	readonly send = (content: string | MessageContent, options?: SendOptions): Message => {
		return this.#change(() => {
			const message = this.#open().send(contentOf(content) as { readonly content: string }, options);
			// The client's list of messages may have said it already.
			if (this.#outgoing.get(message.id) !== message) this.#show(message);
			return message;
		});
	};

	readonly retry = (sendId: string): Promise<Receipt> | undefined => this.#outgoing.get(sendId)?.retry();

	readonly discard = (sendId: string): void => {
		const message = this.#outgoing.get(sendId);
		if (message?.state !== "failed") return;
		message.discard();
		this.#change(() => this.#outgoing.delete(sendId));
	};

	readonly edit = async (sendId: string, content: string | MessageContent): Promise<EditOutcome> => {
		return this.#open().edit(sendId, contentOf(content));
	};

	readonly withdraw = async (sendId: string): Promise<WithdrawOutcome> => {
		const message = this.#outgoing.get(sendId);
		if (message?.state === "queued") {
			message.discard();
			await message.receipt.catch(() => undefined);
			// It was never transmitted.
			if ((message as Message).state === "failed") return "withdrawn";
		}
		return this.#open().withdraw(sendId);
	};

	readonly approve = async (runId: string, approvalId: string, answer: Decision | ApprovalAnswer): Promise<ApproveOutcome> => {
		const given = typeof answer === "string" ? { decision: answer } : answer;
		const asked = runOf(this.#snapshot.conversation, runId)?.parts.find((part) => part.kind === "approval" && part.approvalId === approvalId);
		const argsHash = asked?.kind === "approval" ? asked.argsHash : undefined;
		return this.#open().approve(runId, approvalId, argsHash === undefined ? given : { argsHash, ...given });
	};

	readonly cancel = async (what: string | { readonly sendId: string }): Promise<CancelOutcome> => {
		return this.#open().cancel(what);
	};

	readonly dispose = (): void => {
		if (this.#disposed) return;
		this.#disposed = true;
		for (const off of this.#offs) off();
		this.#cached?.end();
		this.#outgoing.dispose();
		this.#watcher?.dispose();
		this.#frame.cancel();
		this.#listeners.clear();
		this.#caughtUpHandlers.clear();
	};

	/** Shows a conversation, and follows the thread from where it ends. The second time, what was shown must not be shown any more. */
	#begin(from: Conversation<C>): void {
		if (this.#disposed) return;
		this.#change(() => {
			this.#conversation = from;
			this.#replayedThrough = offsetOf(from);
		});
		if (this.#isFollowing) return;
		this.#isFollowing = true;
		this.#offs.push(
			this.#thread.follow(
				{
					batch: (events, meta) => this.#onBatch(events, meta),
					gap: (gap) => this.#onGap(gap),
					resumed: (resumed) => this.#onResumed(resumed),
				},
				from.position,
			),
		);
	}

	// --- what the thread delivers ---

	#onBatch(events: readonly AgentEvent[], { first, epoch, replays }: BatchMeta): void {
		this.#fold(
			(folding) => {
				for (const [index, event] of events.entries()) {
					folding.event(event, epoch, first + index);
					this.#outgoing.settle(event);
				}
				this.#ended = undefined;
				if (replays === 0) return;
				this.#caughtUp = false;
				this.#replayedThrough = first + replays - 1;
			},
			replays === events.length || events.every(isDelta),
		);
	}

	#onGap(gap: Gap): void {
		this.#fold((folding) => {
			folding.gap(gap);
			// Offsets count anew.
			if (gap.remedy === "reset") this.#replayedThrough = 0;
		}, !this.#caughtUp);
	}

	#onResumed(resumed: Resumed): void {
		this.#fold((folding) => {
			folding.resumed(resumed);
			this.#caughtUp = true;
			this.#ended = undefined;
		}, false);
		emit(this.#caughtUpHandlers.list, resumed, this.#thread.reporter.handlerThrew);
	}

	/** Folds what came; with `mayWait`, the listeners may hear of it with the next frame. */
	#fold(step: (folding: Folding<C>) => void, mayWait: boolean): void {
		this.#change(() => {
			const folding = new Folding(this.#conversation, this.#settings);
			step(folding);
			this.#conversation = folding.finish();
			this.#cached?.keep(this.#conversation);
			this.#watcher?.follow(this.#caughtUp ? this.#conversation : undefined);
		}, mayWait && this.#merges);
	}

	/** Shows the messages of the thread that are pending, those of former pages included. */
	#restore(messages: readonly Message[]): void {
		this.#change(() => {
			for (const message of messages) if (message.thread === this.#thread.name && this.#outgoing.get(message.id) === undefined) this.#show(message);
		});
	}

	#show(message: Message): void {
		if (!hasMessage(this.#conversation, message.id)) this.#outgoing.add(message);
	}

	// --- to the listeners ---

	/** Makes changes that belong together, and then notifies; with `waits`, no later than with the next frame. */
	#change<T>(change: () => T, waits = false): T {
		const former = this.#isBusy;
		this.#isBusy = true;
		try {
			return change();
		} finally {
			this.#isBusy = former;
			this.#update(waits);
		}
	}

	#update(waits = false): void {
		if (this.#disposed) return;
		this.#isBehind = true;
		// What a listener calls is notified with the next frame: so no listener can go round for ever.
		if (this.#isNotifying) return this.#frame.request();
		if (this.#isBusy || (waits && this.#frame.isRequested)) return;
		this.#notify();
		if (waits) this.#frame.request();
	}

	#onFrame(): void {
		if (!this.#isBehind) return;
		this.#notify();
		this.#frame.request();
	}

	#notify(): void {
		this.#isBehind = false;
		const next = this.#take();
		if (next === this.#snapshot) return;
		this.#snapshot = next;
		this.#isNotifying = true;
		emit(this.#listeners.list, undefined, this.#thread.reporter.handlerThrew);
		this.#isNotifying = false;
	}

	/** The snapshot of now; the same object if nothing has changed. */
	#take(): Snapshot<C> {
		const former = this.#snapshot as Snapshot<C> | undefined;
		const { items } = this.#conversation;
		const outgoing = this.#outgoing.items;
		const isSameList = items === former?.conversation.items && outgoing === this.#shown;
		this.#shown = outgoing;
		const next: Snapshot<C> = {
			conversation: this.#conversation,
			items: isSameList ? former.items : outgoing.length === 0 ? items : [...items, ...outgoing],
			stalls: this.#watcher?.stalls ?? NONE,
			caughtUp: this.#caughtUp,
			replayedThrough: this.#replayedThrough,
			ended: this.#ended,
		};
		return former !== undefined && !differs(former, next) ? former : next;
	}

	#listen<H>(listeners: Listeners<H>, handler: H): Unsubscribe {
		this.#open();
		const entry = listeners.add(callable<H>("listener", handler));
		return () => listeners.remove(entry);
	}

	/** The thread, as long as it is followed. */
	#open(): Thread {
		if (!this.#disposed) return this.#thread;
		throw new AgentwireError("closed", "the conversation is over");
	}
}

function contentOf(content: string | MessageContent): MessageContent {
	return typeof content === "string" ? { content } : content;
}

/** The last event that was folded: with those before it, it did not come live. */
function offsetOf({ position }: Conversation<unknown>): number {
	return position?.offset ?? 0;
}

function isDelta({ type }: AgentEvent): boolean {
	return type === "message_delta" || type === "tool_args_delta";
}

/**
 * One store for each thread of a client, however many components show it: the first one that listens opens it, and it is closed when the
 * last one has been gone for a while. To make a {@link SharedThread} opens nothing, so a component may do it while it renders.
 */
import type { Client } from "../client/api.js";
import { emptyConversation } from "../conversation/fold.js";
import { EMPTY } from "../conversation/model.js";
import type { Snapshot } from "../conversation/snapshot.js";
import type { ConversationStore } from "../conversation/store.js";
import type { Unsubscribe } from "../shared/listeners.js";
import type { Thread } from "../thread/thread.js";
import { OpenThread } from "./opened.js";
import { isAlike, warnOnce } from "./options.js";
import type { Source } from "./selection.js";
import type { ThreadSettings } from "./settings.js";

/** What a person does in a thread, as the store has it: the methods may be passed on without it. */
export type ThreadActions = Pick<ConversationStore<unknown>, "send" | "retry" | "discard" | "edit" | "withdraw" | "approve" | "cancel">;

/** A thread as components share it. It is made again when the name or the client changes, and else stays the same object. */
export interface SharedConversation<C = undefined> extends Source<Snapshot<C>>, ThreadActions, Pick<ConversationStore<C>, "onCaughtUp"> {
	readonly name: string;
	readonly client: Client;
	/** The thread itself, for its own events and signals. Do not close it, and do not keep it beyond the component. */
	readonly thread: Thread;
}

const RESTING: Snapshot<undefined> = restingOf(EMPTY);

/** The open ones of each client, by the name of the thread. */
const open = new WeakMap<Client, Map<string, OpenThread>>();

/** Closes what is open of a client: it is about to be closed. */
export function releaseAll(client: Client): void {
	for (const opened of [...(open.get(client)?.values() ?? [])]) opened.close();
}

export class SharedThread<C = undefined> implements SharedConversation<C> {
	readonly client: Client;
	readonly name: string;
	/** As they were given first. */
	readonly settings: ThreadSettings<C> | undefined;
	#resting: Snapshot<C> | undefined;

	constructor(client: Client, name: string, settings?: ThreadSettings<C>) {
		this.client = client;
		this.name = name;
		this.settings = settings;
	}

	get thread(): Thread {
		return this.#opened.use().thread;
	}

	readonly getSnapshot = (): Snapshot<C> => this.#present?.getSnapshot() ?? this.getServerSnapshot();

	readonly getServerSnapshot = (): Snapshot<C> => (this.#resting ??= this.#rest());

	readonly subscribe = (listener: () => unknown): Unsubscribe => this.#opened.retain(listener);

	/** Keeps it open. */
	readonly retain = (): Unsubscribe => this.#opened.retain(undefined);

	readonly onCaughtUp: ConversationStore<C>["onCaughtUp"] = (handler) => this.#store.onCaughtUp(handler);
	readonly send: ThreadActions["send"] = (content, options) => this.#store.send(content, options);
	readonly retry: ThreadActions["retry"] = (sendId) => this.#store.retry(sendId);
	readonly discard: ThreadActions["discard"] = (sendId) => this.#store.discard(sendId);
	readonly edit: ThreadActions["edit"] = async (sendId, content) => this.#store.edit(sendId, content);
	readonly withdraw: ThreadActions["withdraw"] = async (sendId) => this.#store.withdraw(sendId);
	readonly approve: ThreadActions["approve"] = async (runId, approvalId, answer) => this.#store.approve(runId, approvalId, answer);
	readonly cancel: ThreadActions["cancel"] = async (what) => this.#store.cancel(what);

	/** The actions by themselves. Always the same object. */
	readonly actions: ThreadActions = actionsOf(this);

	/** Warns if a later render gives other options than the first one. */
	compare(settings: ThreadSettings<C> | undefined): void {
		if (!isAlike(settings ?? {}, this.settings ?? {}))
			warnOnce(`the options of thread ${JSON.stringify(this.name)} have changed: the first ones are kept until its name or its client changes`);
	}

	get #store(): ConversationStore<unknown> {
		return this.#opened.use().store;
	}

	get #present(): ConversationStore<C> | undefined {
		return open.get(this.client)?.get(this.name)?.store as ConversationStore<C> | undefined;
	}

	/** The one that is open; else it is opened. */
	get #opened(): OpenThread {
		const { client, name } = this;
		const named = open.get(client) ?? new Map<string, OpenThread>();
		open.set(client, named);
		const settings = this.settings as ThreadSettings<unknown> | undefined;
		const present = named.get(name);
		if (present !== undefined) {
			if (settings !== undefined && !isAlike(settings, present.settings ?? {}))
				warnOnce(`thread ${JSON.stringify(name)} is open with other options, which hold: give them once, to <AgentwireThread> or to whoever shows it first`);
			return present;
		}
		const opened = new OpenThread(client, name, settings, () => named.get(name) === opened && named.delete(name));
		named.set(name, opened);
		return opened;
	}

	#rest(): Snapshot<C> {
		const { initial, customEvents } = this.settings ?? {};
		if (initial === undefined && customEvents === undefined) return RESTING as Snapshot<C>;
		return restingOf(initial ?? emptyConversation({ customEvents }));
	}
}

/** The actions of whichever thread is there when one is called. */
export function throughActions(present: () => ThreadActions): ThreadActions {
	return {
		send: (content, options) => present().send(content, options),
		retry: (sendId) => present().retry(sendId),
		discard: (sendId) => present().discard(sendId),
		edit: (sendId, content) => present().edit(sendId, content),
		withdraw: (sendId) => present().withdraw(sendId),
		approve: (runId, approvalId, answer) => present().approve(runId, approvalId, answer),
		cancel: (what) => present().cancel(what),
	};
}

function actionsOf({ send, retry, discard, edit, withdraw, approve, cancel }: ThreadActions): ThreadActions {
	return { send, retry, discard, edit, withdraw, approve, cancel };
}

/** What is shown of a thread that is not open: on a server, and until the component is mounted. */
function restingOf<C>(conversation: Snapshot<C>["conversation"]): Snapshot<C> {
	return { conversation, items: conversation.items, stalls: [], caughtUp: false, replayedThrough: 0, ended: undefined };
}

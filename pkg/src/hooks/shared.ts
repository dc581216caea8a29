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
import { isAlike } from "./compare.js";
import { forward } from "./forward.js";
import { type OpenThread, openThread } from "./opened.js";
import type { Source } from "./selection.js";
import type { ThreadSettings } from "./settings.js";
import { warnOnce } from "./warn.js";

/** What a person does in a thread, as the store has it: the methods may be passed on without it. */
export type ThreadActions = Pick<ConversationStore<unknown>, "send" | "retry" | "discard" | "edit" | "withdraw" | "approve" | "cancel">;

const ACTIONS: readonly (keyof ThreadActions)[] = ["send", "retry", "discard", "edit", "withdraw", "approve", "cancel"];

/** A thread as components share it. It is made again when the name or the client changes, and else stays the same object. */
export interface SharedConversation<C = undefined> extends Source<Snapshot<C>>, ThreadActions, Pick<ConversationStore<C>, "onCaughtUp"> {
	readonly name: string;
	readonly client: Client;
	/** The thread itself, for its own events and signals. Do not close it, and do not keep it beyond the component. */
	readonly thread: Thread;
}

/** What the hooks know of it besides. */
export interface SharedThread<C = undefined> extends SharedConversation<C> {
	/** The actions by themselves. Always the same object. */
	readonly actions: ThreadActions;
	/** Keeps it open. */
	readonly retain: () => Unsubscribe;
	/** Warns if a later render gives other options than the first one. */
	readonly compare: (settings: ThreadSettings<C> | undefined) => void;
}

/** The open ones of each client, by the name of the thread. */
const open = new WeakMap<Client, Map<string, OpenThread>>();

/** Closes what is open of a client: it is about to be closed. */
export function releaseAll(client: Client): void {
	for (const { close } of [...(open.get(client)?.values() ?? [])]) close();
}

/** The actions of whichever thread is there when one is called. */
export function throughActions(present: () => ThreadActions): ThreadActions {
	return forward(ACTIONS, present);
}

/** A thread with its first options. */
export function sharedThread<C = undefined>(client: Client, name: string, settings?: ThreadSettings<C>): SharedThread<C> {
	const first = (settings ?? {}) as ThreadSettings<unknown>;
	let resting: Snapshot<C> | undefined;

	const opened = (): OpenThread => {
		const named = open.get(client) ?? new Map<string, OpenThread>();
		open.set(client, named);
		const present = named.get(name);
		if (present === undefined) {
			const made = openThread(client, name, first, () => named.delete(name));
			named.set(name, made);
			return made;
		}
		if (settings !== undefined && !isAlike(first, present.settings)) warnOnce(`thread ${name} is open with other options, which hold`);
		return present;
	};
	// What is shown on a server, and until it is open.
	const getServerSnapshot = (): Snapshot<C> => (resting ??= restingOf(first) as Snapshot<C>);
	const store = (): ConversationStore<unknown> => opened().use().store;
	const actions = throughActions(store);
	return {
		...actions,
		...forward(["onCaughtUp"], store as () => ConversationStore<C>),
		actions,
		client,
		name,
		get thread() {
			return opened().use().thread;
		},
		getSnapshot: () => (open.get(client)?.get(name)?.store()?.getSnapshot() as Snapshot<C> | undefined) ?? getServerSnapshot(),
		getServerSnapshot,
		subscribe: (listener) => opened().retain(listener),
		retain: () => opened().retain(undefined),
		compare: (later) => {
			if (!isAlike(later ?? {}, first)) warnOnce(`the options of thread ${name} have changed, but the first ones hold`);
		},
	};
}

const EMPTY_SNAPSHOT: Snapshot<unknown> = { conversation: EMPTY, items: [], stalls: [], caughtUp: false, replayedThrough: 0, ended: undefined };

function restingOf({ initial, customEvents }: ThreadSettings<unknown>): Snapshot<unknown> {
	const conversation = initial ?? (customEvents && emptyConversation({ customEvents }));
	return conversation === undefined
		? EMPTY_SNAPSHOT
		: { ...EMPTY_SNAPSHOT, conversation, items: conversation.items, replayedThrough: conversation.position?.offset ?? 0 };
}

/**
 * What a conversation looks like: plain data that the fold makes of a thread's events, and that nobody changes. It can be stored
 * and read again as JSON.
 */
import type { Position } from "../thread/position.js";
import type { ApprovalPart, ErrorPart, MessagePart, RunError, RunPart, ToolPart } from "./parts.js";
import type { Repairs } from "./repair.js";

/** A thread as state. `C` is what the application's own fold of custom events makes. */
export interface Conversation<C = undefined> {
	/** Where it is in the thread. An application that stores the conversation stores both in one step, and opens the thread from here. */
	readonly position: Position | undefined;
	/** The entries of the conversation, the oldest first: at most `maxItems`. */
	readonly items: readonly Item[];
	/** Every run, sub-agents included, in the order of their first events. {@link runOf} finds one by its id. */
	readonly runs: readonly Run[];
	/** Number of runs that have not ended. */
	readonly openRuns: number;
	/** What did not fit together in the events, and what was made of it. */
	readonly repairs: Repairs;
	/** Events and facts that came again or too late: they changed nothing. */
	readonly duplicates: number;
	/** Items that were left out because there were more than `maxItems`. */
	readonly dropped: number;
	/** The epochs before the present one, the newest last; at most 16. */
	readonly formerEpochs: readonly string[];
	/** What the application's own fold made of the custom events. */
	readonly custom: C;
}

/** An entry of the conversation. `key` is unique in it and never changes. */
export type Item = UserMessage | RunItem | GapItem | ResetItem;

/** A message of a user. */
export interface UserMessage {
	readonly kind: "user_message";
	readonly key: string;
	/** Place of its event. `undefined`: it is on its way, see `sending`. */
	readonly offset?: number | undefined;
	/** Milliseconds since the Unix epoch. */
	readonly time?: number | undefined;
	readonly content: string;
	/** Id of the send that made it. */
	readonly sendId?: string | undefined;
	readonly user?: string | undefined;
	readonly mode?: "interrupt" | "steer" | undefined;
	readonly references?: readonly unknown[] | undefined;
	readonly metadata?: Readonly<Record<string, unknown>> | undefined;
	/** Its content was replaced while it waited. */
	readonly edited: boolean;
	/** Its place in the queue, if it was ever in it. */
	readonly queue?: Queued | undefined;
	/** The run that it is meant for, and whether that run has claimed it. */
	readonly steering?: { readonly runId: string; readonly taken: boolean } | undefined;
	/** The run that answers it. */
	readonly answeredBy?: string | undefined;
	/** How far a message is whose event has not come yet. `undefined` in what was folded. */
	readonly sending?: Sending | undefined;
}

/** Behind how many messages and runs it waits; or why it does not any more: `claimed`, `withdrawn`, `cancelled`, `passed` or another reason. */
export type Queued = { readonly waiting: true; readonly ahead: number } | { readonly waiting: false; readonly reason: string };

/** How far a message is on its way to the server. */
export interface Sending {
	readonly state: "queued" | "sending" | "stored" | "failed";
	/** Why it failed. */
	readonly error?: Error | undefined;
}

/** Stands for a run that is not shown inside another one. */
export interface RunItem {
	readonly kind: "run";
	readonly key: string;
	/** Place of the first event of the run. */
	readonly offset: number;
	readonly runId: string;
}

/** Offsets that will never come. What is shown stays valid. */
export interface GapItem {
	readonly kind: "gap";
	readonly key: string;
	/** The first offset that is missing. */
	readonly offset: number;
	/** The last offset that is missing. */
	readonly to: number;
	readonly reason: string;
}

/** The log began anew: everything that was shown before was dropped. */
export interface ResetItem {
	readonly kind: "reset";
	readonly key: string;
	/** The offset after which the new part of the log begins. */
	readonly offset: number;
	/** The epoch that began. */
	readonly epoch: string;
	readonly reason: string;
	/** The runs that were open and were dropped: `lost("epoch")`. */
	readonly lostRuns: readonly string[];
}

/** `accepted`, `running` and `waiting_for_approval` are open; the others are ends, and each run has exactly one. */
export type RunStatus = "accepted" | "running" | "waiting_for_approval" | "completed" | "failed" | "cancelled" | "lost";

/** What an open run is busy with: what its last event says. */
export type Activity = "thinking" | "responding" | "using_tools";

/**
 * Why the end of a run is not known, always from a fact:
 * - `absent`: the server does not list it among the runs that are open
 * - `gap`: the same, and offsets were lost while it was open
 * - `epoch`: the log began anew; see {@link ResetItem}
 * - `parent_ended`: its parent completed or failed without it
 */
export type LostReason = "absent" | "gap" | "epoch" | "parent_ended";

/** One execution of an agent. */
export interface Run {
	readonly runId: string;
	/** Makes it a sub-agent of that run, which may come later or never. */
	readonly parentRunId?: string | undefined;
	/** Name of the agent. */
	readonly agent?: string | undefined;
	readonly task?: string | undefined;
	/** The message that it answers. */
	readonly sendId?: string | undefined;
	readonly status: RunStatus;
	/** `undefined` when it has ended, and before it did anything. */
	readonly activity?: Activity | undefined;
	/** Place of its first event. */
	readonly offset: number;
	/** Place of its last event. */
	readonly lastOffset: number;
	/** Time of its first event, in milliseconds since the Unix epoch. */
	readonly startedAt?: number | undefined;
	/** Time of its end, as its events say it. */
	readonly endedAt?: number | undefined;
	/** Milliseconds: what the agent says, or from the first event to the end. */
	readonly durationMs?: number | undefined;
	/** `agent_started` has come. */
	readonly started: boolean;
	/** Its first events are missing: it was shown from a later one on. */
	readonly startSynthesized: boolean;
	/** Offsets were lost while it was open: some of its events may be missing. */
	readonly gapped: boolean;
	/** What it thought last. */
	readonly thought?: Thought | undefined;
	/** What it said and did, in the order in which it began. */
	readonly parts: readonly Part[];
	/** Tools that have not ended. */
	readonly openTools: number;
	/** Approvals that nobody has decided. */
	readonly openApprovals: number;
	/** Results under an id whose executions all had one: the next start under that id takes the oldest. At most 100, none after the end. */
	readonly earlyResults: readonly EarlyResult[];
	/** Of `agent_completed`. */
	readonly result?: unknown;
	readonly summary?: string | undefined;
	readonly usage?: Usage | undefined;
	/** Why it failed. */
	readonly error?: RunError | undefined;
	/** Why it was cancelled, if somebody said it. */
	readonly cancelReason?: string | undefined;
	/** Why its end is not known. */
	readonly lost?: LostReason | undefined;
	/** The run whose end ended this one too. */
	readonly settledBy?: string | undefined;
}

/** Number of tokens. */
export interface Usage {
	readonly inputTokens?: number | undefined;
	readonly outputTokens?: number | undefined;
	readonly totalTokens?: number | undefined;
}

/** What an agent is busy with. */
export interface Thought {
	readonly text: string;
	/** Counted from 1. */
	readonly step?: number | undefined;
	readonly totalSteps?: number | undefined;
	/** Percent, 0 to 100. */
	readonly progress?: number | undefined;
	/** Milliseconds. */
	readonly remainingMs?: number | undefined;
	readonly urgency?: "low" | "medium" | "high" | undefined;
}

/** The end of an execution that has not started yet. */
export interface EarlyResult {
	readonly toolCallId: string;
	readonly state: "completed" | "failed";
	readonly result?: unknown;
	readonly error?: string | undefined;
	readonly durationMs?: number | undefined;
	readonly time?: number | undefined;
}

/** A part of a run. `key` is unique in the run and never changes. */
export type Part = MessagePart | ToolPart | ApprovalPart | RunPart | ErrorPart;

/** Changes whenever a stored conversation cannot be folded on by this code. */
export const FOLD_VERSION = 1;

/** A thread in which nothing has happened. */
export const EMPTY: Conversation = {
	position: undefined,
	items: [],
	runs: [],
	openRuns: 0,
	repairs: { total: 0, counts: {}, recent: [] },
	duplicates: 0,
	dropped: 0,
	formerEpochs: [],
	custom: undefined,
};

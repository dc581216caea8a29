/**
 * The events of a stream (PROTOCOL section 12), as a union that `switch (event.type)` narrows.
 *
 * An application adds its own types by declaration merging, and then `on` and `switch` know them:
 *
 * ```ts
 * declare module "agentwire" {
 *   interface EventMap {
 *     invoice_ready: { readonly type: "invoice_ready"; readonly amount: number };
 *   }
 * }
 * ```
 */

/** The last event that was handed over: which life of the stream, and the place in it. */
export interface Position {
	readonly epoch: string;
	/** Place in the stream, counted from 1; 0 stands before the first event. */
	readonly offset: number;
}

/** What agentwire sets on each event it hands over. */
export interface Handed extends Position {
	/** `replay`: the event was in the log before the page subscribed on this connection. */
	readonly delivery: "live" | "replay";
}

interface Base {
	/** When it happened: milliseconds since the Unix epoch. */
	readonly time: number;
	/** Has no meaning for order. */
	readonly id?: string;
}

interface OfRun extends Base {
	readonly runId: string;
	/** Name of the agent. */
	readonly agent?: string;
}

/** A message of the user. */
export interface UserMessageEvent extends Base {
	readonly type: "user_message";
	readonly content: string;
	/** Id of the `send` that made it: replaces the message that was shown at once. */
	readonly sendId?: string;
	readonly user?: string;
	readonly references?: readonly unknown[];
	readonly metadata?: Readonly<Record<string, unknown>>;
}

/** A run exists. */
export interface RunAcceptedEvent extends OfRun {
	readonly type: "run_accepted";
	readonly sendId?: string;
	/** Makes this a sub-agent of that run. */
	readonly parentRunId?: string;
}

/** A run has begun to work. */
export interface AgentStartedEvent extends OfRun {
	readonly type: "agent_started";
	readonly agent: string;
	readonly sendId?: string;
	/** Makes this a sub-agent of that run. */
	readonly parentRunId?: string;
	readonly task?: string;
}

/** What the agent is busy with; replaces the run's former thought. */
export interface AgentThinkingEvent extends OfRun {
	readonly type: "agent_thinking";
	readonly text?: string;
	/** Counted from 1. */
	readonly step?: number;
	readonly totalSteps?: number;
	/** Percent, 0 to 100. */
	readonly progress?: number;
	/** Milliseconds. */
	readonly remainingMs?: number;
	readonly urgency?: "low" | "medium" | "high";
}

/** A piece of a message. */
export interface MessageDeltaEvent extends OfRun {
	readonly type: "message_delta";
	readonly messageId: string;
	readonly text: string;
}

/** A whole message, whatever its pieces were. */
export interface MessageCompletedEvent extends OfRun {
	readonly type: "message_completed";
	readonly messageId: string;
	readonly content: string;
}

/** A whole answer; without a `messageId` a message of its own. */
export interface AgentResponseEvent extends OfRun {
	readonly type: "agent_response";
	readonly messageId?: string;
	readonly content: string;
}

/** A tool call has started. */
export interface ToolExecutingEvent extends OfRun {
	readonly type: "tool_executing";
	readonly toolCallId: string;
	readonly toolName: string;
	readonly args?: unknown;
	readonly purpose?: string;
	readonly category?: string;
	/** Milliseconds. */
	readonly estimatedMs?: number;
}

/** A piece of the arguments of a tool call. */
export interface ToolArgsDeltaEvent extends OfRun {
	readonly type: "tool_args_delta";
	readonly toolCallId: string;
	readonly text: string;
}

/** A tool call has ended. */
export interface ToolCompletedEvent extends OfRun {
	readonly type: "tool_completed";
	readonly toolCallId: string;
	readonly toolName?: string;
	readonly result?: unknown;
	readonly error?: string;
	readonly success: boolean;
	/** Milliseconds. */
	readonly durationMs?: number;
}

/** The run waits for a person. */
export interface ApprovalRequestedEvent extends OfRun {
	readonly type: "approval_requested";
	readonly approvalId: string;
	readonly toolCallId?: string;
	readonly prompt: string;
	readonly options?: readonly unknown[];
}

/** Somebody decided, and the run goes on; the first decision counts. */
export interface ApprovalResolvedEvent extends OfRun {
	readonly type: "approval_resolved";
	readonly approvalId: string;
	readonly decision: Decision;
	readonly user?: string;
}

/** What a person can say to an approval request. */
export type Decision = "approved" | "denied";

/** A run has ended well. */
export interface AgentCompletedEvent extends OfRun {
	readonly type: "agent_completed";
	readonly result?: unknown;
	readonly summary?: string;
	/** Milliseconds. */
	readonly durationMs?: number;
	readonly usage?: { readonly inputTokens?: number; readonly outputTokens?: number; readonly totalTokens?: number };
}

/** A run has failed, unless `recoverable` is true. */
export interface AgentErrorEvent extends OfRun {
	readonly type: "agent_error";
	readonly code: string;
	readonly message?: string;
	readonly severity: "critical" | "high" | "medium" | "low";
	readonly recoverable: boolean;
	readonly suggestions?: readonly unknown[];
	/** Milliseconds. */
	readonly retryAfterMs?: number;
	/** Text for the user. */
	readonly userMessage?: string;
}

/** A run was cancelled. */
export interface AgentCancelledEvent extends OfRun {
	readonly type: "agent_cancelled";
	readonly reason?: string;
}

/** A run has ended without a word of its agent. */
export interface AgentDiedEvent extends OfRun {
	readonly type: "agent_died";
	/** `restarted`, `shutdown`, `dropped`, `panicked`, `timeout`, `no_heartbeat`, `memory_limit`, `cancelled` or another. */
	readonly cause: string;
}

/** On the inbox: a thread got a message of the user, or a run in it has ended. */
export interface ThreadChangedEvent {
	readonly type: "thread_changed";
	/** Milliseconds since the Unix epoch. */
	readonly time: number;
	/** The name of the thread. */
	readonly thread: string;
	/** The offset in that thread. */
	readonly head: number;
}

/** An event that was redacted or deleted. */
export interface VoidEvent {
	readonly type: "void";
}

/** The types of event that `on` and `switch` know; an application may add its own. */
export interface EventMap {
	user_message: UserMessageEvent;
	run_accepted: RunAcceptedEvent;
	agent_started: AgentStartedEvent;
	agent_thinking: AgentThinkingEvent;
	message_delta: MessageDeltaEvent;
	message_completed: MessageCompletedEvent;
	agent_response: AgentResponseEvent;
	tool_executing: ToolExecutingEvent;
	tool_args_delta: ToolArgsDeltaEvent;
	tool_completed: ToolCompletedEvent;
	approval_requested: ApprovalRequestedEvent;
	approval_resolved: ApprovalResolvedEvent;
	agent_completed: AgentCompletedEvent;
	agent_error: AgentErrorEvent;
	agent_cancelled: AgentCancelledEvent;
	agent_died: AgentDiedEvent;
	thread_changed: ThreadChangedEvent;
	void: VoidEvent;
}

/**
 * Stands for every type text that is not in {@link EventMap}. It is assignable to `string`, and unlike `string` it lets
 * `switch (event.type)` narrow the listed ones. It has no value at run time.
 */
declare enum OtherType {
	other = "\u0000",
}

/** An event of a type that is not in {@link EventMap}: passed through untouched. */
export interface OtherEvent extends Handed {
	readonly type: OtherType;
	readonly [field: string]: unknown;
}

/** A name of an event type in {@link EventMap}. */
export type EventType = keyof EventMap & string;

/** The event of one type, as it is handed over. */
export type EventOf<T extends EventType> = EventMap[T] & { readonly type: T } & Handed;

/** Any event, as it is handed over. */
export type AgentEvent = { [T in EventType]: EventOf<T> }[EventType] | OtherEvent;

/** Offsets that will never come, as the server declared (GAP-5). */
export interface Gap {
	readonly from: number;
	/** `undefined`: the rest of the epoch. */
	readonly to: number | undefined;
	/** `trimmed`, `epoch`, `ahead`, `forbidden` or another. */
	readonly reason: string;
	/** `refetch`: what is shown stays valid. `reset`: drop what is shown of this stream, what exists follows. */
	readonly remedy: "refetch" | "reset";
	/** The epoch that follows, when this one ended. */
	readonly epoch: string | undefined;
}

/** A gap in its place between the events of an iterator. Unlike an event it has no `offset`. */
export interface GapItem extends Gap {
	readonly type: "gap";
	readonly offset?: never;
}

/** What an iterator of a thread yields. */
export type ThreadItem = AgentEvent | GapItem;

/** The end of one catch-up (I3). */
export interface Resumed {
	/** False when something was lost: a gap was handed over. */
	readonly recovered: boolean;
	readonly epoch: string;
	readonly from: number;
	readonly to: number;
	/** Number of events that were replayed. */
	readonly replayed: number;
	readonly duplicatesDropped: number;
	readonly attempts: number;
	/** Ids of the runs that were open at `to`, in the order they started. */
	readonly openRuns: readonly string[];
	readonly gap: Gap | undefined;
}

/** The server ended the subscription for good. */
export interface Ended {
	/** `forbidden`, `unknown_stream`, `too_many_streams`, `deleted` or another. */
	readonly reason: string;
}

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
	/** How it was sent, if not to wait for its turn. */
	readonly mode?: "interrupt" | "steer";
}

/** A message of the user waits: `ahead` messages and runs come before it. */
export interface MessageQueuedEvent extends Base {
	readonly type: "message_queued";
	readonly sendId: string;
	readonly ahead: number;
}

/** A message that waited does so no more. */
export interface MessageDequeuedEvent extends Base {
	readonly type: "message_dequeued";
	readonly sendId: string;
	/** `claimed` (by a run whose first event has this `sendId`), `withdrawn`, `cancelled`, `passed`, or another. */
	readonly reason: string;
}

/** A message that waits has another content. */
export interface MessageEditedEvent extends Base {
	readonly type: "message_edited";
	readonly sendId: string;
	readonly content: string;
	readonly user?: string;
	readonly references?: readonly unknown[];
	readonly metadata?: Readonly<Record<string, unknown>>;
}

/** A message of the user is for this run. */
export interface SteeringRequestedEvent extends OfRun {
	readonly type: "steering_requested";
	readonly sendId: string;
}

/** The run has taken it. Without this event before its end, the message waits for a run of its own. */
export interface SteeringTakenEvent extends OfRun {
	readonly type: "steering_taken";
	readonly sendId: string;
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
	/** JSON Schema of the `payload` of an approval, or with `editable` of its `editedArgs`. */
	readonly schema?: unknown;
	/** What the person decides about. */
	readonly args?: unknown;
	/** Says which arguments were shown: give it to `thread.approve`. */
	readonly argsHash?: string;
	readonly editable?: boolean;
	/** Milliseconds since the Unix epoch, by the clock of the server. */
	readonly expiresAt?: number;
}

/** Somebody decided, and the run goes on; the first decision counts. */
export interface ApprovalResolvedEvent extends OfRun {
	readonly type: "approval_resolved";
	readonly approvalId: string;
	readonly decision: Resolution;
	readonly user?: string;
	readonly payload?: unknown;
	readonly editedArgs?: unknown;
	readonly reason?: string;
}

/** What a person can say to an approval request. */
export type Decision = "approved" | "denied";

/** What became of an approval request. */
export type Resolution = Decision | "expired";

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
	message_queued: MessageQueuedEvent;
	message_dequeued: MessageDequeuedEvent;
	message_edited: MessageEditedEvent;
	steering_requested: SteeringRequestedEvent;
	steering_taken: SteeringTakenEvent;
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

/** An event of a type that is not in {@link EventMap}. */
export interface OtherEvent {
	readonly type: OtherType;
	readonly [field: string]: unknown;
}

/** A name of an event type in {@link EventMap}. */
export type EventType = keyof EventMap & string;

/** The event of one type. */
export type EventOf<T extends EventType> = EventMap[T] & { readonly type: T };

/** Any event, as the server sent it: agentwire adds no field. */
export type AgentEvent = { [T in EventType]: EventOf<T> }[EventType] | OtherEvent;

/**
 * The events of a stream (PROTOCOL section 12), as a union that `switch (event.type)` narrows.
 *
 * An application adds its own types by declaration merging, and then `on` and `switch` know them:
 *
 * ```ts
 * declare module "@agentwire/server" {
 *   interface EventMap {
 *     invoice_ready: { readonly type: "invoice_ready"; readonly amount: number };
 *   }
 * }
 * ```
 */

// The types are written by `cargo xtask events --write`, from events/src/types.rs.

interface Base {
	/** When it happened: milliseconds since the Unix epoch. The server sets it if it is missing. */
	readonly time: number;
	/** Has no meaning for order. */
	readonly id?: string;
}

interface OfRun extends Base {
	/** The run it belongs to. */
	readonly runId: string;
	/** Name of the agent. */
	readonly agent?: string;
}

/** A message of the user. */
export interface UserMessageEvent extends Base {
	readonly type: "user_message";
	/** Its text. */
	readonly content: string;
	/** Id of the `send` that made it: replaces the message that was shown at once. */
	readonly sendId?: string;
	/** Who sent it. */
	readonly user?: string;
	/** How it was sent, if not to wait for its turn. */
	readonly mode?: "interrupt" | "steer";
	/** What it refers to. */
	readonly references?: readonly unknown[];
	/** Whatever else the application knows of it. */
	readonly metadata?: Readonly<Record<string, unknown>>;
	/** The trace that it belongs to (W3C Trace Context). */
	readonly traceparent?: string;
}

/** A message of the user waits: `ahead` messages and runs come before it. */
export interface MessageQueuedEvent extends Base {
	readonly type: "message_queued";
	/** Id of the `send` that made the message. */
	readonly sendId: string;
	/** How many messages and runs come before it. */
	readonly ahead: number;
}

/** A message that waited does so no more. */
export interface MessageDequeuedEvent extends Base {
	readonly type: "message_dequeued";
	/** Id of the `send` that made the message. */
	readonly sendId: string;
	/** `claimed` (by a run whose first event has this `sendId`), `withdrawn`, `cancelled`, `passed`, or another. */
	readonly reason: string;
}

/** A message that waits has another content. */
export interface MessageEditedEvent extends Base {
	readonly type: "message_edited";
	/** Id of the `send` that made the message. */
	readonly sendId: string;
	/** Its text from here on. */
	readonly content: string;
	/** Who edited it. */
	readonly user?: string;
	/** What it refers to. */
	readonly references?: readonly unknown[];
	/** Whatever else the application knows of it. */
	readonly metadata?: Readonly<Record<string, unknown>>;
}

/** A message of the user is for this run. */
export interface SteeringRequestedEvent extends OfRun {
	readonly type: "steering_requested";
	/** Id of the `send` that made the message. */
	readonly sendId: string;
}

/** The run has taken it. Without this event before its end, the message waits for a run of its own. */
export interface SteeringTakenEvent extends OfRun {
	readonly type: "steering_taken";
	/** Id of the `send` that made the message. */
	readonly sendId: string;
}

/** A run exists. */
export interface RunAcceptedEvent extends OfRun {
	readonly type: "run_accepted";
	/** The message that it answers. */
	readonly sendId?: string;
	/** Makes this a sub-agent of that run. */
	readonly parentRunId?: string;
	/** The trace that it belongs to (W3C Trace Context). */
	readonly traceparent?: string;
}

/** A run has begun to work. */
export interface AgentStartedEvent extends OfRun {
	readonly type: "agent_started";
	/** Name of the agent. */
	readonly agent: string;
	/** The message that it answers. */
	readonly sendId?: string;
	/** Makes this a sub-agent of that run. */
	readonly parentRunId?: string;
	/** What it is to do, for people. */
	readonly task?: string;
	/** The trace that it belongs to (W3C Trace Context). */
	readonly traceparent?: string;
}

/** What the agent is busy with; replaces the run's former thought. */
export interface AgentThinkingEvent extends OfRun {
	readonly type: "agent_thinking";
	/** The thought, for people. */
	readonly text?: string;
	/** The step that it is at, counted from 1. */
	readonly step?: number;
	/** How many steps there are. */
	readonly totalSteps?: number;
	/** How far it is: percent, 0 to 100. */
	readonly progress?: number;
	/** How long it will still take, in milliseconds. */
	readonly remainingMs?: number;
	/** How urgent it is. */
	readonly urgency?: "low" | "medium" | "high";
}

/** A piece of a message. */
export interface MessageDeltaEvent extends OfRun {
	readonly type: "message_delta";
	/** The message. */
	readonly messageId: string;
	/** What is appended. */
	readonly text: string;
}

/** A whole message, whatever its pieces were. */
export interface MessageCompletedEvent extends OfRun {
	readonly type: "message_completed";
	/** The message. */
	readonly messageId: string;
	/** Its whole text. */
	readonly content: string;
	/** True if its agent stopped before the end. */
	readonly interrupted?: boolean;
}

/** A whole answer; without a `messageId` a message of its own. */
export interface AgentResponseEvent extends OfRun {
	readonly type: "agent_response";
	/** Its whole text. */
	readonly content: string;
	/** The message. */
	readonly messageId?: string;
}

/** A tool call has started. */
export interface ToolExecutingEvent extends OfRun {
	readonly type: "tool_executing";
	/** The tool call. */
	readonly toolCallId: string;
	/** Name of the tool. */
	readonly toolName: string;
	/** What it is called with. */
	readonly args?: unknown;
	/** Why, for people. */
	readonly purpose?: string;
	/** What kind of tool it is, such as `search`. */
	readonly category?: string;
	/** How long it will take, in milliseconds. */
	readonly estimatedMs?: number;
}

/** A piece of the arguments of a tool call. */
export interface ToolArgsDeltaEvent extends OfRun {
	readonly type: "tool_args_delta";
	/** The tool call. */
	readonly toolCallId: string;
	/** What is appended to the JSON text of its arguments. */
	readonly text: string;
}

/** A tool call has ended. */
export interface ToolCompletedEvent extends OfRun {
	readonly type: "tool_completed";
	/** The tool call. */
	readonly toolCallId: string;
	/** False if it failed. */
	readonly success: boolean;
	/** Name of the tool. */
	readonly toolName?: string;
	/** What it returned. */
	readonly result?: unknown;
	/** Why it failed. */
	readonly error?: string;
	/** How long it took, in milliseconds. */
	readonly durationMs?: number;
}

/** The run waits for a person. */
export interface ApprovalRequestedEvent extends OfRun {
	readonly type: "approval_requested";
	/** The approval; a run uses each id once. */
	readonly approvalId: string;
	/** The question, for people. */
	readonly prompt: string;
	/** The tool call that waits for the answer. */
	readonly toolCallId?: string;
	/** What a page can offer as answers. */
	readonly options?: readonly unknown[];
	/** JSON Schema of the `payload` of an approval, or with `editable` of its `editedArgs`. */
	readonly schema?: unknown;
	/** What the person decides about. */
	readonly args?: unknown;
	/** Says which arguments were shown: give it to `thread.approve`. */
	readonly argsHash?: string;
	/** Whether the person may change the arguments. */
	readonly editable?: boolean;
	/** When it expires: milliseconds since the Unix epoch, by the clock of the server. */
	readonly expiresAt?: number;
}

/** Somebody decided, and the run goes on; the first decision counts. */
export interface ApprovalResolvedEvent extends OfRun {
	readonly type: "approval_resolved";
	/** The approval. */
	readonly approvalId: string;
	/** What was decided. */
	readonly decision: "approved" | "denied" | "expired";
	/** Who decided. */
	readonly user?: string;
	/** What the person filled in. */
	readonly payload?: unknown;
	/** The arguments as the person changed them. */
	readonly editedArgs?: unknown;
	/** Why, in the words of the person. */
	readonly reason?: string;
}

/** A run has ended well. */
export interface AgentCompletedEvent extends OfRun {
	readonly type: "agent_completed";
	/** The result, for programs. */
	readonly result?: unknown;
	/** One sentence, for people. */
	readonly summary?: string;
	/** How long it took, in milliseconds. */
	readonly durationMs?: number;
	/** The tokens that it used. */
	readonly usage?: { readonly inputTokens?: number; readonly outputTokens?: number; readonly totalTokens?: number };
}

/** A run has failed, unless `recoverable` is true. */
export interface AgentErrorEvent extends OfRun {
	readonly type: "agent_error";
	/** For programs, such as `model_unavailable`. */
	readonly code: string;
	/** How bad it is. */
	readonly severity: "critical" | "high" | "medium" | "low";
	/** True if the run goes on. */
	readonly recoverable: boolean;
	/** For developers. */
	readonly message?: string;
	/** What a person can do about it. */
	readonly suggestions?: readonly unknown[];
	/** When it is worth trying again, in milliseconds. */
	readonly retryAfterMs?: number;
	/** Text for the user. */
	readonly userMessage?: string;
	/** What else is known of it, for programs. */
	readonly details?: unknown;
}

/** A run was cancelled. */
export interface AgentCancelledEvent extends OfRun {
	readonly type: "agent_cancelled";
	/** Why. */
	readonly reason?: string;
}

/** A run has ended without a word of its agent. */
export interface AgentDiedEvent extends OfRun {
	readonly type: "agent_died";
	/**
	 * `restarted`, `shutdown`, `dropped`, `panicked`, `timeout`, `no_heartbeat`, `log_unavailable`, `memory_limit`,
	 * `cancelled` or another.
	 */
	readonly cause: string;
}

/** On the inbox: a thread got a message of the user, or a run in it has ended. */
export interface ThreadChangedEvent extends Base {
	readonly type: "thread_changed";
	/** The name of the thread. */
	readonly thread: string;
	/** The offset in that thread. */
	readonly head: number;
}

/** An event that was redacted or deleted. It has a `type` and nothing else. */
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

// The written types end.

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

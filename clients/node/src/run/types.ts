/** What a run is given, and what it returns. */
import type {
	AgentCompletedEvent,
	AgentErrorEvent,
	AgentThinkingEvent,
	ApprovalRequestedEvent,
	ApprovalResolvedEvent,
	EventOf,
	EventType,
	ToolExecutingEvent,
} from "../events.js";

/** The fields of an event that this package sets. */
type Set = "type" | "time" | "id" | "runId" | "agent";
/** An event of a run as it is published: `time`, `runId` and `agent` are set if they are missing. */
type Open<E> = Omit<E, "time" | "runId" | "agent"> & { readonly time?: number; readonly runId?: string; readonly agent?: string };

/** An event for `publish`: one of the listed types with its fields, or one of another type with any. */
export type Publishable<T extends string> = { readonly type: T } & (T extends EventType ? Open<EventOf<T>> : { readonly [field: string]: unknown });

export interface RunOptions {
	/** The name of the agent. */
	readonly agent: string;
	/** What it is to do, for people. */
	readonly task?: string;
	/** The run, or the id of the run, that this one works for. It must be in the same thread. */
	readonly parent?: { readonly id: string } | string;
	/** After how long without a sign of life the server ends the run, in milliseconds, 1,000–86,400,000; 30,000 by default. */
	readonly leaseMs?: number;
	/** The id of the run, unique in its thread; a UUID by default. */
	readonly runId?: string;
	/** Id of the `send` whose message it answers; taken from the message if one is given. */
	readonly sendId?: string;
	/** The trace that it belongs to (W3C Trace Context); taken from the message if one is given. */
	readonly traceparent?: string;
	/** How long a request of this run is repeated, in milliseconds; that of the bridge by default. */
	readonly deadlineMs?: number;
}

export type Thinking = Omit<AgentThinkingEvent, Set>;
export type Completion = Omit<AgentCompletedEvent, Set>;
/** What `fail` and `report` take; `severity` is `high` (`fail`) or `medium` (`report`) by default. */
export type Failure = Omit<AgentErrorEvent, Set | "severity" | "recoverable"> & { readonly severity?: AgentErrorEvent["severity"] };
export type ToolOptions = Omit<ToolExecutingEvent, Set | "toolCallId" | "toolName" | "args"> & { readonly toolCallId?: string };
/** `approvalId` is a UUID by default. */
export type Question = Omit<ApprovalRequestedEvent, Set | "approvalId"> & { readonly approvalId?: string };
/** What was decided, and by whom. */
export type Answer = Pick<ApprovalResolvedEvent, "decision" | "payload" | "editedArgs" | "reason" | "user">;

/** A message of a user for a run that is open. */
export interface Steering {
	readonly sendId: string;
	readonly offset: number;
	readonly text: number;
	readonly user?: string;
	readonly content: string;
	/** The whole event of the message. */
	readonly event: Readonly<Record<string, unknown>>;
}

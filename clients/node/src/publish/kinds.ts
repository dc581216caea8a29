/** What the types of events mean for how they are sent. */

/** Events that may wait for others: the next one replaces or continues them. */
const QUEUED: ReadonlySet<unknown> = new Set(["message_delta", "tool_args_delta", "agent_thinking"]);
const ENDS: ReadonlySet<unknown> = new Set(["agent_completed", "agent_cancelled", "agent_died"]);
const APPROVALS: ReadonlySet<unknown> = new Set(["approval_requested", "approval_resolved"]);

export interface AnyEvent {
	readonly type: string;
	readonly [field: string]: unknown;
}

/** Whether the call resolves once the event is in the queue, and not only when it is durable. */
export const isQueued = (event: AnyEvent): boolean => QUEUED.has(event.type);

/** Whether the event ends its run. */
export const isEnd = (event: AnyEvent): boolean => ENDS.has(event.type) || (event.type === "agent_error" && event["recoverable"] !== true);

/** Whether the event needs a batch of its own: the server refuses it without saying its place, so others must not go down with it. */
export const isAlone = (event: AnyEvent): boolean => APPROVALS.has(event.type);

/** What a run consists of. */
import type { Resolution } from "../thread/events.js";

/** A text of the agent. */
export interface MessagePart {
	readonly kind: "message";
	readonly key: string;
	/** `undefined`: the agent gave it none. */
	readonly messageId?: string | undefined;
	/** Place of its first event. */
	readonly offset: number;
	readonly text: string;
	/** `interrupted`: its agent or its run stopped before the end. */
	readonly state: "streaming" | "complete" | "interrupted";
	/** Offsets were lost while it streamed: a piece of the text may be missing. */
	readonly gapped: boolean;
	/** The text was longer than `maxTextLength`, and was cut. */
	readonly truncated: boolean;
}

/** `pending`: arguments have come and no start. `orphaned`: its run ended before its result came. */
export type ToolState = "pending" | "running" | "completed" | "failed" | "orphaned";

/** One execution of a tool. The same id may be executed again: that is another part. */
export interface ToolPart {
	readonly kind: "tool";
	readonly key: string;
	/** Empty if the agent gave it none yet. */
	readonly toolCallId: string;
	readonly toolName?: string | undefined;
	/** Place of its first event. */
	readonly offset: number;
	readonly state: ToolState;
	/** `tool_executing` has come. */
	readonly started: boolean;
	readonly purpose?: string | undefined;
	readonly category?: string | undefined;
	/** Milliseconds. */
	readonly estimatedMs?: number | undefined;
	readonly args?: unknown;
	/** Arguments that were streamed. */
	readonly argsText: string;
	/** The arguments were longer than `maxTextLength`, and were cut. */
	readonly truncated: boolean;
	readonly result?: unknown;
	readonly error?: string | undefined;
	/** Time of its first event, in milliseconds since the Unix epoch. */
	readonly startedAt?: number | undefined;
	/** Milliseconds: what the tool says, or from the start to the end. */
	readonly durationMs?: number | undefined;
}

/** Something that a person decides. */
export interface ApprovalPart {
	readonly kind: "approval";
	readonly key: string;
	readonly runId: string;
	readonly approvalId: string;
	readonly toolCallId?: string | undefined;
	/** Place of its first event. */
	readonly offset: number;
	/** `run_over`: the run ended before anybody decided. */
	readonly state: "open" | "resolved" | "run_over";
	/** `approval_requested` has come. Without it, the question is not known. */
	readonly requested: boolean;
	readonly prompt: string;
	readonly options?: readonly unknown[] | undefined;
	/** JSON Schema of the `payload` of an approval, or with `editable` of its `editedArgs`. */
	readonly schema?: unknown;
	/** What the person decides about. */
	readonly args?: unknown;
	/** Says which arguments were shown. `approve` of the store sends it along. */
	readonly argsHash?: string | undefined;
	readonly editable: boolean;
	/** Milliseconds since the Unix epoch, by the clock of the server. */
	readonly expiresAt?: number | undefined;
	/** What counts: the first decision. */
	readonly decision?: Resolution | undefined;
	/** Who decided it. */
	readonly user?: string | undefined;
	readonly payload?: unknown;
	readonly editedArgs?: unknown;
	readonly reason?: string | undefined;
}

/** Stands for a sub-agent. */
export interface RunPart {
	readonly kind: "run";
	readonly key: string;
	/** Place of its first event, or of the parent's that came later. */
	readonly offset: number;
	readonly runId: string;
}

/** An error that the agent could go on from. */
export interface ErrorPart {
	readonly kind: "error";
	readonly key: string;
	readonly offset: number;
	readonly error: RunError;
}

/** Why a run failed. */
export interface RunError {
	/** `agent_died`: the run ended without a word of its agent, and `code` is the cause. */
	readonly source: "agent_error" | "agent_died";
	readonly code: string;
	readonly message?: string | undefined;
	/** Text for the user. */
	readonly userMessage?: string | undefined;
	readonly severity?: "critical" | "high" | "medium" | "low" | undefined;
	readonly suggestions: readonly string[];
	/** Milliseconds. */
	readonly retryAfterMs?: number | undefined;
}

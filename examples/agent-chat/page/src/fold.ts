/**
 * From events to what a conversation looks like: a pure reducer with immutable snapshots. Whether an event came live or
 * was replayed makes no difference, nor how the events were cut into batches.
 */
import type { AgentEvent, EventMeta, Gap, Position, Resolution, Resumed, ThreadItem } from "agentwire";

/** A thread as it is shown. */
export interface Conversation {
	/** Where it is in the thread. An application that stores the conversation stores both in one step, and goes on from here. */
	readonly position: Position | undefined;
	readonly items: readonly Item[];
	readonly runs: ReadonlyMap<string, Run>;
	/** Ids of the sends whose event has come. */
	readonly sent: ReadonlySet<string>;
	/** Number of runs that are at work, sub-agents included. */
	readonly open: number;
	/** Set once the log began anew and what had been shown was dropped. */
	readonly reset: Gap | undefined;
	/** Events that came after what they belong to had ended: they changed nothing. */
	readonly late: number;
}

/** One entry of the conversation. */
export type Item = Question | Answer | Missing;

/** A message of the user. */
export interface Question {
	readonly kind: "question";
	readonly offset: number;
	readonly content: string;
	readonly sendId: string | undefined;
	readonly user: string | undefined;
	readonly time: number;
}

/** Stands for a run that is no sub-agent. */
export interface Answer {
	readonly kind: "answer";
	readonly offset: number;
	readonly runId: string;
}

/** Offsets that will never come. */
export interface Missing {
	readonly kind: "missing";
	readonly offset: number;
	readonly gap: Gap;
}

export type RunStatus = "running" | "completed" | "failed" | "cancelled" | "lost";

/** One execution of an agent. */
export interface Run {
	readonly runId: string;
	readonly parentRunId: string | undefined;
	readonly agent: string | undefined;
	readonly task: string | undefined;
	readonly sendId: string | undefined;
	readonly status: RunStatus;
	/** Offset of its first event. */
	readonly offset: number;
	readonly startedAt: number;
	readonly endedAt: number | undefined;
	readonly durationMs: number | undefined;
	readonly summary: string | undefined;
	/** Why it did not end well. */
	readonly trouble: Trouble | undefined;
	readonly thought: Thought | undefined;
	readonly parts: readonly Part[];
	/** What came of tool calls before they started, the oldest first. It is shown once they start. */
	readonly early: readonly Early[];
}

/** Why a run ended otherwise than well. */
export interface Trouble {
	/** A code of `agent_error`, the cause of `agent_died`, or `cancelled`. */
	readonly code: string;
	readonly message: string | undefined;
	readonly suggestions: readonly string[];
}

export interface Thought {
	readonly text: string;
	readonly step: number | undefined;
	readonly totalSteps: number | undefined;
	/** Percent. */
	readonly progress: number | undefined;
}

export type Part = MessagePart | ToolPart | ApprovalPart | ChildPart | NotePart;

/** A text of the agent. */
export interface MessagePart {
	readonly kind: "message";
	readonly id: string;
	readonly text: string;
	/** `cut`: the run ended before the message did. */
	readonly state: "streaming" | "complete" | "cut";
}

export type ToolState = "running" | "completed" | "failed" | "orphaned";

/** One execution of a tool call: the same call may be executed again. */
export interface ToolPart {
	readonly kind: "tool";
	readonly id: string;
	/** Offset of its start, which tells the executions of one call apart. */
	readonly offset: number;
	readonly toolName: string;
	readonly purpose: string | undefined;
	readonly args: unknown;
	/** Arguments that were streamed. */
	readonly argsText: string;
	readonly state: ToolState;
	readonly result: unknown;
	readonly error: string | undefined;
	readonly startedAt: number;
	readonly durationMs: number | undefined;
}

/** What came of an execution before its start. */
export interface Early {
	readonly id: string;
	readonly argsText: string;
	/** Its end, if that came too. */
	readonly end: ToolEnd | undefined;
}

type ToolEnd = Pick<ToolPart, "state" | "result" | "error" | "durationMs">;

export interface ApprovalPart {
	readonly kind: "approval";
	readonly id: string;
	readonly runId: string;
	readonly prompt: string;
	readonly decision: Resolution | undefined;
	readonly user: string | undefined;
}

/** Stands for a sub-agent. */
export interface ChildPart {
	readonly kind: "child";
	readonly id: string;
}

/** An error that the agent could go on from. */
export interface NotePart {
	readonly kind: "note";
	readonly id: string;
	readonly text: string;
}

/** A thread in which nothing has happened. */
export const EMPTY: Conversation = {
	position: undefined,
	items: [],
	runs: new Map(),
	sent: new Set(),
	open: 0,
	reset: undefined,
	late: 0,
};

/** What a conversation is after some more has happened, in the order it was delivered. Returns the same object when nothing has. */
export function fold(state: Conversation, items: readonly ThreadItem[]): Conversation {
	if (items.length === 0) return state;
	const draft = new Draft(state);
	for (const item of items) {
		if (item.kind === "event") draft.event(item.event, item.meta);
		else if (item.kind === "gap") draft.gap(item.gap);
		else draft.resumed(item.resumed);
	}
	return draft.finish();
}

/** What the events of runs have in common. */
interface OfRun {
	readonly runId: string;
	readonly time: number;
	readonly agent?: string;
}

/** A conversation that is being changed. Its lists are copied before the first change, the entries by each. */
class Draft {
	#position: Position | undefined;
	#items: Item[];
	#runs: Map<string, Run>;
	#sent: Set<string>;
	#open: number;
	#reset: Gap | undefined;
	#late: number;
	readonly #from: Conversation;
	#copied = { items: false, runs: false, sent: false };

	constructor(from: Conversation) {
		this.#from = from;
		this.#position = from.position;
		this.#items = from.items as Item[];
		this.#runs = from.runs as Map<string, Run>;
		this.#sent = from.sent as Set<string>;
		this.#open = from.open;
		this.#reset = from.reset;
		this.#late = from.late;
	}

	finish(): Conversation {
		const { position, items, runs, sent, open, reset, late } = this.#from;
		const same =
			position === this.#position &&
			items === this.#items &&
			runs === this.#runs &&
			sent === this.#sent &&
			open === this.#open &&
			reset === this.#reset &&
			late === this.#late;
		if (same) return this.#from;
		return { position: this.#position, items: this.#items, runs: this.#runs, sent: this.#sent, open: this.#open, reset: this.#reset, late: this.#late };
	}

	event(event: AgentEvent, { offset, position }: EventMeta): void {
		this.#position = position;
		switch (event.type) {
			case "user_message":
				this.#add({ kind: "question", offset, content: event.content, sendId: event.sendId, user: event.user, time: event.time });
				if (event.sendId !== undefined) this.#markSent(event.sendId);
				return;
			case "run_accepted":
				this.#run(event, { parentRunId: event.parentRunId, sendId: event.sendId });
				return;
			case "agent_started": {
				const run = this.#run(event, { parentRunId: event.parentRunId, sendId: event.sendId });
				this.#put({ ...run, agent: event.agent, task: event.task ?? run.task, sendId: event.sendId ?? run.sendId });
				return;
			}
			case "agent_thinking": {
				const run = this.#run(event);
				if (run.status !== "running") return this.#isLate();
				const { text, step, totalSteps, progress } = event;
				this.#put({ ...run, thought: { text: text ?? run.thought?.text ?? "", step, totalSteps, progress } });
				return;
			}
			case "message_delta":
				return this.#message(event, event.messageId, (former) =>
					former?.state === "complete" ? undefined : { text: (former?.text ?? "") + event.text, complete: false },
				);
			case "message_completed":
				return this.#message(event, event.messageId, () => ({ text: event.content, complete: true }));
			case "agent_response":
				return this.#message(event, event.messageId ?? `response-${offset}`, () => ({ text: event.content, complete: true }));
			case "tool_executing": {
				const run = this.#run(event);
				const { toolCallId: id, toolName, purpose, args, time } = event;
				const index = run.early.findIndex((one) => one.id === id);
				const { argsText = "", end } = run.early[index] ?? {};
				const open: ToolEnd = { state: run.status === "running" ? "running" : "orphaned", result: undefined, error: undefined, durationMs: undefined };
				const early = run.early.filter((_, at) => at !== index);
				this.#put(grown({ ...run, early }, { kind: "tool", id, offset, toolName, purpose, args, argsText, startedAt: time, ...(end ?? open) }));
				return;
			}
			case "tool_args_delta": {
				const { toolCallId: id, text } = event;
				const run = this.#run(event);
				const index = run.parts.findLastIndex((part) => isOpen(part, id));
				const part = run.parts[index];
				if (part?.kind === "tool") return this.#put({ ...run, parts: run.parts.with(index, { ...part, argsText: part.argsText + text }) });
				const at = run.early.findIndex((one) => one.id === id && one.end === undefined);
				return this.#early(run, at, { id, argsText: (run.early[at]?.argsText ?? "") + text, end: undefined });
			}
			case "tool_completed": {
				const { toolCallId: id, result, error, success, time, durationMs } = event;
				const end: ToolEnd = { state: success ? "completed" : "failed", result, error, durationMs };
				const run = this.#run(event);
				// The executions of one call end in the order they started.
				const index = run.parts.findIndex((part) => isOpen(part, id));
				const part = run.parts[index];
				if (part?.kind === "tool")
					return this.#put({ ...run, parts: run.parts.with(index, { ...part, ...end, durationMs: durationMs ?? Math.max(0, time - part.startedAt) }) });
				const at = run.early.findIndex((one) => one.id === id && one.end === undefined);
				return this.#early(run, at, { id, argsText: run.early[at]?.argsText ?? "", end });
			}
			case "approval_requested": {
				const run = this.#run(event);
				if (run.parts.some((part) => part.kind === "approval" && part.id === event.approvalId)) return this.#isLate();
				this.#put(grown(run, { kind: "approval", id: event.approvalId, runId: event.runId, prompt: event.prompt, decision: undefined, user: undefined }));
				return;
			}
			case "approval_resolved": {
				const run = this.#run(event);
				const index = run.parts.findIndex((part) => part.kind === "approval" && part.id === event.approvalId);
				const part = run.parts[index];
				if (part?.kind !== "approval" || part.decision !== undefined) return this.#isLate();
				this.#put({ ...run, parts: run.parts.with(index, { ...part, decision: event.decision, user: event.user }) });
				return;
			}
			case "agent_completed":
				return this.#end(event, "completed", undefined, event.summary, event.durationMs);
			case "agent_error": {
				const suggestions = (event.suggestions ?? []).filter((one) => typeof one === "string");
				const message = event.userMessage ?? event.message;
				if (!event.recoverable) return this.#end(event, "failed", { code: event.code, message, suggestions });
				this.#put(grown(this.#run(event), { kind: "note", id: `note-${offset}`, text: message ?? event.code }));
				return;
			}
			case "agent_cancelled":
				return this.#end(event, "cancelled", { code: "cancelled", message: event.reason, suggestions: [] });
			case "agent_died":
				return this.#end(event, "failed", { code: event.cause, message: undefined, suggestions: [] });
			default:
				// `void` and the types of other applications: they have a place in the log and none on the screen.
				return;
		}
	}

	gap(gap: Gap): void {
		this.#position = gap.position;
		if (gap.remedy === "reset") {
			this.#items = [];
			this.#runs = new Map();
			this.#sent = new Set();
			this.#copied = { items: true, runs: true, sent: true };
			this.#open = 0;
			this.#late = 0;
			this.#reset = gap;
			return;
		}
		this.#add({ kind: "missing", offset: gap.from, gap });
	}

	/** A run that began by then, is open here and not at the server has ended in what was lost (RUN-3). */
	resumed({ position, to, openRuns }: Resumed): void {
		if (position.epoch !== this.#position?.epoch || position.offset !== this.#position.offset) this.#position = position;
		// The server does not say which runs are open: then nothing is known about them.
		if (openRuns === undefined) return;
		for (const run of [...this.#runs.values()]) {
			if (run.status !== "running" || run.offset > to || openRuns.includes(run.runId)) continue;
			this.#put(ended(run, "lost", { code: "lost", message: undefined, suggestions: [] }, undefined, undefined, undefined));
			this.#open -= 1;
		}
	}

	/** The run that an event belongs to, which is made by the first one. */
	#run(event: OfRun, first?: { readonly parentRunId: string | undefined; readonly sendId: string | undefined }): Run {
		const { runId, time, agent } = event;
		const known = this.#runs.get(runId);
		if (known !== undefined) return known;
		const parent = first?.parentRunId === undefined ? undefined : this.#runs.get(first.parentRunId);
		const offset = this.#position?.offset ?? 0;
		const run: Run = {
			runId,
			parentRunId: parent === undefined ? undefined : parent.runId,
			agent,
			task: undefined,
			sendId: first?.sendId,
			status: "running",
			offset,
			startedAt: time,
			endedAt: undefined,
			durationMs: undefined,
			summary: undefined,
			trouble: undefined,
			thought: undefined,
			parts: [],
			early: [],
		};
		this.#put(run);
		this.#open += 1;
		// The parent of a sub-agent may lie before what this page asked for: then it stands for itself.
		if (parent === undefined) this.#add({ kind: "answer", offset, runId });
		else this.#put(grown(parent, { kind: "child", id: runId }));
		return run;
	}

	#message(event: OfRun, id: string, next: (former: MessagePart | undefined) => { readonly text: string; readonly complete: boolean } | undefined): void {
		const run = this.#run(event);
		const index = run.parts.findLastIndex((part) => part.kind === "message" && part.id === id);
		const former = run.parts[index] as MessagePart | undefined;
		const change = next(former);
		if (change === undefined) return this.#isLate();
		const open = run.status === "running" ? "streaming" : "cut";
		const part: MessagePart = { kind: "message", id, text: change.text, state: change.complete ? "complete" : open };
		this.#put(former === undefined ? grown(run, part) : { ...run, parts: run.parts.with(index, part) });
	}

	/** Keeps what came before the start of a tool call: in the place of what came before, or as the newest. */
	#early(run: Run, at: number, early: Early): void {
		if (run.status !== "running") return this.#isLate();
		this.#put({ ...run, early: at < 0 ? [...run.early, early] : run.early.with(at, early) });
	}

	#end(event: OfRun, status: RunStatus, trouble: Trouble | undefined, summary?: string, durationMs?: number): void {
		const run = this.#run(event);
		if (run.status !== "running") return this.#isLate();
		this.#put(ended(run, status, trouble, summary, event.time, durationMs));
		this.#open -= 1;
	}

	#add(item: Item): void {
		if (!this.#copied.items) {
			this.#items = this.#items.slice();
			this.#copied.items = true;
		}
		this.#items.push(item);
	}

	#put(run: Run): void {
		if (!this.#copied.runs) {
			this.#runs = new Map(this.#runs);
			this.#copied.runs = true;
		}
		this.#runs.set(run.runId, run);
	}

	#markSent(id: string): void {
		if (!this.#copied.sent) {
			this.#sent = new Set(this.#sent);
			this.#copied.sent = true;
		}
		this.#sent.add(id);
	}

	#isLate(): void {
		this.#late += 1;
	}
}

/** Is it an execution of this tool call that has not ended? */
function isOpen(part: Part, id: string): boolean {
	return part.kind === "tool" && part.id === id && part.state === "running";
}

function grown(run: Run, part: Part): Run {
	return { ...run, parts: [...run.parts, part] };
}

/** A run that has ended: what it left open is orphaned or cut. */
function ended(
	run: Run,
	status: RunStatus,
	trouble: Trouble | undefined,
	summary: string | undefined,
	at: number | undefined,
	durationMs: number | undefined,
): Run {
	const parts = run.parts.map((part): Part => {
		if (part.kind === "tool" && part.state === "running")
			return { ...part, state: "orphaned", durationMs: at === undefined ? undefined : Math.max(0, at - part.startedAt) };
		if (part.kind === "message" && part.state === "streaming") return { ...part, state: "cut" };
		return part;
	});
	const took = durationMs ?? (at === undefined ? undefined : Math.max(0, at - run.startedAt));
	return { ...run, status, trouble, summary, endedAt: at, durationMs: took, thought: undefined, parts };
}

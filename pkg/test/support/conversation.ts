/** Logs for the fold, and a conversation in words that tests compare. */
import { type Conversation, type Item, type Part, type Repair, type Run, runOf } from "../../src/conversation.js";
import type { Body } from "./log.js";
import type { AgentEvent, Gap, Resumed, ThreadItem } from "./package.js";

/** An entry of a log as vectors write it: an event, one at an offset or in an epoch of its own, or a fact. */
export type Entry = Body;

/** A position within a log that is being made. */
export interface Cursor {
	epoch: string;
	offset: number;
}

/** What a thread delivers for such a log. */
export function itemsOf(log: readonly Entry[], cursor: Cursor = { epoch: "e1", offset: 0 }, delivery: "live" | "replay" = "live"): ThreadItem[] {
	return log.map((entry) => itemOf(entry, cursor, delivery));
}

function itemOf(entry: Entry, cursor: Cursor, delivery: "live" | "replay"): ThreadItem {
	const { gap, resumed, event, at } = entry as { gap?: Partial<Gap>; resumed?: Partial<Resumed>; event?: AgentEvent; at?: Cursor };
	if (gap !== undefined) {
		const { from = cursor.offset + 1, to, epoch } = gap;
		const fact: Gap = {
			from,
			to,
			reason: gap.reason ?? "trimmed",
			remedy: to === undefined ? "reset" : "refetch",
			epoch,
			position: gap.position ?? { epoch: epoch ?? cursor.epoch, offset: to ?? 0 },
		};
		if (gap.position === undefined) Object.assign(cursor, fact.position);
		return { kind: "gap", gap: fact };
	}
	if (resumed !== undefined) return { kind: "resumed", resumed: resumedAt({ ...cursor }, resumed) };
	const place = at ?? { epoch: cursor.epoch, offset: cursor.offset + 1 };
	if (at === undefined) cursor.offset += 1;
	return eventItem(event ?? (entry as unknown as AgentEvent), place, delivery);
}

export function eventItem(event: unknown, { epoch, offset }: Cursor, delivery: "live" | "replay" = "live"): ThreadItem {
	return { kind: "event", event: event as AgentEvent, meta: { offset, epoch, delivery, position: { epoch, offset } } };
}

export function resumedAt(position: Cursor, given: Partial<Resumed> = {}): Resumed {
	const { epoch, offset } = position;
	const usual = { recovered: true, epoch, from: 1, to: offset, replayed: offset, duplicatesDropped: 0, attempts: 1, openRuns: undefined };
	return { ...usual, gap: undefined, skipped: undefined, position, ...given };
}

/** A conversation in lines: what a person would see. Sub-agents are indented in their parents. */
export function outline(conversation: Conversation<unknown>): string[] {
	return conversation.items.flatMap((item) => outlineOfItem(conversation, item));
}

function outlineOfItem(conversation: Conversation<unknown>, item: Item): string[] {
	switch (item.kind) {
		case "run":
			return outlineOfRun(conversation, runOf(conversation, item.runId), "");
		case "gap":
			return [`gap ${item.offset}-${item.to} ${item.reason}`];
		case "reset":
			return [`reset ${item.epoch}/${item.offset} ${item.reason}${some(" lost", item.lostRuns.join(","))}`];
		case "user_message": {
			const { user, content, edited, queue, steering, answeredBy } = item;
			const waits = queue === undefined ? "" : queue.waiting ? `, waits behind ${queue.ahead}` : `, ${queue.reason}`;
			const steers = steering === undefined ? "" : `, for ${steering.runId}${steering.taken ? " taken" : ""}`;
			return [`${user ?? "user"}: ${content}${edited ? " (edited)" : ""}${waits}${steers}${some(", answered by", answeredBy)}`];
		}
	}
}

function outlineOfRun(conversation: Conversation<unknown>, run: Run | undefined, indent: string): string[] {
	if (run === undefined) return [`${indent}no run`];
	const { runId, agent, status, activity, error, lost, cancelReason, settledBy, gapped, startSynthesized, summary } = run;
	const why = error?.code ?? lost ?? cancelReason ?? summary;
	const marks = `${some(" by", settledBy)}${gapped ? " gapped" : ""}${startSynthesized ? " without start" : ""}`;
	const head = `${indent}${runId}${some("", agent)}: ${status}${some(",", activity)}${why === undefined ? "" : ` (${why})`}${marks}`;
	return [head, ...run.parts.flatMap((part) => outlineOfPart(conversation, part, `${indent}  `))];
}

function outlineOfPart(conversation: Conversation<unknown>, part: Part, indent: string): string[] {
	switch (part.kind) {
		case "run":
			return outlineOfRun(conversation, runOf(conversation, part.runId), indent);
		case "message":
			return [`${indent}"${part.text}" ${part.state}${part.gapped ? " gapped" : ""}${part.truncated ? " truncated" : ""}`];
		case "tool": {
			const { toolCallId, toolName, state, started, args, argsText, result, error } = part;
			const given = args === undefined ? some("", argsText) : ` ${JSON.stringify(args)}`;
			const got = result === undefined ? some(" !", error) : ` = ${JSON.stringify(result)}`;
			return [`${indent}${toolCallId || "-"} ${toolName ?? "?"}${given}: ${state}${started ? "" : " without start"}${got}`];
		}
		case "approval": {
			const { approvalId, prompt, state, decision, user } = part;
			return [`${indent}${approvalId} "${prompt}" ${state}${some("", decision)}${some(" by", user)}`];
		}
		case "error":
			return [`${indent}error ${part.error.code}`];
	}
}

/** Repairs in short: kind, offset, and what they name. */
export function repairTexts({ repairs }: Conversation<unknown>): string[] {
	return repairs.recent.map(repairText);
}

function repairText({ kind, offset, runId, toolCallId, approvalId, messageId, detail }: Repair): string {
	return [`${kind}@${offset}`, runId, toolCallId, approvalId, messageId, detail].filter((part) => part !== undefined).join(" ");
}

function some(before: string, value: string | undefined): string {
	return value === undefined || value === "" ? "" : `${before} ${value}`;
}

/** Freezes everything that a value holds, as Immer and Redux Toolkit do. */
export function frozen<T>(value: T): T {
	const stack: unknown[] = [value];
	for (let next = stack.pop(); stack.length > 0 || next !== undefined; next = stack.pop()) {
		if (typeof next !== "object" || next === null || Object.isFrozen(next)) continue;
		Object.freeze(next);
		stack.push(...Object.values(next));
	}
	return value;
}

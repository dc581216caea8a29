/**
 * Tools: one part for each execution. Events are paired by their id; an id may be used again, a result or arguments may come before the
 * start, and an agent may name the id only later.
 */
import type { Draft, Mutable, RunDraft } from "./draft.js";
import { toolKey } from "./lookup.js";
import { cut } from "./messages.js";
import type { ToolPart } from "./parts.js";
import { amount, type Body, id, text } from "./read.js";
import { elapsed } from "./runs.js";
import { isOpen } from "./status.js";

/** Results of one run that may wait for the starts of their executions. */
const MAX_EARLY = 100;

export function toolExecuting(draft: Draft, run: RunDraft, body: Body): void {
	const toolCallId = idOf(draft, body);
	const toolName = text(body["toolName"]);
	if (toolName === undefined) draft.invalid("toolName", { toolCallId });
	const index = find(draft, run, toolCallId, ({ started }) => !started) ?? adopt(draft, run, toolCallId, toolName) ?? add(draft, run, body, toolCallId);
	const part = tool(run, index);
	if (part === undefined) return;
	const startedAt = amount(body["time"]);
	draft.changePart<ToolPart>(run, index, {
		started: true,
		toolName: toolName ?? part.toolName,
		purpose: text(body["purpose"]) ?? part.purpose,
		category: text(body["category"]) ?? part.category,
		estimatedMs: amount(body["estimatedMs"]) ?? part.estimatedMs,
		args: body["args"] === undefined ? part.args : body["args"],
		...(part.state === "pending" ? { state: "running", startedAt: startedAt ?? part.startedAt } : {}),
	});
	// Its result came first.
	if (!isOpen(part)) return settle(draft, run, index);
	run.activity = "using_tools";
	const early = run.earlyResults.find((one) => one.toolCallId === toolCallId);
	if (early === undefined) return;
	run.earlyResults = run.earlyResults.filter((one) => one !== early);
	const { state, result, error, durationMs = elapsed(startedAt, early.time) } = early;
	end(draft, run, index, { state, result, error, durationMs });
}

export function toolArgsDelta(draft: Draft, run: RunDraft, body: Body): void {
	const toolCallId = idOf(draft, body);
	const more = text(body["text"]);
	if (more === undefined) return draft.invalid("text", { toolCallId });
	const known = find(draft, run, toolCallId, isOpen, true) ?? adopt(draft, run, toolCallId) ?? only(run, toolCallId);
	const index = known ?? add(draft, run, body, toolCallId);
	const part = tool(run, index);
	if (part === undefined) return;
	run.activity = "using_tools";
	if (part.truncated) return;
	const { whole, truncated } = cut(draft, part.argsText, more);
	draft.changePart<ToolPart>(run, index, { argsText: whole, truncated });
}

export function toolCompleted(draft: Draft, run: RunDraft, body: Body): void {
	const toolCallId = idOf(draft, body);
	const toolName = text(body["toolName"]);
	const { success, result } = body;
	if (typeof success !== "boolean") draft.invalid("success", { toolCallId });
	const time = amount(body["time"]);
	const ended: Ended = { state: success === true ? "completed" : "failed", result, error: text(body["error"]), durationMs: amount(body["durationMs"]) };
	let index = find(draft, run, toolCallId, isOpen) ?? adopt(draft, run, toolCallId, toolName) ?? only(run, toolCallId, toolName);
	if (index === undefined && toolCallId !== "" && draft.lookup.parts(run).has(toolKey(toolCallId))) {
		// Each execution has its result: this one came twice, or is that of an execution that starts later.
		draft.repair("duplicate_terminal", { toolCallId });
		if (run.earlyResults.length < MAX_EARLY) run.earlyResults = [...run.earlyResults, { ...ended, toolCallId, time }];
		return;
	}
	if (index === undefined) {
		index = add(draft, run, body, toolCallId);
		if (index >= 0) draft.repair("start_synthesized", { toolCallId });
	}
	const part = tool(run, index);
	if (part === undefined) return;
	ended.durationMs ??= part.started ? elapsed(part.startedAt, time) : undefined;
	end(draft, run, index, { ...ended, toolName: part.toolName ?? toolName });
}

type Ended = Mutable<Pick<ToolPart, "result" | "error" | "durationMs">> & { readonly state: "completed" | "failed" };

function end(draft: Draft, run: RunDraft, index: number, ended: Ended & Partial<ToolPart>): void {
	draft.changePart<ToolPart>(run, index, ended);
	run.openTools -= 1;
	if (run.openTools === 0 && run.activity === "using_tools") run.activity = undefined;
	settle(draft, run, index);
}

/** An execution with a start and an end is found by its id no more. */
function settle(draft: Draft, run: RunDraft, index: number): void {
	const part = tool(run, index);
	if (part === undefined || !part.started || isOpen(part)) return;
	forget(draft.lookup.parts(run).get(toolKey(part.toolCallId)), index);
}

function forget(indices: number[] | undefined, index: number): void {
	const at = indices?.indexOf(index) ?? -1;
	if (at >= 0) indices?.splice(at, 1);
}

/** The id of an event; an agent may leave it empty until it knows it. */
function idOf(draft: Draft, { toolCallId }: Body): string {
	const known = id(toolCallId);
	if (known === undefined && toolCallId !== "") draft.invalid("toolCallId");
	return known ?? "";
}

function tool(run: RunDraft, index: number): ToolPart | undefined {
	return run.parts[index] as ToolPart | undefined;
}

/** The oldest (or newest) execution under the id of which `fits` is true. */
function find(draft: Draft, run: RunDraft, toolCallId: string, fits: (part: ToolPart) => boolean, newest = false): number | undefined {
	const indices = draft.lookup.parts(run).get(toolKey(toolCallId)) ?? [];
	const found = (index: number): boolean => fits(tool(run, index) as ToolPart);
	return newest ? indices.filter(found).at(-1) : indices.find(found);
}

/** An execution that had no id yet gets this one. */
function adopt(draft: Draft, run: RunDraft, toolCallId: string, toolName?: string): number | undefined {
	const lookup = draft.lookup.parts(run);
	const key = toolKey(toolCallId);
	const index = toolCallId === "" || lookup.has(key) ? undefined : find(draft, run, "", (part) => isOpen(part) && isSameTool(part, toolName));
	if (index === undefined) return undefined;
	forget(lookup.get(toolKey("")), index);
	lookup.set(key, [index]);
	draft.changePart<ToolPart>(run, index, { toolCallId });
	return index;
}

/** Without an id, the only tool that is open is meant. */
function only(run: RunDraft, toolCallId: string, toolName?: string): number | undefined {
	if (toolCallId !== "" || run.openTools !== 1) return undefined;
	const index = run.parts.findIndex((part) => part.kind === "tool" && isOpen(part) && isSameTool(part, toolName));
	return index < 0 ? undefined : index;
}

function isSameTool(part: ToolPart, toolName: string | undefined): boolean {
	return toolName === undefined || part.toolName === undefined || part.toolName === toolName;
}

function add(draft: Draft, run: RunDraft, body: Body, toolCallId: string): number {
	const { offset } = draft;
	const index = draft.addPart(run, {
		kind: "tool",
		key: `tool:${offset}`,
		toolCallId,
		offset,
		state: "pending",
		started: false,
		argsText: "",
		truncated: false,
		startedAt: amount(body["time"]),
	});
	if (index >= 0) run.openTools += 1;
	return index;
}

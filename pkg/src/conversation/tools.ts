/**
 * Tools: one part for each execution. Events are paired by their id; an id may be used again, a result or arguments may come before the
 * start, and an agent may name the id only later.
 */
import type { Draft, Mutable, RunDraft } from "./draft.js";
import { append } from "./messages.js";
import type { ToolPart } from "./parts.js";
import { amount, type Body, id, text } from "./read.js";
import { elapsed, isBusy } from "./runs.js";

/** Results of one run that may wait for the starts of their executions. */
const MAX_EARLY = 100;

export function toolExecuting(draft: Draft, run: RunDraft, body: Body): void {
	const toolCallId = idOf(draft, run, body);
	const toolName = text(body["toolName"]);
	if (toolName === undefined) draft.repair("invalid_event", { runId: run.runId, toolCallId, detail: "toolName" });
	const part = find(draft, run, toolCallId, ({ started }) => !started) ?? adopt(draft, run, toolCallId, toolName) ?? add(draft, run, body, toolCallId);
	if (part === undefined) return;
	part.started = true;
	part.toolName = toolName ?? part.toolName;
	part.purpose = text(body["purpose"]) ?? part.purpose;
	part.category = text(body["category"]) ?? part.category;
	part.estimatedMs = amount(body["estimatedMs"]) ?? part.estimatedMs;
	if (body["args"] !== undefined) part.args = body["args"];
	if (part.state === "pending") {
		part.state = "running";
		part.startedAt = amount(body["time"]) ?? part.startedAt;
	}
	isBusy(run, "using_tools");
	const early = run.earlyResults.find((one) => one.toolCallId === toolCallId);
	if (early !== undefined && part.state === "running") {
		run.earlyResults = run.earlyResults.filter((one) => one !== early);
		end(run, part, early.state, { ...early, durationMs: early.durationMs ?? elapsed(part.startedAt, early.time) });
	}
	settleLookup(draft, run, part);
}

export function toolArgsDelta(draft: Draft, run: RunDraft, body: Body): void {
	const toolCallId = idOf(draft, run, body);
	const more = text(body["text"]);
	if (more === undefined) return draft.repair("invalid_event", { runId: run.runId, toolCallId, detail: "text" });
	const part =
		find(draft, run, toolCallId, isOpen, true) ?? adopt(draft, run, toolCallId, undefined) ?? only(draft, run, toolCallId) ?? add(draft, run, body, toolCallId);
	if (part === undefined) return;
	append(draft, run, part, "argsText", more);
	isBusy(run, "using_tools");
}

export function toolCompleted(draft: Draft, run: RunDraft, body: Body): void {
	const { runId } = run;
	const toolCallId = idOf(draft, run, body);
	const toolName = text(body["toolName"]);
	const { success, result } = body;
	if (typeof success !== "boolean") draft.repair("invalid_event", { runId, toolCallId, detail: "success" });
	const state = success === true ? "completed" : "failed";
	const time = amount(body["time"]);
	const ended = { result, error: text(body["error"]), durationMs: amount(body["durationMs"]) };
	let part = find(draft, run, toolCallId, isOpen) ?? adopt(draft, run, toolCallId, toolName) ?? only(draft, run, toolCallId, toolName);
	if (part === undefined && toolCallId !== "" && draft.lookup.parts(run).tools.has(toolCallId)) {
		// Each execution has its result: this one came twice, or is that of an execution that starts later.
		draft.repair("duplicate_terminal", { runId, toolCallId });
		if (run.earlyResults.length < MAX_EARLY) run.earlyResults = [...run.earlyResults, { toolCallId, state, time, ...ended }];
		return;
	}
	if (part === undefined) {
		part = add(draft, run, body, toolCallId);
		if (part === undefined) return;
		draft.repair("start_synthesized", { runId, toolCallId });
	}
	part.toolName ??= toolName;
	end(run, part, state, { ...ended, durationMs: ended.durationMs ?? (part.started ? elapsed(part.startedAt, time) : undefined) });
	settleLookup(draft, run, part);
}

type Ended = Pick<ToolPart, "result" | "error" | "durationMs">;

function end(run: RunDraft, part: Mutable<ToolPart>, state: "completed" | "failed", { result, error, durationMs }: Ended): void {
	Object.assign(part, { state, result, error, durationMs });
	run.openTools -= 1;
	if (run.openTools === 0 && run.activity === "using_tools") isBusy(run, undefined);
}

/** The id of an event; an agent may leave it empty until it knows it. */
function idOf(draft: Draft, run: RunDraft, body: Body): string {
	const toolCallId = id(body["toolCallId"]);
	if (toolCallId === undefined && body["toolCallId"] !== "") draft.repair("invalid_event", { runId: run.runId, detail: "toolCallId" });
	return toolCallId ?? "";
}

function isOpen({ state }: ToolPart): boolean {
	return state === "pending" || state === "running";
}

/** The oldest (or newest) execution under the id of which `which` is true. */
function find(draft: Draft, run: RunDraft, toolCallId: string, which: (part: ToolPart) => boolean, newest = false): Mutable<ToolPart> | undefined {
	const indices = draft.lookup.parts(run).tools.get(toolCallId) ?? [];
	const fits = (index: number): boolean => which(run.parts[index] as ToolPart);
	const index = newest ? indices.filter(fits).at(-1) : indices.find(fits);
	return index === undefined ? undefined : draft.editPart<ToolPart>(run, index, "tool");
}

/** An execution that had no id yet gets this one. */
function adopt(draft: Draft, run: RunDraft, toolCallId: string, toolName: string | undefined): Mutable<ToolPart> | undefined {
	const { tools } = draft.lookup.parts(run);
	if (toolCallId === "" || tools.has(toolCallId)) return undefined;
	const part = find(draft, run, "", (one) => isOpen(one) && isSameTool(one, toolName));
	if (part === undefined) return undefined;
	const nameless = tools.get("") ?? [];
	const index = nameless.find((at) => run.parts[at] === part);
	if (index === undefined) return undefined;
	tools.set(
		"",
		nameless.filter((at) => at !== index),
	);
	tools.set(toolCallId, [index]);
	part.toolCallId = toolCallId;
	return part;
}

/** Without an id, the only tool that is open is meant. */
function only(draft: Draft, run: RunDraft, toolCallId: string, toolName?: string): Mutable<ToolPart> | undefined {
	if (toolCallId !== "" || run.openTools !== 1) return undefined;
	const index = run.parts.findIndex((part) => part.kind === "tool" && isOpen(part) && isSameTool(part, toolName));
	return index < 0 ? undefined : draft.editPart<ToolPart>(run, index, "tool");
}

function isSameTool(part: ToolPart, toolName: string | undefined): boolean {
	return toolName === undefined || part.toolName === undefined || part.toolName === toolName;
}

function add(draft: Draft, run: RunDraft, body: Body, toolCallId: string): Mutable<ToolPart> | undefined {
	const { offset } = draft;
	const { tools } = draft.lookup.parts(run);
	const index = draft.addPart(run, {
		kind: "tool",
		key: `tool:${offset}`,
		toolCallId,
		toolName: undefined,
		offset,
		state: "pending",
		started: false,
		purpose: undefined,
		category: undefined,
		estimatedMs: undefined,
		args: undefined,
		argsText: "",
		truncated: false,
		result: undefined,
		error: undefined,
		startedAt: amount(body["time"]),
		durationMs: undefined,
	});
	if (index < 0) return undefined;
	const indices = tools.get(toolCallId);
	if (indices === undefined) tools.set(toolCallId, [index]);
	else indices.push(index);
	run.openTools += 1;
	return draft.editPart<ToolPart>(run, index, "tool");
}

/** An execution with a start and an end is found by its id no more. */
function settleLookup(draft: Draft, run: RunDraft, part: ToolPart): void {
	if (!part.started || isOpen(part)) return;
	const { tools } = draft.lookup.parts(run);
	const indices = tools.get(part.toolCallId);
	const at = indices?.findIndex((index) => run.parts[index] === part) ?? -1;
	if (at >= 0) indices?.splice(at, 1);
}

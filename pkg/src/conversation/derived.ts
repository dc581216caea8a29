/**
 * Derived fields: what an agent did not say and what usual names suggest. Each result says whether it was `derived`; what the agent said
 * always counts first. Each is a function of its own, so that a page loads only those it uses.
 */
import type { Run, Thought } from "./model.js";
import type { RunError, ToolPart } from "./parts.js";

/** A value that the agent gave, or that was derived. */
export interface Derived<T> {
	readonly value: T;
	/** False: the agent said it. */
	readonly derived: boolean;
}

function of<T>(said: T | undefined, derive: () => T): Derived<T> {
	return said === undefined ? { value: derive(), derived: true } : { value: said, derived: false };
}

/** How urgent the wait is for a person: low if more than 10 seconds remain, medium if more than 5, else high; high also if nobody knows. */
export function urgencyOf({ urgency, remainingMs = 0 }: Pick<Thought, "urgency" | "remainingMs">): Derived<"low" | "medium" | "high"> {
	return of(urgency, () => {
		if (remainingMs > 10_000) return "low";
		return remainingMs > 5_000 ? "medium" : "high";
	});
}

/** How long a tool usually takes. */
export type ExpectedDuration = "short" | "medium" | "long";

/** The first word that the name of a tool contains decides. */
const TOOLS: readonly (readonly [word: string, category: string, duration: ExpectedDuration])[] = [
	["search", "information_retrieval", "medium"],
	["analyze", "data_processing", "long"],
	["query", "database_operation", "short"],
	["generate", "content_creation", "medium"],
	["validate", "verification", "short"],
	["optimize", "performance_tuning", "long"],
	["export", "data_export", "medium"],
	["import", "data_import", "long"],
];

function toolRow({ toolName = "" }: Pick<ToolPart, "toolName">): (typeof TOOLS)[number] {
	const name = toolName.toLowerCase();
	return TOOLS.find(([word]) => name.includes(word)) ?? ["", "general", "medium"];
}

/** What kind of tool it is, by its name: one of eight categories, or `general`. */
export function categoryOf(tool: Pick<ToolPart, "toolName" | "category">): Derived<string> {
	return of(tool.category, () => toolRow(tool)[1]);
}

/** How long the tool usually takes, by its name. Always derived: what an agent says is `estimatedMs`, in milliseconds. */
export function expectedDurationOf(tool: Pick<ToolPart, "toolName">): Derived<ExpectedDuration> {
	return of(undefined, () => toolRow(tool)[2]);
}

/** Code and message of an error, to look for words in. */
function wordsOf({ code, message = "" }: Pick<RunError, "code" | "message">): string {
	return `${code} ${message}`.toLowerCase().replaceAll("_", " ");
}

/** How bad an error is: critical if it is about sign-in, rights, a database or the network, high for a timeout, a rate limit or bad input, else medium. */
export function severityOf(error: Pick<RunError, "code" | "message" | "severity">): Derived<"critical" | "high" | "medium" | "low"> {
	return of(error.severity, () => {
		const words = wordsOf(error);
		if (/authentication|authorization|database|network/.test(words)) return "critical";
		return /timeout|rate limit|validation/.test(words) ? "high" : "medium";
	});
}

/** The first row whose words an error contains decides. */
const HELP: readonly (readonly [words: RegExp, message: string, suggestions: readonly string[]])[] = [
	[/timeout|timed out/, "This took too long and was stopped.", ["Try again.", "Ask for less at once."]],
	[/rate limit/, "Too many requests were made in a short time.", ["Wait a minute, then try again."]],
	[/validation|invalid/, "Something in the request does not fit.", ["Check what you entered, then try again."]],
	[/database|\bdb\b/, "The data cannot be reached at the moment.", ["Try again in a few minutes.", "Tell the support if it goes on."]],
	[/network|connection/, "A service cannot be reached at the moment.", ["Check your connection.", "Try again in a few minutes."]],
];
const NO_HELP: (typeof HELP)[number] = [/$/, "Something went wrong.", ["Try again.", "Tell the support if it goes on."]];

function helpRow(error: Pick<RunError, "code" | "message">): (typeof HELP)[number] {
	const words = wordsOf(error);
	return HELP.find(([row]) => row.test(words)) ?? NO_HELP;
}

/** What a person may try. Never empty. */
export function suggestionsOf(error: Pick<RunError, "code" | "message" | "suggestions">): Derived<readonly string[]> {
	return of(error.suggestions.length > 0 ? error.suggestions : undefined, () => helpRow(error)[2]);
}

/** A text about the error for a person, in English. */
export function userMessageOf(error: Pick<RunError, "code" | "message" | "userMessage">): Derived<string> {
	return of(error.userMessage, () => helpRow(error)[1]);
}

/** The events that a run which ended well has had: each agent reports these five. */
export type RequiredEvent = "agent_started" | "agent_thinking" | "tool_executing" | "tool_completed" | "agent_completed";

/** The events of the five that have not come, in their order. A run that uses no tool lacks both of the tools'. */
export function requiredEvents(run: Run): RequiredEvent[] {
	const hasTool = (which: (tool: ToolPart) => boolean): boolean => run.parts.some((part) => part.kind === "tool" && which(part));
	const missing: [RequiredEvent, boolean][] = [
		["agent_started", !run.started],
		["agent_thinking", run.thought === undefined],
		["tool_executing", !hasTool((tool) => tool.started)],
		["tool_completed", !hasTool((tool) => tool.state === "completed" || tool.state === "failed")],
		["agent_completed", run.status !== "completed"],
	];
	return missing.filter(([, isMissing]) => isMissing).map(([type]) => type);
}

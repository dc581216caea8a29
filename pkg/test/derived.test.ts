/** Derived fields: what the agent said counts first, and what was derived says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { categoryOf, expectedDurationOf, requiredEvents, severityOf, suggestionsOf, urgencyOf, userMessageOf } from "../src/conversation/derived.js";
import { EMPTY, fold, runOf } from "../src/conversation.js";
import { type Entry, itemsOf } from "./support/conversation.js";

const derived = <T>(value: T) => ({ value, derived: true });
const said = <T>(value: T) => ({ value, derived: false });

test("requiredEvents names what a run has not had", () => {
	const log: Entry[] = [{ type: "run_accepted", runId: "r1" }];
	const missing = () => {
		const run = runOf(fold(EMPTY, itemsOf(log)), "r1");
		assert.ok(run !== undefined);
		return requiredEvents(run);
	};
	const all = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];
	assert.deepEqual(missing(), all);
	const events: Entry[] = [
		{ type: "agent_started", agent: "a" },
		{ type: "agent_thinking" },
		{ type: "tool_executing", toolCallId: "t", toolName: "n" },
		{ type: "tool_completed", toolCallId: "t", success: false },
		{ type: "agent_completed" },
	];
	for (const [index, event] of events.entries()) {
		log.push({ runId: "r1", ...event });
		assert.deepEqual(missing(), all.slice(index + 1));
	}
});

test("urgency follows from the time that remains", () => {
	assert.deepEqual(
		[undefined, 0, 5_000, 5_001, 8_000, 10_000, 10_001, 30_000].map((remainingMs) => urgencyOf({ remainingMs })),
		["high", "high", "high", "medium", "medium", "medium", "low", "low"].map(derived),
	);
	assert.deepEqual(urgencyOf({ urgency: "low", remainingMs: 0 }), said("low"));
});

test("category and duration of a tool follow from its name, the first word in the table first", () => {
	const cases: [string | undefined, string, string][] = [
		["web_search", "information_retrieval", "medium"],
		["AnalyzeLogs", "data_processing", "long"],
		["run_query", "database_operation", "short"],
		["generate", "content_creation", "medium"],
		["validate_input", "verification", "short"],
		["optimize", "performance_tuning", "long"],
		["export_csv", "data_export", "medium"],
		["import_csv", "data_import", "long"],
		["query_search", "information_retrieval", "medium"],
		["deploy", "general", "medium"],
		["", "general", "medium"],
		[undefined, "general", "medium"],
	];
	for (const [toolName, category, duration] of cases) {
		assert.deepEqual([categoryOf({ toolName }), expectedDurationOf({ toolName })], [derived(category), derived(duration)], toolName);
	}
	assert.deepEqual(categoryOf({ toolName: "search", category: "mine" }), said("mine"));
});

test("severity follows from the words of an error: the worse word decides", () => {
	const cases: [string, string | undefined, string][] = [
		["network", "a timeout", "critical"],
		["AUTHENTICATION_FAILED", undefined, "critical"],
		["x", "the database is gone", "critical"],
		["timeout", undefined, "high"],
		["rate_limit_exceeded", undefined, "high"],
		["x", "over the Rate Limit", "high"],
		["validation", undefined, "high"],
		["boom", undefined, "medium"],
	];
	for (const [code, message, severity] of cases) assert.deepEqual(severityOf({ code, message }), derived(severity), code);
	assert.deepEqual(severityOf({ code: "network", severity: "low" }), said("low"));
});

test("there is always a text and a suggestion, and those of the agent come first", () => {
	for (const code of ["timeout", "rate_limit", "invalid_input", "db_down", "connection_lost", "boom", ""]) {
		const { value, derived: isDerived } = suggestionsOf({ code, suggestions: [] });
		assert.ok(isDerived && value.length > 0 && value.every((one) => one !== ""), code);
		assert.ok(userMessageOf({ code }).value !== "");
	}
	assert.notDeepEqual(userMessageOf({ code: "timeout" }), userMessageOf({ code: "boom" }));
	assert.deepEqual(suggestionsOf({ code: "timeout", suggestions: ["Wait"] }), said(["Wait"]));
	assert.deepEqual(userMessageOf({ code: "timeout", userMessage: "Sorry" }), said("Sorry"));
});

/** What an error says of itself, where it is explained, and where it is reported. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { AgentwireError, describe } from "../src/shared/errors.js";
import { Reporter } from "../src/shared/report.js";

// From the compiled file: pkg/.test/test/errors.test.js
const root = new URL("../../../", import.meta.url);
const source = (path: string): Promise<string> => readFile(new URL(path, root), "utf8");

const DOCS = await source("docs/ERRORS.md");
const ROW = /^\| <a id="(\w+)"><\/a>`\w+` \|/gm;

/** The first groups of all that `pattern` finds. */
const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, group = ""]) => group);

/** A section of docs/ERRORS.md. */
function section(heading: string): string {
	const [, text] = DOCS.split(`\n## ${heading}\n`);
	assert.ok(text !== undefined, heading);
	return text.split("\n## ")[0] ?? "";
}

test("each code has a row in docs/ERRORS.md, and each row is a code", async () => {
	const [, union = ""] = /export type KnownErrorCode =([^;]+);/.exec(await source("pkg/src/shared/errors.ts")) ?? [];
	const codes = all(union, /"(\w+)"/g);
	const tables = [section("Codes of the page"), section("Codes of the server")].map((text) => all(text, ROW));
	assert.ok(codes.length > 30);
	assert.deepEqual(tables.flat().sort(), [...codes].sort());
	for (const table of tables) assert.deepEqual(table, [...table].sort(), "a row is where its code is looked for");
});

test("an error leads to its row, and says what to do or where that is written", () => {
	for (const code of all(DOCS, ROW)) {
		const { docs, remediation } = new AgentwireError(code, "x");
		assert.equal(docs, `https://github.com/agentwire/agentwire/blob/main/docs/ERRORS.md#${code}`);
		assert.match(remediation, /^[A-Z].*\.$|^See https:\S+$/);
	}
	for (const code of ["brand_new", "constructor"]) {
		const { docs, remediation } = new AgentwireError(code, "x");
		assert.equal(remediation, `See ${docs}`);
	}
	assert.equal(new AgentwireError("closed", "x", { remediation: "Wait." }).remediation, "Wait.");
});

// PROTOCOL: ERR-2, CLS-2
test("docs/ERRORS.md has the codes of the protocol, and the close codes under the same names", async () => {
	const protocol = await source("docs/PROTOCOL.md");
	const clause = (name: string): string => protocol.split(`- **${name}**`)[1]?.split("\n- **")[0] ?? "";
	const rows = all(DOCS, ROW);
	const codes = all(clause("ERR-2"), /^\| `(\w+)` \|/gm);
	assert.ok(codes.length > 10);
	assert.deepEqual(
		codes.filter((code) => !rows.includes(code)),
		[],
	);
	const named = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, code, name]) => `${code} ${name}`);
	const ours = named(clause("CLS-2"), /^\| (4\d{3}) \| `(\w+)` \|/gm);
	assert.ok(ours.length > 15);
	assert.deepEqual(named(section("Close codes"), /^\| <a id="(4\d{3})"><\/a>4\d{3} \| `(\w+)` \|/gm), ours);
});

test("docs/ERRORS.md has the codes that the bridge answers over HTTP", async () => {
	const answered = all(await source("bridge/src/http.rs"), /StatusCode::\w+,\s*"(\w+)"/g);
	const rows = all(section("Answers of the bridge over HTTP"), /^\| \d{3} \| `(\w+)` \|/gm);
	assert.deepEqual([...new Set(answered)].sort(), rows.sort());
});

// FAULT: F4
test("an_error_of_another_realm_is_described_as_one_of_this_realm", () => {
	const made = (code: string): unknown => runInNewContext(code);
	assert.ok(!(made("new TypeError('x')") instanceof Error), "it is of another realm");
	assert.equal(describe(made("new TypeError('x is not a function')")), "x is not a function");
	assert.equal(describe(made("new RangeError()")), "RangeError");
});

test("whatever_is_thrown_is_described", () => {
	const cases: readonly [unknown, string][] = [
		["a text", "a text"],
		[new Error("boom"), "boom"],
		[new Error(""), "Error"],
		[{ message: "of a plain object" }, "of a plain object"],
		[{ name: "Ada" }, "a value of type object"],
		[null, "a value of type object"],
		[undefined, "a value of type undefined"],
		[7, "a value of type number"],
		[Object.create(null), "a value of type object"],
		[new Proxy({}, { has: () => assert.fail("no look") }), "a value of type object"],
	];
	for (const [thrown, text] of cases) assert.equal(describe(thrown), text);
});

test("a_page_whose_reporting_throws_stops_nothing", () => {
	const globals = globalThis as { reportError?: unknown };
	const kept = globals.reportError;
	globals.reportError = () => assert.fail("of the page");
	try {
		assert.doesNotThrow(() => new Reporter(undefined).handlerThrew(new Error("boom")));
	} finally {
		globals.reportError = kept;
	}
});

test("the logger gets an error with its code, its address and its cause", () => {
	const lines: unknown[] = [];
	const cause = new Error("boom");
	new Reporter({ error: (message, details) => lines.push([message, details]) }).handlerThrew(cause);
	const docs = "https://github.com/agentwire/agentwire/blob/main/docs/ERRORS.md#handler_threw";
	assert.deepEqual(lines, [["a handler threw: boom", { code: "handler_threw", docs, cause }]]);
});

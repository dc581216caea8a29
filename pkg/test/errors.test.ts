import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { describe } from "../src/shared/errors.js";
import { Reporter } from "../src/shared/report.js";

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

import assert from "node:assert/strict";
import { test } from "node:test";
import { approved, type Filled, formOf, JSON_FIELD, read } from "../src/approvals.ts";

/** As the agent of this example asks. */
const SEARCH = {
	editable: true,
	args: { pattern: "backoff", regex: false, limit: 5 },
	schema: {
		type: "object",
		required: ["pattern", "limit", "regex"],
		properties: {
			pattern: { type: "string", title: "Search for" },
			regex: { type: "boolean" },
			glob: { type: "string", description: "Such as docs/**" },
			limit: { type: "integer", minimum: 1, maximum: 200 },
		},
	},
};

function answer(approval: { readonly editable: boolean; readonly args?: unknown; readonly schema?: unknown }, filled: Filled = {}): unknown {
	const form = formOf(approval);
	assert.ok(form, "there is nothing to fill in");
	const reading = read(form.fields, { ...form.filled, ...filled });
	return reading.wrong ?? approved({ args: undefined, ...approval }, reading.value);
}

test("a form has the fields of the schema and of the arguments, with what they are", () => {
	const form = formOf(SEARCH);
	assert.deepEqual(
		form?.fields?.map(({ name, label, help, kind, isRequired }) => [name, label, help, kind, isRequired]),
		[
			["pattern", "Search for", undefined, "text", true],
			["limit", "limit", undefined, "number", true],
			["regex", "regex", undefined, "flag", true],
			["glob", "glob", "Such as docs/**", "text", false],
		],
	);
	assert.deepEqual(form?.filled, { pattern: "backoff", regex: false, glob: "", limit: "5" });
	assert.deepEqual(
		formOf({ editable: true, args: { city: "Rome", nights: 2 } })?.fields?.map(({ name, kind }) => `${name} ${kind}`),
		["city text", "nights number"],
		"without a schema",
	);
	assert.equal(formOf({ editable: false, args: { city: "Rome" } }), undefined, "nothing to fill in");
});

test("only what was changed is sent, and what is empty is left out", () => {
	assert.deepEqual(answer(SEARCH), { decision: "approved" });
	assert.deepEqual(answer(SEARCH, { limit: "7", glob: "src/**", regex: true }), {
		decision: "approved",
		editedArgs: { pattern: "backoff", regex: true, glob: "src/**", limit: 7 },
	});
	assert.deepEqual(answer({ editable: true, args: { city: "Rome" } }, { city: "" }), { decision: "approved", editedArgs: {} });
	const form = { editable: false, schema: { properties: { city: { type: "string" } }, required: ["city"] } };
	assert.deepEqual(answer(form, { city: "Rome" }), { decision: "approved", payload: { city: "Rome" } });
});

test("what does not fit is said where it stands", () => {
	const cases: readonly (readonly [Filled, object])[] = [
		[{ pattern: " " }, { pattern: "This is needed." }],
		[{ limit: "many" }, { limit: "This must be a whole number." }],
		[{ limit: "1.5" }, { limit: "This must be a whole number." }],
		[{ limit: "0" }, { limit: "This must be at least 1." }],
		[
			{ limit: "201", pattern: "" },
			{ limit: "This must be at most 200.", pattern: "This is needed." },
		],
	];
	for (const [filled, wrong] of cases) assert.deepEqual(answer(SEARCH, filled), wrong, JSON.stringify(filled));
});

test("arguments that are no list of simple fields are edited as JSON", () => {
	const nested = { editable: true, args: { where: { city: "Rome" }, tags: ["a"] } };
	assert.equal(formOf(nested)?.fields, undefined);
	assert.deepEqual(answer(nested), { decision: "approved" });
	assert.deepEqual(answer(nested, { [JSON_FIELD]: '{"tags":["a"],"where":{"city":"Rome"}}' }), { decision: "approved" }, "the order of keys says nothing");
	assert.deepEqual(answer(nested, { [JSON_FIELD]: "[1]" }), { decision: "approved", editedArgs: [1] });
	assert.deepEqual(answer(nested, { [JSON_FIELD]: "[1" }), { [JSON_FIELD]: "This is not JSON." });
	// A schema that says otherwise than the arguments is not followed.
	assert.equal(formOf({ editable: true, args: { n: "text" }, schema: { properties: { n: { type: "number" } } } })?.fields, undefined);
});

/** What a reader may count on in `pkg/src`. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

// From the compiled file: pkg/.test/test/structure.test.js
const source = fileURLToPath(new URL("../../src", import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
const texts = new Map(files.map((name) => [name, readFileSync(join(source, name), "utf8")]));

/** The files that a file imports, types included. */
function imports(name: string): string[] {
	const found = [...(texts.get(name) ?? "").matchAll(/(?:from|import) "(\.[^"]+)\.js"/g)];
	return found.map(([, path]) => relative(source, join(source, dirname(name), `${path}.ts`))).filter((path) => texts.has(path));
}

test("no file imports itself through others, not even a type", () => {
	assert.ok(files.length > 20);
	assert.ok(imports("index.ts").includes(join("client", "client.ts")));
	const done = new Set<string>();
	const visit = (name: string, path: readonly string[]): void => {
		assert.ok(!path.includes(name), `a cycle: ${[...path.slice(path.indexOf(name)), name].join(" → ")}`);
		if (done.has(name)) return;
		for (const next of imports(name)) visit(next, [...path, name]);
		done.add(name);
	};
	for (const name of files) visit(name, []);
});

test("only those who ask for them load agentwire/persist, agentwire/conversation and agentwire/typing", () => {
	const reached = new Set<string>();
	const visit = (name: string): void => {
		if (reached.has(name)) return;
		reached.add(name);
		for (const next of imports(name)) visit(next);
	};
	visit("index.ts");
	visit("inline.ts");
	assert.ok(reached.has(join("sends", "keeper.ts")));
	assert.deepEqual(
		[...reached].filter((name) => /^(persist|conversation|typing)/.test(name)),
		[],
	);
});

test("no file has more than 400 lines", () => {
	for (const [name, text] of texts) assert.ok(text.split("\n").length <= 401, name);
});

/** What a reader and a user may count on in this package. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

// From the compiled file: clients/node/.test/test/package.test.js
const root = fileURLToPath(new URL("../..", import.meta.url));
const source = join(root, "src");
const texts = new Map(
	readdirSync(source, { recursive: true, encoding: "utf8" })
		.filter((name) => name.endsWith(".ts"))
		.map((name) => [name, readFileSync(join(source, name), "utf8")]),
);

const BEGIN = "// The types are written by `cargo xtask events --write`";
const END = "// The written types end.";
const written = (text: string): string => text.slice(text.indexOf(BEGIN), text.indexOf(END) + END.length);

test("the types of the events are those of the page's package", (t) => {
	const original = join(root, "../../pkg/src/thread/events.ts");
	if (!existsSync(original)) return t.skip("this is no checkout of the repository");
	const ours = written(texts.get("events.ts") ?? "");
	assert.ok(ours.length > 1_000);
	assert.equal(ours, written(readFileSync(original, "utf8")), "copy the written types of pkg/src/thread/events.ts into src/events.ts");
});

/** The files that a file imports, types included. */
function imports(name: string): readonly string[] {
	const found = [...(texts.get(name) ?? "").matchAll(/(?:from|import) "(\.[^"]+)\.js"/g)];
	return found.map(([, path]) => relative(source, join(source, dirname(name), `${path}.ts`))).filter((path) => texts.has(path));
}

test("no file imports itself through others, not even a type", () => {
	assert.ok(imports("index.ts").includes("bridge.ts"));
	const done = new Set<string>();
	const visit = (name: string, path: readonly string[]): void => {
		assert.ok(!path.includes(name), `a cycle: ${[...path.slice(path.indexOf(name)), name].join(" → ")}`);
		if (done.has(name)) return;
		for (const next of imports(name)) visit(next, [...path, name]);
		done.add(name);
	};
	for (const name of texts.keys()) visit(name, []);
});

test("only ai-sdk.ts names another package, and only its types", () => {
	for (const [name, text] of texts) {
		const packages = [...text.matchAll(/from "([^."][^"]*)"/g)].map(([, from]) => from).filter((from) => !from?.startsWith("node:"));
		assert.deepEqual(packages, name === "ai-sdk.ts" ? ["ai"] : [], name);
	}
	assert.match(texts.get("ai-sdk.ts") ?? "", /import type \{[^}]+\} from "ai"/);
});

test("no file has more than 300 lines, but the written types", () => {
	for (const [name, text] of texts) assert.ok(name === "events.ts" || text.split("\n").length <= 301, name);
	assert.ok((texts.get("ai-sdk.ts") ?? "").split("\n").length <= 151);
});

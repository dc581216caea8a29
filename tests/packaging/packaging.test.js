// The package as a newcomer gets it. `cargo xtask test --only packaging` packs it, starts a chat server and runs this.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { launch, needed } from "../page/browser.js";
import { said, VITE } from "../page/program.js";
import { asks, asksAt, run } from "./asked.js";
import { check, snippets } from "./snippets.js";

const ROOT = new URL("../../", import.meta.url);
const NPM = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--loglevel", "error"];

let folder, app, browser;

before(async () => {
	folder = await mkdtemp(join(tmpdir(), "agentwire-packaging-"));
	app = join(folder, "vite-app");
	await cp(new URL("vite-app", import.meta.url), app, { recursive: true, filter: (path) => !/[\\/](node_modules|dist)$/.test(path) });
	await run("npm", ["ci", ...NPM], app);
	await run("npm", ["install", "--no-save", ...NPM, needed("AGENTWIRE_TARBALL")], app);
	browser = await launch();
});

after(async () => {
	await browser?.close();
	if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

describe("a fresh Vite app", { concurrency: false }, () => {
	test("passes the type check, types of the package included", () => run("npm", ["run", "typecheck"], app));

	test("is built, and gets every event of an answer", async () => {
		await run("npm", ["run", "build"], app);
		assert.equal((await wasmFiles(join(app, "dist"))).length, 1);
		await asks(browser, join(app, "dist"));
	});

	test("is served while it is written, and gets every event of an answer, also after a reload", async () => {
		const server = spawn(process.execPath, [vite(), "--host", "127.0.0.1", "--port", "0", "--clearScreen", "false"], {
			cwd: app,
			env: { ...process.env, NO_COLOR: "1" },
		});
		try {
			const address = await said(server, VITE);
			await asksAt(browser, address);
			// The packages are bundled by now.
			await asksAt(browser, address);
		} finally {
			server.kill();
		}
	});

	// F3
	test("that imports the inline entry gets no .wasm file", async () => {
		const main = join(app, "src/main.ts");
		const text = await readFile(main, "utf8");
		await writeFile(main, text.replace('"agentwire"', '"agentwire/inline"'));
		try {
			await run(process.execPath, [vite(), "build", "--outDir", "dist-inline"], app);
		} finally {
			await writeFile(main, text);
		}
		assert.deepEqual(await wasmFiles(join(app, "dist-inline")), []);
		await asks(browser, join(app, "dist-inline"));
	});
});

test("a page without a bundler gets every event of an answer", async () => {
	const page = join(folder, "script-page");
	await cp(new URL("script-page", import.meta.url), page, { recursive: true });
	await mkdir(join(page, "agentwire"));
	await run("tar", ["-xzf", needed("AGENTWIRE_TARBALL"), "-C", join(page, "agentwire"), "--strip-components", "1"], page);
	await asks(browser, page);
});

describe("the snippets", () => {
	for (const readme of ["README.md", "pkg/README.md"]) {
		test(`of ${readme} are correct`, async () => {
			const found = await snippets(new URL(readme, ROOT));
			assert.ok(found.length > 0, `${readme} has no snippet`);
			const faults = await check(found, readme, app);
			assert.equal(faults.join("\n"), "");
		});
	}

	test("that are the page of the quick start are correct", async () => {
		const file = "examples/quick-start/page/main.js";
		const code = await readFile(new URL(file, ROOT), "utf8");
		assert.deepEqual(await check([{ line: 1, language: "js", code }], file, app), []);
	});

	test("that are wrong are found out, with their file and line", async () => {
		const untyped = { line: 5, language: "js", code: 'import { createClient } from "agentwire";\ncreateClient({ url: "/ws" });\n' };
		assert.match((await check([untyped], "TYPES.md", app)).join("\n"), /^TYPES\.md:6: .*'token'/);
		const unparsed = { line: 12, language: "ts", code: "const = 1;\n" };
		assert.match((await check([unparsed], "SYNTAX.md", app)).join("\n"), /^SYNTAX\.md:12: /);
	});
});

const vite = () => join(app, "node_modules/vite/bin/vite.js");

async function wasmFiles(root) {
	return (await readdir(root, { recursive: true })).filter((name) => name.endsWith(".wasm"));
}

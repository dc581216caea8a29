// The package as a newcomer gets it. `cargo xtask test --only packaging` packs it, starts a chat server and runs this.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { complaints, launch, needed } from "../page/browser.js";
import { serve, token } from "./serve.js";
import { check, snippets } from "./snippets.js";

const ROOT = new URL("../../", import.meta.url);
const NPM = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--loglevel", "error"];
/** How long an answer may take to arrive, in milliseconds. */
const ANSWER = 20_000;

const websocket = needed("AGENTWIRE_TEST_WS");
const chat = new URL("/", websocket.replace(/^ws/, "http")).href;

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
		await asks(join(app, "dist"));
	});
});

test("a page without a bundler gets every event of an answer", async () => {
	const page = join(folder, "script-page");
	await cp(new URL("script-page", import.meta.url), page, { recursive: true });
	await mkdir(join(page, "agentwire"));
	await run("tar", ["-xzf", needed("AGENTWIRE_TARBALL"), "-C", join(page, "agentwire"), "--strip-components", "1"], page);
	await asks(page);
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

	test("that are wrong are found out, with their file and line", async () => {
		const untyped = { line: 5, language: "js", code: 'import { createClient } from "agentwire";\ncreateClient({ url: "/ws" });\n' };
		assert.match((await check([untyped], "TYPES.md", app)).join("\n"), /^TYPES\.md:6: .*'token'/);
		const unparsed = { line: 12, language: "ts", code: "const = 1;\n" };
		assert.match((await check([unparsed], "SYNTAX.md", app)).join("\n"), /^SYNTAX\.md:12: /);
	});
});

/** Opens the page in `root`, which asks by itself, and compares what it shows with the server's log. */
async function asks(root) {
	const name = `packaging-${randomUUID()}`;
	const site = await serve(root, chat);
	const page = await browser.newPage();
	const wrong = complaints(page);
	try {
		await page.goto(`${site.address}?${new URLSearchParams({ server: websocket, thread: name })}`);
		await page.getByText(/events, last agent_completed$/).waitFor({ timeout: ANSWER }).catch(async (error) => {
			assert.fail(`the answer did not end: the page shows “${await page.locator("body").innerText()}” (${[error.message, ...wrong].join("; ")})`);
		});
		const { head, events } = await log(name);
		assert.ok(head > 5, `the log has only ${head} events`);
		assert.equal(await page.locator("#events").innerText(), `${head} events, last ${events.at(-1).type}`);
		const text = events.filter(({ type }) => type === "message_delta").map((event) => event.text).join("");
		assert.notEqual(text, "");
		assert.equal(await page.locator("#answer").textContent(), text);
		assert.deepEqual(wrong, []);
	} finally {
		await page.close();
		await site.close();
	}
}

/** The log of a thread, as the server has it. */
async function log(name) {
	const response = await fetch(`${chat}v1/threads/${name}/events?from=1&limit=1000`, { headers: { authorization: `Bearer ${await token(chat)}` } });
	assert.equal(response.status, 200);
	return response.json();
}

/** Runs a program to its end; what it said is part of the error. */
async function run(program, args, cwd) {
	try {
		await promisify(execFile)(program, args, { cwd, shell: process.platform === "win32" });
	} catch (error) {
		assert.fail(`${program} ${args[0]} ${args[1] ?? ""} failed\n${error.stdout ?? ""}${error.stderr ?? error.message}`);
	}
}

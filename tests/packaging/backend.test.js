// "In front of your backend" as README.md says it: its files and its commands, in an empty folder, used in a browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, test } from "node:test";
import { complaints, launch, needed } from "../page/browser.js";
import { said } from "../page/program.js";
import { run } from "./asked.js";

/** How long the page may take for each step, in milliseconds. */
const PATIENCE = 20_000;

const ended = [];
after(async () => {
	for (const end of ended.reverse()) await end();
});

test("the files and the commands of the README make an answer in a page", async () => {
	const { files, commands } = await section("## In front of your backend");
	assert.deepEqual([...files.keys()], ["main.py", "page/index.html"]);
	const folder = await mkdtemp(join(tmpdir(), "agentwire-backend-"));
	ended.push(() => rm(folder, { recursive: true, force: true }));
	// The ports of the README may be taken here.
	const ports = new Map([
		["8080", await free()],
		["8000", await free()],
	]);
	const ours = (text) => text.replaceAll(/\b(8080|8000)\b/g, (port) => ports.get(port));
	for (const [name, text] of files) {
		await mkdir(dirname(join(folder, name)), { recursive: true });
		await writeFile(join(folder, name), ours(text));
	}
	const [pip, npm, bridge, uvicorn] = commands.map((command) => ours(command).split(/\s+/));
	// The environment of the tests has it already, from requirements with exact versions.
	assert.deepEqual(pip, ["pip", "install", '"agentwire[fastapi]"', "uvicorn"]);
	assert.equal(npm.at(-1), "agentwire");
	await run("npm", [...npm.slice(1, -1), "--no-audit", "--no-fund", "--ignore-scripts", needed("AGENTWIRE_TARBALL")], folder);
	const path = [dirname(needed("AGENTWIRE_BRIDGE_BIN")), dirname(needed("AGENTWIRE_PYTHON")), process.env.PATH].join(delimiter);
	const start = ([program, ...args]) => {
		const child = spawn(program, args, { cwd: folder, env: { ...process.env, PATH: path, PYTHONUNBUFFERED: "1" } });
		ended.push(() => end(child));
		return child;
	};
	// A port that is not that of the README is an option more.
	await Promise.all([
		said(start([...bridge, "--listen", `127.0.0.1:${ports.get("8080")}`]), /listens on (http:.*)$/),
		said(start([...uvicorn, "--port", ports.get("8000")]), /(startup complete)/),
	]);

	const browser = await launch();
	ended.push(() => browser.close());
	const page = await browser.newPage();
	const wrong = complaints(page);
	await page.goto(ours("http://127.0.0.1:8000/"));
	await page.getByLabel("Message").fill("good morning");
	await page.keyboard.press("Enter");
	const answer = page.getByRole("status").filter({ hasText: /^good morning $/ });
	await answer.waitFor({ timeout: PATIENCE });
	// The thread is in the log of the server: a reload shows the answer again.
	await page.reload();
	await answer.waitFor({ timeout: PATIENCE });
	assert.deepEqual(wrong, []);
});

/** The files and the commands of a section of README.md. A line before a file's block names it. */
async function section(title) {
	const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
	const text = readme.split(`\n${title}\n`)[1].split("\n## ")[0];
	const files = new Map();
	for (const [, name, code] of text.matchAll(/`([\w/.]+)`:\n\n```\w+\n(.*?)```/gs)) files.set(name, code);
	const shell = /```sh\n(.*?)```/s.exec(text)[1];
	const commands = shell.trim().split("\n");
	return { files, commands: commands.map((line) => line.split(" #")[0].trim()) };
}

/** A port that is free now. */
function free() {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.once("error", reject);
		server.listen(0, "127.0.0.1", () => {
			const { port } = server.address();
			server.close(() => resolve(String(port)));
		});
	});
}

function end(child) {
	return new Promise((resolve) => {
		if (child.exitCode !== null) return resolve();
		child.once("exit", resolve);
		child.kill();
	});
}

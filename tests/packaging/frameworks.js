// The quick starts of the frameworks: built from the packed tarball, served by Vite, and used like a person does.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { complaints, needed } from "../page/browser.js";
import { said, VITE } from "../page/program.js";
import { run } from "./asked.js";

const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));
const NPM = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--loglevel", "error"];

/** How long the page may take for each step, in milliseconds. */
const PATIENCE = 20_000;

/** `stage` answers with the quick start's address, a browser and a folder for the copies. */
export function frameworks(stage) {
	for (const name of ["react", "vue", "svelte", "vanilla"]) {
		describe(`${name}-quickstart`, { concurrency: false }, () => {
			test("shows an answer with one socket, and the same after a reload", async () => {
				const { address, browser, folder } = stage();
				const app = join(folder, name);
				await cp(join(EXAMPLES, `${name}-quickstart`), app, { recursive: true, filter: (path) => !/[\\/](node_modules|dist)$/.test(path) });
				await run("npm", ["ci", ...NPM], app);
				await run("npm", ["install", "--no-save", ...NPM, needed("AGENTWIRE_TARBALL")], app);
				await run("npm", ["run", "build"], app);
				const vite = join(app, "node_modules/vite/bin/vite.js");
				const server = spawn(process.execPath, [vite, "preview", "--host", "127.0.0.1", "--port", "0"], {
					cwd: app,
					env: { ...process.env, NO_COLOR: "1", AGENTWIRE_SERVER: address },
				});
				try {
					await uses(browser, await said(server, VITE), name);
				} finally {
					server.kill();
				}
			});
		});
	}
}

async function uses(browser, address, name) {
	const page = await browser.newPage();
	const wrong = complaints(page);
	let sockets = 0;
	page.on("websocket", () => (sockets += 1));
	const answer = page.locator(".run").filter({ hasText: `good ${name} morning completed` });
	try {
		await page.goto(address);
		await page.getByLabel("Say something").fill(`good ${name} morning`);
		await page.getByRole("button", { name: "Send" }).click();
		// It is shown at once, and once.
		assert.equal(
			await page
				.locator(".mine")
				.filter({ hasText: `good ${name} morning` })
				.count(),
			1,
		);
		await answer.waitFor({ timeout: PATIENCE });
		const shown = await page.locator("main").innerText();
		assert.equal(sockets, 1);
		await page.reload();
		await answer.waitFor({ timeout: PATIENCE });
		assert.equal(await page.locator("main").innerText(), shown);
		assert.equal(await page.locator("output").innerText(), "connected");
		assert.deepEqual([sockets, wrong], [2, []]);
	} finally {
		await page.close();
	}
}

// agentwire/persist in a real browser: its IndexedDB, its locks, and a process that is killed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { complaints, drive, FLAGS, needed } from "../page/browser.js";
import { messages, newThread, run, site, websocket } from "./asked.js";

/** How long each step may take, in milliseconds. */
const PATIENCE = 20_000;

let folder, served;

before(async () => {
	folder = await mkdtemp(join(tmpdir(), "agentwire-persist-"));
	const root = join(folder, "page");
	await cp(new URL("persist-page", import.meta.url), root, { recursive: true });
	await mkdir(join(root, "agentwire"));
	await run("tar", ["-xzf", needed("AGENTWIRE_TARBALL"), "-C", join(root, "agentwire"), "--strip-components", "1"], root);
	served = await site(root);
});

after(async () => {
	await served?.close();
	if (folder !== undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

test("messages that were typed before the page was connected survive a killed browser, and are stored once and in order", async () => {
	const name = newThread();
	const typed = ["message 1: queued", "message 2: queued"];
	const first = await browserOf("killed");
	const page = await first.page(name);
	await page.locator("#send").click();
	await page.locator("#send").click();
	await shows(page, "outbox", typed);
	await kept(page, 2);
	const beside = await first.page(name);
	await shows(beside, "outbox", []);
	await first.kill();

	const second = await browserOf("killed");
	const next = await second.page(name);
	await shows(next, "outbox", typed);
	await shows(next, "events", []);
	await next.locator("#connect").click();
	await shows(next, "events", ["message 1", "message 2"]);
	await shows(next, "outbox", []);
	await kept(next, 0);
	assert.deepEqual(await messages(name), ["message 1", "message 2"]);
	assert.deepEqual(second.wrong, []);
	await second.kill();
});

test("the message of a tab that was closed is taken over by one that starts, and of two tabs one has it", async () => {
	const name = newThread();
	const browser = await browserOf("tabs");
	const closed = await browser.page(name);
	await closed.locator("#send").click();
	await kept(closed, 1);
	await closed.close();
	const tab = await browser.page(name);
	await shows(tab, "outbox", ["message 1: queued"]);
	// While no other tab is there: one that looks for messages in the moment of a reload may take them.
	await tab.reload();
	await shows(tab, "outbox", ["message 1: queued"]);
	const other = await browser.page(name);
	await other.locator("#connect").click();
	await other.locator("#state").filter({ hasText: "connected" }).waitFor({ timeout: PATIENCE });
	await shows(other, "outbox", []);
	await tab.locator("#connect").click();
	for (const page of [tab, other]) await shows(page, "events", ["message 1"]);
	await shows(tab, "outbox", []);
	assert.deepEqual(await messages(name), ["message 1"]);
	assert.deepEqual(browser.wrong, []);
	await browser.kill();
});

/** Starts a browser that keeps its data in the folder `name`. */
async function browserOf(name) {
	const child = spawn(
		needed("AGENTWIRE_CHROMIUM"),
		[...FLAGS, "--headless=new", "--remote-debugging-port=0", `--user-data-dir=${join(folder, name)}`, "about:blank"],
		{ stdio: ["ignore", "ignore", "pipe"] },
	);
	const browser = await drive(await debugging(child));
	const [context] = browser.contexts();
	const wrong = [];
	return {
		wrong,
		async page(thread) {
			const page = await context.newPage();
			const said = complaints(page);
			page.on("close", () => wrong.push(...said));
			await page.goto(`${served.address}?${new URLSearchParams({ server: websocket, thread })}`);
			await page.locator("#state").waitFor({ timeout: PATIENCE });
			return page;
		},
		/** Ends it as a crash does. */
		async kill() {
			const exit = once(child, "exit");
			child.kill("SIGKILL");
			await exit;
		},
	};
}

/** Resolves with the address that a browser is driven at. */
function debugging(child) {
	return new Promise((resolve, reject) => {
		let said = "";
		createInterface(child.stderr).on("line", (line) => {
			said += `${line}\n`;
			const found = /^DevTools listening on (.*)$/.exec(line);
			if (found !== null) resolve(found[1]);
		});
		child.once("exit", () => reject(new Error(`the browser ended:\n${said}`)));
	});
}

/** Waits until a list of the page has these lines. */
async function shows(page, list, lines) {
	await page
		.waitForFunction(([id, text]) => [...document.querySelectorAll(`#${id} li`)].map((line) => line.textContent).join() === text, [list, lines.join()], {
			timeout: PATIENCE,
		})
		.catch(async (error) => {
			const shown = await page.locator(`#${list} li`).allTextContents();
			assert.deepEqual(shown, lines, `#${list}: ${error.message}`);
		});
}

/** Waits until so many messages are in the database. */
async function kept(page, count) {
	const rows = () =>
		new Promise((resolve, reject) => {
			const opening = indexedDB.open("agentwire");
			opening.onerror = () => reject(opening.error);
			opening.onsuccess = () => {
				const counting = opening.result.transaction("outbox").objectStore("outbox").count();
				counting.onsuccess = () => {
					opening.result.close();
					resolve(counting.result);
				};
			};
		});
	const end = Date.now() + PATIENCE;
	let found = await page.evaluate(rows);
	// Each look is a transaction behind those of the page: none is made for nothing.
	while (found !== count && Date.now() < end) found = await page.evaluate(rows);
	assert.equal(found, count);
}

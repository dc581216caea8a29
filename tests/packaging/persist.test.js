// agentwire/persist in real browsers: their IndexedDB, their locks, and a process that is killed.
import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { needed } from "../page/browser.js";
import { messages, newThread, run, site, websocket } from "./asked.js";
import { ENGINES } from "./killed-browser.js";

/** How long each step may take, in milliseconds. */
const PATIENCE = 20_000;

let folder, served;
const started = [];

before(async () => {
	folder = await mkdtemp(join(tmpdir(), "agentwire-persist-"));
	const root = join(folder, "page");
	await cp(new URL("persist-page", import.meta.url), root, { recursive: true });
	await mkdir(join(root, "agentwire"));
	await run("tar", ["-xzf", needed("AGENTWIRE_TARBALL"), "-C", join(root, "agentwire"), "--strip-components", "1"], root);
	served = await site(root);
});

after(async () => {
	for (const browser of started) await browser.kill();
	await served?.close();
	if (folder !== undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

for (const engine of ENGINES) {
	test(`${engine.name}: messages that were typed before the page was connected survive a killed browser, and are stored once and in order`, {
		skip: engine.skip,
	}, async () => {
		const name = newThread();
		const typed = ["message 1: queued", "message 2: queued"];
		const first = await browserOf(engine, "killed");
		const page = await pageOf(first, name);
		await page.click("#send");
		await page.click("#send");
		await shows(page, "#outbox li", typed);
		await kept(page, 2);
		const beside = await pageOf(first, name);
		await shows(beside, "#outbox li", []);
		await first.kill();

		const second = await browserOf(engine, "killed");
		const next = await pageOf(second, name);
		await shows(next, "#outbox li", typed);
		await shows(next, "#events li", []);
		await next.click("#connect");
		await shows(next, "#events li", ["message 1", "message 2"]);
		await shows(next, "#outbox li", []);
		await kept(next, 0);
		assert.deepEqual(await messages(name), ["message 1", "message 2"]);
		assert.deepEqual(second.wrong, []);
		await second.kill();
	});
}

test("the message of a tab that was closed is taken over by one that starts, and of two tabs one has it", async () => {
	const [engine] = ENGINES;
	const name = newThread();
	const browser = await browserOf(engine, "tabs");
	const closed = await pageOf(browser, name);
	await closed.click("#send");
	await kept(closed, 1);
	await closed.close();
	const tab = await pageOf(browser, name);
	await shows(tab, "#outbox li", ["message 1: queued"]);
	// While no other tab is there: one that looks for messages in the moment of a reload may take them.
	await tab.reload();
	await shows(tab, "#outbox li", ["message 1: queued"]);
	const other = await pageOf(browser, name);
	await other.click("#connect");
	await shows(other, "#state", ["connected"]);
	await shows(other, "#outbox li", []);
	await tab.click("#connect");
	for (const page of [tab, other]) await shows(page, "#events li", ["message 1"]);
	await shows(tab, "#outbox li", []);
	assert.deepEqual(await messages(name), ["message 1"]);
	assert.deepEqual(browser.wrong, []);
	await browser.kill();
});

/** Starts a browser that keeps its data in the folder `name`. */
async function browserOf(engine, name) {
	const browser = await engine.start(join(folder, `${engine.name}-${name}`));
	started.push(browser);
	return browser;
}

/** Opens the page of a thread. */
const pageOf = (browser, thread) => browser.page(`${served.address}?${new URLSearchParams({ server: websocket, thread })}`);

/** Waits until what `selector` finds in the page has these texts. */
async function shows(page, selector, texts) {
	const found = await page.run(
		({ selector, texts, patience }) =>
			new Promise((resolve) => {
				const look = () => {
					const shown = [...document.querySelectorAll(selector)].map(({ textContent }) => textContent);
					if (shown.join() === texts.join()) resolve(shown);
					return shown;
				};
				new MutationObserver(look).observe(document, { childList: true, characterData: true, subtree: true });
				setTimeout(() => resolve(look()), patience);
				look();
			}),
		{ selector, texts, patience: PATIENCE },
	);
	assert.deepEqual(found, texts, selector);
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
	let found = await page.run(rows);
	// Each look is a transaction behind those of the page: none is made for nothing.
	while (found !== count && Date.now() < end) found = await page.run(rows);
	assert.equal(found, count);
}

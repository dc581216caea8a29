// The quick start as its README says it: its server, and its page in a browser.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { complaints, launch, needed } from "../page/browser.js";
import { LISTENING, said } from "../page/program.js";
import { frameworks } from "./frameworks.js";

/** How long the page may take for each step, in milliseconds. */
const PATIENCE = 20_000;

let folder, server, address, browser;

before(async () => {
	folder = await mkdtemp(join(tmpdir(), "agentwire-quick-start-"));
	server = spawn(needed("AGENTWIRE_QUICK_START"), ["127.0.0.1:0"], { cwd: folder });
	address = await said(server, LISTENING);
	browser = await launch();
});

after(async () => {
	await browser?.close();
	server?.kill();
	if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

test("the page prints the events of an answer, and again after a reload", async () => {
	const page = await browser.newPage();
	const wrong = complaints(page);
	await page.goto(address);
	await page.locator("#text").fill("good morning");
	await page.locator("#form button").click();
	const events = await printed(page);
	assert.deepEqual(
		events.map(({ type }) => type),
		["user_message", "agent_started", "message_delta", "message_delta", "message_completed", "agent_completed"],
	);
	assert.deepEqual(
		events.filter(({ type }) => type === "message_delta").map(({ text }) => text),
		["good ", "morning"],
	);
	await page.reload();
	assert.deepEqual(await printed(page), events);
	assert.equal(await page.locator("#state").textContent(), "connected");
	assert.deepEqual(wrong, []);
});

// They talk in a thread of the same server, after the page above.
frameworks(() => ({ address, browser, folder }));

/** Waits for the end of the run and resolves with the events that `page` shows; their offsets must be 1, 2, 3 and so on. */
async function printed(page) {
	await page.locator("#events").filter({ hasText: '"agent_completed"' }).waitFor({ timeout: PATIENCE });
	const lines = [...(await page.locator("#events").textContent()).matchAll(/^(\d+) (?:live|replay) (.*)$/gm)];
	assert.deepEqual(
		lines.map(([, offset]) => Number(offset)),
		lines.map((_, index) => index + 1),
	);
	return lines.map(([, , event]) => JSON.parse(event));
}

// A line that takes nothing, in a real browser: its `bufferedAmount`, and what need not wait for it (SND-22).
import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { complaints, launch, needed } from "../page/browser.js";
import { run, site } from "./asked.js";
import { rawServer } from "./raw-server.js";

/** How long each step may take, in milliseconds. */
const PATIENCE = 20_000;
/** More than the buffers of two systems take on the loopback, which can be several megabytes each. */
const MESSAGES = 24;
const SIZE = 1_000_000;

let folder, served, server, browser;

before(async () => {
	folder = await mkdtemp(join(tmpdir(), "agentwire-slow-"));
	await cp(new URL("slow-page", import.meta.url), folder, { recursive: true });
	await mkdir(join(folder, "agentwire"));
	await run("tar", ["-xzf", needed("AGENTWIRE_TARBALL"), "-C", join(folder, "agentwire"), "--strip-components", "1"], folder);
	served = await site(folder);
	server = await rawServer();
	browser = await launch();
});

after(async () => {
	await browser?.close();
	await server?.close();
	await served?.close();
	if (folder !== undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

// PROTOCOL: SND-22, SND-4
test("an approval overtakes the large messages that a stalled line has no room for, and all of them arrive in their order", async () => {
	const page = await browser.newPage();
	const wrong = complaints(page);
	await page.goto(`${served.address}?${new URLSearchParams({ server: server.address, count: MESSAGES, size: SIZE })}`);
	await page.locator("#state").filter({ hasText: "connected" }).waitFor({ timeout: PATIENCE });
	server.stopReading();
	await page.locator("#fill").click();
	// The first are written into the buffers of the system; then the browser's own fills up.
	const waiting = Number(await page.locator("#waiting").textContent());
	assert.ok(waiting > 0 && waiting < MESSAGES, `${waiting} of ${MESSAGES} messages wait`);
	await page.locator("#approve").click();
	server.goOn();
	await server.received(MESSAGES + 1, AbortSignal.timeout(PATIENCE)).catch((error) => assert.fail(`${server.frames}: ${error.message} ${wrong}`));
	const approved = server.frames.indexOf("approve");
	assert.ok(approved < MESSAGES, `the approval came last: ${server.frames}`);
	assert.deepEqual(
		server.frames.filter((frame) => frame !== "approve"),
		Array.from({ length: MESSAGES }, (_, index) => `m${index + 1}`),
	);
	assert.deepEqual(wrong, []);
});

// What the tests have in common: a page or program asks, and what it got is compared with the server's log.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { promisify } from "node:util";
import { complaints, needed } from "../page/browser.js";
import { serve, token } from "./serve.js";

/** How long an answer may take to arrive, in milliseconds. */
const ANSWER = 20_000;

export const websocket = needed("AGENTWIRE_TEST_WS");
const chat = new URL("/", websocket.replace(/^ws/, "http")).href;

/** A thread that nobody knows yet. */
export const newThread = () => `packaging-${randomUUID()}`;

export const aToken = () => token(chat);

/** Serves the folder `root`, with tokens of the chat server. */
export const site = (root) => serve(root, chat);

/** The contents of the messages that the log has of the thread `name`. */
export async function messages(name) {
	const { events } = await log(name);
	return events.filter(({ type }) => type === "user_message").map(({ content }) => content);
}

async function log(name) {
	const response = await fetch(`${chat}v1/threads/${name}/events?from=1&limit=1000`, { headers: { authorization: `Bearer ${await aToken()}` } });
	assert.equal(response.status, 200);
	return response.json();
}

/** What the log says that everybody must have got of the thread `name`. */
export async function expected(name) {
	const { head, events } = await log(name);
	assert.ok(head > 5, `the log has only ${head} events`);
	const text = events
		.filter(({ type }) => type === "message_delta")
		.map((event) => event.text)
		.join("");
	assert.notEqual(text, "");
	return { events: head, last: events.at(-1).type, text };
}

/** Opens the page in `root`, which asks by itself, and compares what it shows with the server's log. */
export async function asks(browser, root) {
	const served = await site(root);
	try {
		await asksAt(browser, served.address);
	} finally {
		await served.close();
	}
}

/** The same with a page that somebody else serves. */
export async function asksAt(browser, address) {
	const name = newThread();
	const page = await browser.newPage();
	const wrong = complaints(page);
	// A server that is not ours has no tokens.
	await page.route("**/token", async (route) => route.fulfill({ body: await aToken() }));
	try {
		await page.goto(addressOf(address, name));
		await page
			.getByText(/events, last agent_completed$/)
			.waitFor({ timeout: ANSWER })
			.catch(async (error) => {
				assert.fail(`the answer did not end: the page shows “${await page.locator("body").innerText()}” (${[error.message, ...wrong].join("; ")})`);
			});
		const { events, last, text } = await expected(name);
		assert.equal(await page.locator("#events").innerText(), `${events} events, last ${last}`);
		assert.equal(await page.locator("#answer").textContent(), text);
		assert.deepEqual(wrong, []);
	} finally {
		await page.close();
	}
}

/** Opens the page in `root` and resolves with the errors that it shows and the .wasm files that it asked for. */
export async function fails(browser, root) {
	const served = await site(root);
	const page = await browser.newPage();
	const asked = [];
	page.on("request", (request) => {
		if (request.url().endsWith(".wasm")) asked.push(new URL(request.url()).pathname);
	});
	try {
		await page.goto(addressOf(served.address, newThread()));
		await page
			.locator("#errors")
			.filter({ hasText: '"state":"failed"' })
			.waitFor({ timeout: ANSWER })
			.catch(async (error) => {
				assert.fail(`the page did not fail for good; it shows “${await page.locator("body").innerText()}” (${error.message})`);
			});
		const errors = (await page.locator("#errors").innerText())
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line));
		return { errors, asked };
	} finally {
		await page.close();
		await served.close();
	}
}

function addressOf(address, name) {
	return `${address}?${new URLSearchParams({ server: websocket, thread: name })}`;
}

/** Runs a program to its end and resolves with what it said; a failure has that too. */
export async function run(program, args, cwd, env = {}) {
	try {
		const { stdout, stderr } = await promisify(execFile)(program, args, { cwd, env: { ...process.env, ...env }, shell: process.platform === "win32" });
		return stdout + stderr;
	} catch (error) {
		return assert.fail(`${program} ${args[0]} ${args[1] ?? ""} failed\n${error.stdout ?? ""}${error.stderr ?? error.message}`);
	}
}

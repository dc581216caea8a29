// `cargo xtask demo`, started and stopped as a person does it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { needed } from "./browser.js";

/** What the agent answers about: the same few files everywhere, so that answers are of one length. */
const FOLDER = fileURLToPath(new URL("../../examples/agent-chat/fixtures", import.meta.url));

/** How long the demo may take to serve, in milliseconds: it may have to build first. */
const START = 180_000;
/** How long it may take to stop. */
const STOP = 20_000;

/** Starts the demo with an empty log. */
export async function start() {
	const folder = await mkdtemp(join(tmpdir(), "agentwire-page-"));
	const args = ["demo", "--port", String(await freePort()), "--log", join(folder, "log.sqlite"), "--folder", FOLDER];
	const child = spawn(needed("AGENTWIRE_XTASK"), args, { stdio: ["ignore", "pipe", "pipe"] });
	const ended = once(child, "exit");
	let output = "";
	const address = new Promise((resolve) => {
		for (const stream of [child.stdout, child.stderr]) {
			createInterface(stream).on("line", (line) => {
				output += `${line}\n`;
				const served = /^open (http:\/\/[\d.:]+)/.exec(line);
				if (served !== null) resolve(served[1]);
			});
		}
	});
	const failed = ended.then(([code]) => assert.fail(`the demo ended with ${code} before it served:\n${output}`));
	failed.catch(() => {});
	try {
		return { address: await within(START, "the demo to serve", Promise.race([address, failed])), stop, kill };
	} catch (error) {
		await kill();
		throw error;
	}

	/** Stops it as Ctrl-C does; anything but a clean end is an error. */
	async function stop() {
		child.kill("SIGINT");
		const [code, signal] = await within(STOP, "the demo to stop", ended);
		assert.equal(code, 0, `the demo ended with ${code ?? signal}:\n${output}`);
		assert.match(output, /^stopped$/m);
	}

	/** Ends it if it still runs, gently at first as it has a server to end, and removes its log. */
	async function kill() {
		child.kill("SIGINT");
		await within(STOP, "the demo to stop", ended).catch(() => child.kill("SIGKILL"));
		await rm(folder, { recursive: true, force: true });
	}
}

/** A port that is free now; the demo does not take 0. */
async function freePort() {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address();
	server.close();
	await once(server, "close");
	return port;
}

/** Waits for `promise`, but no longer than `ms`. */
async function within(ms, what, promise) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`waited ${ms / 1000} s for ${what}`)), ms);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}

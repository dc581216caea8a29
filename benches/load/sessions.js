/**
 * Sessions of the npm package, each a user of its own with a thread of its own. In each round all of them send a message at once, and
 * wait until the run that answers it has ended. The agent repeats the message word by word (`proof/stand`).
 *
 * usage: node sessions.js --server http://HOST:PORT --secret TEXT --sessions N --rounds R
 *
 * It prints `warm` after the first round, which is not measured, and ends with `found {…}`.
 */
import { createHmac } from "node:crypto";
import { parseArgs } from "node:util";
import { WebSocket } from "./peers.js";

// Node.js has its own from version 22 on; all versions measure with the same one.
globalThis.WebSocket = WebSocket;
const { createClient } = await import("../../pkg/dist/index.js");

const { values: options } = parseArgs({
	options: { server: { type: "string" }, secret: { type: "string" }, sessions: { type: "string" }, rounds: { type: "string" } },
});

const WORDS = 50;
const TYPES = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];
/** How long a round may take. */
const DEADLINE_MS = 45_000;

const faults = [];
let latencies = [];
let firsts = [];
let events = 0;

const now = () => performance.timeOrigin + performance.now();

/** A token of `user` (RFC 7519, HS256). */
function token(user) {
	const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
	const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, exp: 4_000_000_000 })}`;
	return `${signed}.${createHmac("sha256", options.secret).update(signed).digest("base64url")}`;
}

class Session {
	#user;
	#token;
	#client;
	#thread;
	#offset = 0;
	/** The run under way: what was sent when, its events, and whom its end wakes. */
	#run;

	constructor(index) {
		this.#user = `session-${index}`;
		this.#token = token(this.#user);
		this.#client = createClient({ url: `${options.server}/ws`, token: () => this.#token });
		this.#client.on("error", (error) => this.#fault(`${error.code}: ${error.message}`));
		this.#thread = this.#client.thread("runs");
		this.#thread.onGap((gap) => this.#fault(`a gap from ${gap.from}`));
		this.#thread.onEvent((event, meta) => this.#on(event, meta));
	}

	ready() {
		return this.#client.ready();
	}

	/** Sends a message; resolves when its run has ended. */
	async round(number) {
		const content = Array.from({ length: WORDS }, (_, word) => `${this.#user}.${number}.${word}`).join(" ");
		const { promise, resolve } = withResolvers();
		this.#run = { content, sentAt: now(), text: "", types: [], end: resolve };
		this.#thread.send({ content });
		await promise;
		const { types, text } = this.#run;
		const missing = TYPES.filter((type) => !types.includes(type));
		if (missing.length > 0) this.#fault(`the run has no ${missing.join(", ")}`);
		if (text !== content) this.#fault(`the answer is ${JSON.stringify(text)} instead of ${JSON.stringify(content)}`);
	}

	#on(event, { offset }) {
		const at = now();
		events += 1;
		latencies.push(at - event.time);
		if (offset !== this.#offset + 1) this.#fault(`offset ${offset} came after ${this.#offset}`);
		this.#offset = offset;
		const run = this.#run;
		run.types.push(event.type);
		if (event.type === "agent_started") {
			firsts.push(at - run.sentAt);
			run.id = event.runId;
		}
		const isOwn = event.runId === undefined ? event.content === undefined || event.content === run.content : event.runId === run.id;
		if (!isOwn) this.#fault(`a foreign event: ${JSON.stringify(event)}`);
		if (event.type === "message_delta") run.text += event.text;
		if (event.type === "agent_completed") run.end();
	}

	/** Compares the last offset with the server's log, and ends. */
	async close() {
		const response = await fetch(`${options.server}/v1/threads/runs/events?limit=1`, { headers: { authorization: `Bearer ${this.#token}` } });
		const { head } = await response.json();
		if (head !== this.#offset) this.#fault(`${head - this.#offset} events are lost`);
		this.#client.close();
	}

	#fault(what) {
		faults.push(`${this.#user}: ${what}`);
	}
}

/** As `Promise.withResolvers`, which Node.js 20 does not have. */
function withResolvers() {
	let resolve = () => {};
	const promise = new Promise((take) => (resolve = take));
	return { promise, resolve };
}

function percentile(sorted, share) {
	return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

const sessions = Array.from({ length: Number(options.sessions) }, (_, index) => new Session(index));
await Promise.all(sessions.map((session) => session.ready()));
for (let round = 0; round <= Number(options.rounds); round += 1) {
	const late = setTimeout(() => {
		console.error(`round ${round} took longer than ${DEADLINE_MS} ms; ${faults.length} faults, the first: ${faults[0]}`);
		process.exit(1);
	}, DEADLINE_MS);
	await Promise.all(sessions.map((session) => session.round(round)));
	clearTimeout(late);
	console.log(round === 0 ? "warm" : `round ${round}`);
	// The first round begins the streams and compiles the scripts.
	if (round === 0) [latencies, firsts, events] = [[], [], 0];
}
await Promise.all(sessions.map((session) => session.close()));
latencies.sort((a, b) => a - b);
const found = {
	events,
	runs: firsts.length,
	p50Ms: percentile(latencies, 0.5),
	p95Ms: percentile(latencies, 0.95),
	p99Ms: percentile(latencies, 0.99),
	firstMs: Math.max(...firsts),
	faults: faults.slice(0, 5),
};
console.log(`found ${JSON.stringify(found)}`);

// What the product has to do at the least, with real clients: the built npm package, many of them at once, on one bridge.
// `cargo xtask test --only sessions` builds both and runs this.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { createClient } from "../../pkg/dist/index.js";
import { logged, stand, taken } from "./stand.js";

/** The longest time until the server listens, in milliseconds. */
const START = 5_000;

/** The longest time from a message to the first event of its run, with 100 runs at once, in milliseconds. */
const FIRST_EVENT = 1_000;

/** How long one session may take in all, in milliseconds. */
const PATIENCE = 60_000;

const THREAD = "plan";

/** The five events that each run has, in this order. */
const LIFE = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];

let server;

before(async () => {
	// Each run has a turn of its own.
	server = await stand({ max_concurrent_turns: 128 });
});

after(() => server?.stop());

test("the server listens within 5 s", () => {
	assert.ok(server.startedIn < START, `it took ${Math.round(server.startedIn)} ms`);
});

for (const count of [25, 100]) {
	describe(`${count} sessions at once`, { concurrency: false }, () => {
		const sessions = [];
		/** Milliseconds that other programs took: on a busy machine they would be what is measured. */
		let disturbed;

		before(async () => {
			for (let n = 0; n < count; n += 1) sessions.push(new Session(`${count}-${n}`));
			await Promise.all(sessions.map((session) => session.ready()));
			const before = await taken([process.pid, server.pid]);
			const asked = Promise.all(sessions.map((session) => session.ask()));
			await Promise.all(sessions.map((session) => session.started()));
			disturbed = (await taken([process.pid, server.pid], before)).ms;
			await asked;
		});

		after(() => {
			for (const session of sessions) session.close();
		});

		test("no event is lost, repeated or changed", async () => {
			for (const session of sessions) {
				assert.deepEqual(
					session.events.map(({ offset }) => offset),
					session.events.map((_, index) => index + 1),
				);
				const log = await logged(server, session.user, THREAD);
				assert.deepEqual(
					session.events.map(({ event }) => event),
					log,
				);
				assert.deepEqual(session.facts, []);
			}
		});

		test("no event belongs to somebody else", () => {
			for (const session of sessions) {
				const runs = new Set(session.events.filter(({ event }) => event.sendId?.startsWith(session.mark)).map(({ event }) => event.runId));
				for (const { event } of session.events) {
					const marks = JSON.stringify(event).match(/mk-[0-9a-f]{16}/g) ?? [];
					assert.deepEqual([...new Set([session.mark, ...marks])], [session.mark]);
					assert.ok(marks.length > 0 || runs.has(event.runId), `nobody's: ${JSON.stringify(event)}`);
				}
			}
		});

		test("each run has all five events of its life", () => {
			for (const session of sessions) {
				const types = session.events.map(({ event }) => event.type);
				assert.deepEqual(
					types.filter((type) => LIFE.includes(type)),
					LIFE,
				);
				// The answer is whole, and the deltas add up to it.
				const deltas = session.events.filter(({ event }) => event.type === "message_delta").map(({ event }) => event.text);
				const [answer] = session.events.filter(({ event }) => event.type === "message_completed");
				assert.equal(answer.event.content, session.content);
				assert.equal(deltas.join(""), session.content);
			}
		});

		test("the first event of each run comes within 1 s", () => {
			const slowest = Math.max(...sessions.map((session) => session.firstEvent));
			assert.ok(slowest - disturbed < FIRST_EVENT, `the slowest took ${Math.round(slowest)} ms; other programs took ${Math.round(disturbed)} ms`);
		});
	});
}

/** One user with one client. */
class Session {
	user;
	mark = `mk-${randomBytes(8).toString("hex")}`;
	content = `${this.mark} ${this.mark} ${this.mark} words`;
	events = [];
	/** What should not come: gaps, ends, errors. */
	facts = [];
	/** Milliseconds from the message to the first event of its run. */
	firstEvent;

	#client;
	#thread;
	#asked;
	#started = withResolvers();
	#answered = withResolvers();
	#caughtUp = withResolvers();

	constructor(user) {
		this.user = user;
		const url = `${server.address.replace(/^http/, "ws")}/ws`;
		this.#client = createClient({ url, token: () => server.token(user), user });
		this.#client.on("error", (error) => this.facts.push(error));
		this.#thread = this.#client.thread(THREAD);
		this.#thread.onGap((gap) => this.facts.push(gap));
		this.#thread.onEnded((ended) => this.facts.push(ended));
		this.#thread.onResumed(() => this.#caughtUp.resolve());
		this.#thread.onEvent((event, { offset }) => this.#on(event, offset));
	}

	async ready() {
		await within(Promise.all([this.#client.ready(), this.#caughtUp.promise]), `${this.user} was not connected`);
	}

	/** Sends a message and waits for the end of its run. */
	async ask() {
		this.#asked = performance.now();
		const message = this.#thread.send({ type: "user_message", content: this.content, mark: this.mark }, { id: `${this.mark}-1` });
		await within(Promise.all([message.receipt, this.#answered.promise]), `${this.user} got no answer`);
	}

	/** Waits for the first event of the run. */
	async started() {
		await within(this.#started.promise, `${this.user} got no event of a run`);
	}

	close() {
		this.#client.close();
	}

	#on(event, offset) {
		this.events.push({ event, offset });
		if (event.type === "agent_started") {
			this.firstEvent ??= performance.now() - this.#asked;
			this.#started.resolve();
		}
		if (event.type === "agent_completed") this.#answered.resolve();
	}
}

function withResolvers() {
	let resolve;
	const promise = new Promise((settle) => {
		resolve = settle;
	});
	return { promise, resolve };
}

/** What a promise comes to, or an error that says what was waited for. */
async function within(promise, what) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`${what} within ${PATIENCE / 1000} s`)), PATIENCE);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}

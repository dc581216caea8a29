// Compares what pages got and what backends were told with the log of the server.
import { readFile } from "node:fs/promises";

const ENDS = new Set(["agent_completed", "agent_cancelled", "agent_died"]);

/** The events of a thread, as the server has them. */
export async function logged(server, key, thread) {
	const events = [];
	for (;;) {
		const from = events.length + 1;
		const path = `${server}/v1/threads/${encodeURIComponent(thread)}/events?from=${from}&limit=500`;
		const response = await fetch(path, { headers: { authorization: `Bearer ${key}` } });
		if (!response.ok) throw new Error(`the log cannot be read: ${response.status} ${await response.text()}`);
		const page = await response.json();
		events.push(...page.events);
		if (events.length >= page.head || page.events.length === 0) return events;
	}
}

/** The lines of a file of JSON. The last one of a process that was killed can be cut. */
export async function lines(file) {
	const text = await readFile(file, "utf8").catch((error) => {
		if (error.code === "ENOENT") return "";
		throw error;
	});
	const whole = text.slice(0, text.lastIndexOf("\n") + 1);
	return whole
		.split("\n")
		.filter(Boolean)
		.map((line) => JSON.parse(line));
}

/** What is wrong, and what was seen. */
export class Judgement {
	lost = 0;
	duplicated = 0;
	outOfOrder = 0;
	/** Everything else that must not be. */
	wrong = [];
	events = 0;
	runs = 0;
	messages = 0;

	get isGood() {
		return this.lost + this.duplicated + this.outOfOrder === 0 && this.wrong.length === 0;
	}

	/** What one page got, from the start to its end. `isLast`: it was not killed, so it has to have all. */
	page(name, got, log, isLast) {
		const texts = log.map((event) => JSON.stringify(event));
		let next = 1;
		for (const line of got) {
			if (line.offset === undefined) {
				this.wrong.push(`${name}: ${JSON.stringify(line)}`);
				continue;
			}
			if (line.offset < next) this.duplicated += 1;
			else if (line.offset > next) this.lost += line.offset - next;
			if (JSON.stringify(line.event) !== texts[line.offset - 1]) this.wrong.push(`${name}: event ${line.offset} is not that of the log`);
			next = Math.max(next, line.offset + 1);
		}
		if (isLast) this.lost += log.length + 1 - next;
	}

	/** One thread as it is in the log, and the steps of it that backends were told are durable: a set of "run step". */
	thread(name, log, told) {
		this.events += log.length;
		/** The next step of each run, and which runs are over. */
		const [steps, over, claims, messages] = [new Map(), new Set(), new Map(), []];
		for (const event of log) {
			const { type, runId, sendId } = event;
			if (type === "user_message") messages.push(sendId);
			if (runId !== undefined) {
				if (over.has(runId)) this.wrong.push(`${name}: ${type} of ${runId} after its end`);
				if (!steps.has(runId)) steps.set(runId, 0);
			}
			if (type === "agent_started" && sendId !== undefined) claims.set(sendId, [...(claims.get(sendId) ?? []), runId]);
			if (type === "step") {
				const next = steps.get(runId);
				if (event.n < next) this.duplicated += 1;
				else if (event.n > next) this.lost += event.n - next;
				steps.set(runId, Math.max(next, event.n + 1));
				told.delete(`${runId} ${event.n}`);
			}
			if (ENDS.has(type) || (type === "agent_error" && !event.recoverable)) over.add(runId);
		}
		this.runs += steps.size;
		this.messages += messages.length;
		for (const run of steps.keys()) if (!over.has(run)) this.wrong.push(`${name}: ${run} has no end`);
		if (new Set(messages).size !== messages.length) this.wrong.push(`${name}: a message is in the log twice`);
		for (const id of messages) {
			const runs = new Set(claims.get(id));
			if (runs.size !== 1) this.wrong.push(`${name}: message ${id} has ${runs.size} runs`);
		}
		this.#order(log);
	}

	/** The deltas of a message count, too: each comes right before its step. */
	#order(log) {
		const texts = new Map();
		for (const { type, messageId, text } of log) {
			if (type !== "message_delta") continue;
			const next = texts.get(messageId) ?? 0;
			if (Number(text) !== next) this.outOfOrder += 1;
			texts.set(messageId, Number(text) + 1);
		}
	}

	/** Steps that backends were told are durable, and that no thread has. */
	untold(told) {
		this.lost += told.size;
	}
}

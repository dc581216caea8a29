/** Random logs of agents at work: well-formed as the protocol wants them, and damaged in every way that we know. */
import type { Cursor, Entry } from "./conversation.js";
import { eventItem, resumedAt } from "./conversation.js";
import type { Body } from "./log.js";
import type { Gap, ThreadItem } from "./package.js";
import type { Random } from "./seed.js";

interface Working {
	readonly runId: string;
	readonly parent: Working | undefined;
	started: boolean;
	readonly tools: string[];
	readonly messages: string[];
	readonly approvals: string[];
	asked: number;
}

/** Ids that a page may meet. */
const ODD_IDS = ["__proto__", "constructor", "toString", "", " ", "\ud83d", "😀", "0", "length"];
const STRANGE: readonly unknown[] = [null, true, 0, -1, 1e300, "", "x", [], {}, [[]], { length: 3 }, "\udc00", Number.NaN];

/** A log that no rule of the protocol forbids. */
export class Agents {
	readonly log: Body[] = [];
	readonly #random: Random;
	readonly #open: Working[] = [];
	#last = 0;

	constructor(random: Random) {
		this.#random = random;
	}

	/** Ids of the runs that have begun and not ended. */
	get openRuns(): string[] {
		return this.#open.map(({ runId }) => runId);
	}

	/** So many random steps. */
	write(steps: number): void {
		for (let step = 0; step < steps; step += 1) this.#step();
	}

	/** Ends everything. */
	finish(): void {
		for (const run of [...this.#open].reverse()) this.#end(run);
	}

	#id(prefix: string): string {
		this.#last += 1;
		return this.#random.chance(0.02) ? `${this.#random.pick(ODD_IDS)}${this.#last}` : `${prefix}${this.#last}`;
	}

	#put(event: Body): void {
		this.log.push({ time: 1_000 + this.log.length, ...event });
	}

	#step(): void {
		const random = this.#random;
		if (this.#open.length === 0 || random.chance(0.15)) return this.#begin();
		const run = random.pick(this.#open);
		if (!run.started) {
			run.started = true;
			return this.#put({ type: "agent_started", runId: run.runId, agent: "a" });
		}
		const { runId, tools, messages, approvals } = run;
		switch (random.integer(0, 10)) {
			case 0:
				return this.#put({ type: "agent_thinking", runId, text: "Hm", progress: random.integer(0, 100) });
			case 1:
			case 2: {
				const messageId = messages.length > 0 && random.chance(0.8) ? random.pick(messages) : this.#id("m");
				if (!messages.includes(messageId)) messages.push(messageId);
				return this.#put({ type: "message_delta", runId, messageId, text: random.pick(["a", "b ", "\ud83d", "\ude00"]) });
			}
			case 3: {
				const messageId = messages.pop();
				if (messageId === undefined) return this.#put({ type: "agent_response", runId, content: "Yes." });
				return this.#put({ type: "message_completed", runId, messageId, content: "whole" });
			}
			case 4: {
				const toolCallId = random.chance(0.2) ? "again" : this.#id("t");
				if (tools.includes(toolCallId)) return;
				tools.push(toolCallId);
				if (random.chance(0.3)) this.#put({ type: "tool_args_delta", runId, toolCallId, text: "{}" });
				return this.#put({ type: "tool_executing", runId, toolCallId, toolName: random.pick(["search", "read"]), args: { n: 1 } });
			}
			case 5:
			case 6: {
				const [toolCallId] = tools.splice(random.integer(0, Math.max(0, tools.length - 1)), 1);
				if (toolCallId === undefined) return;
				return this.#put({ type: "tool_completed", runId, toolCallId, success: random.chance(0.8), result: random.next() });
			}
			case 7: {
				const approvalId = `a${run.asked}`;
				run.asked += 1;
				approvals.push(approvalId);
				return this.#put({ type: "approval_requested", runId, approvalId, prompt: "?" });
			}
			case 8: {
				const approvalId = approvals.shift();
				if (approvalId === undefined) return;
				return this.#put({ type: "approval_resolved", runId, approvalId, decision: random.pick(["approved", "denied", "expired"]), user: "ada" });
			}
			case 9:
				return this.#put(
					random.pick<Body>([
						{ type: "void" },
						{ type: "invoice_ready", runId },
						{ type: "agent_error", runId, code: "x", severity: "low", recoverable: true },
					]),
				);
			default:
				if (random.chance(0.4)) this.#end(run);
		}
	}

	#begin(): void {
		const random = this.#random;
		const runId = this.#id("r");
		const parent = this.#open.length > 0 && random.chance(0.5) ? random.pick(this.#open) : undefined;
		const sendId = parent === undefined && random.chance(0.8) ? this.#id("s") : undefined;
		if (sendId !== undefined) {
			this.#put({ type: "user_message", content: "Hi", sendId, user: "ada" });
			if (random.chance(0.3)) this.#put({ type: "message_queued", sendId, ahead: 1 });
			if (random.chance(0.1)) this.#put({ type: "message_edited", sendId, content: "Hi again" });
		}
		const of = { runId, ...(sendId === undefined ? {} : { sendId }), ...(parent === undefined ? {} : { parentRunId: parent.runId }) };
		const accepted = random.chance(0.4);
		this.#put(accepted ? { type: "run_accepted", ...of } : { type: "agent_started", agent: "a", ...of });
		this.#open.push({ runId, parent, started: !accepted, tools: [], messages: [], approvals: [], asked: 0 });
	}

	/** Sub-agents end before their parent does. */
	#end(run: Working): void {
		for (const child of this.#open.filter(({ parent }) => parent === run)) this.#end(child);
		this.#open.splice(this.#open.indexOf(run), 1);
		const { runId } = run;
		// What has not started cannot complete.
		const completed = run.started
			? [
					{ type: "agent_completed", runId, summary: "done" },
					{ type: "agent_completed", runId },
				]
			: [];
		this.#put(
			this.#random.pick<Body>([
				...completed,
				{ type: "agent_error", runId, code: "boom", severity: "high", recoverable: false },
				{ type: "agent_cancelled", runId },
				{ type: "agent_died", runId, cause: "restarted" },
			]),
		);
	}
}

/** What a page is given of a log: all of it, in its places. */
export function delivered(log: readonly Entry[], openRuns: readonly string[]): ThreadItem[] {
	const items = log.map((event, index) => eventItem(event, { epoch: "e1", offset: index + 1 }));
	return [...items, { kind: "resumed", resumed: resumedAt({ epoch: "e1", offset: log.length }, { openRuns }) }];
}

/** What a broken server, a lossy log and a confused thread make of it. It ends with the fact that no run is open. */
export function damaged(log: readonly Body[], random: Random): ThreadItem[] {
	const items: ThreadItem[] = [];
	const at: Cursor = { epoch: "e1", offset: 0 };
	let former: Cursor = { ...at };
	for (const event of log) {
		switch (random.integer(0, 24)) {
			case 0:
				continue;
			case 1: {
				const from = at.offset + 1;
				at.offset += random.integer(1, 3);
				items.push({ kind: "gap", gap: gapTo(from, at) });
				break;
			}
			case 2:
				items.push({ kind: "resumed", resumed: resumedAt({ ...at }, random.chance(0.5) ? {} : { openRuns: [String(event["runId"])] }) });
				break;
			case 3:
				// Something came again.
				if (items.length > 0) items.push(random.pick(items));
				break;
			case 4:
				if (random.chance(0.2)) {
					former = { ...at };
					const reason = random.chance(0.3) ? "ahead" : "epoch";
					if (reason === "epoch") at.epoch = `e${random.integer(1, 9)}x${items.length}`;
					at.offset = random.integer(0, 3);
					items.push({ kind: "gap", gap: { ...gapTo(former.offset + 1, at), to: undefined, remedy: "reset", reason, epoch: at.epoch } });
				}
				break;
			case 5:
				// Of another time.
				if (former.offset > 0) items.push(eventItem(event, former));
				break;
			case 6:
				at.offset += 1;
				items.push(eventItem(disfigured(event, random), { ...at }));
				break;
			case 7: {
				// Out of order.
				const other = random.pick(log);
				at.offset += 1;
				items.push(eventItem(other, { ...at }));
				break;
			}
		}
		at.offset += 1;
		items.push(eventItem(event, { ...at }));
	}
	// Above everything that came again from before the log started over.
	items.push({ kind: "resumed", resumed: resumedAt({ ...at, offset: at.offset + 1_000 }, { openRuns: [] }) });
	return items;
}

function gapTo(from: number, { epoch, offset }: Cursor): Gap {
	return { from, to: offset, reason: "trimmed", remedy: "refetch", epoch: undefined, position: { epoch, offset } };
}

/** An event with a field of another type, without a field, or with another's id. */
function disfigured(event: Body, random: Random): Body {
	const names = Object.keys(event);
	const name = random.pick(names);
	if (random.chance(0.3)) return { ...event, [random.pick(["runId", "toolCallId", "parentRunId", "sendId", "messageId", "approvalId"])]: random.pick(ODD_IDS) };
	return Object.fromEntries(names.flatMap((key) => (key !== name ? [[key, event[key]]] : random.chance(0.3) ? [] : [[key, random.pick(STRANGE)]])));
}

/** Begins a run, for a thread or for a message of a user. */
import { randomUUID } from "node:crypto";
import type { Claims } from "../deliver/claims.js";
import type { Message } from "../deliver/types.js";
import { BridgeError } from "../errors.js";
import { type Settings, within } from "../settings.js";
import { Run } from "./run.js";
import type { RunOptions } from "./types.js";
import { withinRun } from "./within.js";

/** Publishes `agent_started`, and with it the claim of the message. Resolves when it is durable. */
export async function start(settings: Settings, claims: Claims, target: string | Message, options: RunOptions): Promise<Run> {
	const { agent, task, parent, runId: id = randomUUID(), deadlineMs } = options;
	if (typeof agent !== "string" || agent === "") throw new BridgeError("bad_option", "give `agent`, the name of the agent");
	const leaseMs = within("leaseMs", options.leaseMs, 30_000, 1_000, 86_400_000);
	const message = typeof target === "string" ? undefined : target;
	const thread = typeof target === "string" ? target : target.thread.key;
	const own = { ...settings, deadlineMs: within("deadlineMs", deadlineMs, settings.deadlineMs, 1, 86_400_000) };
	const run = new Run(own, { id, thread, agent }, async (parent, options, work) =>
		withinRun(await start(own, claims, thread, { ...options, parent }), own, work),
	);
	if (parent instanceof Run) {
		if (parent.thread !== thread) throw new BridgeError("bad_option", "`parent` is a run of another thread");
		// What the parent published before comes first.
		await parent.flush();
		run.follow(parent.signal);
	}
	const sendId = options.sendId ?? message?.sendId;
	const trace = options.traceparent ?? message?.event["traceparent"];
	const parentRunId = typeof parent === "object" ? parent.id : parent;
	if (message !== undefined) await claims.before(message);
	await run.begin(
		{
			type: "agent_started",
			...(sendId === undefined ? {} : { sendId }),
			...(parentRunId === undefined ? {} : { parentRunId }),
			...(task === undefined ? {} : { task }),
			...(trace === undefined ? {} : { traceparent: trace }),
		},
		{ leaseMs, ...(message === undefined ? {} : { claim: { sendId: message.sendId, offset: message.offset, text: message.text } }) },
	);
	if (message !== undefined) claims.made(message);
	return run;
}

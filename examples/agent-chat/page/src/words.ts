/** What the page says, in plain words. */
import type { AgentwireError, ApproveOutcome, CancelOutcome, ConnectionState, EditOutcome, Gap, Resumed, WithdrawOutcome } from "agentwire";
import type { ApprovalPart, LostReason, Run, RunError, RunStatus, ToolPart, UserMessage } from "agentwire/conversation";
import { userMessageOf } from "agentwire/conversation/derived";
import type { Fault, Recovery } from "./timeline.ts";

function codeOf(error: Error | undefined): string | undefined {
	return (error as AgentwireError | undefined)?.code;
}

/** Why a message of the user was not sent, and what helps. */
export function sendFailure(error: Error | undefined): string {
	switch (codeOf(error)) {
		case "message_too_large":
		case "frame_too_large":
			return "It is too long for this server. Shorten it or send it in parts.";
		case "outcome_unknown":
			return "Nobody knows whether it arrived: the server no longer remembers. Look for it above; if it is missing, “Edit” makes a new message of it.";
		case "outbox_full":
			return "Too many messages are waiting already. Try again when some are sent.";
		case "forbidden":
			return "You may not write in this conversation.";
		case "overloaded":
		case "unavailable":
			return "The server can't take it now. Try again in a moment.";
		case "closed":
		case "subject_changed":
			return "The connection was closed before it was sent.";
		case "conflict":
			return "The server has another message under the same id. “Edit” makes a new one of it.";
		case "invalid_message":
			return "The server does not take a message like this.";
		default:
			return error === undefined ? "It was not sent." : `It was not sent: ${error.message}.`;
	}
}

/** Can the same message, under the same id, be sent again and fare better? */
export function canRetry(error: Error | undefined): boolean {
	return !["message_too_large", "frame_too_large", "invalid_message", "forbidden", "conflict", "outcome_unknown"].includes(codeOf(error) ?? "");
}

/** Where a message of the user is, if there is something to say about it. */
export function messageState({ sending, queue, steering, mode, edited }: UserMessage): string | undefined {
	if (sending?.state === "queued") return "Waiting to be sent";
	if (sending?.state === "sending") return "Sending";
	if (sending?.state === "failed") return undefined;
	if (queue?.waiting === true) return queue.ahead > 0 ? `Waits for its turn: ${count(queue.ahead)} before it` : "Waits for its turn";
	if (queue?.reason === "withdrawn") return "Taken back";
	if (queue?.reason === "cancelled") return "Stopped before it was answered";
	if (queue?.reason === "passed") return "Passed over";
	if (steering !== undefined) return steering.taken ? "Taken into the answer" : "For the answer at work";
	if (mode === "interrupt") return "Asked instead";
	return edited ? "Edited" : undefined;
}

/** What became of a message that is taken back, if it needs saying. */
export function withdrawOutcome(outcome: WithdrawOutcome): string | undefined {
	switch (outcome) {
		case "withdrawn":
			return undefined;
		case "already_claimed":
			return "The agent has begun to answer it already.";
		case "unknown_send":
			return "The server no longer knows this message.";
	}
}

/** What became of the new text of a message, if it needs saying. */
export function editOutcome(outcome: EditOutcome): string | undefined {
	switch (outcome) {
		case "accepted":
			return undefined;
		case "withdrawn":
			return "It was taken back before.";
		case "already_claimed":
		case "unknown_send":
			return withdrawOutcome(outcome);
	}
}

/** Why something that a person asked for was not done. */
export function notDone(error: unknown): string {
	return `It was not done: ${error instanceof Error ? error.message : String(error)}.`;
}

/** Why the client has ended for good, and the way out. */
export function failure(error: AgentwireError): { readonly title: string; readonly text: string; readonly action: string } {
	switch (error.code) {
		case "token_rejected":
		case "token_failed":
		case "token_invalid":
			return {
				title: "The server does not accept who you are",
				text: "It refused the token. Get a new one and connect again; nothing you wrote is lost.",
				action: "Get a new token",
			};
		case "forbidden":
			return { title: "You may not connect here", text: "The server knows you and does not let you in.", action: "Try again" };
		case "subject_changed":
			return {
				title: "You are somebody else now",
				text: "The token names another user, so this session was closed and nothing of it was passed on.",
				action: "Start over",
			};
		case "wasm_failed":
			return {
				title: "This browser can't run the client",
				text: "Its WebAssembly module could not be compiled. A policy of the page or of the browser may forbid it.",
				action: "Try again",
			};
		case "frame_too_large":
			return {
				title: "A message was too long for the server",
				text: "It closed the connection because of it. The message was not sent; everything else is kept.",
				action: "Connect again",
			};
		case "unsupported_protocol":
		case "bad_frame":
		case "hello_expected":
			return {
				title: "Page and server do not understand each other",
				text: "They are of different versions. Reload the page; if it stays so, restart the demo.",
				action: "Try again",
			};
		default:
			return { title: "The connection was given up", text: `${sentence(error.message)} ${error.remediation}`, action: "Connect again" };
	}
}

/** The connection in a word or two. `now` counts down to the next attempt. */
export function connection({ name, retryAt }: ConnectionState, now: number): string {
	switch (name) {
		case "connected":
			return "Connected";
		case "idle":
		case "connecting":
			return "Connecting…";
		case "waiting": {
			const seconds = retryAt === undefined ? 0 : Math.ceil((retryAt - now) / 1_000);
			return seconds > 1 ? `Reconnecting in ${seconds} s` : "Reconnecting…";
		}
		case "offline":
			return "Offline";
		case "closed":
			return "Closed";
		case "failed":
			return "Stopped";
	}
}

const LOST: Readonly<Record<LostReason, string>> = {
	absent: "How this answer ended is not known: the server does not know it any more.",
	gap: "How this answer ended is not known: that part of the log is gone.",
	epoch: "How this answer ended is not known: the log began anew.",
	parent_ended: "It had not ended when the answer that it worked for did.",
};

/** How a run came out, when it did not come out well. */
export function runTrouble({ status, error, lost, cancelReason, settledBy }: Run): string | undefined {
	if (status === "lost") return LOST[lost ?? "absent"];
	if (status === "failed") return error === undefined ? "The agent failed." : errorWords(error);
	if (status !== "cancelled") return undefined;
	if (settledBy !== undefined) return "It was stopped with the answer that it worked for.";
	return cancelReason === undefined || cancelReason === "" ? "You stopped it." : `Stopped: ${cancelReason}.`;
}

/** An error of a run, for people. */
export function errorWords(error: RunError): string {
	const { source, code, message } = error;
	if (source === "agent_error") return sentence(message !== undefined && error.userMessage === undefined ? message : userMessageOf(error).value);
	switch (code) {
		case "restarted":
			return "The server was restarted while the agent was at work. What had arrived is kept; the rest of this answer was never made.";
		case "shutdown":
			return "The server was stopped while the agent was at work. What had arrived is kept.";
		case "timeout":
		case "no_heartbeat":
			return "The agent did not answer in time and was ended.";
		case "memory_limit":
			return "The agent needed too much memory and was ended.";
		case "dropped":
		case "panicked":
			return "The agent stopped without a word.";
		default:
			return `The agent stopped without a word (${code}).`;
	}
}

const STATUS: Readonly<Record<RunStatus, string>> = {
	accepted: "About to begin",
	running: "Working",
	waiting_for_approval: "Waits for you",
	completed: "Finished",
	cancelled: "Stopped",
	failed: "Failed",
	lost: "Unknown end",
};

export function runStatus({ status, error }: Pick<Run, "status" | "error">): string {
	const interrupted = status === "failed" && error?.source === "agent_died" && ["restarted", "shutdown"].includes(error.code);
	return interrupted ? "Interrupted" : STATUS[status];
}

/** What an open run is busy with, if it has no thought to show. */
export function activity({ status, activity, openTools }: Pick<Run, "status" | "activity" | "openTools">): string {
	if (status === "accepted") return "About to begin";
	if (openTools > 1) return `Using ${openTools} tools at once`;
	if (openTools === 1) return "Using a tool";
	return activity === "responding" ? "Writing" : "Starting";
}

const RESOLUTIONS = { approved: "Approved", denied: "Denied", expired: "Nobody answered in time" } as const;

/** What became of an approval. */
export function approvalState({ state, decision, user, editedArgs, reason }: ApprovalPart): string | undefined {
	if (state === "open") return undefined;
	if (decision === undefined) return "The answer came to an end before anybody decided.";
	const by = user === undefined ? "" : ` by ${user}`;
	const how = editedArgs === undefined ? "" : ", with changes";
	return `${RESOLUTIONS[decision]}${by}${how}${reason === undefined || reason === "" ? "." : `: “${reason}”`}`;
}

/** What an answer to an approval came to, if it needs saying. */
export function approveOutcome({ status, decision, by }: ApproveOutcome): string | undefined {
	switch (status) {
		case "accepted":
			return undefined;
		case "already_resolved":
			return `It was decided before${decision === undefined ? "" : `: ${RESOLUTIONS[decision].toLowerCase()}`}${by === undefined ? "" : ` by ${by}`}.`;
		case "run_over":
			return "The answer that asked is over.";
		case "unknown_approval":
			return "The server no longer knows this question.";
	}
}

/** Who is typing. `self` is this user, on another page. */
export function typingWords(users: readonly string[], self: string): string {
	const others = users.filter((user) => user !== self);
	if (others.length === 0) return users.length === 0 ? "" : "You are typing on another page";
	if (others.length === 1) return `${others[0]} is typing`;
	return others.length === 2 ? `${others[0]} and ${others[1]} are typing` : `${count(others.length)} people are typing`;
}

export function toolState({ state }: ToolPart): string {
	switch (state) {
		case "pending":
			return "about to run";
		case "running":
			return "running";
		case "completed":
			return "completed";
		case "failed":
			return "failed";
		case "orphaned":
			return "orphaned: its run ended first";
	}
}

/** What an answer to "stop" means, if it needs saying. */
export function cancelOutcome(outcome: CancelOutcome): string | undefined {
	switch (outcome) {
		case "cancelled":
			return undefined;
		case "already_finished":
			return "It had finished already.";
		case "unknown_run":
			return "The server no longer knows this run.";
		case "unknown_send":
			return "The server no longer knows this message.";
	}
}

/** The end of a catch-up. */
export function resumeResult({ recovered, from, to, replayed, duplicatesDropped, gap }: Resumed): string {
	if (!recovered && gap !== undefined) return lossWords(gap);
	const dropped = duplicatesDropped === 0 ? "" : `, ${plural(duplicatesDropped, "duplicate")} dropped`;
	if (replayed === 0) return `Caught up at offset ${count(to)}: nothing was missing${dropped}.`;
	const first = Math.max(1, from);
	const which = first >= to ? `offset ${count(to)} was` : `offsets ${count(first)} to ${count(to)} were`;
	return `Caught up: ${which} replayed${dropped}; nothing is missing.`;
}

/** A gap that the server declared. */
function lossWords({ from, to, reason, remedy }: Gap): string {
	return remedy === "reset" ? RESET_WORDS : gapWords({ offset: from, to, reason });
}

export const RESET_WORDS = "The log of this conversation began anew. What was shown before is gone; what you see is all there is.";

/** Offsets that will never come. */
export function gapWords({ offset, to, reason }: { readonly offset: number; readonly to: number | undefined; readonly reason: string }): string {
	const why = reason === "trimmed" ? "the server no longer keeps them" : reason === "forbidden" ? "you may no longer see them" : reason;
	return `Offsets ${count(offset)} to ${to === undefined ? "the end" : count(to)} will never come: ${why}.`;
}

const AFTER: Readonly<Record<Fault, string>> = {
	cut: "After the cut",
	cuts: "After the cuts",
	freeze: "After the freeze was noticed",
	restart: "After the restart",
	offline: "After being offline",
	renewal: "After the new token",
	expiry: "After the token had expired",
};

/** How the page came back from the last fault. */
export function recoveryWords(recovery: Recovery | undefined): string {
	if (recovery === undefined) return "None yet. “Break it” makes one.";
	const { fault, firstEventMs, caughtUpMs } = recovery;
	const what = fault === undefined ? "The connection was lost" : AFTER[fault];
	if (caughtUpMs === undefined) return firstEventMs === undefined ? `${what}: coming back…` : `${what}: first event after ${span(firstEventMs)}, catching up…`;
	const first = firstEventMs === undefined ? "" : `first event after ${span(firstEventMs)}, `;
	return `${what}: ${first}caught up after ${span(caughtUpMs)}.`;
}

/** What a tool found, in a few words. */
export function resultWords({ state, result, error }: ToolPart): string | undefined {
	if (state === "failed") return error;
	if (typeof result !== "object" || result === null) return typeof result === "string" || typeof result === "number" ? String(result).slice(0, 40) : undefined;
	const fields = result as Readonly<Record<string, unknown>>;
	const { total, totalFiles, truncated } = fields;
	const more = truncated === true ? "+" : "";
	if (typeof total === "number") return `${count(total)} in all`;
	if (typeof totalFiles === "number") return plural(totalFiles, "file");
	for (const [name, value] of Object.entries(fields)) {
		if (Array.isArray(value)) return `${count(value.length)}${more} ${value.length === 1 ? name.replace(/(?<=ch)es$|s$/, "") : name}`;
	}
	return undefined;
}

/** A time span, short: `340 ms`, `2.4 s`, `3 min 5 s`. */
export function span(ms: number): string {
	if (ms < 1_000) return `${Math.round(ms)} ms`;
	if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
	return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}

/** How long ago, roughly. */
export function ago(ms: number): string {
	if (ms < 5_000) return "just now";
	if (ms < 60_000) return `${Math.floor(ms / 1_000)} s ago`;
	return `${Math.floor(ms / 60_000)} min ago`;
}

export function plural(number: number, noun: string): string {
	return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

const NUMBERS = new Intl.NumberFormat("en");

export function count(number: number): string {
	return NUMBERS.format(number);
}

function sentence(text: string): string {
	const trimmed = text.trim();
	const begun = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
	return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

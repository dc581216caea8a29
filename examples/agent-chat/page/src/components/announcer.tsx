/** Tells screen readers what happens: sentences that are finished and states that changed, never single words. */
import type { StateName } from "agentwire";
import { type Conversation, runOf } from "agentwire/conversation";
import { useConnection, useThread } from "agentwire/react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { isOpen } from "../runs.ts";
import { approvalState, errorWords, messageState, runStatus, runTrouble } from "../words.ts";

/** Time between two announcements, so that one is heard before the next. */
const PAUSE_MS = 1_200;
/** Messages whose way is told. */
const RECENT = 20;

export function Announcer(): ReactNode {
	const { subscribe, getSnapshot } = useThread();
	const connection = useConnection(({ state }) => state.name);
	const [text, setText] = useState("");
	const queue = useRef<string[]>([]);
	const was = useRef<StateName>(connection);

	useEffect(() => {
		const timer = setInterval(() => {
			const next = queue.current.splice(0).join(" ");
			if (next !== "") setText(next);
		}, PAUSE_MS);
		return () => clearInterval(timer);
	}, []);
	useEffect(() => {
		let former = getSnapshot().conversation;
		const spoken = new Map<string, number>();
		return subscribe(() => {
			const { conversation, caughtUp } = getSnapshot();
			// What was there before the reader came is read by going through it.
			if (caughtUp) queue.current.push(...news(former, conversation, spoken));
			former = conversation;
		});
	}, [subscribe, getSnapshot]);
	useEffect(() => {
		if (connection === was.current) return;
		if (connection === "connected") queue.current.push("Connected.");
		else if (was.current === "connected") queue.current.push(connection === "offline" ? "Offline." : "Connection lost, coming back.");
		was.current = connection;
	}, [connection]);
	return (
		<div className="sr-only" aria-live="polite" data-testid="announcer">
			{text}
		</div>
	);
}

/** What is to be said about the step from one state to the next. */
function news(former: Conversation, next: Conversation, spoken: Map<string, number>): readonly string[] {
	if (former === next) return [];
	const said: string[] = [];
	for (const run of next.runs) {
		const before = runOf(former, run.runId);
		if (before === run || run.parentRunId !== undefined) continue;
		if (before === undefined) said.push("The agent is working.");
		for (const part of run.parts) {
			const was = before?.parts.find(({ key }) => key === part.key);
			if (part.kind === "error" && was === undefined) said.push(errorWords(part.error));
			if (part.kind === "approval" && part !== was) said.push(approvalState(part) ?? `The agent asks for your approval: ${plain(part.prompt)}`);
			if (part.kind !== "message") continue;
			const key = `${run.runId} ${part.key}`;
			// What was there before the reader came is not said again with the next word.
			const from = spoken.get(key) ?? (was?.kind === "message" ? sentencesEnd(was.text) : 0);
			const to = part.state === "streaming" ? sentencesEnd(part.text) : part.text.length;
			if (to <= from) continue;
			spoken.set(key, to);
			said.push(plain(part.text.slice(from, to)));
		}
		if (before?.status !== run.status && !isOpen(run)) said.push(runTrouble(run) ?? `${runStatus(run)}.`);
	}
	// Only what is new can change: what is older was answered.
	const messages = former.items === next.items ? [] : next.items.slice(-RECENT).filter((item) => item.kind === "user_message");
	for (const message of messages) {
		const words = messageState(message);
		const was = former.items.find(({ key }) => key === message.key);
		if (words !== undefined && was !== message && (was?.kind !== "user_message" || messageState(was) !== words)) said.push(`Your message: ${words}.`);
	}
	return said;
}

/** Where the last finished sentence or line ends. */
function sentencesEnd(text: string): number {
	const line = text.lastIndexOf("\n") + 1;
	const rest = [...text.slice(line).matchAll(/[.!?](?=\s)/g)].at(-1);
	return rest === undefined ? line : line + rest.index + 1;
}

/** Markdown without its marks. */
function plain(text: string): string {
	return text
		.replace(/^\s*\|?[\s:|-]+\|\s*$/gm, "")
		.replace(/[`*_#>|]+/g, " ")
		.replace(/\s+/g, " ")
		.trim();
}

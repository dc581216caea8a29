/** Tells screen readers what happens: sentences that are finished and states that changed, never single words. */

import type { StateName } from "agentwire";
import { type ReactNode, useEffect, useRef, useState } from "react";
import type { Conversation } from "../fold.ts";
import { runStatus, runTrouble } from "../words.ts";
import { useRoom, useSession, useStore } from "./hooks.ts";

/** Time between two announcements, so that one is heard before the next. */
const PAUSE_MS = 1_200;

export function Announcer(): ReactNode {
	const room = useRoom();
	const session = useSession();
	const { connection } = useStore(session.status);
	const [text, setText] = useState("");
	const queue = useRef<string[]>([]);
	const was = useRef<StateName>(connection.name);

	useEffect(() => {
		const timer = setInterval(() => {
			const next = queue.current.splice(0).join(" ");
			if (next !== "") setText(next);
		}, PAUSE_MS);
		return () => clearInterval(timer);
	}, []);
	useEffect(() => {
		let former = room.view.get().conversation;
		const spoken = new Map<string, number>();
		return room.view.subscribe(() => {
			const { conversation, loaded } = room.view.get();
			// What was there before the reader came is read by going through it.
			if (loaded) queue.current.push(...news(former, conversation, spoken));
			former = conversation;
		});
	}, [room]);
	useEffect(() => {
		const { name } = connection;
		if (name === was.current) return;
		if (name === "connected") queue.current.push("Connected.");
		else if (was.current === "connected") queue.current.push(name === "offline" ? "Offline." : "Connection lost, coming back.");
		was.current = name;
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
	for (const run of next.runs.values()) {
		const before = former.runs.get(run.runId);
		if (before === run || run.parentRunId !== undefined) continue;
		if (before === undefined) said.push("The agent is working.");
		for (const part of run.parts) {
			if (part.kind !== "message") continue;
			const from = spoken.get(part.id) ?? 0;
			const to = part.state === "streaming" ? sentencesEnd(part.text) : part.text.length;
			if (to <= from) continue;
			spoken.set(part.id, to);
			said.push(plain(part.text.slice(from, to)));
		}
		if (before?.status !== run.status && run.status !== "running") said.push(run.trouble === undefined ? `${runStatus(run)}.` : runTrouble(run.trouble));
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

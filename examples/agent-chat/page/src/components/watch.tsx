/** Keeps what lasts as long as the page in step with the client: the timeline, and the list of conversations by the inbox. */
import type { EventMeta, EventOf } from "agentwire";
import { useClient } from "agentwire/react";
import { useEffect } from "react";
import type { Session } from "../session.ts";
import { useEntries, useSession, useShown } from "./hooks.tsx";

/** How far back the inbox is read. */
const INBOX_EVENTS = 500;

export function Watch(): null {
	const client = useClient();
	const session = useSession();
	useEffect(() => {
		session.connection(client.state.name);
		return client.on("state", ({ to }) => session.connection(to));
	}, [client, session]);
	useEffect(
		() =>
			client.on("error", (error) => {
				// What is wrong with the connection is in the banner. Anything else is a mistake, or about the browser's storage.
				if (error !== client.lastError) reportError(error);
			}),
		[client],
	);
	useEffect(() => {
		const inbox = client.inbox({ from: { last: INBOX_EVENTS } });
		inbox.on("thread_changed", (event, meta) => threadChanged(session, event, meta));
		inbox.onGap(({ remedy }) => {
			if (remedy === "reset") session.threads.forgetOffsets();
		});
		return () => inbox.close();
	}, [client, session]);
	useReading(session);
	return null;
}

function threadChanged({ threads, logs }: Session, { thread, time }: EventOf<"thread_changed">, { offset, delivery }: EventMeta): void {
	const unknown = threads.changed(thread, offset, time);
	// A conversation from another browser has no title here. Without an answer, it gets its title when it is opened.
	if (unknown)
		logs.firstQuestion(thread).then(
			(question) => {
				if (question !== undefined) threads.asked(thread, question, Date.now());
			},
			() => undefined,
		);
	// In a new browser the past is not news.
	if (threads.blank && delivery === "replay") threads.read(thread);
}

/** What is on screen is read, unless nobody can see it. */
function useReading({ threads }: Session): void {
	const shown = useShown();
	const entries = useEntries();
	// biome-ignore lint/correctness/useExhaustiveDependencies: each change of the list may bring something to read
	useEffect(() => {
		const read = (): void => {
			if (document.visibilityState === "visible") threads.read(shown);
		};
		read();
		document.addEventListener("visibilitychange", read);
		return () => document.removeEventListener("visibilitychange", read);
	}, [threads, shown, entries]);
}

/** Who is typing in the conversation that is shown. */
import { useClient, useThread } from "agentwire/react";
import { type Typing, typing } from "agentwire/typing";
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { useIsOver } from "./hooks.tsx";

const NOBODY: readonly string[] = [];
const never = (): (() => void) => () => undefined;
const nobody = (): readonly string[] => NOBODY;

export interface TypingView {
	/** The users that are typing on other pages. */
	readonly users: readonly string[];
	/** This page is typing: call it with each change. */
	readonly start: () => void;
}

export function useTyping(): TypingView {
	const client = useClient();
	const shared = useThread();
	const isOver = useIsOver();
	const [who, setWho] = useState<Typing>();
	useEffect(() => {
		if (isOver) return undefined;
		const made = typing(client, shared.thread);
		setWho(made);
		return () => {
			setWho(undefined);
			made.dispose();
		};
	}, [client, shared, isOver]);
	const users = useSyncExternalStore(who?.subscribe ?? never, who?.getSnapshot ?? nobody);
	return { users, start: useCallback(() => who?.start(), [who]) };
}

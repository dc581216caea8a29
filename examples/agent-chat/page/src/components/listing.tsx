/** Lists the conversation that is shown, with its first question as its title. */
import type { Snapshot } from "agentwire/conversation";
import { useConversation, useThread } from "agentwire/react";
import { useEffect } from "react";
import { useSession } from "./hooks.tsx";

export function Listing(): null {
	const { threads } = useSession();
	const { name } = useThread();
	const first = useConversation(undefined, undefined, firstQuestion);
	useEffect(() => {
		if (first.content !== undefined) threads.asked(name, first.content, first.time);
	}, [threads, name, first]);
	return null;
}

function firstQuestion({ items }: Snapshot): { readonly content: string | undefined; readonly time: number } {
	const first = items.find((item) => item.kind === "user_message");
	return { content: first?.content, time: first?.time ?? 0 };
}

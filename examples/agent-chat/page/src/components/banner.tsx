/** Says in plain words what is wrong with the connection, and what the way out is. */
import type { AgentwireError, Notice } from "agentwire";
import { useClient, useConnection } from "agentwire/react";
import { type ReactNode, useEffect, useState } from "react";
import { failure as failureWords } from "../words.ts";
import { useNow, useSession } from "./hooks.tsx";
import { Icon } from "./icons.tsx";

/** Shorter losses are shown by the state in the header alone. */
const PATIENCE_MS = 4_000;

export function Banner(): ReactNode {
	const { timeline, startOver } = useSession();
	const { state, lastError, reconnect } = useConnection();
	const notice = useNotice();
	const failure = state.name === "failed" ? lastError : undefined;
	const away = state.name !== "connected" && failure === undefined;
	const now = useNow(away ? 500 : undefined);
	const lostAt = timeline.spans.findLast(({ name }, index, spans) => name !== "connected" && (index === 0 || spans[index - 1]?.name === "connected"))?.since;
	if (failure !== undefined) {
		const { title, text, action } = failureWords(failure);
		// A client stays the one of its user.
		const again = failure.code === "subject_changed" ? startOver : reconnect;
		return (
			<div className="banner bad" role="alert" data-testid="failure">
				<Icon name="alert" />
				<div>
					<strong>{title}</strong>
					<p>{text}</p>
				</div>
				<button type="button" className="primary" onClick={again}>
					{action}
				</button>
			</div>
		);
	}
	if (away && lostAt !== undefined && now - lostAt > PATIENCE_MS) {
		const [title, text] = awayWords(state.name === "offline", !timeline.wasConnected, isUnreachable(lastError) ? undefined : lastError?.code);
		return (
			<div className="banner" role="status" data-testid="away">
				<Icon name="offline" />
				<div>
					<strong>{title}</strong>
					<p>{text}</p>
				</div>
			</div>
		);
	}
	if (notice !== undefined && notice.level !== undefined && notice.level !== "info" && notice.message !== undefined) {
		return (
			<div className="banner" role="status">
				<Icon name="alert" />
				<div>
					<p>{notice.message}</p>
				</div>
			</div>
		);
	}
	return null;
}

/** What the server said last to people. */
function useNotice(): Notice | undefined {
	const client = useClient();
	const [notice, setNotice] = useState<Notice>();
	useEffect(() => client.on("notice", setNotice), [client]);
	return notice;
}

/** A token that could not even be asked for is not the token's fault: `fetch` throws a `TypeError` without a network. */
function isUnreachable(trouble: AgentwireError | undefined): boolean {
	return trouble?.cause instanceof TypeError;
}

function awayWords(offline: boolean, never: boolean, code: string | undefined): readonly [string, string] {
	if (offline) return ["You are offline", "What you write waits here and is sent when the network is back. Nothing that the agent says meanwhile is lost."];
	if (code === "token_failed" || code === "token_timeout") return ["The server gives no token", "It is asked again by itself. What you write waits here."];
	if (code === "wasm_unavailable") return ["A part of this page could not be loaded", "It is tried again by itself."];
	if (never) return ["The server can’t be reached", "Is “cargo xtask demo” running? It is tried again by itself."];
	return ["The server can’t be reached", "It is tried again by itself. What you write waits here, and what the agent says meanwhile is caught up."];
}

/** Events and what is shown of them, for the tests of the frameworks. */
import type { Item } from "../../src/conversation.js";

type Event = { readonly type: string; readonly [field: string]: unknown };

export const started = (runId = "r1"): Event => ({ type: "agent_started", runId, agent: "a" });
export const delta = (text: string, runId = "r1"): Event => ({ type: "message_delta", runId, messageId: "m1", text });
export const said = (content: string): Event => ({ type: "user_message", content, user: "bob" });

/** The items in a line. */
export function textOf(items: readonly Item[]): string {
	return items.map((item) => (item.kind === "user_message" ? item.content : item.kind === "run" ? item.runId : item.kind)).join(",");
}

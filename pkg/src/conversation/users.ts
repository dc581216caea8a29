/** Messages of users, and their way through the queue. */
import type { Draft } from "./draft.js";
import type { UserMessage } from "./model.js";
import { amount, type Body, id, list, object, text, word } from "./read.js";

/** Key of the message of a send, also before its event has come. */
export function messageKey(sendId: string): string {
	return `message:${sendId}`;
}

/** The item of a message with these fields. */
export function messageOf(body: Body, key: string, offset: number | undefined): UserMessage {
	return {
		kind: "user_message",
		key,
		offset,
		time: amount(body["time"]),
		content: text(body["content"]) ?? "",
		sendId: id(body["sendId"]),
		user: text(body["user"]),
		mode: word(body["mode"], "interrupt", "steer"),
		references: list(body["references"]),
		metadata: object(body["metadata"]),
		edited: false,
	};
}

export function userMessage(draft: Draft, body: Body): void {
	const { offset } = draft;
	if (text(body["content"]) === undefined) draft.invalid("content");
	const sendId = id(body["sendId"]);
	// Two users may choose one id.
	const isFirst = sendId !== undefined && !draft.lookup.sends.has(sendId);
	draft.addItem(messageOf(body, isFirst ? messageKey(sendId) : `message@${offset}`, offset));
}

export function messageQueued(draft: Draft, body: Body): void {
	// It comes right behind its message.
	change(draft, body, (found) => found.at(-1), { queue: { waiting: true, ahead: amount(body["ahead"]) ?? 0 } });
}

export function messageDequeued(draft: Draft, body: Body): void {
	const choose: Choose = (found) => found.find(({ queue }) => queue?.waiting === true) ?? found[0];
	change(draft, body, choose, { queue: { waiting: false, reason: text(body["reason"]) ?? "" } });
}

export function messageEdited(draft: Draft, body: Body): void {
	const content = text(body["content"]);
	if (content === undefined) return draft.invalid("content");
	// Among several, an edit is of the message of its own user.
	const user = text(body["user"]);
	const choose: Choose = (found) => (found.length === 1 ? found[0] : found.find((one) => one.user === user));
	change(draft, body, choose, { content, references: list(body["references"]), metadata: object(body["metadata"]), edited: true });
}

/** The message is for a run; `taken`: the run has claimed it. */
export function steering(draft: Draft, body: Body, runId: string, taken: boolean): void {
	const choose: Choose = (found) => found.find((one) => one.steering?.runId === runId) ?? found.at(-1);
	change(draft, body, choose, { steering: { runId, taken } });
}

/** A run answers the message of the send that the event names, if it names one. */
export function answers(draft: Draft, body: Body, runId: string): void {
	if (id(body["sendId"]) !== undefined) change(draft, body, (found) => found.find((one) => one.answeredBy === undefined), { answeredBy: runId });
}

/** Chooses among the messages of one send. */
type Choose = (found: readonly UserMessage[]) => UserMessage | undefined;

/** Changes the message that an event is about. It may lie before what the page asked for. */
function change(draft: Draft, body: Body, choose: Choose, changed: Partial<UserMessage>): void {
	const sendId = id(body["sendId"]);
	if (sendId === undefined) return draft.invalid("sendId");
	const message = choose(draft.messages(sendId));
	if (message !== undefined) draft.changeMessage(message, changed);
}

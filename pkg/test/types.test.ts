/** What the compiler must accept and refuse; compiling this file is the test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, ClientEvents } from "../src/client/api.js";
import type { ClientOptions } from "../src/client/options.js";
import type { MessageContent } from "../src/sends/content.js";
import type { Message } from "../src/sends/message.js";
import type { Receipt } from "../src/sends/receipt.js";
import type { AgentEvent, EventType } from "../src/thread/events.js";
import type { BatchMeta, EventMeta, ThreadItem } from "../src/thread/facts.js";
import type { Thread } from "../src/thread/thread.js";

declare module "../src/thread/events.js" {
	interface EventMap {
		invoice_ready: { readonly type: "invoice_ready"; readonly amount: number };
	}
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <T extends true>(): T => true as T;

function narrows(event: AgentEvent): string {
	switch (event.type) {
		case "message_delta":
			is<Same<typeof event.text, string>>();
			// @ts-expect-error -- not a field of this type
			event.content satisfies string;
			return event.text;
		case "agent_thinking":
			is<Same<typeof event.progress, number | undefined>>();
			return event.text ?? "";
		case "tool_completed":
			return String(event.success);
		case "invoice_ready":
			// @ts-expect-error -- where it belongs is in the meta
			event.offset satisfies number;
			return String(event.amount);
		case "void":
			return "";
		default: {
			const type: string = event.type;
			return type;
		}
	}
}

function itemNarrows(item: ThreadItem): number {
	switch (item.kind) {
		case "gap":
			return item.gap.from;
		case "resumed":
			return item.resumed.openRuns?.length ?? 0;
		case "event":
			if (item.event.type === "user_message") return item.event.content.length + item.meta.offset;
			return item.meta.offset;
	}
}

function listens(thread: Thread, client: Client): void {
	thread.on("agent_thinking", (event, meta) => {
		is<Same<typeof event.type, "agent_thinking">>();
		is<Same<typeof meta, EventMeta>>();
		meta.delivery satisfies "live" | "replay";
		meta.position.epoch satisfies string;
		// @ts-expect-error -- misspelt
		event.progres;
		// @ts-expect-error -- events are read-only
		event.text = "x";
		// @ts-expect-error -- and so is where they belong
		meta.offset = 1;
	});
	thread.on("invoice_ready", ({ amount }) => amount.toFixed(2));
	thread.on("custom_thing", (event) => {
		is<Same<(typeof event)["anything"], unknown>>();
	});
	// An event may have any name.
	for (const type of ["gap", "resumed", "ended", "event"]) thread.on(type, (event, { offset }) => [event["remedy"], offset]);
	thread.onEvent((event) => narrows(event));
	thread.onBatch((events, meta) => {
		is<Same<typeof events, readonly AgentEvent[]>>();
		is<Same<typeof meta, BatchMeta>>();
	});
	thread.onGap(({ remedy, position }) => [remedy satisfies "refetch" | "reset", position.offset]);
	thread.onResumed(async ({ openRuns, skipped, position }) => [openRuns?.length, skipped?.from, position.epoch]);
	thread.onEnded(({ reason, position }) => [reason.length, position?.offset], { signal: new AbortController().signal });
	// @ts-expect-error -- the handler is for another type
	thread.on("message_delta", (event: { readonly type: "agent_died" }) => event);
	client.on("state", ({ from, to, retryAt }) => [from, to, retryAt] satisfies [string, string, number | undefined]);
	client.on("error", ({ code, remediation }) => code + remediation);
	// @ts-expect-error -- no such fact
	client.on("message", () => {});
}

function sends(thread: Thread): Message {
	thread.send({ type: "form", fields: { a: 1 } });
	thread.send({ type: "user_message", content: "x", references: [1], metadata: { a: { b: 1 } } });
	const given: MessageContent = content;
	thread.send(given);
	const named = { type: String(given.type), content: 7 };
	thread.send(named);
	// @ts-expect-error -- a user_message needs its content, under this name
	thread.send({ type: "user_message", contnet: "x" });
	// @ts-expect-error -- and has no other fields than its own
	thread.send({ type: "user_message", content: "x", refrences: [] });
	// @ts-expect-error -- with the type as without it
	thread.send({ content: "x", refrences: [] });
	// @ts-expect-error -- the content of a user_message is a text
	thread.send({ type: "user_message", content: 7 });
	// @ts-expect-error -- a message without content or type
	thread.send({});
	// @ts-expect-error -- an unknown option
	thread.send({ content: "x" }, { key: "x" });
	// @ts-expect-error -- no such decision
	void thread.approve("r", "a", { decision: "perhaps" });
	return thread.send({ content: "x" }, { id: "x", timeoutMs: 1_000 });
}

async function iterates(thread: Thread): Promise<void> {
	for await (const item of thread.events()) itemNarrows(item);
	const message = thread.send({ content: "x" });
	const receipt = await message.receipt;
	is<Same<typeof receipt, Awaited<ReturnType<typeof message.retry>>>>();
	is<Same<typeof receipt, Receipt>>();
	(await thread.cancel("r")) satisfies "cancelled" | "already_finished" | "unknown_run" | "unknown_send";
	(await thread.withdraw("m")) satisfies "withdrawn" | "already_claimed" | "unknown_send";
	// @ts-expect-error -- a message without content
	await thread.edit("m", {});
}

const options = { url: "wss://x/", token: async ({ signal, reason }) => `${signal.aborted} ${reason satisfies "connect" | "refresh"}` } satisfies ClientOptions;
// @ts-expect-error -- no token
const incomplete: ClientOptions = { url: "wss://x/" };
const misspelt: ClientOptions = {
	...options,
	// @ts-expect-error -- an unknown option
	tokens: 1,
};
// @ts-expect-error -- a notice has a kind
const facts: ClientEvents["notice"] = {};
const content = { type: "user_message", content: "x" } as const satisfies MessageContent;

test("types narrow; an application may add its own", () => {
	assert.equal(narrows({ type: "invoice_ready", amount: 2 }), "2");
	assert.equal(narrows({ type: "message_delta", runId: "r", messageId: "m", text: "x", time: 1 }), "x");
	const position = { epoch: "e2", offset: 0 };
	assert.equal(itemNarrows({ kind: "gap", gap: { from: 7, to: undefined, reason: "epoch", remedy: "reset", epoch: "e2", position } }), 7);
	is<Same<Extract<EventType, "invoice_ready">, "invoice_ready">>();
	for (const checked of [listens, sends, iterates]) assert.equal(typeof checked, "function");
	for (const value of [options, incomplete, misspelt, facts, content]) assert.equal(typeof value, "object");
});

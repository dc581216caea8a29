/** What the compiler must accept and refuse; compiling this file is the test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentEvent, EventType, ThreadItem } from "../src/events.js";
import type { Client, ClientEvents } from "../src/client.js";
import type { ConnectOptions } from "../src/options.js";
import type { Message, MessageContent } from "../src/message.js";
import type { Receipt } from "../src/outbox.js";
import type { Thread } from "../src/thread.js";

declare module "../src/events.js" {
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
			return String(event.amount + event.offset);
		case "void":
			return event.epoch;
		default: {
			const type: string = event.type;
			return type;
		}
	}
}

function itemNarrows(item: ThreadItem): number {
	if (item.type === "gap") return item.from;
	if (item.type === "user_message") return item.content.length + item.offset;
	return item.offset;
}

function listens(thread: Thread, client: Client): void {
	thread.on("agent_thinking", (event) => {
		is<Same<typeof event.type, "agent_thinking">>();
		event.delivery satisfies "live" | "replay";
		// @ts-expect-error -- misspelt
		event.progres;
		// @ts-expect-error -- events are read-only
		event.text = "x";
	});
	thread.on("invoice_ready", ({ amount }) => amount.toFixed(2));
	thread.on("custom_thing", (event) => {
		is<Same<(typeof event)["anything"], unknown>>();
	});
	thread.on("event", (event) => narrows(event));
	thread.on("gap", ({ remedy }) => remedy satisfies "refetch" | "reset");
	thread.on("resumed", async ({ openRuns }) => openRuns.length);
	thread.on("ended", ({ reason }) => reason.length, { signal: new AbortController().signal });
	// @ts-expect-error -- the handler is for another type
	thread.on("message_delta", (event: { readonly type: "agent_died" }) => event);
	client.on("state", ({ from, to, retryAt }) => [from, to, retryAt] satisfies [string, string, number | undefined]);
	client.on("error", ({ code, remediation }) => code + remediation);
	// @ts-expect-error -- no such fact
	client.on("message", () => {});
}

function sends(thread: Thread): Message {
	thread.send({ type: "form", fields: { a: 1 } });
	// @ts-expect-error -- a message without content or type
	thread.send({});
	// @ts-expect-error -- an unknown option
	thread.send({ content: "x" }, { key: "x" });
	// @ts-expect-error -- no such decision
	void thread.approve("a", "perhaps");
	return thread.send({ content: "x" }, { id: "x" });
}

async function iterates(thread: Thread): Promise<void> {
	for await (const item of thread.events()) itemNarrows(item);
	const receipt = await thread.send({ content: "x" }).receipt;
	is<Same<typeof receipt, Receipt>>();
	(await thread.cancel("r")) satisfies "cancelled" | "already_finished" | "unknown_run";
}

const options = { url: "wss://x/", token: async ({ signal, reason }) => `${signal.aborted} ${reason satisfies "connect" | "refresh"}` } satisfies ConnectOptions;
// @ts-expect-error -- no token
const incomplete: ConnectOptions = { url: "wss://x/" };
const misspelt: ConnectOptions = {
	...options,
	// @ts-expect-error -- an unknown option
	tokens: 1,
};
// @ts-expect-error -- a gap to offset undefined has a reset remedy only by value, but its fields are required
const facts: ClientEvents["notice"] = {};
const content = { type: "user_message", content: "x" } as const satisfies MessageContent;

test("types narrow; an application may add its own", () => {
	const handed = { offset: 1, epoch: "e", delivery: "live", time: 1 } as const;
	assert.equal(narrows({ type: "invoice_ready", amount: 2, ...handed }), "3");
	assert.equal(narrows({ type: "message_delta", runId: "r", messageId: "m", text: "x", ...handed }), "x");
	assert.equal(itemNarrows({ type: "gap", from: 7, to: undefined, reason: "epoch", remedy: "reset", epoch: "e2" }), 7);
	is<Same<Extract<EventType, "invoice_ready">, "invoice_ready">>();
	for (const checked of [listens, sends, iterates]) assert.equal(typeof checked, "function");
	for (const value of [options, incomplete, misspelt, facts, content]) assert.equal(typeof value, "object");
});

// biome-ignore-all lint/correctness/useHookAtTopLevel: nothing here is called
/** What the compiler must accept and refuse of the hooks; compiling this file is the test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createElement as h, type ReactElement } from "react";
import type { Ref, ShallowRef } from "vue";
import type { Item, Run, Snapshot } from "../src/conversation.js";
import type { Client, ClientOptions } from "../src/public.js";
import type * as reactEntry from "../src/react.js";
import type * as svelte from "../src/svelte.js";
import type * as vue from "../src/vue.js";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <T extends true>(): T => true as T;

const counts = { customEvents: { initial: { invoices: 0 }, fold: (state: { invoices: number }) => state } };

function inReact(react: typeof reactEntry, client: Client, options: ClientOptions): ReactElement[] {
	const view = react.useConversation("t");
	is<Same<typeof view.items, readonly Item[]>>();
	is<Same<typeof view.conversation.custom, undefined>>();
	view.send("Hi");
	// @ts-expect-error -- a message needs its content
	view.send({ type: "user_message" });
	const { conversation } = react.useConversation("t", counts);
	is<Same<typeof conversation.custom, { invoices: number }>>();
	const open = react.useConversation("t", undefined, ({ conversation: { openRuns } }) => ({ openRuns }));
	is<Same<typeof open, { openRuns: number }>>();
	const invoices = react.useConversation(
		"t",
		counts,
		({ conversation: { custom } }) => custom.invoices,
		(a, b) => a === b,
	);
	is<Same<typeof invoices, number>>();
	// @ts-expect-error -- the provider gives the client
	react.useConversation("t", { client });
	// @ts-expect-error -- an unknown option
	react.useConversation("t", { item: 50 });
	const run = react.useRun("r");
	is<Same<typeof run, Run | undefined>>();
	const status = react.useRun("r", (known) => known?.status);
	is<Same<typeof status, Run["status"] | undefined>>();
	const { answer, outcome } = react.useApproval("r", "a");
	void answer("approved");
	void answer({ decision: "denied", reason: "no" });
	// @ts-expect-error -- no such decision
	void answer("perhaps");
	is<Same<NonNullable<typeof outcome>["status"], "accepted" | "already_resolved" | "run_over" | "unknown_approval">>();
	const { state, reconnect } = react.useConnection();
	reconnect();
	const name = react.useConnection((connection) => connection.state.name);
	is<Same<typeof name, typeof state.name>>();
	const thread = react.useThread();
	thread.thread.on("message_delta", ({ text }) => text);
	// @ts-expect-error -- the hooks close it
	thread.dispose();
	return [
		h(react.AgentwireProvider, { client }),
		h(react.AgentwireProvider, { options }, h(react.AgentwireThread, { name: "t", options: counts })),
		// @ts-expect-error -- one of both
		h(react.AgentwireProvider, { options, client }),
		// @ts-expect-error -- neither
		h(react.AgentwireProvider, {}),
		// @ts-expect-error -- options need what makes a client
		h(react.ClientProvider, { options }),
		// @ts-expect-error -- a thread has a name
		h(react.AgentwireThread, {}),
	];
}

function inVue({ useConversation, useMessages, useRun, useConnection, useThread, provideAgentwire }: typeof vue, name: Ref<string>): void {
	const { snapshot, send } = useConversation(name, counts);
	is<Same<typeof snapshot, Readonly<ShallowRef<Snapshot<{ invoices: number }>>>>>();
	send("Hi");
	const open = useConversation(
		() => name.value,
		undefined,
		({ conversation }) => conversation.openRuns,
	);
	is<Same<typeof open, Readonly<ShallowRef<number>>>>();
	is<Same<typeof useMessages extends (name?: string) => { items: infer I } ? I : never, Readonly<ShallowRef<readonly Item[]>>>>();
	const run = useRun("r");
	is<Same<typeof run.value, Run | undefined>>();
	useConnection().value.state.name satisfies string;
	useThread("t").value.thread.on("agent_died", ({ runId }) => runId);
	// @ts-expect-error -- neither a client nor options
	provideAgentwire({});
	// @ts-expect-error -- a ref is not written to
	snapshot.value = undefined;
}

function inSvelte({ getAgentwire, setAgentwire }: typeof svelte): void {
	const { thread, connection } = getAgentwire();
	const chat = thread("t", counts);
	chat.subscribe(({ conversation }) => is<Same<typeof conversation.custom, { invoices: number }>>());
	chat.run("r").subscribe((run) => is<Same<typeof run, Run | undefined>>());
	chat.select(({ items }) => items.length).subscribe((count) => is<Same<typeof count, number>>());
	connection.subscribe(({ health }) => health.status);
	chat.send("Hi");
	// @ts-expect-error -- neither a client nor options
	setAgentwire({});
}

test("types narrow, and an application's own fold has its type", () => {
	for (const checked of [inReact, inVue, inSvelte]) assert.equal(typeof checked, "function");
});

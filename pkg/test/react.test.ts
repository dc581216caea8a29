// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own, which are made once
/** The hooks for React on the real module: one socket, one subscription, and no render that is not needed. */
import "./support/document.js";
import "./support/refresh.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { createElement as h, type ReactNode, StrictMode, useEffect } from "react";
import { hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import type { SharedConversation } from "../src/hooks/shared.js";
// Not from the entry: that one brings the generated glue along, which stands beside `dist` only.
import { type ApprovalView, useApproval } from "../src/react/approval.js";
import { useConnection } from "../src/react/connection.js";
import { type ConversationView, type MessagesView, useConversation, useMessages, useRun } from "../src/react/conversation.js";
import { AgentwireThread, useThread } from "../src/react/thread.js";
import { leavesNothing, onStage } from "./support/dom.js";
import { delta, said, started, textOf } from "./support/events.js";
import { inline, mount } from "./support/react.js";

/** Shows a run, and counts its renders. */
function Run({ runId, renders }: { runId: string; renders: Record<string, number> }): ReactNode {
	renders[runId] = (renders[runId] ?? 0) + 1;
	const run = useRun(runId);
	return h("p", null, run?.parts.map((part) => (part.kind === "message" ? part.text : part.kind)).join("|"), ` ${run?.status}`);
}

/** Shows the list of the nearest thread, and counts its renders. */
function List({ renders }: { renders: Record<string, number> }): ReactNode {
	renders["list"] = (renders["list"] ?? 0) + 1;
	const { items } = useMessages();
	return items.map((item) => (item.kind === "run" ? h(Run, { key: item.key, runId: item.runId, renders }) : h("p", { key: item.key }, textOf([item]))));
}

test(
	"under StrictMode, 20 renders in the middle of a run with inline options make one socket and one subscription, and replay nothing",
	onStage(async (stage) => {
		const { server } = stage;
		server.append("t", said("Hi"), started(), delta("a"));
		const Chat = ({ n }: { n: number }): ReactNode => {
			const { items, conversation } = useConversation("t", { limits: { maxItems: 100 }, mergeDeltas: true });
			const state = useConnection(({ state }) => state.name);
			return h(
				"p",
				null,
				`${n} ${textOf(items)} ${conversation.runs.map(({ parts }) => parts.map((part) => (part.kind === "message" ? part.text : "")).join()).join()} ${state}`,
			);
		};
		const app = (n: number) => h(StrictMode, null, inline(stage, h(Chat, { n }), h(Chat, { n })));
		const page = mount(stage, app(0));
		await stage.connected();
		for (let n = 1; n <= 20; n += 1) {
			server.append("t", delta("b"));
			await page.render(app(n));
		}
		await stage.advance(100);
		const shown = `20 Hi,r1 a${"b".repeat(20)} connected`;
		assert.equal(stage.text(), shown + shown);
		assert.deepEqual([stage.clients.length, stage.world.peers.length, stage.subscribed(), stage.sent("replay").length], [1, 1, ["t"], 0]);
		// Every event was delivered once.
		assert.equal(stage.clients[0]?.stats().eventsDelivered, 23);
		await page.unmount();
	}),
);

test(
	"a thread prop that is toggled every 50 ms, and every tick, subscribes once to each thread and never shows one in the other",
	onStage(async (stage) => {
		const { server, world } = stage;
		for (const name of ["one", "two"]) server.append(name, ...Array.from({ length: 20 }, (_, index) => said(`${name}${index}`)));
		const wrong: string[] = [];
		const Chat = ({ name }: { name: string }): ReactNode => {
			const { items, caughtUp } = useConversation(name);
			const text = textOf(items);
			const other = name === "one" ? "two" : "one";
			if (text.includes(other)) wrong.push(`${name}: ${text}`);
			return h("p", null, `${name} ${items.length} ${caughtUp}`);
		};
		const app = (name: string) => h(StrictMode, null, inline(stage, h(Chat, { name })));
		const page = mount(stage, app("one"));
		await stage.connected();
		for (let count = 0; count < 40; count += 1) {
			const name = count % 2 === 0 ? "two" : "one";
			server.append(name, said(`${name} more`));
			await page.render(app(name));
			// It is shown whole as soon as it is known.
			if (count > 2) assert.match(stage.text(), new RegExp(`^${name} \\d+ true$`));
			if (count < 20) await stage.advance(50);
			assert.deepEqual(wrong, []);
		}
		assert.equal(stage.text(), "one 40 true");
		assert.deepEqual([world.peers.length, stage.subscribed().sort(), stage.sent("replay").length, stage.sent("unsubscribe").length], [1, ["one", "two"], 0, 0]);
		await stage.advance(2_000);
		// The one that is not shown any more is left.
		assert.equal(stage.sent("unsubscribe").length, 1);
		await page.unmount();
	}),
);

test(
	"5,000 replayed events into a mounted list make at most 60 renders",
	onStage(async (stage) => {
		const { server, world } = stage;
		world.latency = 1;
		for (let run = 0; run < 50; run += 1) {
			server.append("t", said(`m${run}`), started(`r${run}`));
			server.append("t", ...Array.from({ length: 97 }, () => delta("x", `r${run}`)), { type: "agent_completed", runId: `r${run}` });
		}
		const renders: Record<string, number> = {};
		const page = mount(stage, inline(stage, h(AgentwireThread, { name: "t" }, h(List, { renders }))));
		await stage.connected();
		await stage.advance(2_000);
		const list = renders["list"] ?? 0;
		assert.ok(list <= 60, `the list was rendered ${list} times`);
		const runs = Object.values(renders).reduce((sum, count) => sum + count, 0) - list;
		assert.ok(runs <= 60 + 50, `the runs were rendered ${runs} times`);
		assert.equal(stage.root.querySelectorAll("p").length, 100);
		assert.ok(stage.text().endsWith(`m49${"x".repeat(97)} completed`));
		await page.unmount();
	}),
);

test(
	"10,000 deltas of one run render the component of that run only, once for each frame of the screen",
	onStage(async (stage) => {
		const { server } = stage;
		server.batch = 10;
		server.append("t", said("Hi"), started("r1"), delta("a", "r1"), started("r2"), delta("b", "r2"));
		const renders: Record<string, number> = {};
		const page = mount(stage, inline(stage, h(AgentwireThread, { name: "t" }, h(List, { renders }))));
		await stage.connected();
		await stage.advance(100);
		const before = { ...renders };
		for (let frame = 0; frame < 100; frame += 1) {
			server.append("t", ...Array.from({ length: 100 }, () => delta("x", "r1")));
			await stage.advance(16);
		}
		await stage.advance(100);
		const added = Object.fromEntries(Object.entries(renders).map(([name, count]) => [name, count - (before[name] ?? 0)]));
		assert.deepEqual([added["list"], added["r2"]], [0, 0]);
		assert.ok((added["r1"] ?? 0) >= 90 && (added["r1"] ?? 0) <= 202, `${added["r1"]} renders for 100 batches`);
		assert.ok(stage.text().includes(`a${"x".repeat(10_000)}`));
		await page.unmount();
	}),
);

test(
	"a server renders what a page begins with, opens nothing, and the page goes on from it",
	onStage(async (stage) => {
		const { server, world } = stage;
		server.append("t", said("Hi"));
		const Chat = (): ReactNode => {
			const { items, caughtUp } = useConversation("t");
			const { state, health } = useConnection();
			return h("p", null, `${textOf(items)} ${caughtUp} ${state.name} ${health.status}`);
		};
		const app = () => h(StrictMode, null, inline(stage, h(AgentwireThread, { name: "t" }, h(Chat))));
		const html = renderToString(app());
		assert.equal(html, "<p> false idle initializing</p>");
		await stage.advance(5_000);
		assert.deepEqual([stage.clients.length, world.peers.length, world.timers], [0, 0, 0]);
		stage.root.innerHTML = html;
		const shown = stage.root.firstChild;
		const root = hydrateRoot(stage.root, app(), { onRecoverableError: (error) => stage.said.push(String(error)) });
		await stage.connected();
		await stage.advance(100);
		assert.equal(stage.text(), "Hi true connected healthy");
		// The element of the server is still in use: hydration found what it expected.
		assert.equal(stage.root.firstChild, shown);
		assert.deepEqual([world.peers.length, stage.subscribed()], [1, ["t"]]);
		root.unmount();
		await leavesNothing(stage);
	}),
);

test(
	"a stored conversation is rendered on the server too, and the thread goes on from its position",
	onStage(async (stage) => {
		const { server } = stage;
		server.append("t", said("Hi"));
		const seen: ConversationView[] = [];
		const Chat = ({ options }: { options?: object }): ReactNode => {
			const view = useConversation("t", options);
			seen.push(view);
			return h("p", null, textOf(view.items));
		};
		const first = mount(stage, inline(stage, h(Chat, {})));
		await stage.connected();
		await first.unmount();
		const initial = JSON.parse(JSON.stringify(seen.at(-1)?.conversation));
		const app = () => inline(stage, h(Chat, { options: { initial } }));
		assert.equal(renderToString(app()), "<p>Hi</p>");
		const second = mount(stage, app());
		await stage.connected();
		server.append("t", said("there"));
		await stage.settle();
		assert.equal(stage.text(), "Hi,there");
		assert.deepEqual(stage.subscribed(), ["t", "t from 1"]);
		await second.unmount();
	}),
);

test(
	"two components of one render show the same snapshot",
	onStage(async (stage) => {
		const { server } = stage;
		const torn: string[] = [];
		const Part = ({ report }: { report: (text: string) => void }): ReactNode => {
			const text = textOf(useConversation("t").items);
			useEffect(() => void report(text));
			return h("p", null, text);
		};
		const seen = ["", ""];
		const Both = (): ReactNode => {
			useEffect(() => {
				if (seen[0] !== seen[1]) torn.push(seen.join(" | "));
			});
			useConversation("t");
			return [0, 1].map((key) => h(Part, { key, report: (text: string) => (seen[key] = text) }));
		};
		const page = mount(stage, inline(stage, h(Both)));
		await stage.connected();
		for (let n = 0; n < 20; n += 1) {
			server.append("t", said(`m${n}`));
			await stage.settle();
		}
		assert.deepEqual([torn, seen[0]?.split(",").length], [[], 20]);
		await page.unmount();
	}),
);

test(
	"inline selectors render when what they select changes, and keep what is equal",
	onStage(async (stage) => {
		const { server } = stage;
		let renders = 0;
		const values: unknown[] = [];
		const Count = (): ReactNode => {
			renders += 1;
			const value = useConversation("t", undefined, ({ conversation, caughtUp }) => ({ open: conversation.openRuns, caughtUp }));
			values.push(value);
			return h("p", null, `${value.open} ${value.caughtUp}`);
		};
		const app = (n: number) => inline(stage, h("i", { key: "i" }, n), h(Count, { key: "c" }));
		const page = mount(stage, app(0));
		await stage.connected();
		server.append("t", started());
		await stage.settle();
		const before = renders;
		server.append("t", ...Array.from({ length: 100 }, () => delta("x")));
		await stage.advance(100);
		assert.equal(renders, before);
		await page.render(app(1));
		assert.equal(renders, before + 1);
		assert.equal(values.at(-1), values.at(-2));
		assert.equal(stage.text(), "11 true");
		await page.unmount();
	}),
);

test(
	"messages are sent from a stable thread, which renders nothing; an approval says what became of its answer",
	onStage(async (stage) => {
		const { server } = stage;
		const threads = new Set<SharedConversation>();
		let renders = 0;
		let list: MessagesView | undefined;
		let approval: ApprovalView | undefined;
		const Box = (): ReactNode => {
			renders += 1;
			threads.add(useThread());
			return null;
		};
		const Ask = (): ReactNode => {
			approval = useApproval("r1", "a1");
			return h("p", null, `${approval.approval?.state} ${approval.answering} ${approval.outcome?.status}`);
		};
		const Log = (): ReactNode => {
			list = useMessages();
			return h("p", null, textOf(list.items), " ");
		};
		const page = mount(stage, h(StrictMode, null, inline(stage, h(AgentwireThread, { name: "t" }, h(Box), h(Log), h(Ask)))));
		await stage.connected();
		const before = renders;
		const [thread] = threads;
		assert.ok(thread);
		thread.send("Hi", { id: "s1" });
		await stage.settle();
		assert.ok(stage.text().startsWith("Hi "));
		const actions = list?.send;
		server.append("t", started(), { type: "approval_requested", runId: "r1", approvalId: "a1", prompt: "?", argsHash: "h1" });
		await stage.settle();
		assert.equal(list?.send, actions);
		assert.ok(stage.text().endsWith("open false undefined"), stage.text());
		const { answer } = approval as ApprovalView;
		const answered = answer("approved");
		await stage.settle();
		await answered;
		await stage.settle();
		assert.ok(stage.text().endsWith("resolved false accepted"), stage.text());
		assert.deepEqual(
			stage.sent("approve").map(({ argsHash }) => argsHash),
			["h1"],
		);
		assert.deepEqual([renders, threads.size <= 2], [before, true]);
		const heard: string[] = [];
		const off = thread.thread.on("invoice_ready", (event) => heard.push(String(event["amount"])));
		server.append("t", { type: "invoice_ready", amount: 7 });
		await stage.settle();
		off();
		assert.deepEqual(heard, ["7"]);
		await page.unmount();
	}),
);

// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own, which are made once
/** The hooks for React on the real module: one socket, one subscription, and no render that is not needed. */
import "./support/document.js";
import "./support/refresh.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { Component, createElement as h, type ReactNode, StrictMode, Suspense, useEffect, useState } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import type { Item } from "../src/conversation.js";
import type { SharedConversation } from "../src/hooks/shared.js";
// Not from the entry: that one brings the generated glue along, which stands beside `dist` only.
import { type ApprovalView, useApproval } from "../src/react/approval.js";
import { ClientProvider, useClient } from "../src/react/client.js";
import { useConnection } from "../src/react/connection.js";
import { type ConversationView, type MessagesView, useConversation, useMessages, useRun } from "../src/react/conversation.js";
import { AgentwireThread, useThread } from "../src/react/thread.js";
import { leavesNothing, OPTIONS, onStage, type Stage } from "./support/dom.js";
import { refresh } from "./support/refresh.js";

const started = (runId = "r1") => ({ type: "agent_started", runId, agent: "a" });
const delta = (text: string, runId = "r1", messageId = "m1") => ({ type: "message_delta", runId, messageId, text });
const said = (content: string) => ({ type: "user_message", content, user: "bob" });

/** Renders into the stage, and takes it away at the end. */
function mount(stage: Stage, node: ReactNode): { render(node: ReactNode): Promise<void>; unmount(): Promise<void> } {
	const root = createRoot(stage.root, { onUncaughtError: (error) => stage.said.push(`uncaught: ${error}`), onCaughtError: () => undefined });
	root.render(node);
	return {
		render: async (next) => {
			root.render(next);
			await stage.settle();
		},
		unmount: async () => {
			root.unmount();
			await leavesNothing(stage);
		},
	};
}

/** A provider as people write it: its options are new with each render. */
function inline(stage: Stage, ...children: ReactNode[]): ReactNode {
	const logger = { error: (message: string) => void stage.logged.push(message) };
	return h(ClientProvider, { options: { ...OPTIONS, token: () => "secret-token", logger }, createClient: stage.createClient }, ...children);
}

function textOf(items: readonly Item[]): string {
	return items.map((item) => (item.kind === "user_message" ? item.content : item.kind === "run" ? item.runId : item.kind)).join(",");
}

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

class Boundary extends Component<{ children?: ReactNode }, { error?: Error }> {
	override state: { error?: Error } = {};
	static getDerivedStateFromError = (error: Error) => ({ error });
	override render(): ReactNode {
		return this.state.error === undefined ? this.props.children : h("p", null, `caught ${this.state.error.message}`);
	}
}

test(
	"an error while rendering leaves no subscription, and the rest of the page goes on",
	onStage(async (stage) => {
		const { server } = stage;
		server.append("t", said("Hi"), said("bad"));
		const Chat = ({ name }: { name: string }): ReactNode => {
			const { items } = useConversation(name);
			if (name === "never" || textOf(items).includes("bad")) throw new Error(`no ${name}`);
			return h("p", null, "fine");
		};
		const Good = (): ReactNode => h("p", null, textOf(useConversation("u").items));
		const page = mount(stage, inline(stage, h(Boundary, null, h(Chat, { name: "never" })), h(Boundary, null, h(Chat, { name: "t" })), h(Good)));
		await stage.connected();
		await stage.advance(2_000);
		assert.equal(stage.text(), "caught no nevercaught no t");
		// What was thrown at once never subscribed, what was thrown later is left again.
		assert.deepEqual([stage.subscribed().sort(), stage.sent("unsubscribe").length], [["t", "u"], 1]);
		server.append("u", said("still here"));
		await stage.settle();
		assert.equal(stage.text(), "caught no nevercaught no tstill here");
		await page.unmount();
	}),
);

test(
	"a tree that waits for something keeps its subscription and its socket, however long",
	onStage(async (stage) => {
		const { server, world } = stage;
		let release = (): void => undefined;
		const promise = new Promise<void>((resolve) => (release = resolve));
		let isWaiting = false;
		let isDone = false;
		const Slow = (): ReactNode => {
			if (isWaiting && !isDone) throw promise;
			return null;
		};
		const Chat = (): ReactNode => h("p", null, textOf(useConversation("t").items));
		const app = (n: number) =>
			h(StrictMode, null, h(Suspense, { fallback: h("p", null, "wait") }, inline(stage, h(Chat), h(Slow, { key: "slow", n } as object))));
		const page = mount(stage, app(0));
		await stage.connected();
		isWaiting = true;
		await page.render(app(1));
		await stage.advance(10_000);
		assert.match(stage.text(), /wait/);
		server.append("t", said("Hi"));
		await stage.settle();
		isDone = true;
		release();
		await stage.settle();
		await stage.advance(100);
		assert.equal(stage.text(), "Hi");
		assert.deepEqual([world.peers.length, stage.subscribed(), stage.clients.length], [1, ["t"], 1]);
		await page.unmount();
	}),
);

test(
	"a first render that is thrown away makes no client",
	onStage(async (stage) => {
		const Never = (): ReactNode => {
			useConversation("t");
			useClient();
			throw new Promise(() => undefined);
		};
		const page = mount(stage, h(Suspense, { fallback: "wait" }, inline(stage, h(Never))));
		await stage.advance(5_000);
		assert.deepEqual([stage.text(), stage.clients.length, stage.world.timers], ["wait", 0, 0]);
		await page.unmount();
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

test(
	"a client of the application is left open, and its threads are left",
	onStage(async (stage) => {
		const client = stage.createClient(OPTIONS);
		const Chat = (): ReactNode => h("p", null, textOf(useConversation("t").items), String(useClient() === client));
		const page = mount(stage, h(StrictMode, null, h(ClientProvider, { client }, h(Chat))));
		await stage.connected();
		assert.equal(stage.text(), "true");
		await page.render(null);
		await stage.advance(2_000);
		assert.deepEqual([client.state.name, stage.sent("unsubscribe").length], ["connected", 1]);
		client.close();
		await page.unmount();
	}),
);

test(
	"a token function that is new with each render is asked in its last form",
	onStage(async (stage) => {
		const asked: string[] = [];
		stage.server.tokenExpiresInMs = 60_000;
		const app = (n: number) =>
			h(ClientProvider, { options: { ...OPTIONS, token: () => `secret-token-${asked.push(`${n}`)}` }, createClient: stage.createClient });
		const page = mount(stage, app(0));
		await stage.connected();
		await page.render(app(1));
		await stage.advance(60_000);
		assert.deepEqual([asked[0], asked.at(-1), stage.clients.length], ["0", "1", 1]);
		await page.unmount();
	}),
);

test(
	"other options of a mounted thread, provider or second component are not taken, and the developer hears of it once",
	onStage(async (stage) => {
		const Chat = ({ max }: { max: number }): ReactNode => h("p", null, useConversation("t", { limits: { maxItems: max } }).items.length);
		const app = (max: number, device: string) =>
			h(ClientProvider, { options: { ...OPTIONS, device }, createClient: stage.createClient }, h(Chat, { max }), h(Chat, { max: max + 1 }));
		const page = mount(stage, app(10, "a"));
		await stage.connected();
		await page.render(app(20, "b"));
		await page.render(app(30, "c"));
		assert.deepEqual(stage.said.splice(0), [
			"agentwire: thread t is open with other options, which hold",
			"agentwire: the options of thread t have changed, but the first ones hold",
			"agentwire: the options of the provider have changed, but the first ones hold",
		]);
		assert.equal(stage.clients.length, 1);
		await page.unmount();
	}),
);

test(
	"Fast Refresh, of a component and of one whose hooks changed, keeps the socket and the subscription",
	onStage(async (stage) => {
		const { server } = stage;
		server.append("t", said("Hi"));
		const limits = { maxItems: 100 };
		const First = (): ReactNode => h("p", null, `first ${textOf(useConversation("t", { limits }).items)}`);
		const Second = (): ReactNode => h("p", null, `second ${textOf(useConversation("t", { limits }).items)}`);
		const Third = (): ReactNode => {
			const [mark] = useState("third");
			return h("p", null, `${mark} ${textOf(useConversation("t", { limits }).items)}`);
		};
		const put = (component: () => ReactNode, signature: string): void => {
			refresh.register(component, "Chat");
			refresh.setSignature(component, signature);
		};
		put(First, "one hook");
		const page = mount(stage, h(StrictMode, null, inline(stage, h(AgentwireThread, { name: "t" }, h(First)))));
		await stage.connected();
		assert.equal(stage.text(), "first Hi");
		for (const [mark, component, signature] of [
			["second", Second, "one hook"],
			["third", Third, "two hooks"],
		] as const) {
			put(component, signature);
			refresh.performReactRefresh();
			await stage.settle();
			// What was shown is shown at once.
			assert.equal(stage.text(), `${mark} Hi`);
		}
		await stage.advance(2_000);
		server.append("t", said("there"));
		await stage.settle();
		assert.equal(stage.text(), "third Hi,there");
		assert.deepEqual([stage.world.peers.length, stage.subscribed(), stage.sent("replay").length, stage.clients.length], [1, ["t"], 0, 1]);
		await page.unmount();
	}),
);

test(
	"a client that has failed shows what it has, and threads are opened when it begins anew",
	onStage(async (stage) => {
		const { server } = stage;
		const judge = server.judgeToken;
		server.judgeToken = () => ({ code: "token_invalid", close: 4403 });
		server.append("t", said("Hi"));
		server.append("u", said("Ho"));
		const Chat = ({ name }: { name: string }): ReactNode => {
			const { state, reconnect } = useConnection();
			return h("p", { onClick: reconnect }, `${textOf(useConversation(name).items)} ${state.name}`);
		};
		const app = (name: string) => inline(stage, h(Chat, { name }));
		const page = mount(stage, app("t"));
		await stage.advance(200_000);
		assert.equal(stage.text(), " failed");
		assert.ok(stage.logged.splice(0).length > 0);
		await page.render(app("u"));
		assert.equal(stage.text(), " failed");
		server.judgeToken = judge;
		stage.clients[0]?.reconnect();
		await stage.advance(100);
		assert.equal(stage.logged.splice(0).length, 1);
		assert.equal(stage.text(), "Ho connected");
		await page.unmount();
	}),
);

test(
	"hooks without a provider, without a thread, or with a name that is none say so",
	onStage(async (stage) => {
		const WithoutThread = (): ReactNode => h("p", null, useMessages().items.length);
		const Named = (): ReactNode => h("p", null, useConversation("a\nb").items.length);
		const inside = inline(stage, h(Boundary, null, h(WithoutThread)), h(Boundary, null, h(Named)));
		const page = mount(stage, h("div", null, h(Boundary, null, h(WithoutThread)), inside));
		await stage.settle();
		assert.match(stage.text(), /needs an <AgentwireProvider> around it.*needs the name of a thread.*caught .*name.*must be/);
		await page.unmount();
	}),
);

test(
	"a component that is mounted again within a second finds everything as it was; after it, nothing is left",
	onStage(async (stage) => {
		const { server, world } = stage;
		server.append("t", said("Hi"));
		let toggle: (on: boolean) => void = () => undefined;
		const Chat = (): ReactNode => h("p", null, textOf(useConversation("t").items));
		const App = (): ReactNode => {
			const [on, setOn] = useState(true);
			toggle = setOn;
			return on ? h(Chat) : null;
		};
		const page = mount(stage, inline(stage, h(App)));
		await stage.connected();
		for (let count = 0; count < 10; count += 1) {
			toggle(count % 2 === 1);
			await stage.advance(900);
		}
		assert.deepEqual([stage.text(), stage.subscribed(), world.peers.length], ["Hi", ["t"], 1]);
		await page.unmount();
	}),
);

// biome-ignore-all lint/correctness/noComponentHookFactories: each test has components of its own, which are made once
/** The hooks for React on the real module: what comes, goes, fails and is edited leaves nothing behind and opens nothing twice. */
import "./support/document.js";
import "./support/refresh.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { createElement as h, type ReactNode, StrictMode, Suspense, useState } from "react";
// Not from the entry: that one brings the generated glue along, which stands beside `dist` only.
import { ClientProvider, useClient } from "../src/react/client.js";
import { useConnection } from "../src/react/connection.js";
import { useConversation, useMessages } from "../src/react/conversation.js";
import { AgentwireThread } from "../src/react/thread.js";
import { OPTIONS, onStage } from "./support/dom.js";
import { said, textOf } from "./support/events.js";
import { Boundary, inline, mount } from "./support/react.js";
import { refresh } from "./support/refresh.js";

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

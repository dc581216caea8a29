// biome-ignore-all lint/correctness/useHookAtTopLevel: composables of Vue run once, and know no such rule
/** The composables for Vue on the real module. */
import "./support/document.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { type App, type Component, createApp, createSSRApp, effectScope, h, nextTick, ref, type VNode } from "vue";
import { renderToString } from "vue/server-renderer";
import { connectionOf } from "../src/hooks/connection.js";
// Not from the entry: that one brings the generated glue along, which stands beside `dist` only.
import { provideClient, useClient } from "../src/vue/client.js";
import type { MessagesRefs } from "../src/vue/conversation.js";
import { useConnection, useConversation, useMessages, useRun } from "../src/vue/conversation.js";
import { provideThread, useThread } from "../src/vue/thread.js";
import { leavesNothing, OPTIONS, onStage, type Stage } from "./support/dom.js";
import { delta, said, started, textOf } from "./support/events.js";

/** Vue does not derive the types of props from what is written here. */
// biome-ignore lint/suspicious/noExplicitAny: any is what Vue gives
type LooseProps = any;

/** An application whose root gives a client to what `render` shows. */
function root(stage: Stage, render: () => VNode | VNode[], setup: () => void = () => undefined): Component {
	return {
		setup() {
			provideClient({ options: OPTIONS, createClient: stage.createClient });
			setup();
			return render;
		},
	};
}

async function unmount(stage: Stage, app: App): Promise<void> {
	app.unmount();
	await leavesNothing(stage);
}

test(
	"one socket and one subscription for all components; a list that is mounted meets 5,000 replayed events in a few renders",
	onStage(async (stage) => {
		const { server, world } = stage;
		world.latency = 1;
		for (let run = 0; run < 50; run += 1) server.append("t", said(`m${run}`), started(`r${run}`), ...Array.from({ length: 98 }, () => delta("x", `r${run}`)));
		let renders = 0;
		let last: MessagesRefs | undefined;
		const List: Component = {
			setup() {
				last = useMessages();
				const { items } = last;
				return () => {
					renders += 1;
					return h("p", textOf(items.value));
				};
			},
		};
		const app = createApp(
			root(
				stage,
				() => [h(List), h(List)],
				() => void provideThread("t"),
			),
		);
		app.mount(stage.root);
		await stage.connected();
		await stage.advance(2_000);
		assert.ok(renders <= 120, `${renders} renders of two lists`);
		assert.deepEqual([last?.items.value.length, world.peers.length, stage.subscribed(), stage.sent("replay").length], [100, 1, ["t"], 0]);
		last?.send("mine");
		await stage.advance(100);
		assert.ok(stage.text().endsWith("mine"));
		await unmount(stage, app);
	}),
);

test(
	"a name that changes shows the other thread at once, and never one in the other",
	onStage(async (stage) => {
		const { server, world } = stage;
		for (const name of ["one", "two"]) server.append(name, said(`${name}0`), said(`${name}1`));
		const name = ref("one");
		const wrong: string[] = [];
		const Chat: Component = {
			props: { name: { type: String, required: true } },
			setup(props: LooseProps) {
				const { snapshot } = useConversation(() => props.name);
				return () => {
					const text = textOf(snapshot.value.items);
					if (text.includes(props.name === "one" ? "two" : "one")) wrong.push(`${props.name}: ${text}`);
					return h("p", `${props.name} ${text}`);
				};
			},
		};
		const app = createApp(root(stage, () => h(Chat, { name: name.value })));
		app.mount(stage.root);
		await stage.connected();
		for (let count = 0; count < 40; count += 1) {
			name.value = count % 2 === 0 ? "two" : "one";
			await (count < 20 ? stage.advance(50) : nextTick());
			if (count > 2) assert.equal(stage.text(), `${name.value} ${name.value}0,${name.value}1`);
		}
		assert.deepEqual([wrong, world.peers.length, stage.subscribed().sort(), stage.sent("unsubscribe").length], [[], 1, ["one", "two"], 0]);
		await unmount(stage, app);
	}),
);

test(
	"a message that waited before the thread was opened is shown as soon as it is",
	onStage(async (stage) => {
		const client = stage.createClient({ ...OPTIONS, autoConnect: false });
		client.thread("t").send({ content: "waiting" });
		const app = createApp({
			setup() {
				provideClient({ client });
				const { items } = useMessages("t");
				return () => h("p", textOf(items.value));
			},
		});
		app.mount(stage.root);
		await nextTick();
		assert.equal(stage.text(), "waiting");
		client.close();
		await unmount(stage, app);
	}),
);

test(
	"a token renders the run that it belongs to, and nothing else",
	onStage(async (stage) => {
		const { server } = stage;
		server.append("t", said("Hi"), started("r1"), started("r2"));
		const renders: Record<string, number> = { list: 0, r1: 0, r2: 0 };
		const Run: Component = {
			props: { runId: { type: String, required: true } },
			setup(props: LooseProps) {
				const run = useRun(props.runId);
				return () => {
					renders[props.runId] = (renders[props.runId] ?? 0) + 1;
					return h("p", run.value?.parts.map((part) => (part.kind === "message" ? part.text : "")).join());
				};
			},
		};
		const List: Component = {
			setup() {
				const { items } = useMessages();
				return () => {
					renders["list"] = (renders["list"] ?? 0) + 1;
					return items.value.map((item) => (item.kind === "run" ? h(Run, { key: item.key, runId: item.runId }) : h("i", { key: item.key })));
				};
			},
		};
		const app = createApp(
			root(
				stage,
				() => h(List),
				() => void provideThread("t"),
			),
		);
		app.mount(stage.root);
		await stage.connected();
		await stage.advance(100);
		const before = { ...renders };
		for (let frame = 0; frame < 20; frame += 1) {
			server.append("t", ...Array.from({ length: 50 }, () => delta("x", "r1")));
			await stage.advance(16);
		}
		await stage.advance(100);
		const added = ["list", "r2", "r1"].map((name) => (renders[name] ?? 0) - (before[name] ?? 0));
		assert.deepEqual(added.slice(0, 2), [0, 0]);
		assert.ok((added[2] ?? 0) >= 18 && (added[2] ?? 0) <= 42, `${added[2]} renders`);
		assert.equal(stage.text(), "x".repeat(1_000));
		await unmount(stage, app);
	}),
);

test(
	"a server renders what a page begins with, opens nothing, and the page goes on from it",
	onStage(async (stage) => {
		stage.server.append("t", said("Hi"));
		const Chat: Component = {
			setup() {
				const { snapshot } = useConversation("t");
				const connection = useConnection();
				return () => h("p", `${textOf(snapshot.value.items)} ${snapshot.value.caughtUp} ${connection.value.state.name}`);
			},
		};
		const app = () => createSSRApp(root(stage, () => h(Chat)));
		const html = await renderToString(app());
		assert.equal(html, "<p> false idle</p>");
		await stage.advance(5_000);
		assert.deepEqual([stage.clients.length, stage.world.peers.length, stage.world.timers], [0, 0, 0]);
		stage.root.innerHTML = html;
		const shown = stage.root.firstChild;
		const mounted = app();
		mounted.mount(stage.root);
		await stage.connected();
		await stage.advance(100);
		assert.deepEqual([stage.text(), stage.root.firstChild === shown], ["Hi true connected", true]);
		await unmount(stage, mounted);
	}),
);

test(
	"selectors, threads for their own events, a client of the application, and scopes without a component",
	onStage(async (stage) => {
		const client = stage.createClient(OPTIONS);
		const heard: unknown[] = [];
		let renders = 0;
		const Open: Component = {
			setup() {
				assert.equal(useClient(), client);
				const thread = useThread("t");
				thread.value.thread.on("invoice_ready", ({ amount }) => heard.push(amount));
				const open = useConversation("t", undefined, ({ conversation, caughtUp }) => ({ runs: conversation.openRuns, caughtUp }));
				return () => {
					renders += 1;
					return h("p", `${open.value.runs} ${open.value.caughtUp}`);
				};
			},
		};
		const app = createApp({
			setup() {
				provideClient({ client });
				return () => h(Open);
			},
		});
		app.mount(stage.root);
		await stage.connected();
		stage.server.append("t", started(), { type: "invoice_ready", amount: 7 });
		await stage.settle();
		const before = renders;
		stage.server.append("t", delta("x"), delta("y"));
		await stage.advance(100);
		assert.deepEqual([stage.text(), heard, renders], ["1 true", [7], before]);
		const scope = effectScope();
		const state = scope.run(() => app.runWithContext(() => connectionOf(client).getSnapshot().state.name));
		assert.equal(state, "connected");
		scope.stop();
		app.unmount();
		await stage.advance(2_000);
		assert.deepEqual([client.state.name, stage.sent("unsubscribe").length], ["connected", 1]);
		client.close();
		await leavesNothing(stage);
	}),
);

test(
	"composables without a client or a thread say so",
	onStage(async (stage) => {
		const said: string[] = [];
		for (const [setup, provides] of [
			[() => useMessages(), false],
			[() => useMessages(), true],
		] as const) {
			const Chat: Component = {
				setup() {
					setup();
					return () => null;
				},
			};
			const app = createApp(provides ? root(stage, () => h(Chat)) : Chat);
			app.config.errorHandler = (error) => said.push(String(error));
			app.config.warnHandler = () => undefined;
			app.mount(stage.root);
			app.unmount();
		}
		assert.match(said.join(), /needs provideAgentwire.. in it or above it.*needs the name of a thread/);
		await leavesNothing(stage);
	}),
);

/** The stores for Svelte on the real module: what `$name` in a component does is to subscribe. */
import "./support/document.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { derived, get } from "svelte/store";
import { type Agentwire, createAgentwire } from "../src/svelte/context.js";
import { leavesNothing, OPTIONS, onStage, type Stage } from "./support/dom.js";
import { delta, said, started, textOf } from "./support/events.js";

function made(stage: Stage): Agentwire {
	return createAgentwire({ options: OPTIONS, createClient: stage.createClient });
}

test(
	"any number of stores of a thread share one subscription; a token changes the store of its run and no other",
	onStage(async (stage) => {
		const { server, world } = stage;
		const agentwire = made(stage);
		server.append("t", said("Hi"), started("r1"), started("r2"));
		const calls: Record<string, number> = {};
		const count = (name: string) => (): void => void (calls[name] = (calls[name] ?? 0) + 1);
		const offs = [
			agentwire.thread("t").items.subscribe(count("items")),
			agentwire.thread("t").run("r1").subscribe(count("r1")),
			agentwire.thread("t").run("r2").subscribe(count("r2")),
			agentwire
				.thread("t")
				.select(({ conversation }) => ({ open: conversation.openRuns }))
				.subscribe(count("open")),
		];
		await stage.connected();
		await stage.advance(100);
		const before = { ...calls };
		for (let frame = 0; frame < 20; frame += 1) {
			server.append("t", ...Array.from({ length: 50 }, () => delta("x", "r1")));
			await stage.advance(16);
		}
		await stage.advance(100);
		const added = ["items", "r2", "open", "r1"].map((name) => (calls[name] ?? 0) - (before[name] ?? 0));
		assert.deepEqual(added.slice(0, 3), [0, 0, 0]);
		assert.ok((added[3] ?? 0) >= 18 && (added[3] ?? 0) <= 42, `${added[3]} calls`);
		assert.deepEqual([world.peers.length, stage.subscribed(), stage.sent("replay").length], [1, ["t"], 0]);
		const shown = derived(agentwire.thread("t"), ({ items }) => textOf(items));
		assert.equal(get(shown), "Hi,r1,r2");
		assert.equal(get(agentwire.connection).state.name, "connected");
		agentwire.thread("t").send("mine");
		await stage.advance(100);
		assert.equal(get(shown), "Hi,r1,r2,mine");
		for (const off of offs) off();
		agentwire.destroy();
		await leavesNothing(stage);
	}),
);

test(
	"stores that are subscribed to in turns replay nothing, and a store has its value at once",
	onStage(async (stage) => {
		const agentwire = made(stage);
		for (const name of ["one", "two"]) stage.server.append(name, said(`${name}0`));
		await stage.connected();
		for (let count = 0; count < 20; count += 1) {
			const name = count % 2 === 0 ? "one" : "two";
			const shown: string[] = [];
			const off = agentwire.thread(name).subscribe(({ items }) => shown.push(textOf(items)));
			if (count > 1) assert.deepEqual(shown, [`${name}0`]);
			await stage.advance(50);
			assert.equal(shown.at(-1), `${name}0`);
			off();
		}
		assert.deepEqual([stage.subscribed().sort(), stage.sent("unsubscribe").length], [["one", "two"], 0]);
		agentwire.destroy();
		await leavesNothing(stage);
	}),
);

test(
	"a message that waited before the thread was opened is shown at once",
	onStage(async (stage) => {
		const client = stage.createClient({ ...OPTIONS, autoConnect: false });
		const agentwire = createAgentwire({ client });
		client.thread("t").send({ content: "waiting" });
		const shown: string[] = [];
		const off = agentwire.thread("t").subscribe(({ items }) => shown.push(textOf(items)));
		assert.deepEqual(shown, ["", "waiting"]);
		off();
		client.close();
		await leavesNothing(stage);
	}),
);

test(
	"5,000 replayed events change a store a few times",
	onStage(async (stage) => {
		stage.world.latency = 1;
		for (let run = 0; run < 50; run += 1) stage.server.append("t", started(`r${run}`), ...Array.from({ length: 99 }, () => delta("x", `r${run}`)));
		const agentwire = made(stage);
		let calls = 0;
		const off = agentwire.thread("t").subscribe(() => (calls += 1));
		await stage.connected();
		await stage.advance(2_000);
		assert.ok(calls <= 60, `${calls} calls`);
		off();
		agentwire.destroy();
		await leavesNothing(stage);
	}),
);

test(
	"on a server nothing is opened",
	onStage(async (stage) => {
		stage.world.define("window", undefined);
		const agentwire = made(stage);
		const shown: string[] = [];
		agentwire.thread("t").subscribe(({ items, caughtUp }) => shown.push(`${items.length} ${caughtUp}`))();
		agentwire.connection.subscribe(({ state }) => shown.push(state.name))();
		await stage.advance(5_000);
		assert.deepEqual([shown, stage.clients.length, stage.world.timers], [["0 false", "idle"], 0, 0]);
		agentwire.destroy();
		await leavesNothing(stage);
	}),
);

/** Who is typing: told to the others, and over by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Typing, type TypingOptions, typing } from "../src/typing.js";
import type { Thread } from "./support/package.js";
import { type Rig, rig } from "./support/rig.js";
import { ModelServer } from "./support/server.js";
import { inWorld, type World } from "./support/world.js";

interface Member extends Rig {
	readonly thread: Thread;
	readonly typing: Typing;
	/** Who was typing at each notification, by the time in milliseconds. */
	readonly noted: string[];
	/** What was told to the server: whether it is active. */
	told(): unknown[];
}

/** A user's page in the thread. */
async function join(world: World, server: ModelServer, user: string, options?: TypingOptions): Promise<Member> {
	server.judgeToken = (token) => ({ subject: token });
	const made = rig(world, { server, token: () => user });
	const thread = made.client.thread("t", { from: "live" });
	thread.onEvent(() => undefined);
	await made.connected();
	await world.settle();
	const peer = made.peer();
	const store = typing(made.client, thread, options);
	const noted: string[] = [];
	store.subscribe(() => noted.push(`${world.now}: ${store.getSnapshot().join()}`));
	world.atEnd(() => store.dispose());
	const told = (): unknown[] => peer.of("signal").map(({ signal }) => (signal as { active: unknown }).active);
	return { ...made, thread, typing: store, noted, told };
}

test(
	"the others are notified now and then of who types, and it stops by itself",
	inWorld(async (world) => {
		const server = new ModelServer(world);
		const ada = await join(world, server, "ada");
		const bob = await join(world, server, "bob");
		for (let key = 0; key < 60; key += 1) {
			bob.typing.start();
			await world.advance(100);
		}
		assert.deepEqual(bob.told(), [true, true, true]);
		assert.deepEqual([ada.noted, ada.typing.getSnapshot(), bob.noted], [["0: bob"], ["bob"], []]);
		assert.equal(ada.typing.getSnapshot(), ada.typing.getSnapshot());
		await world.advance(60_000);
		assert.deepEqual(
			[bob.told(), ada.noted],
			[
				[true, true, true, false],
				["0: bob", "10000: "],
			],
		);
		assert.deepEqual(ada.typing.getServerSnapshot(), []);
	}),
);

test(
	"a message ends it, and so does stop, once",
	inWorld(async (world) => {
		const server = new ModelServer(world);
		const ada = await join(world, server, "ada");
		const bob = await join(world, server, "bob");
		bob.typing.start();
		bob.client.thread("u").send({ content: "Elsewhere" });
		await world.advance(10);
		assert.deepEqual(ada.typing.getSnapshot(), ["bob"]);
		bob.thread.send({ content: "Hi" });
		await world.advance(10);
		assert.deepEqual([bob.told(), ada.typing.getSnapshot()], [[true, false], []]);
		bob.typing.stop();
		bob.typing.start();
		bob.typing.stop();
		bob.typing.stop();
		await world.advance(10);
		assert.deepEqual(bob.told(), [true, false, true, false]);
	}),
);

test(
	"a page that is gone stops typing on the others when its time is over",
	inWorld(async (world) => {
		const server = new ModelServer(world);
		const ada = await join(world, server, "ada");
		const bob = await join(world, server, "bob");
		bob.typing.start();
		await world.settle();
		server.unreachable = true;
		bob.peer().drop();
		await world.settle();
		bob.typing.start();
		await world.advance(4_999);
		assert.deepEqual(ada.noted, ["0: bob"]);
		await world.advance(1);
		assert.deepEqual([ada.noted.slice(1), bob.told()], [["5000: "], [true]]);
	}),
);

test(
	"other threads, other signals and signals of nobody count for nothing, and users are bounded",
	inWorld(async (world) => {
		const server = new ModelServer(world);
		const ada = await join(world, server, "ada");
		const tell = (fields: object) => server.tell({ type: "signal", stream: "t", from: "eve", signal: { type: "typing", active: true }, ...fields });
		tell({ stream: "u" });
		tell({ signal: { type: "wave", active: true } });
		tell({ signal: { type: "typing", active: 1 } });
		tell({ from: undefined });
		await world.settle();
		assert.deepEqual(ada.noted, []);
		for (let user = 0; user < 200; user += 1) tell({ from: `u${user}`, expiresInMs: 1_000 + user });
		tell({ from: "__proto__" });
		await world.settle();
		assert.equal(ada.typing.getSnapshot().length, 100);
		await world.advance(2_000);
		assert.deepEqual(ada.typing.getSnapshot(), []);
	}),
);

// I10
test(
	"a listener may throw and dispose, and disposed of it tells that it stopped and leaves no timer",
	inWorld(async (world) => {
		const server = new ModelServer(world);
		const ada = await join(world, server, "ada");
		const bob = await join(world, server, "bob");
		ada.typing.subscribe(() => {
			throw new Error("mine");
		});
		bob.typing.start();
		await world.settle();
		assert.deepEqual(ada.codes(), ["handler_threw"]);
		ada.typing.subscribe(() => ada.typing.dispose());
		bob.typing.dispose();
		bob.typing.dispose();
		await world.settle();
		assert.deepEqual([bob.told(), ada.typing.getSnapshot()], [[true, false], []]);
		for (const call of [() => bob.typing.start(), () => ada.typing.subscribe(() => undefined)]) assert.throws(call, { code: "closed" });
		assert.throws(() => typing(bob.client, bob.thread, { idleMs: 1 }), { code: "invalid_option" });
		assert.throws(() => typing(bob.client, {} as never), { code: "invalid_option" });
	}),
);

/** Large messages and a socket that takes nothing: `WebSocket.bufferedAmount` of the page (SND-22). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { takeCrossings } from "./support/crossings.js";
import { type Rig, rig } from "./support/rig.js";
import { inWorld, type World } from "./support/world.js";

const LARGE = "x".repeat(100_000);

/** A connected page. `order` has what came on its socket, by id or type. */
async function connectedTo(world: World): Promise<Rig & { thread: ReturnType<Rig["client"]["thread"]>; order(): unknown[] }> {
	const made = rig(world);
	await made.connected();
	const keyed = new Set(["send", "cancel", "approve", "withdraw", "edit"]);
	const order = (): unknown[] => {
		const frames = made.peer().received.filter(({ type }) => keyed.has(type));
		return frames.map((frame) => (frame.type === "send" ? frame["id"] : frame.type));
	};
	return { ...made, thread: made.client.thread("t"), order };
}

// PROTOCOL: SND-22, SND-4
test(
	"a cancel and an approval go out before a large message that the socket has no room for",
	inWorld(async (world) => {
		const { thread, peer, order } = await connectedTo(world);
		thread.send({ content: LARGE }, { id: "m1" });
		peer().socket.bufferedAmount = 90_000;
		const second = thread.send({ content: LARGE }, { id: "m2" });
		const third = thread.send({ content: LARGE }, { id: "m3" });
		const asked = [thread.cancel("r1"), thread.approve("r1", "a1", { decision: "approved" })];
		// About a message that waits: behind it.
		const withdrawn = thread.withdraw("m3");
		for (const settles of [...asked, withdrawn]) settles.catch(() => undefined);
		await world.advance(1_000);
		assert.deepEqual(order(), ["m1", "cancel", "approve"]);
		assert.deepEqual([second.state, third.state], ["queued", "queued"]);
		peer().socket.bufferedAmount = 0;
		await world.advance(1_000);
		assert.deepEqual(order(), ["m1", "cancel", "approve", "m2", "m3", "withdraw"]);
		assert.deepEqual([second.state, third.state], ["stored", "stored"]);
	}),
);

// PROTOCOL: SND-4, SND-18
test(
	"an approval does not go out before a message that interrupts",
	inWorld(async (world) => {
		const { thread, peer, order } = await connectedTo(world);
		thread.send({ content: LARGE }, { id: "m1" });
		peer().socket.bufferedAmount = 90_000;
		thread.send({ content: LARGE }, { id: "m2", mode: "interrupt" });
		thread.approve("r1", "a1", { decision: "approved" }).catch(() => undefined);
		await world.advance(1_000);
		assert.deepEqual(order(), ["m1"]);
		peer().socket.bufferedAmount = 0;
		await world.advance(1_000);
		assert.deepEqual(order(), ["m1", "m2", "approve"]);
	}),
);

// PROTOCOL: SND-22
test(
	"a message that waits for room was never transmitted, and can be taken back",
	inWorld(async (world) => {
		const { thread, peer, order } = await connectedTo(world);
		thread.send({ content: LARGE }, { id: "m1" });
		peer().socket.bufferedAmount = 90_000;
		const second = thread.send({ content: LARGE }, { id: "m2", timeoutMs: 500 });
		const refused = assert.rejects(second.receipt, { code: "timeout", message: /never transmitted/ });
		await world.advance(1_000);
		await refused;
		peer().socket.bufferedAmount = 0;
		await world.advance(1_000);
		assert.deepEqual(order(), ["m1"]);
	}),
);

test(
	"a socket is looked at only when a large message waits for it",
	inWorld(async (world) => {
		const { thread, peer } = await connectedTo(world);
		let looks = 0;
		Object.defineProperty(peer().socket, "bufferedAmount", {
			get: () => {
				looks += 1;
				return 90_000;
			},
		});
		takeCrossings();
		for (let index = 0; index < 40; index += 1) thread.send({ content: "x".repeat(4_000) });
		await world.settle();
		assert.equal(looks, 0);
		thread.send({ content: LARGE });
		await world.advance(1_000);
		// Forty times 4 kB are more than the bound: once then, and 20 times a second.
		assert.ok(looks >= 15 && looks <= 25, `${looks}`);
	}),
);

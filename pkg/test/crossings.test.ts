/** What a frame of events costs at the border to wasm: numbers, and few calls. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Crossing, takeCrossings } from "./support/crossings.js";
import { type Rig, rig } from "./support/rig.js";
import { inWorld, type World } from "./support/world.js";

const FRAMES = 20;
/** One consumer's; each further one may cost 1 more. */
const MOST = 4;

/** Lets a frame of so many events come; returns what it cost. */
async function receive(world: World, { server }: Rig, events: number): Promise<{ crossings: Crossing[]; clock: number }> {
	takeCrossings();
	const before = world.clockReads;
	server.append("t", ...Array.from({ length: events }, (_, n) => ({ type: "tick", time: 1, n })));
	await world.settle();
	return { crossings: takeCrossings(), clock: world.clockReads - before };
}

/** The most crossings that one of many frames cost. */
async function mostOf(world: World, made: Rig, events: number): Promise<number> {
	// The first one begins the delay of an acknowledgement.
	await receive(world, made, events);
	let most = 0;
	for (let frame = 1; frame < FRAMES; frame += 1) {
		const { crossings, clock } = await receive(world, made, events);
		for (const { args } of crossings) assert.ok(!args.some((arg) => typeof arg === "string"), `a text crosses: ${args.join(", ")}`);
		assert.ok(crossings.length > 0, "nothing was counted");
		assert.equal(clock, 1, "the clock is read once");
		most = Math.max(most, crossings.length);
	}
	return most;
}

for (const events of [1, 50]) {
	test(
		`a frame of ${events} costs at most ${MOST} crossings for one consumer, and 1 more for each further one`,
		inWorld(async (world) => {
			const made = rig(world);
			made.server.batch = events;
			const thread = made.client.thread("t");
			let handled = 0;
			thread.onEvent(() => (handled += 1));
			thread.on("tick", () => (handled += 1));
			await made.connected();
			const one = await mostOf(world, made, events);
			assert.equal(handled, 2 * FRAMES * events);
			assert.ok(one <= MOST, `${one} crossings`);
			const iterators = [thread.events({ maxQueued: 65_536 }), thread.events({ maxQueued: 65_536 })];
			for (const iterator of iterators) void iterator.next();
			await world.settle();
			const three = await mostOf(world, made, events);
			assert.ok(three <= MOST + iterators.length, `${three} crossings for three consumers`);
		}),
	);
}

/** Delivery to handlers: order, re-entry, and what handlers may do (I1, I4, I10). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentEvent, BatchMeta, EventMeta, Unsubscribe } from "./support/package.js";
import { listen, metas, offsets, range } from "./support/record.js";
import { type Rig, type RigOptions, rig } from "./support/rig.js";
import { numbered } from "./support/server.js";
import { inWorld, microtasks, type World } from "./support/world.js";

/** A thread with so many events in its log; nothing is delivered before the first `world.settle()`. */
function threadWith(world: World, events: number, options: RigOptions = {}): Rig & { thread: ReturnType<Rig["client"]["thread"]> } {
	const made = rig(world, options);
	made.server.append("t", ...numbered(events));
	return { ...made, thread: made.client.thread("t") };
}

test(
	"each handler gets each event once, in order, with its meta",
	inWorld(async (world) => {
		const { thread, server } = threadWith(world, 10);
		const every = metas(thread);
		const typed: unknown[] = [];
		thread.on("tick", (event) => typed.push(event["n"]));
		await world.settle();
		server.append("t", ...numbered(5, 11));
		await world.settle();
		const numbers = Array.from({ length: 15 }, (_, index) => index + 1);
		assert.deepEqual(
			every.map(({ offset }) => offset),
			numbers,
		);
		assert.deepEqual(typed, numbers);
		assert.ok(every.every(({ epoch }) => epoch === "e1"));
		assert.deepEqual(
			every.map(({ delivery }) => delivery),
			[...Array<string>(10).fill("replay"), ...Array<string>(5).fill("live")],
		);
		assert.deepEqual(
			every.map(({ position }) => position),
			numbers.map((offset) => ({ epoch: "e1", offset })),
		);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 15 });
	}),
);

test(
	"the event is the object that was parsed: nothing is added to it",
	inWorld(async (world) => {
		const { thread, server, client } = rigThread(world);
		const got: AgentEvent[] = [];
		thread.onEvent((event) => got.push(event));
		server.append("t", { type: "note", time: 5, offset: "mine", epoch: 7, delivery: null });
		await world.settle();
		assert.deepEqual(got, [{ type: "note", time: 5, offset: "mine", epoch: 7, delivery: null }]);
		client.close();
	}),
);

function rigThread(world: World) {
	const made = rig(world);
	return { ...made, thread: made.client.thread("t") };
}

test(
	"meta is made once per event and shared by the handlers",
	inWorld(async (world) => {
		const { thread } = threadWith(world, 2);
		const seen: [EventMeta[], EventMeta[]] = [[], []];
		thread.on("tick", (_event, meta) => seen[0].push(meta));
		thread.onEvent((_event, meta) => seen[1].push(meta));
		await world.settle();
		assert.equal(seen[0].length, 2);
		for (const [index, meta] of seen[0].entries()) assert.equal(seen[1][index], meta);
		assert.notEqual(seen[0][0], seen[0][1]);
	}),
);

// PROTOCOL: EVT-4
test(
	"events with one id are different events, and ids do not decide the order",
	inWorld(async (world) => {
		const { thread, server } = threadWith(world, 0);
		const got: [number, unknown][] = [];
		thread.on("tick", (event, { offset }) => got.push([offset, event["id"]]));
		server.append("t", ...["b", "a", "b"].map((id) => ({ type: "tick", id })), { type: "tick" });
		await world.settle();
		assert.deepEqual(got, [
			[1, "b"],
			[2, "a"],
			[3, "b"],
			[4, undefined],
		]);
	}),
);

// PROTOCOL: DLT-2
test(
	"deltas in their compact form are delivered as the events they stand for",
	inWorld(async (world) => {
		const { thread, server } = threadWith(world, 1);
		server.compacts = true;
		const deltas = ["Two", " files", " match"].map((text, index) => ({ type: "message_delta", runId: "r", messageId: "m", time: 10 + index, text }));
		server.append("t", ...deltas, ...numbered(1, 2));
		const got: unknown[] = [];
		thread.onEvent((event) => got.push(event));
		const texts: string[] = [];
		thread.on("message_delta", ({ text }, { offset }) => texts.push(`${offset}${text}`));
		await world.settle();
		assert.ok(server.session.sent.some((frame) => frame.type === "deltas"));
		assert.deepEqual(got.slice(1, 4), deltas);
		assert.deepEqual(texts, ["2Two", "3 files", "4 match"]);
	}),
);

test(
	"handlers of a type run before those of every event, and batches come last",
	inWorld(async (world) => {
		const { thread } = threadWith(world, 2);
		const calls: string[] = [];
		thread.onBatch((events) => calls.push(`batch of ${events.length}`));
		thread.onEvent((_event, { offset }) => calls.push(`every ${offset}`));
		thread.on("tick", (_event, { offset }) => calls.push(`typed ${offset}`));
		await world.settle();
		assert.deepEqual(calls, ["typed 1", "every 1", "typed 2", "every 2", "batch of 2"]);
	}),
);

test(
	"onBatch is called once per frame, with what the frame brought",
	inWorld(async (world) => {
		const { thread, server } = threadWith(world, 6);
		const batches: [unknown[], BatchMeta][] = [];
		thread.onBatch((events, meta) => batches.push([events.map((event) => (event as unknown as { n: number }).n), meta]));
		await world.settle();
		server.append("t", ...numbered(2, 7));
		await world.settle();
		const position = (offset: number) => ({ epoch: "e1", offset });
		assert.deepEqual(batches, [
			[[1, 2, 3, 4], { first: 1, epoch: "e1", replays: 4, position: position(4) }],
			[[5, 6], { first: 5, epoch: "e1", replays: 2, position: position(6) }],
			[[7, 8], { first: 7, epoch: "e1", replays: 0, position: position(8) }],
		]);
		assert.deepEqual(thread.position, position(8));
	}),
);

test(
	"onBatch alone attaches the thread, and gets only what its consumer still needs of a frame",
	inWorld(async (world) => {
		const { thread, server } = threadWith(world, 8, {});
		server.batch = 8;
		const got: number[][] = [];
		const off = thread.onBatch((_events, { first, position }) => {
			got.push([first, position.offset]);
			off();
		});
		await world.settle();
		assert.deepEqual(got, [[1, 8]]);
		assert.equal(server.session.sub("t"), undefined, "with the last handler gone the thread is unsubscribed");
		thread.onBatch((_events, { first, position }) => got.push([first, position.offset]));
		server.append("t", ...numbered(1, 9));
		await world.settle();
		assert.deepEqual(got, [
			[1, 8],
			[9, 9],
		]);
	}),
);

test(
	"a batch handler that throws is reported, and the others get the batch",
	inWorld(async (world) => {
		const { thread, errors } = threadWith(world, 2);
		const boom = new Error("boom");
		let batches = 0;
		thread.onBatch(() => {
			throw boom;
		});
		thread.onBatch(() => (batches += 1));
		await world.settle();
		assert.equal(batches, 1);
		assert.deepEqual(
			errors.map(({ code, cause }) => [code, cause]),
			[["handler_threw", boom]],
		);
	}),
);

test(
	"a handler that throws hurts neither the others nor the rest",
	inWorld(async (world) => {
		const { thread, errors } = threadWith(world, 6);
		const boom = new Error("boom");
		thread.on("tick", () => {
			throw boom;
		});
		const got = offsets(thread);
		await world.settle();
		assert.deepEqual(got, [1, 2, 3, 4, 5, 6]);
		assert.deepEqual(
			errors.map(({ code, cause }) => [code, cause]),
			Array(6).fill(["handler_threw", boom]),
		);
	}),
);

// PROTOCOL: LIF-3
test(
	"a rejection of an async handler is reported, and the promise is not awaited",
	inWorld(async (world) => {
		const { thread, errors } = threadWith(world, 3);
		const got: number[] = [];
		let release: () => void = () => undefined;
		const gate = new Promise<void>((resolve) => (release = resolve));
		thread.on("tick", async (_event, { offset }) => {
			got.push(offset);
			await gate;
			if (offset === 2) throw new Error("late");
		});
		await world.settle();
		assert.deepEqual(got, [1, 2, 3]);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 3 });
		release();
		await microtasks();
		assert.deepEqual(
			errors.map(({ code, cause }) => [code, (cause as Error).message]),
			[["handler_threw", "late"]],
		);
	}),
);

test(
	"an error handler that throws is reported to the page, not to itself",
	inWorld(async (world) => {
		const { client, thread } = threadWith(world, 1);
		client.on("error", () => {
			throw new Error("in the error handler");
		});
		thread.on("tick", () => {
			throw new Error("first");
		});
		await world.settle();
		const uncaught = world.takeUncaught();
		assert.equal(uncaught.length, 1);
		assert.match(String(uncaught[0]), /in the error handler/);
	}),
);

test(
	"an error handler whose promise is rejected is reported to the page once",
	inWorld(async (world) => {
		const { client, thread, codes } = threadWith(world, 1);
		let calls = 0;
		client.on("error", async () => {
			calls += 1;
			if (calls > 50) return;
			throw new Error("in the async error handler");
		});
		thread.on("tick", async () => {
			throw new Error("first");
		});
		await world.settle();
		const uncaught = world.takeUncaught();
		assert.equal(calls, 1);
		assert.deepEqual(codes(), ["handler_threw"]);
		assert.equal(uncaught.length, 1);
		assert.match(String(uncaught[0]), /in the async error handler/);
	}),
);

test(
	"when nobody listens, an error goes to the page's own reporting",
	inWorld(async (world) => {
		const { client, thread } = threadWith(world, 1);
		thread.on("tick", () => {
			client.close(); // takes the error handler away
			throw new Error("afterwards");
		});
		await world.settle();
		assert.equal(world.takeUncaught().length, 1);
	}),
);

test(
	"a handler that removes itself gets nothing more; the others go on",
	inWorld(async (world) => {
		const { thread } = threadWith(world, 5);
		const once: number[] = [];
		const off: Unsubscribe = thread.on("tick", (_event, { offset }) => {
			once.push(offset);
			off();
			off();
		});
		const rest = offsets(thread);
		await world.settle();
		assert.deepEqual([once, rest], [[1], [1, 2, 3, 4, 5]]);
	}),
);

test(
	"a handler that is removed by an earlier one does not get the running event",
	inWorld(async (world) => {
		const { thread } = threadWith(world, 2);
		thread.on("tick", () => off());
		const off = thread.on("tick", () => assert.fail("was removed"));
		await world.settle();
	}),
);

test(
	"a handler that is added by a handler gets the next event, of its type or of all",
	inWorld(async (world) => {
		const { thread } = threadWith(world, 3);
		const typed: number[] = [];
		let every: number[] = [];
		let added = false;
		thread.on("tick", () => {
			if (added) return;
			added = true;
			thread.on("tick", (_event, { offset }) => typed.push(offset));
			every = offsets(thread);
		});
		await world.settle();
		assert.deepEqual(
			[typed, every],
			[
				[2, 3],
				[2, 3],
			],
		);
	}),
);

test(
	"with the last handler gone delivery stops, and the next one goes on where it stopped",
	inWorld(async (world) => {
		const { thread, server } = threadWith(world, 9);
		const first: number[] = [];
		const off: Unsubscribe = thread.on("tick", (_event, { offset }) => {
			first.push(offset);
			if (offset === 6) off();
		});
		await world.settle();
		assert.deepEqual(first, [1, 2, 3, 4, 5, 6]);
		assert.equal(server.session.sub("t"), undefined);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 6 });
		const second = offsets(thread);
		await world.settle();
		assert.deepEqual(second, [7, 8, 9]);
	}),
);

test(
	"a handler that replaces itself inside a call loses and repeats nothing",
	inWorld(async (world) => {
		const { thread } = threadWith(world, 9);
		const got: string[] = [];
		const replace = (name: string): void => {
			const off: Unsubscribe = thread.on("tick", (_event, { offset }) => {
				got.push(`${name}${offset}`);
				if (offset !== 3 && offset !== 6) return;
				off();
				replace(name + name);
			});
		};
		replace("a");
		await world.settle();
		assert.deepEqual(got, ["a1", "a2", "a3", "aa4", "aa5", "aa6", "aaaa7", "aaaa8", "aaaa9"]);
	}),
);

test(
	"closing the client inside a handler stops everything, the other handlers of the event included",
	inWorld(async (world) => {
		const { client, thread, peer } = threadWith(world, 9);
		thread.on("tick", (_event, { offset }) => {
			if (offset === 2) client.close();
		});
		const got = offsets(thread);
		thread.onBatch(() => assert.fail("the client is closed"));
		await world.settle();
		assert.deepEqual(got, [1]);
		assert.equal(client.state.name, "closed");
		assert.equal(peer().closedWith, 1000);
	}),
);

test(
	"closing the thread inside a handler counts the running event, and reopening goes on behind it",
	inWorld(async (world) => {
		const { client, thread } = threadWith(world, 9);
		const got: string[] = [];
		thread.on("tick", (_event, { offset }) => {
			got.push(`a${offset}`);
			if (offset !== 3) return;
			thread.close();
			client.thread("t", { from: { epoch: "e1", offset: 3 } }).on("tick", (_later, meta) => got.push(`b${meta.offset}`));
		});
		await world.settle();
		assert.deepEqual(got, ["a1", "a2", "a3", "b4", "b5", "b6", "b7", "b8", "b9"]);
	}),
);

test(
	"sending inside a handler takes effect behind the running event",
	inWorld(async (world) => {
		const { thread, server } = threadWith(world, 2);
		const order: string[] = [];
		thread.on("tick", (_event, { offset }) => {
			thread.send({ content: `re ${offset}` }, { id: `m${offset}` });
			order.push(`handled ${offset}`);
		});
		thread.on("user_message", ({ sendId = "" }) => order.push(sendId));
		await world.settle();
		assert.deepEqual(order, ["handled 1", "handled 2", "m1", "m2"]);
		assert.deepEqual(
			server.applied.map(({ id }) => id),
			["m1", "m2"],
		);
	}),
);

test(
	"every call of the API works inside a handler, and no handler runs inside another",
	inWorld(async (world) => {
		const { client, thread, server } = threadWith(world, 3);
		let depth = 0;
		const got: string[] = [];
		const inside = (name: string, run: () => void): void => {
			assert.equal(depth, 0, `${name} was called inside another handler`);
			depth += 1;
			got.push(name);
			run();
			depth -= 1;
		};
		client.on("state", ({ to }) => inside(`state ${to}`, () => undefined));
		thread.onResumed(({ to }) => inside(`resumed ${to}`, () => client.stats()));
		thread.onEvent((_event, { offset }) => {
			inside(`event ${offset}`, () => {
				if (offset === 1) client.thread("u").onEvent((_other, meta) => inside(`u ${meta.offset}`, () => thread.signal({ type: "typing" })));
				if (offset === 2) void thread.events({ from: "start" }).next();
				if (offset === 3) void thread.cancel("r").then((outcome) => got.push(outcome));
			});
		});
		server.append("u", ...numbered(1));
		await world.settle();
		assert.deepEqual(got, ["state connected", "event 1", "event 2", "event 3", "resumed 3", "unknown_run", "u 1"]);
	}),
);

test(
	"an AbortSignal removes a handler, and one aborted before never adds it",
	inWorld(async (world) => {
		const { thread, server } = threadWith(world, 3);
		const controller = new AbortController();
		const got: number[] = [];
		thread.on(
			"tick",
			(_event, { offset }) => {
				got.push(offset);
				if (offset === 2) controller.abort();
			},
			{ signal: controller.signal },
		);
		thread.on("tick", () => assert.fail("was aborted before"), { signal: AbortSignal.abort() });
		thread.onBatch(() => assert.fail("was aborted before"), { signal: AbortSignal.abort() });
		thread.onGap(() => assert.fail("was aborted before"), { signal: AbortSignal.abort() });
		await world.settle();
		assert.deepEqual(got, [1, 2]);
		assert.equal(server.session.sub("t"), undefined);
	}),
);

test(
	"handlers of all kinds of wrong types are refused where the caller reads it",
	inWorld((world) => {
		const { thread, client } = threadWith(world, 0);
		const refused = { code: "invalid_option" };
		for (const handler of [undefined, null, 7, "x", {}, []]) {
			const wrong = handler as unknown as () => void;
			assert.throws(() => thread.on("tick", wrong), refused);
			assert.throws(() => thread.onEvent(wrong), refused);
			assert.throws(() => thread.onBatch(wrong), refused);
			assert.throws(() => thread.onGap(wrong), refused);
			assert.throws(() => thread.onResumed(wrong), refused);
			assert.throws(() => thread.onEnded(wrong), refused);
			assert.throws(() => client.on("state", wrong), refused);
		}
		assert.throws(() => thread.on(7 as unknown as "x", () => {}), refused);
	}),
);

test(
	"a handler may mutate, keep and freeze what it gets",
	inWorld(async (world) => {
		const { thread } = threadWith(world, 3);
		thread.on("tick", (event, meta) => {
			Object.assign(event, { n: "changed" });
			Object.freeze(event);
			Object.freeze(meta);
			Object.freeze(meta.position);
		});
		const batches: number[] = [];
		thread.onBatch((events, meta) => {
			Object.freeze(events);
			Object.freeze(meta);
			batches.push(events.length);
		});
		const got = listen(thread);
		await world.settle();
		assert.deepEqual(got, [...range(1, 3), "resumed e1/3"]);
		assert.deepEqual(batches, [3]);
		assert.deepEqual(thread.position, { epoch: "e1", offset: 3 });
	}),
);

import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentEvent } from "../src/events.js";
import type { Unsubscribe } from "../src/listeners.js";
import { numbered, rig, settled } from "./fake.js";

/** A thread that is connected and has n events, none handed over yet. */
function connected(events: number) {
	const made = rig();
	const thread = made.client.thread("t");
	made.server.append("t", ...numbered(events));
	return { ...made, thread, go: () => made.core().welcome() };
}

test("each handler gets each event once, in order, with its place", () => {
	const { thread, go, core, server } = connected(10);
	const every: AgentEvent[] = [];
	const typed: number[] = [];
	thread.on("event", (event) => every.push(event));
	thread.on("tick", (event) => typed.push(event["n"] as number));
	go();
	server.append("t", ...numbered(5, 11));
	core().flush();
	assert.deepEqual(every.map(({ offset }) => offset), Array.from({ length: 15 }, (_, index) => index + 1));
	assert.deepEqual(typed, every.map(({ offset }) => offset));
	assert.ok(every.every(({ epoch }) => epoch === "e1"));
	assert.deepEqual(every.map(({ delivery }) => delivery), [...Array(10).fill("replay"), ...Array(5).fill("live")]);
	assert.deepEqual(thread.position, { epoch: "e1", offset: 15 });
});

// PROTOCOL: EVT-4
test("events with one id are different events, and ids say nothing about the order", () => {
	const { thread, go, core, server } = connected(0);
	const handed: [number, unknown][] = [];
	thread.on("tick", (event) => handed.push([event.offset, event["id"]]));
	go();
	server.append("t", ...["b", "a", "b"].map((id) => ({ type: "tick", time: 1, id })), { type: "tick", time: 1 });
	core().flush();
	assert.deepEqual(handed, [[1, "b"], [2, "a"], [3, "b"], [4, undefined]]);
});

test("handlers of a type come before those of every event", () => {
	const { thread, go } = connected(1);
	const calls: string[] = [];
	thread.on("event", () => calls.push("every"));
	thread.on("tick", () => calls.push("typed"));
	go();
	assert.deepEqual(calls, ["typed", "every"]);
});

test("a handler that throws hurts neither the others nor the rest", () => {
	const { thread, go, errors } = connected(6);
	const got: number[] = [];
	const boom = new Error("boom");
	thread.on("tick", () => {
		throw boom;
	});
	thread.on("tick", ({ offset }) => got.push(offset));
	go();
	assert.deepEqual(got, [1, 2, 3, 4, 5, 6]);
	assert.equal(errors.length, 6);
	assert.deepEqual(errors[0], { code: "handler_threw", cause: boom });
});

// PROTOCOL: LIF-3
test("a rejection of an async handler is reported, and not awaited", async () => {
	const { thread, go, errors } = connected(3);
	const got: number[] = [];
	thread.on("tick", async ({ offset }) => {
		got.push(offset);
		await settled();
		if (offset === 2) throw new Error("late");
	});
	go();
	assert.deepEqual(got, [1, 2, 3]);
	await settled();
	await settled();
	assert.deepEqual(errors.map(({ code, cause }) => [code, (cause as Error).message]), [["handler_threw", "late"]]);
});

test("an error handler that throws goes to the page, not round in circles", () => {
	const { client, thread, go } = connected(1);
	const reported: unknown[] = [];
	const globals = globalThis as { reportError?: unknown };
	globals.reportError = (error: unknown) => reported.push(error);
	try {
		client.on("error", () => {
			throw new Error("in the error handler");
		});
		thread.on("tick", () => {
			throw new Error("first");
		});
		go();
	} finally {
		delete globals.reportError;
	}
	assert.equal(reported.length, 1);
	assert.match(String(reported[0]), /in the error handler/);
});

test("an error handler whose promise is rejected is told to the page once, not to itself for ever", async () => {
	const { client, thread, go, errors } = connected(1);
	const reported: unknown[] = [];
	const globals = globalThis as { reportError?: unknown };
	globals.reportError = (error: unknown) => reported.push(error);
	let calls = 0;
	try {
		client.on("error", async () => {
			calls += 1;
			if (calls > 50) return;
			throw new Error("in the async error handler");
		});
		thread.on("tick", async () => {
			throw new Error("first");
		});
		go();
		await settled();
	} finally {
		delete globals.reportError;
	}
	assert.equal(calls, 1);
	assert.deepEqual(errors.map(({ code }) => code), ["handler_threw"]);
	assert.equal(reported.length, 1);
	assert.match(String(reported[0]), /in the async error handler/);
});

test("when nobody listens, an error goes to the page's own reporting", () => {
	const made = rig();
	const quiet = rig({ autoConnect: false, logger: undefined });
	made.client.close();
	quiet.client.close();
	const reported: unknown[] = [];
	const globals = globalThis as { reportError?: unknown };
	globals.reportError = (error: unknown) => reported.push(error);
	try {
		const { client, core, server } = rig();
		const thread = client.thread("t");
		server.append("t", ...numbered(1));
		thread.on("tick", () => {
			client.close(); // takes the error handler away
			throw new Error("afterwards");
		});
		core().welcome();
	} finally {
		delete globals.reportError;
	}
	assert.equal(reported.length, 1);
});

test("a handler that removes itself gets nothing more; the others go on", () => {
	const { thread, go } = connected(5);
	const once: number[] = [];
	const rest: number[] = [];
	const off: Unsubscribe = thread.on("tick", ({ offset }) => {
		once.push(offset);
		off();
		off();
	});
	thread.on("tick", ({ offset }) => rest.push(offset));
	go();
	assert.deepEqual(once, [1]);
	assert.deepEqual(rest, [1, 2, 3, 4, 5]);
});

test("a handler that is removed by an earlier one does not get the running event", () => {
	const { thread, go } = connected(2);
	const got: number[] = [];
	thread.on("tick", () => off());
	const off = thread.on("tick", ({ offset }) => got.push(offset));
	go();
	assert.deepEqual(got, []);
});

test("a handler that is added by a handler gets the next event, of its type or of all", () => {
	const { thread, go } = connected(3);
	const typed: number[] = [];
	const every: number[] = [];
	let added = false;
	thread.on("tick", () => {
		if (added) return;
		added = true;
		thread.on("tick", ({ offset }) => typed.push(offset));
		thread.on("event", ({ offset }) => every.push(offset));
	});
	go();
	assert.deepEqual([typed, every], [[2, 3], [2, 3]]);
});

test("with the last handler gone, dispatch stops, and the next one goes on where it stopped", () => {
	const { thread, go, core } = connected(9);
	const first: number[] = [];
	const second: number[] = [];
	const off: Unsubscribe = thread.on("tick", ({ offset }) => {
		first.push(offset);
		if (offset === 6) off();
	});
	go();
	assert.deepEqual(first, [1, 2, 3, 4, 5, 6]);
	assert.ok(core().calls.some((call) => call.startsWith("unsubscribe")));
	assert.deepEqual(thread.position, { epoch: "e1", offset: 6 });
	thread.on("tick", ({ offset }) => second.push(offset));
	assert.deepEqual(second, [7, 8, 9]);
});

test("a handler that replaces itself inside a call loses and repeats nothing", () => {
	const { thread, go } = connected(9);
	const got: string[] = [];
	const listen = (name: string): void => {
		const off: Unsubscribe = thread.on("tick", ({ offset }) => {
			got.push(`${name}${offset}`);
			if (offset !== 3 && offset !== 6) return;
			off();
			listen(name + name);
		});
	};
	listen("a");
	go();
	assert.deepEqual(got, ["a1", "a2", "a3", "aa4", "aa5", "aa6", "aaaa7", "aaaa8", "aaaa9"]);
});

test("closing the client inside a handler stops everything, the other handlers of the event included", () => {
	const { client, thread, go, core } = connected(9);
	const got: number[] = [];
	thread.on("tick", ({ offset }) => {
		if (offset === 2) client.close();
	});
	thread.on("tick", ({ offset }) => got.push(offset));
	go();
	assert.deepEqual(got, [1]);
	assert.equal(client.state.name, "closed");
	assert.ok(core().calls.includes("close"));
});

test("sending inside a handler works, and takes effect behind the running event", () => {
	const { thread, go, core } = connected(2);
	const order: string[] = [];
	thread.on("tick", ({ offset }) => {
		thread.send({ content: `re ${offset}` }, { id: `m${offset}` });
		order.push(`handled ${offset}, queued ${core().sent.length}`);
	});
	go();
	assert.deepEqual(order, ["handled 1, queued 0", "handled 2, queued 0"]);
	assert.deepEqual(core().sent.map(({ id }) => id), ["m1", "m2"]);
});

test("an AbortSignal removes a handler, and one aborted before never adds it", () => {
	const { thread, go, core } = connected(3);
	const controller = new AbortController();
	const got: number[] = [];
	thread.on("tick", ({ offset }) => {
		got.push(offset);
		if (offset === 2) controller.abort();
	}, { signal: controller.signal });
	thread.on("tick", () => assert.fail("was aborted before"), { signal: AbortSignal.abort() });
	go();
	assert.deepEqual(got, [1, 2]);
	assert.equal(core().streams[0]?.consumers.length, 0);
});

test("an event whose type is the name of a fact goes to the handlers of every event only", () => {
	const { thread, core, server } = connected(0);
	const facts: unknown[] = [];
	const every: string[] = [];
	thread.on("gap", (fact) => facts.push(fact));
	thread.on("event", (event) => every.push(event.type));
	core().welcome();
	server.append("t", { type: "gap" }, { type: "event" }, { type: "resumed" });
	core().flush();
	assert.deepEqual([facts, every], [[], ["gap", "event", "resumed"]]);
});

test("facts alone do not subscribe", () => {
	const { thread, go, core } = connected(3);
	thread.on("gap", () => {});
	thread.on("resumed", () => {});
	thread.on("ended", () => {});
	go();
	assert.equal(core().streams.length, 0);
});

test("resumed, gap and ended are told", () => {
	const { client, server, core } = rig();
	server.append("t", ...numbered(9));
	core().trim("t", 4);
	const facts: unknown[] = [];
	const thread = client.thread("t", { from: { epoch: "e1", offset: 2 } });
	thread.on("gap", (gap) => facts.push(gap));
	thread.on("event", ({ offset }) => offset === 5 && facts.push(offset));
	thread.on("resumed", ({ to, openRuns }) => facts.push({ to, openRuns }));
	thread.on("ended", (fact) => facts.push(fact));
	core().welcome();
	core().end("t", "deleted");
	const gap = { from: 3, to: 4, reason: "trimmed", remedy: "refetch", epoch: undefined };
	assert.deepEqual(facts, [gap, 5, { to: 9, openRuns: ["r1"] }, { reason: "deleted" }]);
});

// PROTOCOL: SUB-11
test("after the server ended a thread, the next handler or handle has it asked again (SUB-11)", () => {
	const { client, thread, core, server, errors } = connected(2);
	const got: string[] = [];
	const ends: string[] = [];
	thread.on("tick", ({ offset }) => got.push(`a${offset}`));
	thread.on("ended", ({ reason }) => ends.push(reason));
	core().welcome();
	core().end("t", "forbidden");
	server.append("t", ...numbered(2, 3));
	core().flush();
	assert.deepEqual(got, ["a1", "a2"]);
	thread.on("tick", ({ offset }) => got.push(`b${offset}`));
	assert.deepEqual(got, ["a1", "a2", "a3", "b3", "a4", "b4"], "nothing twice, nothing lost");
	core().end("t", "deleted");
	server.append("t", ...numbered(1, 5));
	core().flush();
	client.thread("t");
	assert.deepEqual(got.slice(6), ["a5", "b5"]);
	assert.deepEqual(ends, ["forbidden", "deleted"]);
	assert.deepEqual(errors, [], "whoever listens for it was told");
});

test("the end of a thread that nobody listens for is reported as an error", async () => {
	const { thread, go, core, errors } = connected(1);
	thread.on("tick", () => {});
	go();
	core().end("t", "unknown_stream");
	assert.deepEqual(errors.map(({ code }) => code), ["stream_ended"]);
	const iterating = connected(0);
	const waiting = iterating.thread.events().next();
	iterating.go();
	iterating.core().end("t", "deleted");
	await assert.rejects(waiting, { code: "stream_ended" });
	assert.deepEqual(iterating.errors, [], "an iterator has it as its rejection");
});

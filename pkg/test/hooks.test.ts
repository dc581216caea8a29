/** What the hooks of all frameworks are built on, without any of them. */
import "./support/document.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { isAlike, shallowEqual } from "../src/hooks/compare.js";
import { given } from "../src/hooks/given.js";
import { selection } from "../src/hooks/selection.js";
import { sharedThread } from "../src/hooks/shared.js";
import { warnOnce } from "../src/hooks/warn.js";
import { leavesNothing, OPTIONS, onStage, type Stage } from "./support/dom.js";
import { said } from "./support/events.js";

function lease(stage: Stage) {
	const { client, retain } = given({ options: OPTIONS, createClient: stage.createClient });
	assert.ok(retain);
	return { client, retain };
}

test(
	"a listener that is gone hears nothing, while others still do; what a server renders stays as it was",
	onStage(async (stage) => {
		const { client, retain } = lease(stage);
		const release = retain();
		const one = sharedThread(client, "t");
		const other = sharedThread(client, "t");
		const onServer = one.getServerSnapshot();
		const heard: string[] = [];
		const off = one.subscribe(() => heard.push("one"));
		const offOther = other.subscribe(() => heard.push("other"));
		await stage.connected();
		heard.length = 0;
		off();
		off();
		stage.server.append("t", said("Hi"));
		await stage.settle();
		assert.deepEqual(heard, ["other"]);
		assert.equal(one.getSnapshot(), other.getSnapshot());
		assert.equal(one.getSnapshot().items.length, 1);
		assert.deepEqual([one.getServerSnapshot() === onServer, onServer.items.length], [true, 0]);
		offOther();
		release();
		await leavesNothing(stage);
	}),
);

test(
	"a client that is needed again after it was closed is another one, and its threads are opened in that",
	onStage(async (stage) => {
		const { client, retain } = lease(stage);
		stage.server.append("t", said("Hi"));
		const thread = sharedThread(client, "t");
		for (const round of [1, 2]) {
			const release = retain();
			const off = thread.subscribe(() => undefined);
			await stage.connected();
			assert.deepEqual([stage.clients.length, client.state.name, thread.getSnapshot().items.length], [round, "connected", 1]);
			// The store is still held by a component that did not notice.
			if (round === 2) off();
			release();
			await stage.advance(2_000);
			assert.deepEqual([client.state.name, thread.getSnapshot().items.length, stage.world.timers], ["closed", 0, 0]);
			assert.throws(() => thread.send("late"), { code: "closed" });
			await stage.advance(2_000);
		}
		await leavesNothing(stage);
	}),
);

test(
	"a client that is used without being needed is closed by itself",
	onStage(async (stage) => {
		const { client } = lease(stage);
		assert.deepEqual(
			[client.state.name, client.subject, client.lastError, client.outbox(), client.health().status],
			["idle", undefined, undefined, [], "initializing"],
		);
		client.on("state", () => undefined);
		await stage.connected();
		assert.equal(client.subject, "ada");
		await leavesNothing(stage);
	}),
);

test(
	"what is sent by other means is shown too, and a thread that was left may be opened anew from elsewhere",
	onStage(async (stage) => {
		const client = stage.createClient(OPTIONS);
		const thread = sharedThread(client, "t");
		const off = thread.subscribe(() => undefined);
		const own = client.thread("t");
		own.send({ content: "by the thread" });
		assert.deepEqual(
			thread.getSnapshot().items.map((item) => item.kind === "user_message" && item.sending?.state),
			["queued"],
		);
		await stage.connected();
		off();
		own.close();
		await stage.advance(2_000);
		const elsewhere = client.thread("t", { from: "live" });
		elsewhere.close();
		client.close();
		await leavesNothing(stage);
	}),
);

test("options are compared by value, selections field by field", () => {
	const error = new Error("x");
	const alike: [unknown, unknown, boolean, boolean][] = [
		[1, 1, true, true],
		[Number.NaN, Number.NaN, true, true],
		[{ a: 1 }, { a: 1 }, true, true],
		[{ a: 1, b: undefined }, { a: 1 }, true, true],
		[{ a: 1 }, { a: 2 }, false, false],
		[{}, [], false, false],
		[[1], [1], true, true],
		[{ a: { b: 1 } }, { a: { b: 1 } }, true, false],
		[{ a: { b: 1 } }, { a: { b: 2 } }, false, false],
		[{ a: { b: { c: 1 } } }, { a: { b: { c: 2 } } }, true, false],
		[() => 1, () => 1, true, false],
		[{ f: () => 1 }, { f: () => 1 }, true, false],
		[error, error, true, true],
		[error, new Error("x"), false, false],
		[new Map(), new Map(), false, false],
		[null, undefined, false, false],
		[null, {}, false, false],
	];
	for (const [one, other, isSame, isEqual] of alike) {
		assert.deepEqual([isAlike(one, other), shallowEqual(one, other)], [isSame, isEqual], `${JSON.stringify(one)} ${JSON.stringify(other)}`);
		assert.deepEqual([isAlike(other, one), shallowEqual(other, one)], [isSame, isEqual]);
	}
});

test("a selection calls its selector once for each snapshot, and keeps what is equal, undefined included", () => {
	let snapshot = { n: 1, of: undefined as { x: number } | undefined };
	let calls = 0;
	const read = selection(
		() => snapshot,
		({ of }) => {
			calls += 1;
			return of;
		},
		shallowEqual,
	);
	assert.deepEqual([read(), read(), calls], [undefined, undefined, 1]);
	snapshot = { n: 2, of: { x: 1 } };
	const first = read();
	snapshot = { n: 3, of: { x: 1 } };
	assert.equal(read(), first);
	assert.equal(calls, 3);
});

test("the developer is warned once, and nobody in production", (context) => {
	const warn = context.mock.method(console, "warn", () => undefined);
	warnOnce("one");
	warnOnce("one");
	const former = process.env["NODE_ENV"];
	process.env["NODE_ENV"] = "production";
	warnOnce("two");
	if (former === undefined) delete process.env["NODE_ENV"];
	else process.env["NODE_ENV"] = former;
	assert.deepEqual(
		warn.mock.calls.map((call) => call.arguments),
		[["agentwire: one"]],
	);
});

test("a source that names neither a client nor options is refused", () => {
	assert.throws(() => given({} as never), { code: "invalid_option", message: /needs `client` or `options`/ });
});

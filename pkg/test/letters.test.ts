/** What is sent, sent again, and sent twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentClient } from "../src/client/client.js";
import { settingsOf } from "../src/client/options.js";
import type { MessageContent } from "../src/sends/content.js";
import { inPage, type StubCore, settled, stubInstance } from "./support/stub.js";

const ACCEPTED = { type: "receipt", status: "accepted", position: { epoch: "e1", offset: 7 } };

function connected(maxPendingSends = 256) {
	const { instance, cores } = stubInstance();
	const client = new AgentClient(settingsOf({ url: "wss://x/", token: () => "t", maxPendingSends }), () => instance);
	const core = cores[0] as StubCore;
	core.host.state("connected", "welcome", undefined, 0);
	core.writes = true;
	const sends = (): string[] => core.calls.filter((call) => call.startsWith("send"));
	return { client, core, sends, thread: client.thread("t") };
}

// FAULT: C1
test("the_id_of_a_pending_message_with_the_same_content_joins_it", () =>
	inPage(async () => {
		const { client, core, sends, thread } = connected(1);
		const first = thread.send({ content: "x", metadata: { a: 1, b: [2] } }, { id: "m" });
		const second = thread.send({ metadata: { b: [2], a: 1 }, content: "x" }, { id: "m" });
		assert.deepEqual(sends(), ["send m -1"]);
		core.host.settled("m", ACCEPTED, undefined);
		assert.deepEqual(await second.receipt, await first.receipt);
		assert.deepEqual([first.state, second.state], ["stored", "stored"]);
		client.close();
	}));

// FAULT: C1
test("the_id_of_a_pending_message_with_other_content_is_a_conflict", () =>
	inPage(async () => {
		const { client, sends, thread } = connected();
		thread.send({ content: "x", metadata: { a: 1 } }, { id: "m" });
		const others: readonly MessageContent[] = [
			{ content: "y", metadata: { a: 1 } },
			{ content: "x" },
			{ content: "x", metadata: { a: 1, b: 2 } },
			{ type: "x", content: "x", metadata: { a: 1 } },
		];
		for (const other of others) await assert.rejects(thread.send(other, { id: "m" }).receipt, { code: "conflict" });
		await assert.rejects(client.thread("u").send({ content: "x", metadata: { a: 1 } }, { id: "m" }).receipt, { code: "conflict" });
		assert.equal(sends().length, 1);
		client.close();
	}));

// FAULT: C2
// PROTOCOL: SND-5
test("a_retry_keeps_the_id_and_since_when_the_server_may_know_it", (t) =>
	inPage(async () => {
		t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
		const { client, core, sends, thread } = connected();
		const message = thread.send({ content: "x" }, { id: "m" });
		const states: string[] = [];
		message.on("change", ({ state }) => states.push(state));
		const first = message.receipt;
		assert.equal(message.retry(), first, "it is pending: there is nothing to do again");
		t.mock.timers.tick(90_000_000);
		core.host.settled("m", undefined, "outcome_unknown");
		await assert.rejects(first, { code: "outcome_unknown" });
		t.mock.timers.tick(5_000);
		const second = message.retry();
		assert.equal(message.receipt, second);
		assert.deepEqual([message.state, message.error], ["sending", undefined]);
		assert.deepEqual(sends(), ["send m -1", "send m 90005000"]);
		core.host.settled("m", undefined, "outcome_unknown");
		await assert.rejects(second, { code: "outcome_unknown" });
		const third = message.retry();
		core.host.settled("m", ACCEPTED, undefined);
		assert.deepEqual((await third).position, { epoch: "e1", offset: 7 });
		assert.equal(message.retry(), third, "it is stored: it has its receipt");
		assert.deepEqual(states, ["failed", "queued", "sending", "failed", "queued", "sending", "stored"]);
		assert.equal(sends().length, 3);
		client.close();
	}));

test("a_retry_of_a_message_that_never_went_out_says_so", () =>
	inPage(async () => {
		const { client, core, sends, thread } = connected(1);
		thread.send({ content: "first" }, { id: "first" });
		const full = thread.send({ content: "x" }, { id: "full" });
		await assert.rejects(full.receipt, { code: "outbox_full" });
		await assert.rejects(full.retry(), { code: "outbox_full" });
		core.host.settled("first", ACCEPTED, undefined);
		const aborted = thread.send({ content: "x" }, { id: "aborted", signal: AbortSignal.abort() });
		await assert.rejects(aborted.receipt, { code: "aborted" });
		const again = aborted.retry();
		core.host.settled("aborted", ACCEPTED, undefined);
		await again;
		assert.deepEqual(sends(), ["send first -1", "send aborted -1"]);
		client.close();
	}));

test("a_retry_that_nobody_looks_at_is_no_unhandled_rejection", () =>
	inPage(async () => {
		const unhandled: unknown[] = [];
		const note = (error: unknown): void => void unhandled.push(error);
		process.on("unhandledRejection", note);
		try {
			const { client, core, thread } = connected();
			const message = thread.send({ content: "x" }, { id: "m" });
			core.host.settled("m", undefined, "outcome_unknown");
			await settled();
			void message.retry();
			client.close();
			await settled();
			assert.equal(message.error?.code, "closed");
			void message.retry();
			await settled();
			assert.equal(message.state, "failed");
			await assert.rejects(message.retry(), { code: "closed" });
		} finally {
			process.off("unhandledRejection", note);
		}
		assert.deepEqual(unhandled, []);
	}));

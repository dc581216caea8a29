/** Who is welcomed, and when a client is ready. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentClient } from "../src/client/client.js";
import { type ClientOptions, settingsOf } from "../src/client/options.js";
import { inPage, type StubCore, settled, stubInstance } from "./support/stub.js";

function made(options: Partial<ClientOptions> = {}) {
	const { instance, cores } = stubInstance();
	const client = new AgentClient(settingsOf({ url: "wss://x/", token: () => "t", ...options }), () => instance);
	const codes: string[] = [];
	client.on("error", ({ code }) => codes.push(code));
	return { client, cores, core: cores[0] as StubCore, codes };
}

test("the_expected_user_is_known_to_the_core", () =>
	inPage(async () => {
		const { client, core } = made({ user: "ada", tokenTimeoutMs: 5_000 });
		assert.equal(core.config.subject, "ada");
		assert.equal(core.config.tokenTimeoutMs, 5_000);
		client.close();
		const other = made();
		assert.equal("subject" in other.core.config, false);
		other.client.close();
	}));

// PROTOCOL: HEL-6
test("another_user_than_the_expected_one_ends_the_client_before_anything_is_shown", () =>
	inPage(async () => {
		const { client, core, codes } = made({ user: "ada" });
		const shown: unknown[] = [];
		client.on("subject", (subject) => shown.push(subject));
		const message = client.thread("t").send({ content: "for the eyes of ada" });
		core.host.welcome("s", "bob", undefined);
		assert.deepEqual([client.state.name, client.state.reason, client.subject], ["failed", "subject_changed", undefined]);
		await assert.rejects(message.receipt, { code: "subject_changed" });
		await assert.rejects(client.ready(), { code: "subject_changed" });
		assert.deepEqual([codes, shown], [["subject_changed"], []]);
		assert.ok(core.calls.includes("close"));
	}));

test("a_client_is_ready_while_it_is_connected_and_not_because_it_once_was", () =>
	inPage(async () => {
		const { client, core } = made();
		let ready = 0;
		const wait = async (): Promise<void> => {
			await client.ready();
			ready += 1;
		};
		void wait();
		core.host.welcome("s", "ada", undefined);
		await settled();
		assert.equal(ready, 0, "not before the state says so");
		core.host.state("connected", "welcome", undefined, 0);
		await settled();
		assert.equal(ready, 1);
		await wait();
		core.host.state("waiting", "abnormal", 500, 0);
		const again = wait();
		await settled();
		assert.equal(ready, 2);
		core.host.state("connected", "welcome", undefined, 0);
		await again;
		core.host.state("waiting", "abnormal", 500, 0);
		const controller = new AbortController();
		const aborted = client.ready({ signal: controller.signal });
		const closed = client.ready();
		controller.abort(new Error("left"));
		await assert.rejects(aborted, /left/);
		client.close();
		await assert.rejects(closed, { code: "closed" });
		await assert.rejects(client.ready(), { code: "closed" });
		await assert.rejects(client.ready({ signal: 5 as never }), { code: "invalid_option" });
	}));

test("why_a_client_is_not_connected_is_told_to_who_listens_later_until_it_is", () =>
	inPage(async () => {
		const { client, core, codes } = made();
		core.host.error("socket_refused", "a policy", undefined);
		const late: string[] = [];
		client.on("error", ({ code }) => late.push(code));
		await settled();
		assert.deepEqual([codes, late], [["socket_refused"], ["socket_refused"]]);
		late.length = 0;
		core.host.state("connected", "welcome", undefined, 0);
		client.on("error", ({ code }) => late.push(`connected ${code}`));
		await settled();
		assert.equal(late.length, 0);
		core.host.state("waiting", "abnormal", 500, 0);
		core.host.error("socket_refused", "a policy", undefined);
		client.close();
		late.length = 0;
		client.on("error", ({ code }) => late.push(`closed ${code}`));
		await settled();
		assert.equal(late.length, 0);
	}));

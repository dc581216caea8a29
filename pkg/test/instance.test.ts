/** When the wasm instance is lost: whose trap it is, and that a rebuild leaves nothing behind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentClient } from "../src/client/client.js";
import { settingsOf } from "../src/client/options.js";
import { type Instance, MAX_REBUILDS } from "../src/core/instance.js";
import type { AgentwireError } from "../src/shared/errors.js";
import { inPage, type StubCore, settled, stubInstance } from "./support/stub.js";

function clientIn(instance: Instance) {
	const errors: AgentwireError[] = [];
	const client = new AgentClient(settingsOf({ url: "wss://x/", token: () => "t" }), () => instance);
	client.on("error", (error) => errors.push(error));
	return { client, errors };
}

function trap(core: StubCore | undefined, client: AgentClient): void {
	assert.ok(core);
	core.trapOn = "counter";
	client.stats();
}

/** Which client hears a notice of which core. */
function heard(cores: readonly StubCore[], clients: readonly AgentClient[]): string[] {
	const notices: string[] = [];
	for (const [index, client] of clients.entries()) client.on("notice", ({ kind }) => notices.push(`${index} ${kind}`));
	for (const [index, { host }] of cores.entries()) host.message({ type: "notice", kind: `from ${index}` });
	return notices;
}

// FAULT: F1
test("a_trap_of_another_module_rebuilds_nothing_whatever_its_stack_says", () =>
	inPage(async (page) => {
		const { instance, cores } = stubInstance();
		const { client, errors } = clientIn(instance);
		const error = new WebAssembly.RuntimeError("unreachable");
		error.stack = "RuntimeError: unreachable\n    at https://example.com/agentwire/other.wasm";
		page.dispatchEvent(Object.assign(new Event("error"), { error }));
		await settled();
		assert.equal(cores.length, 1);
		assert.deepEqual(errors, []);
		client.close();
	}));

// FAULT: F1
test("a_trap_in_a_callback_of_the_core_rebuilds_it_even_if_every_call_still_answers", () =>
	inPage(async (page) => {
		const { instance, cores } = stubInstance();
		const { client, errors } = clientIn(instance);
		(cores[0] as StubCore).inside = true;
		const error = new RangeError("Maximum call stack size exceeded");
		page.dispatchEvent(Object.assign(new Event("error"), { error }));
		await settled();
		assert.equal(cores.length, 2);
		assert.deepEqual(
			errors.map(({ code, cause }) => [code, cause]),
			[["internal", error]],
		);
		assert.equal(client.stats().rebuilds, 1);
		client.close();
	}));

// FAULT: F1
test("an_error_that_is_reported_while_the_core_runs_is_not_taken_for_a_trap", () =>
	inPage(async (page) => {
		const { instance, cores } = stubInstance();
		const { client } = clientIn(instance);
		const core = cores[0] as StubCore;
		core.inside = true;
		page.dispatchEvent(Object.assign(new Event("error"), { error: new Error("of a handler that the core calls") }));
		core.inside = false;
		await settled();
		assert.equal(cores.length, 1);
		client.close();
	}));

test("what_timers_of_a_discarded_instance_throw_is_kept_from_the_console_only_after_a_rebuild", () =>
	inPage(async (page) => {
		const { instance, cores } = stubInstance();
		const { client } = clientIn(instance);
		const stale = (): boolean =>
			page.dispatchEvent(Object.assign(new Event("error", { cancelable: true }), { error: new Error("Cannot invoke closure from previous WASM instance") }));
		assert.equal(stale(), true, "it is somebody else's");
		trap(cores[0], client);
		await settled();
		assert.equal(stale(), false);
		assert.equal(cores.length, 2);
		client.close();
	}));

// FAULT: B14
test("a_rebuild_whose_first_core_traps_leaves_no_gate_and_no_socket_behind", () =>
	inPage(async () => {
		const { instance, cores, counts } = stubInstance({
			// 0 and 1 are the first cores of the two clients, 2 is the first one of the rebuild.
			before: (index) => {
				if (index === 2) throw new WebAssembly.RuntimeError("unreachable");
			},
		});
		const [one, two] = [clientIn(instance), clientIn(instance)];
		trap(cores[0], one.client);
		await settled();
		assert.equal(counts.resets, 2);
		assert.equal(cores.length, 4, "each client has one core beside the first one");
		assert.deepEqual(
			cores.map(({ socket }) => socket.closedWith),
			[4486, 4486, undefined, undefined],
		);
		assert.deepEqual(heard(cores, [one.client, two.client]), ["0 from 2", "1 from 3"], "the gates of the lost cores are shut");
		one.client.close();
		two.client.close();
	}));

// FAULT: B14
test("a_core_that_traps_while_it_is_filled_is_let_go_with_all_others", () =>
	inPage(async () => {
		const { instance, cores } = stubInstance({
			made: (core, index) => {
				if (index === 2 || index === 3) core.trapOn = "send";
			},
		});
		const [one, two] = [clientIn(instance), clientIn(instance)];
		one.client.thread("t").send({ content: "x" }, { id: "x" });
		trap(cores[1], two.client);
		await settled();
		assert.deepEqual([one.client.stats().rebuilds, two.client.stats().rebuilds], [3, 1]);
		assert.deepEqual(
			cores.map(({ calls }) => calls.includes("send x -1")),
			[true, false, false, false, true, false],
		);
		assert.deepEqual(heard(cores, [one.client, two.client]), ["0 from 4", "1 from 5"]);
		one.client.close();
		two.client.close();
	}));

test("a_core_of_a_lost_instance_is_not_freed", () =>
	inPage(async () => {
		const { instance, cores } = stubInstance();
		const [one, two] = [clientIn(instance), clientIn(instance)];
		// A core is freed at the end of the task, and by then the instance is lost.
		one.client.close();
		trap(cores[1], two.client);
		await settled();
		assert.equal(cores[0]?.freed, false);
		two.client.close();
		await settled();
		assert.equal(cores.at(-1)?.freed, true, "one that lives in the present instance is");
	}));

// FAULT: A15
test("a_client_that_fails_for_good_keeps_the_reason", () =>
	inPage(async () => {
		let now = 0;
		const { instance } = stubInstance({
			before: (index) => {
				if (index > 0) throw new WebAssembly.RuntimeError(`unreachable ${index}`);
			},
			now: () => (now += 1),
		});
		const { client, errors } = clientIn(instance);
		const thread = client.thread("t");
		client.stats();
		instance.trapped(new WebAssembly.RuntimeError("unreachable"));
		await settled();
		assert.equal(client.state.name, "failed");
		assert.equal(errors.length, MAX_REBUILDS + 2, "each loss, and the end");
		const reason = errors.at(-1);
		assert.equal(reason?.code, "internal");
		await assert.rejects(client.ready(), (error) => error === reason);
		const late: AgentwireError[] = [];
		client.on("error", (error) => late.push(error));
		client.on("error", (error) => late.push(error))();
		assert.deepEqual(late, [], "not within the call");
		await settled();
		assert.deepEqual(late, [reason]);
		const calls = [
			() => client.thread("t"),
			() => thread.send({ content: "x" }),
			() => thread.on("a", () => undefined),
			() => thread.events(),
			() => thread.signal({ type: "a" }),
		];
		for (const call of calls)
			assert.throws(call, (error: AgentwireError) => error.code === "closed" && error.cause === reason && error.message.includes("internal"));
		await assert.rejects(thread.cancel("r"), (error: AgentwireError) => error.code === "closed" && error.cause === reason);
	}));

// FAULT: A15
test("what_goes_wrong_in_the_constructor_reaches_the_handlers_that_are_attached_right_after_it", async () => {
	const kept = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
	Object.defineProperty(globalThis, "WebSocket", { value: undefined, configurable: true, writable: true });
	try {
		const client = new AgentClient(settingsOf({ url: "wss://x/", token: () => "t" }), () => assert.fail("it must not load"));
		assert.equal(client.state.name, "failed");
		const codes: string[] = [];
		client.on("error", ({ code }) => codes.push(code));
		await settled();
		client.on("error", ({ code }) => codes.push(`late ${code}`));
		await settled();
		assert.deepEqual(codes, ["no_websocket", "late no_websocket"]);
		await assert.rejects(client.ready(), { code: "no_websocket" });
	} finally {
		if (kept === undefined) Reflect.deleteProperty(globalThis, "WebSocket");
		else Object.defineProperty(globalThis, "WebSocket", kept);
	}
});

test("what_a_callback_of_the_core_throws_is_reported_and_goes_no_further", () =>
	inPage(async () => {
		const { instance, cores } = stubInstance();
		const { client, errors } = clientIn(instance);
		const { host } = cores[0] as StubCore;
		// No frame is like that: the first access throws.
		const broken = new Proxy({}, { get: () => assert.fail("of a frame") });
		assert.doesNotThrow(() => host.message(broken));
		assert.deepEqual(
			errors.map(({ code }) => code),
			["internal"],
		);
		client.close();
	}));

import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentClient } from "../src/client.js";
import { AgentwireError } from "../src/errors.js";
import type { Metric } from "../src/metrics.js";
import { settingsOf } from "../src/options.js";
import type { Logger } from "../src/report.js";
import { Instance } from "../src/supervisor.js";
import { FakeRaw, FakeServer, FakeSocket, fakeEngine, numbered, rig, settled } from "./fake.js";

test("ready resolves with the first welcome, also later", async () => {
	const { client, core } = rig();
	const ready = client.ready();
	core().welcome("ada");
	await ready;
	await client.ready();
	assert.equal(client.subject, "ada");
	core().lose();
	await client.ready();
});

test("ready rejects with the signal's reason, and with what ended the client", async () => {
	const { client, core } = rig();
	const controller = new AbortController();
	const waiting = client.ready({ signal: controller.signal });
	controller.abort();
	await assert.rejects(waiting, { name: "AbortError" });
	await assert.rejects(client.ready({ signal: AbortSignal.abort() }), { name: "AbortError" });
	const other = client.ready();
	core().fail("token_rejected");
	await assert.rejects(other, (error: unknown) => error instanceof AgentwireError && error.code === "token_rejected" && /Sign in again/.test(error.remediation));
	await assert.rejects(client.ready(), { code: "token_rejected" });
});

test("state says where the connection is and when it goes on", (t) => {
	t.mock.timers.enable({ apis: ["Date"], now: 5_000 });
	const { client, core } = rig();
	const changes: unknown[] = [];
	client.on("state", (change) => changes.push(change));
	assert.deepEqual(client.state, { name: "connecting", reason: "connect", attempt: 0 });
	core().welcome();
	core().lose();
	assert.deepEqual(client.state, { name: "waiting", reason: "connection_lost", attempt: 1, retryAt: 5_250 });
	assert.deepEqual(changes, [
		{ from: "connecting", to: "connected", reason: "welcome", attempt: 0 },
		{ from: "connected", to: "waiting", reason: "connection_lost", attempt: 1, retryAt: 5_250 },
	]);
});

test("health follows the state and what the server says", (t) => {
	t.mock.timers.enable({ apis: ["Date"], now: 0 });
	const { client, core } = rig();
	assert.equal(client.health().status, "degraded");
	core().welcome();
	assert.deepEqual(client.health(), { status: "healthy", reason: "connected" });
	core().tell({ type: "notice", kind: "degraded", level: "warning" });
	assert.deepEqual(client.health(), { status: "degraded", reason: "degraded" });
	t.mock.timers.tick(60_001);
	assert.equal(client.health().status, "healthy");
	core().host.state("offline", "offline", undefined, 0);
	assert.deepEqual(client.health(), { status: "down", reason: "offline" });
	core().host.state("waiting", "connection_lost", 10, 2);
	assert.equal(client.health().status, "degraded");
	core().host.state("waiting", "connection_lost", 10, 3);
	assert.equal(client.health().status, "down");
	client.close();
	assert.deepEqual(client.health(), { status: "down", reason: "closed" });
});

test("notices, signals and the subject reach their handlers", () => {
	const { client, core } = rig();
	const facts: unknown[] = [];
	client.on("notice", (notice) => facts.push(notice));
	client.on("signal", (signal) => facts.push(signal));
	client.on("subject", (subject) => facts.push(subject));
	core().welcome("ada", "s-9");
	core().welcome("ada", "s-10");
	core().tell({ type: "notice", kind: "backlog", message: "Busy" });
	core().tell({ type: "signal", stream: "t", from: "bob", signal: { type: "typing" }, expiresInMs: 5000 });
	core().tell({ type: "something_new" });
	assert.deepEqual(facts, [
		{ subject: "ada", session: "s-9" },
		{ kind: "backlog", message: "Busy" },
		{ thread: "t", from: "bob", signal: { type: "typing" }, expiresInMs: 5000 },
	]);
});

test("an error frame of the server is reported with its own words", () => {
	const { client, core } = rig();
	const seen: AgentwireError[] = [];
	client.on("error", (error) => seen.push(error));
	core().host.error("unsupported", "no history here", { type: "error", code: "unsupported", message: "no history here", retryable: true, remediation: "Upgrade." });
	core().host.error("brand_new", "odd", undefined);
	assert.deepEqual(seen.map(({ code, message, retryable, remediation }) => [code, message, retryable, remediation]), [
		["unsupported", "no history here", true, "Upgrade."],
		["brand_new", "odd", false, "See the documentation of the server for this code."],
	]);
});

// PROTOCOL: GEN-9
test("the token function is told why, and no token is ever written down", async () => {
	const reasons: string[] = [];
	const lines: string[] = [];
	const write = (message: string, details: unknown): void => void lines.push(message + JSON.stringify(details));
	const logger: Logger = { debug: write, info: write, warn: write, error: write };
	const { client, core, errors } = rig({
		logger,
		token: ({ reason, signal }) => {
			assert.ok(!signal.aborted);
			reasons.push(reason);
			return "secret-token";
		},
	});
	await settled();
	assert.equal(core().token, "secret-token");
	core().welcome();
	core().host.token();
	await settled();
	assert.deepEqual(reasons, ["connect", "refresh"]);
	client.close();
	assert.ok(lines.length > 0);
	assert.ok(!JSON.stringify([lines, errors, client.stats(), client.state]).includes("secret-token"));
});

test("a token function that fails is reported once, and says whether to go on", async (t) => {
	const cases = [
		["throws", () => Promise.reject(new Error("no network")), "tokenFailed true", "waiting"],
		["throws at once", () => { throw new Error("no network"); }, "tokenFailed true", "waiting"],
		["says that it is final", () => Promise.reject(Object.assign(new Error("signed out"), { retryable: false })), "tokenFailed false", "failed"],
		["answers nothing", () => undefined as unknown as string, "tokenFailed false", "failed"],
		["answers an empty text", () => "", "tokenFailed false", "failed"],
		["answers too much", () => "x".repeat(16_385), "tokenFailed false", "failed"],
	] as const;
	for (const [name, token, call, state] of cases) {
		await t.test(name, async () => {
			const { client, cores, errors } = rig({ token });
			await settled();
			assert.ok((cores[0] as FakeRaw).calls.includes(call));
			assert.deepEqual(errors.map(({ code }) => code), ["token_failed"]);
			assert.equal(client.state.name, state);
		});
	}
});

test("a token that is asked for again takes the place of the request before it", async () => {
	const asked: { readonly signal: AbortSignal; answer(token: string): void; fail(error: unknown): void }[] = [];
	const { core, errors } = rig({
		token: ({ signal }) => new Promise((answer, fail) => asked.push({ signal, answer, fail })),
	});
	core().tokenTimeout();
	core().tokenTimeout();
	assert.deepEqual(asked.map(({ signal }) => signal.aborted), [true, true, false]);
	asked[0]?.answer("late");
	asked[1]?.fail(new Error("aborted"));
	await settled();
	assert.equal(core().token, "", "an abandoned request answers nobody");
	asked[2]?.answer("fresh");
	await settled();
	assert.equal(core().token, "fresh");
	assert.deepEqual(core().calls.filter((call) => call.startsWith("token") && call !== "tokenTimeout"), ["tokenReady"]);
	assert.deepEqual(errors.map(({ code }) => code), ["token_timeout", "token_timeout"]);
	core().welcome();
	core().host.token();
	assert.equal(asked[2]?.signal.aborted, false, "it was answered in time");
});

test("a token function that gives up while connected is reported once, and the connection stays", async (t) => {
	for (const retryable of [false, true]) {
		await t.test(`retryable: ${retryable}`, async () => {
			let refuse = false;
			const { client, core, errors } = rig({
				token: () => {
					if (refuse) throw Object.assign(new Error("signed out"), { retryable });
					return "secret-token";
				},
			});
			await settled();
			core().welcome();
			refuse = true;
			core().host.token();
			await settled();
			assert.ok(core().calls.includes(`tokenFailed ${retryable}`));
			assert.deepEqual(errors.map(({ code, cause }) => [code, (cause as Error).message]), [["token_failed", "signed out"]]);
			assert.equal(client.state.name, "connected");
		});
	}
});

test("closing aborts the token request, and a late token reaches nobody", async () => {
	let aborted = false;
	let answer: (token: string) => void = () => undefined;
	const { client, cores } = rig({
		token: ({ signal }) => {
			signal.addEventListener("abort", () => (aborted = true));
			return new Promise((resolve) => (answer = resolve));
		},
	});
	client.close();
	answer("late");
	await settled();
	assert.ok(aborted);
	assert.equal(cores[0]?.token, "");
	assert.ok(cores[0]?.freed);
});

test("the signal of connect closes the client, before and after", () => {
	const controller = new AbortController();
	const { client, core } = rig({ signal: controller.signal });
	core().welcome();
	controller.abort();
	assert.equal(client.state.name, "closed");
	const never = rig({ signal: AbortSignal.abort() });
	assert.equal(never.client.state.name, "closed");
	assert.equal(never.cores.length, 0);
});

test("Symbol.dispose closes, and close works twice", async () => {
	const { client, core, states } = rig();
	core().welcome();
	client[Symbol.dispose]();
	client.close();
	await settled();
	assert.equal(states.filter((state) => state.includes(">closed")).length, 1);
	assert.ok(core().freed);
});

test("a state handler may close the client", () => {
	const { client, core } = rig();
	client.on("state", ({ to }) => {
		if (to === "connected") client.close();
	});
	core().welcome();
	assert.equal(client.state.name, "closed");
});

test("without a WebSocket the client fails and says so; making it does not throw", async () => {
	const made = rig({ autoConnect: false });
	delete (globalThis as { WebSocket?: unknown }).WebSocket;
	made.client.connect();
	assert.equal(made.client.state.name, "failed");
	await assert.rejects(made.client.ready(), { code: "no_websocket" });
});

test("metrics are given as they arise, and one that throws is caught", () => {
	const metrics: Metric[] = [];
	const { client, core, server, errors } = rig({
		onMetric: (metric) => {
			metrics.push(metric);
			if (metric.name === "replayed_events") throw new Error("boom");
		},
	});
	server.append("t", ...numbered(5));
	client.thread("t").on("event", () => {});
	client.thread("t").send({ content: "x" }, { id: "x" });
	core().welcome();
	core().settle("x", { status: "accepted" });
	assert.deepEqual(metrics.map(({ name }) => name).sort(), ["connect_duration", "replayed_events", "send_duration"]);
	assert.deepEqual(errors.map(({ code }) => code), ["handler_threw"]);
});

test("stats are the core's, and zeros before there is one", () => {
	const { client } = rig({ autoConnect: false });
	client.thread("t").send({ content: "x" });
	const stats = client.stats();
	assert.deepEqual([stats.state, stats.eventsDelivered, stats.rebuilds, stats.pending], ["idle", 0, 0, 1]);
	client.connect();
	assert.equal(client.stats().sendsPending, 1);
});

// --- while the wasm is being loaded ---

function loading(token: () => string | Promise<string> = () => "secret-token") {
	(globalThis as { WebSocket?: unknown }).WebSocket = FakeSocket;
	FakeSocket.made.length = 0;
	const server = new FakeServer();
	const cores: FakeRaw[] = [];
	const loads: { resolve(instance: Instance): void; reject(error: unknown): void }[] = [];
	const settings = settingsOf({ url: "wss://x/ws", token, backoff: { baseMs: 10, maxMs: 10 } });
	const client = new AgentClient(settings, () => new Promise((resolve, reject) => loads.push({ resolve, reject })));
	const errors: string[] = [];
	client.on("error", ({ code }) => errors.push(code));
	const arrive = async (): Promise<void> => {
		loads.at(-1)?.resolve(new Instance(fakeEngine(server, cores)));
		await settled();
	};
	return { client, server, cores, loads, errors, arrive };
}

test("the socket opens while the wasm is loaded, and the core adopts it with its token", async () => {
	let asked = 0;
	const { client, cores, arrive, server } = loading(() => {
		asked += 1;
		return "secret-token";
	});
	const got: number[] = [];
	server.append("t", ...numbered(2));
	client.thread("t").on("event", ({ offset }) => got.push(offset));
	await settled();
	const [socket] = FakeSocket.made;
	assert.deepEqual([socket?.url, socket?.protocol, FakeSocket.made.length], ["wss://x/ws", "agentwire.v1", 1]);
	await arrive();
	assert.equal(cores[0]?.socket, socket);
	assert.equal(cores[0]?.token, "secret-token");
	assert.deepEqual(cores[0]?.calls, ["subscribe t 0 - 0", "adopt"]);
	cores[0]?.welcome();
	assert.deepEqual(got, [1, 2]);
	cores[0]?.host.token();
	await settled();
	assert.equal(asked, 2, "the token of the adopted socket is used once");
});

test("a core that is there before the token asks for nothing twice", async () => {
	let asked = 0;
	let answer: (token: string) => void = () => undefined;
	const { cores, arrive } = loading(() => {
		asked += 1;
		return new Promise((resolve) => (answer = resolve));
	});
	await arrive();
	answer("secret-token");
	await settled();
	assert.equal(asked, 1);
	assert.equal(cores[0]?.token, "secret-token");
	assert.deepEqual(FakeSocket.made.map(({ url }) => url), ["ws://core/"]);
	cores[0]?.welcome();
	cores[0]?.host.token();
	assert.equal(asked, 2, "a token is used once");
});

test("a first socket that died meanwhile is not adopted; its token is not lost", async () => {
	let asked = 0;
	const { cores, arrive } = loading(() => {
		asked += 1;
		return "secret-token";
	});
	await settled();
	const [socket] = FakeSocket.made;
	assert.ok(socket);
	socket.readyState = 3;
	await arrive();
	assert.deepEqual(cores[0]?.calls, ["connect", "tokenReady"]);
	assert.equal(asked, 1);
});

test("a token that fails while loading is the core's answer, and is reported once", async () => {
	const { cores, errors, arrive } = loading(() => Promise.reject(new Error("no")));
	await settled();
	await arrive();
	assert.deepEqual(cores[0]?.calls, ["connect", "tokenFailed true"]);
	assert.deepEqual(errors, ["token_failed"]);
});

test("closing while loading closes the first socket and makes no core", async () => {
	const { client, cores, arrive } = loading();
	await settled();
	client.close();
	assert.equal(FakeSocket.made[0]?.readyState, 3);
	await arrive();
	assert.equal(cores.length, 0);
});

test("wasm that cannot be fetched is tried again; wasm that cannot be compiled is not", async (t) => {
	t.mock.timers.enable({ apis: ["setTimeout"] });
	const { client, cores, loads, errors, arrive } = loading();
	loads[0]?.reject(new AgentwireError("wasm_unavailable", "404"));
	await settled();
	assert.equal(client.state.name, "waiting");
	assert.equal(client.state.reason, "wasm_unavailable");
	t.mock.timers.tick(10);
	await settled();
	assert.equal(loads.length, 2);
	assert.deepEqual(client.state, { name: "connecting", reason: "retry", attempt: 1 });
	await arrive();
	assert.equal(cores.length, 1);
	assert.deepEqual(errors, ["wasm_unavailable"]);

	const other = loading();
	other.loads[0]?.reject(new AgentwireError("wasm_failed", "blocked"));
	await settled();
	assert.equal(other.client.state.name, "failed");
	await assert.rejects(other.client.ready(), { code: "wasm_failed" });
});

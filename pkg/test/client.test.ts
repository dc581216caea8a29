/** The client as a whole: readiness, state, health, tokens, closing, figures. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { poison } from "./support/core.js";
import { type AgentwireError, type ClientOptions, isAgentwireError, type Logger, type Metric } from "./support/package.js";
import { rig } from "./support/rig.js";
import { numbered } from "./support/server.js";
import { inWorld, microtasks, type World } from "./support/world.js";

test(
	"ready resolves when connected, at once if it is, and otherwise with the next welcome",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		let welcomes = 0;
		const wait = (): void => void client.ready().then(() => (welcomes += 1));
		wait();
		await microtasks();
		assert.equal(welcomes, 0);
		await connected();
		assert.equal(welcomes, 1);
		assert.equal(client.subject, "ada");
		wait();
		await microtasks();
		assert.equal(welcomes, 2);
		server.cut();
		await world.settle();
		wait();
		await world.settle();
		assert.equal(welcomes, 2, "not while it is away");
		await connected();
		assert.equal(welcomes, 3);
	}),
);

test(
	"ready rejects with the signal's reason, and with what ended the client",
	inWorld(async (world) => {
		const { client, server } = rig(world);
		const controller = new AbortController();
		const waiting = client.ready({ signal: controller.signal });
		controller.abort();
		await assert.rejects(waiting, { name: "AbortError" });
		await assert.rejects(client.ready({ signal: AbortSignal.abort() }), { name: "AbortError" });
		server.judgeToken = () => ({ code: "token_invalid", close: 4450 });
		const failed = assert.rejects(
			client.ready(),
			(error: unknown) => isAgentwireError(error) && error.code === "token_rejected" && /Sign in again/.test(error.remediation),
		);
		await world.until(() => client.state.name === "failed", "the client gives up");
		await failed;
		await assert.rejects(client.ready(), { code: "token_rejected" });
	}),
);

test(
	"state names where the connection is, and when it goes on",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		const changes: unknown[] = [];
		client.on("state", (change) => changes.push(change));
		assert.deepEqual(client.state, { name: "connecting", reason: "connect", attempt: 0 });
		await connected();
		server.cut();
		await world.settle();
		const { retryAt = 0, ...rest } = client.state;
		assert.deepEqual(rest, { name: "waiting", reason: "connection_lost", attempt: 1 });
		assert.ok(retryAt >= world.wallNow && retryAt <= world.wallNow + 500);
		assert.deepEqual(changes, [
			{ from: "connecting", to: "connected", reason: "welcome", attempt: 0 },
			{ from: "connected", to: "waiting", reason: "connection_lost", attempt: 1, retryAt },
		]);
		await world.advance(retryAt - world.wallNow + 1);
		assert.equal(client.state.name, "connected");
	}),
);

test(
	"health follows the state and what the server announces",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		const statuses: string[] = [];
		client.on("health", ({ status }) => statuses.push(status));
		assert.deepEqual(client.health(), { status: "initializing", reason: "connecting: connect" });
		await connected();
		assert.deepEqual(client.health(), { status: "healthy", reason: "connected" });
		server.tell({ type: "notice", kind: "degraded", level: "warning" });
		await world.settle();
		assert.deepEqual(client.health(), { status: "degraded", reason: "the server says: degraded" });
		await world.advance(60_001);
		assert.equal(client.health().status, "healthy");
		world.online(false);
		await world.settle();
		server.cut();
		await world.settle();
		assert.deepEqual(client.health(), { status: "unhealthy", reason: "no network: offline" });
		server.down = true;
		world.online(true);
		await world.until(() => client.state.name === "waiting" && client.state.attempt === 2, "the second retry");
		assert.equal(client.health().status, "degraded");
		await world.until(() => client.state.name === "waiting" && client.state.attempt === 3, "the third retry");
		assert.deepEqual(client.health(), { status: "unhealthy", reason: "still not connected: connection_lost" });
		client.close();
		assert.deepEqual(client.health(), { status: "closed", reason: "closed" });
		assert.deepEqual(statuses, ["healthy", "degraded", "unhealthy", "degraded", "unhealthy", "closed"]);
	}),
);

test(
	"notices, signals and the subject reach their handlers",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		const facts: unknown[] = [];
		client.on("notice", (notice) => facts.push(notice));
		client.on("signal", (signal) => facts.push(signal));
		client.on("subject", (subject) => facts.push(subject));
		await connected();
		server.cut();
		await world.until(() => server.sessions.length === 2 && client.state.name === "connected", "welcomed again");
		server.tell({ type: "notice", kind: "backlog", message: "Busy" });
		server.tell({ type: "signal", stream: "t", from: "bob", signal: { type: "typing" }, expiresInMs: 5000 });
		server.tell({ type: "something_new" });
		await world.settle();
		assert.deepEqual(facts, [
			{ subject: "ada", session: "s-1" },
			{ kind: "backlog", message: "Busy" },
			{ thread: "t", from: "bob", signal: { type: "typing" }, expiresInMs: 5000 },
		]);
	}),
);

test(
	"an error frame of the server is reported with its own words",
	inWorld(async (world) => {
		const { server, errors, connected } = rig(world);
		await connected();
		server.tell({ type: "error", code: "unsupported", message: "no history here", retryable: true, remediation: "Upgrade." });
		server.tell({ type: "error", code: "brand_new", message: "odd", retryable: false });
		await world.settle();
		assert.deepEqual(
			errors.map(({ code, message, retryable, remediation }) => [code, message, retryable, remediation]),
			[
				["unsupported", "no history here", true, "Upgrade."],
				["brand_new", "odd", false, "See https://github.com/agentwire/agentwire/blob/main/docs/ERRORS.md#brand_new"],
			],
		);
	}),
);

// --- tokens ---

// PROTOCOL: GEN-9
test(
	"the token function learns why it is asked, and no token is written down anywhere",
	inWorld(async (world) => {
		const reasons: string[] = [];
		const lines: string[] = [];
		const write = (message: string, details: unknown): void => void lines.push(message + JSON.stringify(details));
		const logger: Logger = { debug: write, info: write, warn: write, error: write };
		const { client, server, errors, peer, connected } = rig(world, {
			logger,
			token: ({ reason, signal }) => {
				assert.ok(!signal.aborted);
				reasons.push(reason);
				return "secret-token";
			},
		});
		server.tokenExpiresInMs = 60_000;
		await connected();
		assert.equal(peer().of("hello")[0]?.["token"], "secret-token");
		await world.advance(31_000);
		assert.deepEqual(reasons, ["connect", "refresh"]);
		assert.equal(server.tokensRefreshed, 1);
		client.close();
		assert.ok(lines.length > 0);
		assert.doesNotMatch(
			JSON.stringify([lines, errors, client.stats(), client.state, world.peers.map(({ socket }) => [socket.url, socket.protocol])]),
			/secret-token/,
		);
	}),
);

/** Functions that give no token: what the error says, and where the client is then. */
const failingTokens: readonly (readonly [what: string, token: () => unknown, message: RegExp, state: string])[] = [
	["rejects", () => Promise.reject(new Error("no network")), /^the token function failed: no network$/, "waiting"],
	["throws at once", () => thrown(new Error("no network")), /failed: no network$/, "waiting"],
	["throws a text", () => thrown("no network"), /failed: no network$/, "waiting"],
	["throws undefined", () => thrown(undefined), /failed: a value of type undefined$/, "waiting"],
	["throws what nobody can look at", () => thrown(hostile), /failed: a value of type object$/, "waiting"],
	["rejects for good", () => Promise.reject(Object.assign(new Error("no account"), { retryable: false })), /failed: no account$/, "failed"],
	["answers undefined", () => undefined, /resolved to undefined, it must resolve to a text of 1 to 16384 bytes$/, "failed"],
	["answers null", () => null, /resolved to null, /, "failed"],
	["answers an object", async () => ({ token: "secret-7" }), /resolved to a value of type object, /, "failed"],
	["answers a list", () => ["secret-7"], /resolved to a value of type object, /, "failed"],
	["answers a number", async () => 7, /resolved to a value of type number, /, "failed"],
	["answers a function", () => () => "secret-7", /resolved to a value of type function, /, "failed"],
	["answers a symbol", () => Symbol("secret-7"), /resolved to a value of type symbol, /, "failed"],
	["answers an empty text", () => "", /resolved to a text of 0 characters, /, "failed"],
	["answers a byte too much", () => "7".repeat(16_385), /resolved to a text of 16385 characters, /, "failed"],
	["answers letters of too many bytes", () => "é".repeat(8_193), /resolved to a text of 8193 characters, /, "failed"],
	["answers a huge text", async () => "7".repeat(50_000_000), /resolved to a text of 50000000 characters, /, "failed"],
	["answers half a letter", () => "\ud800", /resolved to a text of 1 characters, /, "failed"],
];

function thrown(value: unknown): never {
	throw value;
}

const hostile = new Proxy({}, { has: () => thrown("of has"), get: () => thrown("of get"), getPrototypeOf: () => thrown("of the prototype") });

for (const [what, token, message, state] of failingTokens) {
	test(
		`a token function that ${what} is reported once, and the client is ${state}`,
		inWorld(async (world) => {
			const { client, codes, errors } = rig(world, { token: token as ClientOptions["token"] });
			await world.settle();
			assert.deepEqual(codes(), ["token_failed"]);
			// Nobody else is to look at its cause.
			const [error] = errors.splice(0);
			assert.match(error?.message ?? "", message);
			assert.doesNotMatch(error?.message ?? "", /secret-7|777/, "what it answered is not shown");
			assert.equal(client.state.name, state);
			assert.equal(world.peers.length, 0, "no socket is opened without a token");
		}),
	);
}

test(
	"a token that is asked for again takes the place of the request before it",
	inWorld(async (world) => {
		const asked: { readonly signal: AbortSignal; answer(token: string): void; fail(error: unknown): void }[] = [];
		const { client, codes, connected } = rig(world, {
			token: ({ signal }) => new Promise((answer, fail) => asked.push({ signal, answer, fail })),
		});
		await world.until(() => asked.length === 3, "asked three times", 200_000);
		assert.deepEqual(
			asked.map(({ signal }) => signal.aborted),
			[true, true, false],
		);
		asked[0]?.answer("late");
		asked[1]?.fail(new Error("aborted"));
		await world.settle();
		assert.equal(world.peers.length, 0, "an abandoned request answers nobody");
		asked[2]?.answer("fresh");
		await connected();
		assert.equal(world.peers.at(-1)?.of("hello")[0]?.["token"], "fresh");
		assert.deepEqual(codes(), ["token_timeout", "token_timeout"]);
		assert.equal(asked[2]?.signal.aborted, false, "it was answered in time");
		assert.equal(client.state.name, "connected");
	}),
);

test(
	"tokenTimeoutMs is how long the token function may take before it is asked again",
	inWorld(async (world) => {
		const asked: number[] = [];
		const { errors } = rig(world, { tokenTimeoutMs: 1_000, token: () => new Promise(() => asked.push(world.now)) });
		await world.advance(999);
		assert.deepEqual([asked.length, errors.length], [1, 0]);
		await world.advance(2);
		assert.deepEqual(
			errors.map(({ code }) => code),
			["token_timeout"],
		);
		assert.match(errors[0]?.message ?? "", /1,?000 ms|1 second/, "the text names the time that the application set");
		await world.until(() => asked.length === 2, "asked again", 20_000);
	}),
);

test("a token function that gives up while connected is reported once, and the connection stays", async (t) => {
	for (const retryable of [false, true]) {
		await t.test(
			`retryable: ${retryable}`,
			inWorld(async (world) => {
				let refuse = false;
				const { client, server, errors, connected } = rig(world, {
					token: () => {
						if (refuse) throw Object.assign(new Error("signed out"), { retryable });
						return "secret-token";
					},
				});
				server.tokenExpiresInMs = 60_000;
				await connected();
				refuse = true;
				await world.advance(31_000);
				assert.deepEqual(
					errors.map(({ code, cause }) => [code, (cause as Error).message]),
					[["token_failed", "signed out"]],
				);
				assert.equal(client.state.name, "connected");
				refuse = false;
				await world.advance(11_000);
				assert.equal(server.tokensRefreshed, retryable ? 1 : 0, "a failure that may pass is tried again");
			}),
		);
	}
});

// --- the end ---

test(
	"closing aborts the token request, and a late token reaches nobody",
	inWorld(async (world) => {
		let aborted = false;
		let answer: (token: string) => void = () => undefined;
		const { client } = rig(world, {
			token: ({ signal }) => {
				signal.addEventListener("abort", () => (aborted = true));
				return new Promise((resolve) => (answer = resolve));
			},
		});
		await world.settle();
		client.close();
		answer("late");
		await world.settle();
		assert.ok(aborted);
		assert.equal(world.peers.length, 0);
	}),
);

test(
	"the signal of the client closes it, before it connects and after",
	inWorld(async (world) => {
		const controller = new AbortController();
		const { client, connected, peer } = rig(world, { signal: controller.signal });
		await connected();
		controller.abort();
		assert.equal(client.state.name, "closed");
		await world.settle();
		assert.equal(peer().closedWith, 1000);
		const never = rig(world, { signal: AbortSignal.abort() });
		await world.settle();
		assert.equal(never.client.state.name, "closed");
		assert.equal(world.peers.length, 1);
	}),
);

test(
	"Symbol.dispose closes, and closing twice changes nothing",
	inWorld(async (world) => {
		const { client, states, connected, peer } = rig(world);
		await connected();
		client[Symbol.dispose]();
		client.close();
		await world.settle();
		assert.equal(states.filter((state) => state.includes(">closed")).length, 1);
		assert.equal(peer().closedWith, 1000);
	}),
);

test(
	"a state handler may close the client",
	inWorld(async (world) => {
		const { client, peer } = rig(world);
		client.on("state", ({ to }) => {
			if (to === "connected") client.close();
		});
		client.thread("t").onEvent(() => assert.fail("the client is closed"));
		await world.settle();
		assert.equal(client.state.name, "closed");
		assert.equal(peer().closedWith, 1000);
	}),
);

test(
	"A15: a failure is kept: it reaches whoever listens later, and every later call names it",
	inWorld(async (world) => {
		world.define("WebSocket", undefined);
		const made = rig(world, { autoConnect: false });
		const early: AgentwireError[] = [];
		made.client.on("error", (error) => early.push(error));
		const thread = made.client.thread("t");
		const waiting = made.client.ready();
		made.client.connect();
		assert.equal(made.client.state.name, "failed");
		await assert.rejects(waiting, { code: "no_websocket" });
		await assert.rejects(made.client.ready(), { code: "no_websocket" });
		const late: AgentwireError[] = [];
		made.client.on("error", (error) => late.push(error));
		assert.equal(late.length, 0, "not before `on` has returned");
		await microtasks();
		assert.deepEqual([early.map(({ code }) => code), late.map(({ code }) => code)], [["no_websocket"], ["no_websocket"]]);
		const isExplained = (error: unknown): boolean =>
			isAgentwireError(error) && error.code === "closed" && /no_websocket|WebSocket/.test(error.message) && error.cause === late[0];
		assert.throws(() => made.client.thread("t"), isExplained);
		assert.throws(() => thread.onEvent(() => {}), isExplained);
		assert.throws(() => thread.events(), isExplained);
		assert.throws(() => thread.send({ content: "x" }), isExplained);
		await assert.rejects(async () => thread.cancel("r"), isExplained);
		await assert.rejects(async () => thread.approve("r", "a", { decision: "denied" }), isExplained);
	}),
);

test(
	"A15: a handler of errors that is removed at once gets no kept failure",
	inWorld(async (world) => {
		world.define("WebSocket", undefined);
		const { client } = rig(world);
		client.on("error", () => assert.fail("was removed"))();
		const controller = new AbortController();
		client.on("error", () => assert.fail("was aborted"), { signal: controller.signal });
		controller.abort();
		await microtasks();
	}),
);

test(
	"A15: a token function that throws at once for good is known to a handler that comes later",
	inWorld(async (world) => {
		const { client } = rig(world, {
			token: () => {
				throw Object.assign(new Error("signed out"), { retryable: false });
			},
		});
		await world.settle();
		const late: AgentwireError[] = [];
		client.on("error", (error) => late.push(error));
		await microtasks();
		assert.deepEqual(
			late.map(({ code, cause }) => [code, (cause as Error).message]),
			[["token_failed", "signed out"]],
		);
		assert.throws(() => client.thread("t"), /signed out/);
	}),
);

test(
	"after close there is no kept failure",
	inWorld(async (world) => {
		const { client, connected } = rig(world);
		await connected();
		client.close();
		client.on("error", () => assert.fail("closing is no failure"));
		await microtasks();
		await assert.rejects(client.ready(), { code: "closed" });
		assert.throws(() => client.thread("t"), { code: "closed" });
	}),
);

// --- figures ---

test(
	"metrics are given as they arise, and one that throws is caught",
	inWorld(async (world) => {
		const metrics: Metric[] = [];
		const { client, server, codes } = rig(world, {
			onMetric: (metric) => {
				metrics.push(metric);
				if (metric.name === "replayed_events") throw new Error("boom");
			},
		});
		server.append("t", ...numbered(5));
		client.thread("t").onEvent(() => {});
		client.thread("t").send({ content: "x" }, { id: "x" });
		await world.settle();
		assert.deepEqual(metrics.map(({ name }) => name).sort(), ["connect_duration", "replayed_events", "send_duration"]);
		assert.deepEqual(codes(), ["handler_threw"]);
	}),
);

test(
	"stats are the core's, and zeros before there is one",
	inWorld(async (world) => {
		const { client, server } = rig(world, { autoConnect: false });
		server.append("t", ...numbered(3));
		client.thread("t").send({ content: "x" });
		client.thread("t").onEvent(() => {});
		const stats = client.stats();
		assert.deepEqual([stats.state, stats.eventsDelivered, stats.rebuilds, stats.pending], ["idle", 0, 0, 1]);
		client.connect();
		assert.equal(client.stats().sendsPending, 1);
		await world.settle();
		assert.deepEqual([client.stats().eventsDelivered, client.stats().pending], [4, 0]);
	}),
);

// --- the user option ---

test(
	"user: another subject ends the client before anything is sent or shown",
	inWorld(async (world) => {
		const { client, server, codes, peer } = rig(world, { user: "bob" });
		server.append("t", ...numbered(3));
		const thread = client.thread("t");
		thread.onEvent(() => assert.fail("this is for ada's eyes"));
		client.on("subject", () => assert.fail("the client is not ada's"));
		const message = thread.send({ content: "from bob" });
		await world.settle();
		assert.deepEqual([client.state.name, client.state.reason, client.subject], ["failed", "subject_changed", undefined]);
		await assert.rejects(message.receipt, { code: "subject_changed" });
		assert.deepEqual(codes(), ["subject_changed"]);
		assert.deepEqual([peer().of("send"), peer().of("subscribe")], [[], []]);
		assert.equal(server.applied.length, 0);
	}),
);

test(
	"user: the expected subject is welcomed, also after a reconnect and a trap",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world, { user: "ada" });
		await connected();
		server.cut();
		await world.settle();
		await connected();
		poison();
		client.stats();
		await world.settle();
		await connected();
		assert.equal(client.subject, "ada");
	}),
);

test(
	"two clients of one page have their own users",
	inWorld(async (world) => {
		const ada = rig(world);
		ada.server.judgeToken = (token) => ({ subject: token });
		const bob = rig(world, { server: ada.server, token: () => "bob" });
		await world.settle();
		assert.deepEqual([ada.client.subject, bob.client.subject], ["secret-token", "bob"]);
	}),
);

test(
	"a wrong clock of the machine does not disturb the connection",
	inWorld(async (world: World) => {
		const { client, server, connected } = rig(world);
		await connected();
		world.setWallClock(-3_600_000);
		await world.advance(40_000);
		assert.equal(client.state.name, "connected");
		assert.equal(server.sessions.length, 1);
	}),
);

for (const [way, ms] of [
	["back", -3_600_000],
	["forward", 900],
] as const) {
	test(
		`events that come after the clock was set ${way} keep the connection, and none is lost`,
		inWorld(async (world: World) => {
			const { client, server, connected } = rig(world);
			let got = 0;
			client.thread("t").onEvent(() => (got += 1));
			await connected();
			for (let second = 0; second < 90; second += 1) {
				if (second % 30 === 10) world.setWallClock(ms);
				server.append("t", { type: "tick", time: 1 });
				await world.advance(1_000);
			}
			assert.equal(got, 90);
			assert.equal(server.sessions.length, 1);
			assert.equal(client.state.name, "connected");
		}),
	);
}

// PROTOCOL: FLO-2
test(
	"in a hidden page, whose timers wait for a minute, events are acknowledged with the next frame",
	inWorld(async (world: World) => {
		const { client, server, connected } = rig(world);
		let got = 0;
		client.thread("t").onEvent(() => (got += 1));
		await connected();
		world.minTimerMs = 60_000;
		const inFlight = (): number | undefined => [...(server.sessions[0]?.subs.values() ?? [])][0]?.flight.length;
		for (let second = 0; second < 20; second += 2) {
			server.append("t", { type: "tick", time: 1 });
			await world.advance(2_000);
			assert.ok((inFlight() ?? Number.NaN) <= 1, `${inFlight()} events are not acknowledged`);
		}
		// The heartbeat is a frame too.
		await world.advance(server.heartbeatMs);
		assert.equal(inFlight(), 0);
		assert.equal(got, 10);
	}),
);

import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { AgentClient } from "../src/client/client.js";
import { settingsOf } from "../src/client/options.js";
import { AgentwireError } from "../src/shared/errors.js";

const good = { url: "wss://chat.example.com/ws", token: () => "t" };

/** What is added to good options, and what the error must say. */
const bad: readonly [name: string, options: unknown, message: RegExp][] = [
	["nothing", undefined, /^options is undefined, it must be an object$/],
	["a list", [], /^options is a list/],
	["no url", { token: good.token }, /^url is undefined, it must be a ws:, wss:/],
	["url empty", { ...good, url: "" }, /^url is ""/],
	["url relative without a page", { ...good, url: "/ws" }, /^url is "\/ws", it must be .*relative/],
	["url of another scheme", { ...good, url: "ftp://x/" }, /^url is "ftp:\/\/x\/"/],
	["url with a fragment", { ...good, url: "wss://x/#a" }, /without a fragment/],
	["url with a password", { ...good, url: "wss://ada:hunter2@x/" }, /without user and password/],
	["no token", { url: good.url }, /^token is undefined, it must be a function$/],
	["token as text, which is not quoted", { ...good, token: "hunter2" }, /^token is a text, it must be a function$/],
	["positions, which is gone", { ...good, positions: {} }, /^positions is not an option/],
	["user empty", { ...good, user: "" }, /^user is "", it must be a text of 1 to 256 bytes/],
	["user too long", { ...good, user: "é".repeat(129) }, /^user is "é+…", it must be a text of 1 to 256 bytes/],
	["user as number", { ...good, user: 7 }, /^user is 7/],
	["user null", { ...good, user: null }, /^user is null/],
	["window as number", { ...good, window: 5 }, /^window is 5, it must be an object/],
	["window.events 0", { ...good, window: { events: 0 } }, /^window\.events is 0, it must be an integer from 1 to 65536/],
	["window.events too large", { ...good, window: { events: 65_537 } }, /^window\.events is 65537/],
	["window.events with a fraction", { ...good, window: { events: 1.5 } }, /^window\.events is 1\.5/],
	["window.bytes too small", { ...good, window: { bytes: 1_023 } }, /^window\.bytes is 1023, it must be an integer from 1024 to 67108864/],
	[
		"window.totalBytes below bytes",
		{ ...good, window: { bytes: 2_048, totalBytes: 2_047 } },
		/^window\.totalBytes is 2047, it must be an integer from 2048 to 268435456/,
	],
	["window.totalBytes as text", { ...good, window: { totalBytes: "1" } }, /^window\.totalBytes is "1"/],
	["window.size unknown", { ...good, window: { byte: 1 } }, /^window\.byte is not an option, did you mean bytes\?/],
	["backoff.baseMs 0", { ...good, backoff: { baseMs: 0 } }, /^backoff\.baseMs is 0/],
	["backoff.maxMs below baseMs", { ...good, backoff: { baseMs: 500, maxMs: 400 } }, /^backoff\.maxMs is 400, it must be an integer from 500/],
	["connectTimeoutMs NaN", { ...good, connectTimeoutMs: Number.NaN }, /^connectTimeoutMs is NaN/],
	["connectTimeoutMs as text", { ...good, connectTimeoutMs: "10" }, /^connectTimeoutMs is "10"/],
	["tokenTimeoutMs too short", { ...good, tokenTimeoutMs: 999 }, /^tokenTimeoutMs is 999, it must be an integer from 1000 to 600000/],
	["tokenTimeoutMs too long", { ...good, tokenTimeoutMs: 600_001 }, /^tokenTimeoutMs is 600001/],
	["maxPendingSends 0", { ...good, maxPendingSends: 0 }, /^maxPendingSends is 0/],
	["outbox as text", { ...good, outbox: "persist" }, /^outbox is "persist", it must be an object/],
	["outbox that is none", { ...good, outbox: {} }, /^outbox\.open is undefined, it must be a function/],
	["maxPendingBytes too small", { ...good, maxPendingBytes: 1_023 }, /^maxPendingBytes is 1023, it must be an integer from 1024 to 268435456/],
	["logger as function", { ...good, logger: () => {} }, /^logger is a value of type function, it must be an object/],
	["onMetric as object", { ...good, onMetric: {} }, /^onMetric is a value of type object, it must be a function/],
	["signal that is none", { ...good, signal: {} }, /^signal\.addEventListener is undefined/],
	["autoConnect as text", { ...good, autoConnect: "no" }, /^autoConnect is "no", it must be true or false/],
	["wasm as number", { ...good, wasm: 1 }, /^wasm is 1/],
	["a misspelt option", { ...good, tokn: 1 }, /^tokn is not an option, did you mean token\?/],
	["another case", { ...good, autoconnect: true }, /^autoconnect is not an option, did you mean autoConnect\?/],
];

test("each bad option throws, with a text that says what to do", async (t) => {
	for (const [name, options, message] of bad) {
		await t.test(name, () => {
			assert.throws(
				() => settingsOf(options),
				(error: unknown) => {
					assert.ok(error instanceof AgentwireError);
					assert.equal(error.code, "invalid_option");
					assert.match(error.message, message);
					assert.equal(error.retryable, false);
					assert.notEqual(error.remediation, "");
					assert.doesNotMatch(error.message, /hunter2/);
					return true;
				},
			);
		});
	}
});

test("defaults are what the documentation says", () => {
	const { config, url, autoConnect } = settingsOf(good);
	assert.equal(url, "wss://chat.example.com/ws");
	assert.equal(autoConnect, true);
	const { seed: _seed, clientVersion: _version, url: _url, device, ...numbers } = config;
	assert.equal(device, undefined);
	assert.deepEqual(numbers, {
		windowEvents: 32_768,
		windowBytes: 8_388_608,
		windowTotalBytes: 16_777_216,
		maxPending: 256,
		backoffBaseMs: 500,
		backoffMaxMs: undefined,
		backoffGrowth: 200,
		backoffJitter: 50,
		attemptBurst: 6,
		maxUploads: 5,
		isLocal: false,
		connectTimeoutMs: 10_000,
		tokenTimeoutMs: 30_000,
	});
});

test("http and https stand for ws and wss, and a page's address is the base", () => {
	assert.equal(settingsOf({ ...good, url: "http://x/ws" }).config.url, "ws://x/ws");
	assert.equal(settingsOf({ ...good, url: new URL("https://x/ws?v=1") }).config.url, "wss://x/ws?v=1");
	Object.defineProperty(globalThis, "location", { value: { href: "https://app.example.com/chat/" }, configurable: true });
	try {
		assert.equal(settingsOf({ ...good, url: "../ws" }).config.url, "wss://app.example.com/ws");
	} finally {
		Reflect.deleteProperty(globalThis, "location");
	}
});

test("undefined options are absent ones", () => {
	const settings = settingsOf({ ...good, user: undefined, window: undefined, signal: undefined, tokenTimeoutMs: undefined });
	assert.deepEqual([settings.user, settings.signal, settings.config.tokenTimeoutMs], [undefined, undefined, 30_000]);
	assert.equal(settingsOf({ ...good, user: "ada" }).user, "ada");
});

test("a URL of another realm is an address", () => {
	const { href } = new URL("https://x/ws");
	const url = runInNewContext("({ href })", { href }) as URL;
	assert.equal(settingsOf({ ...good, url }).url, "wss://x/ws");
});

// PROTOCOL: GEN-6, SUB-1
test("threads are named and begin as GEN-6 and SUB-1 allow", async (t) => {
	const client = new AgentClient(settingsOf({ ...good, autoConnect: false }), () => assert.fail("it must not load"));
	const thread = client.thread("t");
	const bad = (value: unknown): never => value as never;
	const cases: readonly [string, () => unknown, RegExp][] = [
		["empty name", () => client.thread(""), /^thread name is "", it must be a text of 1 to 256 bytes/],
		["long name", () => client.thread("é".repeat(129)), /1 to 256 bytes/],
		["control character", () => client.thread("a\nb"), /without control characters/],
		["lone surrogate", () => client.thread("\ud800"), /^thread name/],
		["number", () => client.thread(7 as unknown as string), /^thread name is 7/],
		["from unknown", () => client.thread("a", { from: "end" as "live" }), /^from is "end", it must be "start", "live"/],
		["last 0", () => client.thread("a", { from: { last: 0 } }), /^from\.last is 0, it must be an integer from 1 to 100000/],
		["offset -1", () => client.thread("a", { from: { epoch: "e", offset: -1 } }), /^from is a value of type object/],
		["unknown key", () => client.thread("a", { form: "live" } as object), /^form is not an option|^thread options\.form is not an option, did you mean from\?/],
		["events from unknown", () => thread.events({ from: bad("end") }), /^from is "end"/],
		["events signal", () => thread.events({ signal: bad({}) }), /^signal\.addEventListener is undefined/],
		["handler as text", () => thread.on("a", bad("x")), /^handler is a text, it must be a function/],
		["type as number", () => thread.on(bad(7), () => {}), /^type is 7, it must be a text/],
		["batch handler missing", () => thread.onBatch(bad(undefined)), /^handler is undefined/],
		["listen options null", () => thread.onGap(() => {}, bad(null)), /^listen options is null, it must be an object/],
		["listen signal", () => thread.onResumed(() => {}, { signal: bad(5) }), /^signal is 5/],
		["listen option misspelt", () => client.on("state", () => {}, bad({ signl: 1 })), /^listen options\.signl is not an option, did you mean signal\?/],
		["send signal", () => thread.send({ content: "x" }, { signal: bad("x") }), /^signal is "x"/],
		["unknown fact", () => client.on("sate" as "state", () => {}), /^type is "sate", it must be one of state, error/],
	];
	for (const [name, call, message] of cases) {
		await t.test(name, () => {
			assert.throws(call, (error: unknown) => {
				assert.ok(error instanceof AgentwireError, String(error));
				assert.equal(error.code, "invalid_option");
				assert.match(error.message, message);
				return true;
			});
		});
	}
	client.close();
});

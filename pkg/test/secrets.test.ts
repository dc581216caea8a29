/** Tokens that can be recognised, over the whole life of a page, and a search for them in every sink (I11). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { poison } from "./support/core.js";
import { type ClientOptions, createClientIn, createClientLoading, type Instance, UnauthorizedError } from "./support/package.js";
import { pageOf } from "./support/rig.js";
import { ModelServer, numbered } from "./support/server.js";
import { isMarked, leaks, MARK, SINKS, throws, watch } from "./support/sinks.js";
import { inWorld, type World } from "./support/world.js";

/** What a token function gives instead of a token. Each holds one all the same. */
const NO_TOKENS: readonly (readonly [what: string, value: unknown])[] = [
	["an object", { token: MARK }],
	["a list", [MARK]],
	["a function", () => MARK],
	["a symbol", Symbol(MARK)],
	["a text that is too long", MARK.repeat(10_000)],
];

/** Options in which a token stands in the wrong place. */
const MISPLACED: readonly (readonly [what: string, options: object])[] = [
	["in the place of its function", { token: MARK }],
	["in an object", { token: { token: MARK } }],
	["in the place of a callback", { onMetric: MARK }],
];

/** A page that meets whatever concerns tokens. */
async function life(world: World) {
	const watched = watch(world);
	const server = new ModelServer(world);
	let tokens = 0;
	let answer = (): unknown => `${MARK} ${(tokens += 1)}`;
	const token = (() => answer()) as ClientOptions["token"];
	server.tokenExpiresInMs = 60_000;
	server.append("t", ...numbered(5));
	server.trim("t", 2);
	const made = watched.client({ server, token });
	const thread = made.client.thread("t");
	thread.onEvent(() => undefined);
	await made.connected();
	await world.advance(31_000);
	assert.equal(server.tokensRefreshed, 1);

	// The server refuses: to connect, and to replace.
	const { judgeToken } = server;
	for (const [code, close] of [
		["token_invalid", 4450],
		["token_expired", 4451],
	] as const) {
		server.judgeToken = () => {
			server.judgeToken = judgeToken;
			return { code, close };
		};
		server.close(close, code);
		await world.settle();
		await made.connected();
	}
	server.judgeToken = () => ({ code: "token_invalid", close: 4450 });
	await world.advance(31_000);
	server.judgeToken = judgeToken;

	// The same token again, the module lost, a frame of the server that is malformed, a message that is refused.
	const same = `${MARK} ${tokens}`;
	const others = answer;
	answer = () => same;
	await world.advance(31_000);
	answer = others;
	poison();
	made.client.stats();
	await made.connected();
	made.peer().sendText("{");
	await world.until(() => made.client.state.name !== "connected", "dropped");
	await made.connected();
	server.forbidden.add("m");
	thread.send({ content: "hi" }, { id: "m" }).receipt.catch((error: unknown) => watched.errors.push(error));
	await world.settle();
	made.client.close();

	// Answers that are no tokens, and options that are none.
	for (const [, value] of NO_TOKENS) {
		answer = () => value;
		const { client } = watched.client({ server, token });
		await world.until(() => client.state.name === "failed", "failed");
	}
	for (const [, options] of MISPLACED) {
		throws(watched, () => createClientIn(pageOf(world).instance, { url: "wss://x/ws", token, ...(options as object) } as ClientOptions));
	}

	// The first socket opens while the module is loaded.
	answer = others;
	const { logger, onMetric } = watched;
	const arriving = new Promise<Instance>((resolve) => world.later(10, () => resolve(pageOf(world).instance)));
	const early = createClientLoading(() => arriving, { url: "wss://x/ws", token, logger, onMetric });
	early.on("error", (error) => watched.errors.push(error));
	await world.until(() => early.state.name === "connected", "connected");
	early.close();

	// Refused for good, and signed out.
	server.judgeToken = () => ({ code: "token_invalid", close: 4450 });
	const rejected = watched.client({ server, token });
	await world.until(() => rejected.client.state.name === "failed", "failed");
	server.judgeToken = judgeToken;
	const last = watched.client({ server, token });
	await last.connected();
	answer = () => {
		throw new UnauthorizedError();
	};
	await world.until(() => last.client.state.name === "failed", "failed");
	return { watched, server, tokens };
}

// PROTOCOL: GEN-9
test(
	"over the life of a page, no token gets anywhere but into hello and refresh",
	inWorld(async (world) => {
		const { watched, server, tokens } = await life(world);
		assert.deepEqual(leaks(watched), []);
		const codes = new Set(watched.errors.map((error) => Reflect.get(Object(error), "code")));
		for (const code of [
			"token_invalid",
			"token_expired",
			"token_unchanged",
			"token_failed",
			"token_rejected",
			"unauthorized",
			"bad_server_frame",
			"forbidden",
			"internal",
		])
			assert.ok(codes.has(code), `${code} was met`);
		const given = [...server.received("hello"), ...server.received("refresh")].map((frame) => String(frame["token"]));
		assert.ok(tokens > 8 && given.every((token) => token.startsWith(MARK)), "each was marked");
	}),
);

for (const sink of SINKS) {
	test(
		`the search finds a token in: ${sink.name}`,
		inWorld(async (world) => {
			const watched = watch(world);
			const made = watched.client({ token: () => `${MARK} 1` });
			made.client.thread("t").onEvent(() => undefined);
			await made.connected();
			await world.settle();
			assert.deepEqual(leaks(watched), []);
			sink.plant(watched, `${MARK} 2`);
			await world.settle();
			const found = leaks(watched);
			world.takeUncaught();
			assert.ok(found.includes(sink.name), `found in ${found.join(", ")}`);
		}),
	);
}

test("the search knows a token in other clothes, and nothing else", () => {
	const token = `${MARK} 3`;
	const clothes: readonly unknown[] = [
		token,
		token.slice(0, MARK.length),
		{ a: [new Map([["b", { c: new Set([token]) }]])] },
		new Error("a", { cause: new Error(token) }),
		JSON.stringify({ hello: { token } }),
		`wss://x/ws?token=${encodeURIComponent(token)}`,
		Buffer.from(token).toString("hex"),
		...["", "a", "ab", "abc"].map((before) => btoa(before + token)),
		new TextEncoder().encode(`before ${token}`),
	];
	for (const value of clothes) assert.ok(isMarked(value), String(value));
	for (const value of [undefined, "", MARK.slice(1), { token: "another" }, btoa("another"), new Uint8Array(100)]) assert.ok(!isMarked(value), String(value));
});

/** Tokens over the life of a client: signed out, refused, refreshed, and given twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AgentwireError, createClientLoading, type TokenRequest, UnauthorizedError } from "./support/package.js";
import { type Rig, type RigOptions, rig } from "./support/rig.js";
import { inWorld, type World } from "./support/world.js";

/** Lifetime of a token, in milliseconds. */
const LIFE = 3_600_000;
const DAY = 86_400_000;

/** A client, and what its token function was asked. `answer` gets the number of the question, from 1. */
function asking(world: World, answer: (count: number, request: TokenRequest) => string | Promise<string>, options: RigOptions = {}) {
	const asked: { readonly at: number; readonly request: TokenRequest }[] = [];
	const made = rig(world, {
		...options,
		token: (request) => {
			asked.push({ at: world.now, request });
			return answer(asked.length, request);
		},
	});
	return { ...made, asked };
}

/** Its server knows one token, which expires `LIFE` after the world began, and answers a refresh with what is left of it. */
function expiring({ world, server }: Rig): void {
	server.tokenExpiresInMs = LIFE;
	server.incoming = () => {
		server.tokenExpiresInMs = Math.max(0, LIFE - world.now);
		return false;
	};
	world.later(LIFE, () => {
		server.judgeToken = () => ({ code: "token_expired", close: 4451 });
		server.close(4451);
	});
}

function signedOut(): never {
	throw new UnauthorizedError("the session is over");
}

/** The client has ended because the user is signed out, and stays so. */
async function isSignedOut({ world, client, errors, asked }: ReturnType<typeof asking>): Promise<void> {
	assert.deepEqual(client.state, { name: "failed", reason: "unauthorized", attempt: 0 });
	const [error, ...others] = errors;
	assert.deepEqual(others, []);
	assert.ok(error instanceof UnauthorizedError);
	assert.deepEqual([error.name, error.code, error.message, error.retryable], ["UnauthorizedError", "unauthorized", "the session is over", false]);
	assert.match(error.remediation, /Sign in again/);
	await assert.rejects(client.ready(), error);
	const { length } = asked;
	await world.advance(DAY);
	assert.equal(asked.length, length, "no further token is asked for");
}

test("a user who is signed out ends the client at once, whenever and however the token function says so", async (t) => {
	for (const [how, say] of [
		["throws", signedOut],
		["rejects", async () => signedOut()],
	] as const) {
		await t.test(
			`${how}, for the first connection`,
			inWorld(async (world) => {
				const made = asking(world, say);
				const message = made.client.thread("t").send({ content: "hi" });
				await world.settle();
				await isSignedOut(made);
				await assert.rejects(message.receipt, { code: "unauthorized" });
				assert.equal(world.peers.length, 0);
			}),
		);
		await t.test(
			`${how}, for a later connection`,
			inWorld(async (world) => {
				const made = asking(world, (count) => (count === 1 ? "secret-token" : say()));
				await made.connected();
				made.server.cut();
				await world.until(() => made.client.state.name === "failed", "failed");
				await isSignedOut(made);
			}),
		);
		await t.test(
			`${how}, to replace a token: the socket is closed`,
			inWorld(async (world) => {
				const made = asking(world, (count) => (count === 1 ? "secret-token" : say()));
				made.server.tokenExpiresInMs = 60_000;
				await made.connected();
				await world.until(() => made.client.state.name === "failed", "failed", 30_000);
				await world.settle();
				assert.equal(made.peer().closedWith, 1000);
				await isSignedOut(made);
			}),
		);
	}
});

test(
	"a user who is signed out ends the client before its module is there",
	inWorld(async (world) => {
		let asked = 0;
		const token = (): never => {
			asked += 1;
			return signedOut();
		};
		const client = createClientLoading(() => new Promise(() => undefined), { url: "wss://x/ws", token });
		const errors: AgentwireError[] = [];
		client.on("error", (error) => errors.push(error));
		await world.advance(DAY);
		assert.deepEqual([client.state.name, client.state.reason, asked], ["failed", "unauthorized", 1]);
		assert.deepEqual(
			errors.map(({ code }) => code),
			["unauthorized"],
		);
	}),
);

test(
	"a request that was abandoned ends nothing when it says that the user is signed out",
	inWorld(async (world) => {
		const { client, codes, connected } = asking(
			world,
			(count, { signal }) => {
				if (count > 1) return "secret-token";
				return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new UnauthorizedError())));
			},
			{ tokenTimeoutMs: 1_000 },
		);
		await connected();
		assert.deepEqual([codes(), client.state.name], [["token_timeout"], "connected"]);
	}),
);

// PROTOCOL: CLS-3
test(
	"a token that the server has refused and that comes again is reported once, and three refusals end the client",
	inWorld(async (world) => {
		const made = asking(world, () => "secret-token");
		made.server.judgeToken = () => ({ code: "token_invalid", close: 4450 });
		await world.until(() => made.client.state.name === "failed", "failed");
		assert.deepEqual(
			made.asked.map(({ request }) => [request.reason, request.refused]),
			[
				["connect", undefined],
				["connect", "token_invalid"],
				["connect", "token_invalid"],
			],
		);
		assert.deepEqual(made.codes(), ["token_invalid", "token_unchanged", "token_invalid", "token_invalid", "token_rejected"]);
		const unchanged = made.errors[1];
		assert.match(unchanged?.message ?? "", /^the token function resolved to the same token again, that the server has refused with token_invalid$/);
		assert.equal(unchanged?.retryable, true, "the client goes on");
		await world.advance(DAY);
		assert.equal(made.asked.length, 3);
	}),
);

test(
	"a token that was refused by mistake is good for another try, and nothing more is said about it",
	inWorld(async (world) => {
		const made = asking(world, () => "secret-token");
		const { judgeToken } = made.server;
		made.server.judgeToken = () => {
			made.server.judgeToken = judgeToken;
			return { code: "token_invalid", close: 4450 };
		};
		await made.connected();
		assert.deepEqual(made.codes(), ["token_invalid", "token_unchanged"]);
		made.server.cut();
		await world.settle();
		await made.connected();
		assert.equal(made.asked.at(-1)?.request.refused, undefined);
		assert.deepEqual(made.codes(), ["token_invalid", "token_unchanged"]);
	}),
);

test(
	"a token that was to be replaced and comes again is reported once, and is not asked for without end",
	inWorld(async (world) => {
		const made = asking(world, () => "secret-token");
		expiring(made);
		await world.advance(LIFE - 1);
		assert.deepEqual(made.codes(), ["token_unchanged"]);
		assert.match(made.errors[0]?.message ?? "", /the same token again, that it was to replace$/);
		assert.equal(made.asked[1]?.request.reason, "refresh");
		assert.ok(made.asked.length > 2 && made.asked.length <= 12, `it was asked for ${made.asked.length} times within an hour`);
		assert.equal(made.client.state.name, "connected", "the token is good until it expires");
		await world.until(() => made.client.state.name === "failed", "failed");
		assert.equal(made.client.state.reason, "token_rejected");
		assert.equal(made.codes().filter((code) => code === "token_unchanged").length, 1);
	}),
);

test(
	"a cache that has a new token when it is asked for the second time loses no connection",
	inWorld(async (world) => {
		const made = asking(world, () => (world.now < LIFE - 60_000 ? "first" : "second"));
		expiring(made);
		const { incoming } = made.server;
		made.server.incoming = (frame, session) => {
			if (frame["token"] !== "second") return incoming(frame, session);
			made.server.tokenExpiresInMs = LIFE;
			return false;
		};
		await world.advance(LIFE - 1);
		assert.deepEqual(made.codes(), ["token_unchanged"]);
		assert.equal(made.server.sessions.length, 1);
		assert.equal(made.sent("refresh").at(-1)?.["token"], "second");
	}),
);

test(
	"a token that is still good may serve several connections",
	inWorld(async (world) => {
		const made = asking(world, () => "secret-token");
		for (let count = 1; count <= 3; count += 1) {
			await made.connected();
			made.server.cut();
			await world.settle();
		}
		await made.connected();
		assert.deepEqual([made.codes(), made.asked.length], [[], 4]);
	}),
);

test(
	"a refresh that is under way when the connection is lost serves the next connection: one question at a time",
	inWorld(async (world) => {
		const answers: ((token: string) => void)[] = [];
		const made = asking(world, (count) => (count === 1 ? "first" : new Promise((resolve) => answers.push(resolve))));
		made.server.tokenExpiresInMs = 60_000;
		await made.connected();
		await world.until(() => made.asked.length === 2, "a refresh");
		assert.equal(made.asked[1]?.request.reason, "refresh");
		made.server.cut();
		await world.advance(5_000);
		assert.deepEqual([made.asked.length, made.client.state.name, made.asked[1]?.request.signal.aborted], [2, "connecting", false]);
		answers[0]?.("second");
		await made.connected();
		assert.equal(made.asked.length, 2);
		assert.equal(made.peer().of("hello")[0]?.["token"], "second");
		assert.deepEqual([made.codes(), made.sent("refresh")], [[], []]);
	}),
);

// PROTOCOL: TOK-1
test("a page whose clock is wrong by days refreshes at the same moments", async (t) => {
	const moments: number[][] = [];
	for (const ahead of [0, 400 * DAY, -400 * DAY]) {
		await t.test(
			`${ahead / DAY} days ahead`,
			inWorld(async (world) => {
				world.setWallClock(ahead);
				const made = asking(world, (count) => `token ${count}`);
				made.server.tokenExpiresInMs = LIFE;
				await world.advance(DAY);
				assert.deepEqual([made.codes(), made.server.sessions.length], [[], 1]);
				moments.push(made.asked.map(({ at }) => at));
			}),
		);
	}
	assert.equal(moments[0]?.length, 27, "at nine tenths of an hour, within a day");
	assert.deepEqual(moments[1], moments[0]);
	assert.deepEqual(moments[2], moments[0]);
});

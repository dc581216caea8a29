/** Deliveries as signed requests. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Claims } from "../src/deliver/claims.js";
import { handle } from "../src/deliver/handle.js";
import { Replays } from "../src/deliver/replays.js";
import { secretOf, verify } from "../src/deliver/signature.js";
import { type FetchHandler, isBridgeError, type MessageHandler, nodeHandler, Refusal, webhook } from "../src/index.js";
import { KEY, message, newSecret, signed, signedHeaders } from "./support/delivery.js";
import type { Fake } from "./support/fake.js";
import { fake, gate } from "./support/until.js";

const secret = newSecret();
const body = JSON.stringify(message(1));
const hook = (server: Fake, handler: MessageHandler): FetchHandler => webhook({ secret, bridge: server.bridge() }, handler);

test("the signature of the Standard Webhooks specification is accepted", () => {
	// The example of https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
	const key = secretOf("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
	const payload = Buffer.from('{"test": 2432232314}');
	const headers = new Headers({
		"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
		"webhook-timestamp": "1614265330",
		"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
	});
	assert.deepEqual(verify([key], headers, payload, 1_614_265_330_000), { ok: true, id: "msg_p5jXN8AQM9LWM0D4loKWxJek" });
	assert.equal(verify([key], headers, Buffer.from('{"test":2432232314}'), 1_614_265_330_000).ok, false);
});

test("the answer comes when a run has claimed the message, not when the run has ended", async (t) => {
	const server = await fake(t);
	const bridge = server.bridge();
	const closed = gate();
	const work: Promise<unknown>[] = [];
	const receive = bridge.webhook({ secret, waitUntil: (one) => work.push(one) }, (one) =>
		bridge.run({ ...one }, { agent: "a", runId: "r1" }, () => closed.promise),
	);
	const response = await receive(signed({ secret, body }));
	assert.equal(response.status, 200);
	assert.deepEqual(await response.json(), {});
	assert.equal(server.store.run(KEY, "r1").isOpen, true);
	closed.open();
	await Promise.all(work);
	assert.equal(server.store.run(KEY, "r1").isOpen, false);
});

test("done, refused and failed messages are answered 200 done, 422 and 500", async (t) => {
	const server = await fake(t);
	const answers = await Promise.all(
		[
			() => {},
			() => {
				throw new Refusal("not for us");
			},
			() => {
				throw new Error("the database is away");
			},
		].map(async (handler) => {
			const response = await hook(server, handler)(signed({ secret, body }));
			return [response.status, await response.json()];
		}),
	);
	assert.deepEqual(answers, [
		[200, { done: true }],
		[422, { message: "not for us" }],
		[500, { message: "the handler failed" }],
	]);
});

test("a handler that takes its time is accepted before the server gives up", async () => {
	const closed = gate();
	const { outcome, ended } = handle(message(1), () => closed.promise, { claims: new Claims(), onError: () => {}, acceptAfterMs: 1 });
	assert.deepEqual(await outcome, { kind: "accepted" });
	closed.open();
	assert.deepEqual(await ended, { left: true });
});

test("a message that was accepted and then left comes again and is done, without another call", async (t) => {
	const server = await fake(t);
	const closed = gate();
	const work: Promise<unknown>[] = [];
	let calls = 0;
	const bridge = server.bridge();
	const receive = bridge.webhook({ secret, waitUntil: (one) => work.push(one) }, async (one) => {
		calls++;
		// What another process of the backend claims, this one leaves.
		await bridge.start(one, { agent: "a" }).catch(() => {});
		await closed.promise;
	});
	server.store.thread(KEY).outdated.add("s-1");
	t.mock.timers.enable({ apis: ["setTimeout"] });
	const answering = receive(signed({ secret, body }));
	while (work.length === 0) await new Promise(setImmediate);
	t.mock.timers.tick(5_000);
	assert.deepEqual(await (await answering).json(), {});
	t.mock.timers.reset();
	closed.open();
	await Promise.all(work);
	const again = await receive(signed({ secret, body: JSON.stringify(message(1, { attempt: 2 })) }));
	assert.deepEqual(await again.json(), { done: true });
	assert.equal(calls, 1);
});

test("what is not signed, not in time or not whole is refused and reaches no handler", async (t) => {
	const server = await fake(t);
	const receive = hook(server, () => assert.fail("it is not signed"));
	const v0 = createHmac("sha256", secretOf(secret)).update("x").digest("base64");
	const refused: readonly (readonly [number, Request])[] = [
		[401, signed({ secret: newSecret(), body })],
		[401, signed({ secret, body, away: -301 })],
		// A second more: the clock goes on until it is checked.
		[401, signed({ secret, body, away: 302 })],
		[401, signed({ secret, body, signature: `v0,${v0}` })],
		[401, signed({ secret, body, signature: "v1,AAAA" })],
		[401, signed({ secret, body, signature: "" })],
		[401, new Request("http://x/", { method: "POST", headers: signedHeaders({ secret, body }), body: `${body} ` })],
		[400, new Request("http://x/", { method: "POST", body })],
		[400, signed({ secret, body: "{}" })],
		[405, new Request("http://x/")],
		[413, signed({ secret, body: "x".repeat(5 << 20) })],
	];
	for (const [status, request] of refused) assert.equal((await receive(request)).status, status);
});

test("several secrets and several signatures are tried", async (t) => {
	const server = await fake(t);
	const receive = webhook({ secret: [newSecret(), secret], bridge: server.bridge() }, () => {});
	assert.equal((await receive(signed({ secret, body }))).status, 200);
	const right = signedHeaders({ secret, body, id: "dlv-2" })["webhook-signature"];
	assert.equal((await receive(signed({ secret, body, id: "dlv-2", signature: `v1,AAAA ${right}` }))).status, 200);
	assert.throws(
		() => webhook({ secret: "short", bridge: server.bridge() }, () => {}),
		(error) => isBridgeError(error, "bad_option"),
	);
});

test("each attempt is taken once: copies get the first answer, and what failed can come again", async (t) => {
	const server = await fake(t);
	let calls = 0;
	let isAway = true;
	const receive = hook(server, () => {
		calls++;
		if (isAway) throw new Error("the database is away");
		throw new Refusal("not for us");
	});
	const statuses = async (count: number, attempt: number): Promise<readonly number[]> => {
		const text = JSON.stringify(message(1, { attempt }));
		const answers = await Promise.all(Array.from({ length: count }, () => receive(signed({ secret, body: text }))));
		return answers.map(({ status }) => status);
	};
	assert.deepEqual(await statuses(3, 1), [500, 500, 500]);
	assert.equal(calls, 1);
	isAway = false;
	assert.deepEqual(await statuses(1, 1), [422]);
	assert.deepEqual(await statuses(2, 1), [422, 422]);
	assert.equal(calls, 2);
	await statuses(1, 2);
	assert.equal(calls, 3);
});

test("the guard keeps a bounded number of attempts for the time that a signature is valid", async () => {
	let now = 0;
	const replays = new Replays<number>(
		() => true,
		3,
		() => now,
	);
	let calls = 0;
	const take = (id: string): Promise<number> => replays.once(id, 1, async () => ++calls);
	for (const id of ["a", "b", "c", "a"]) await take(id);
	assert.equal(calls, 3);
	await take("d");
	assert.equal(await take("c"), 3);
	assert.equal(await take("a"), 5);
	now += 12 * 60_000;
	assert.equal(await take("c"), 6);
});

test("node:http serves the handler over the raw bytes; a body parser before it is named", async (t) => {
	const server = await fake(t);
	const errors = t.mock.method(console, "error", () => {});
	const serve = nodeHandler(hook(server, () => {}));
	const http = createServer((request, response) => {
		if (request.url === "/raw") void serve(request, response);
		else request.resume().on("end", () => void serve(request, response));
	}).listen(0, "127.0.0.1");
	t.after(() => http.close());
	await once(http, "listening");
	const post = (path: string): Promise<Response> => {
		const { port } = http.address() as AddressInfo;
		return fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", headers: signedHeaders({ secret, body }), body });
	};
	assert.deepEqual(await (await post("/raw")).json(), { done: true });
	assert.equal((await post("/parsed")).status, 500);
	assert.match(String(errors.mock.calls[0]?.arguments[0]), /express\.json/);
});

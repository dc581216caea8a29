import assert from "node:assert/strict";
import { test } from "node:test";

import type { AgentwireError } from "./support/package.js";
import { rig } from "./support/rig.js";
import { inWorld } from "./support/world.js";

test(
	"reconnect tries anew after a failure, with the handlers that are attached",
	inWorld(async (world) => {
		const { client, server, connected, codes } = rig(world);
		const thread = client.thread("t");
		const seen: unknown[] = [];
		thread.on("note", ({ n }) => seen.push(n));
		const iterator = thread.events();
		await connected();
		server.append("t", { type: "note", n: 1 });
		await world.settle();
		// The end of the catch-up, and then nothing.
		const items = [iterator.next(), iterator.next()];
		const ends = Promise.allSettled(items);
		await world.settle();
		server.close(4403);
		await world.settle();
		assert.equal(client.state.name, "failed");
		assert.deepEqual(codes(), ["forbidden"]);
		assert.equal(client.lastError?.code, "forbidden");
		const [, last] = await ends;
		assert.equal(last?.status === "rejected" && (last.reason as AgentwireError).code, "forbidden");
		assert.throws(() => client.thread("u"), { code: "closed" });
		server.append("t", { type: "note", n: 2 });
		client.reconnect();
		client.reconnect();
		await connected();
		assert.deepEqual(seen, [1, 2]);
		const again = client.thread("t").send({ content: "back" });
		await world.settle();
		assert.equal(again.state, "stored");
		client.close();
		client.reconnect();
		await world.settle();
		assert.equal(client.state.name, "closed");
	}),
);

test(
	"reconnect may be called by the handler that hears of the failure",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		client.on("state", ({ to }) => to === "failed" && client.reconnect());
		await connected();
		server.close(4403);
		await world.settle();
		await connected();
		await world.settle();
		assert.equal(client.state.name, "connected");
		client.close();
	}),
);

test(
	"reconnect ends a wait, and at most once per two seconds",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		await connected();
		server.down = true;
		server.cut();
		await world.until(() => client.state.name === "waiting" && client.state.attempt === 5, "the fifth retry");
		const attempts = client.stats().attempts;
		for (let index = 0; index < 20; index += 1) client.reconnect();
		await world.settle();
		assert.equal(client.stats().attempts, attempts + 1);
		server.down = false;
		await world.advance(2_001);
		client.reconnect();
		await connected();
	}),
);

test(
	"a backoff function chooses the delays, and null gives up with the last error as the cause",
	inWorld(async (world) => {
		const asked: unknown[] = [];
		const { client, server, connected, errors } = rig(world, {
			backoff: (attempt, elapsedMs, reason) => {
				asked.push([attempt, elapsedMs > 0, reason]);
				return attempt < 4 ? 1_000 * attempt : null;
			},
		});
		const waits: number[] = [];
		client.on("state", ({ to, retryAt = 0 }) => to === "waiting" && waits.push(retryAt - world.wallNow));
		await connected();
		server.down = true;
		server.cut();
		await world.until(() => client.state.name === "failed", "the end");
		assert.deepEqual(waits, [1_000, 2_000, 3_000]);
		assert.deepEqual(asked, [
			[1, false, "connection_lost"],
			[2, true, "connection_lost"],
			[3, true, "connection_lost"],
			[4, true, "connection_lost"],
		]);
		const last = errors.at(-1);
		assert.equal(last?.code, "gave_up");
		assert.equal(client.state.reason, "gave_up");
		server.down = false;
		client.reconnect();
		await connected();
	}),
);

test(
	"a backoff function that throws or returns nonsense is reported, and the default delays are used",
	inWorld(async (world) => {
		const answers: unknown[] = [-1, Number.NaN, "soon", undefined];
		const { client, server, connected, codes } = rig(world, {
			backoff: () => {
				if (answers.length === 0) throw new Error("no idea");
				return answers.shift() as number;
			},
		});
		await connected();
		server.down = true;
		server.cut();
		await world.until(() => client.state.name === "waiting" && client.state.attempt === 6, "the sixth retry");
		server.down = false;
		await connected();
		assert.equal(codes().filter((code) => code === "handler_threw").length, 6);
	}),
);

test(
	"limits of attempts and of time end in a failure",
	inWorld(async (world) => {
		for (const backoff of [{ maxAttempts: 3 }, { maxElapsedMs: 5_000 }]) {
			const { client, server, connected } = rig(world, { backoff });
			await connected();
			server.down = true;
			server.cut();
			const begun = world.now;
			await world.until(() => client.state.name === "failed", "the end");
			assert.equal(client.state.reason, "gave_up");
			if (backoff.maxAttempts !== undefined) assert.equal(client.stats().attempts, 0, "the core is gone");
			else assert.ok(world.now - begun >= 5_000 && world.now - begun < 15_000, `${world.now - begun} ms`);
		}
	}),
);

test(
	"health says that the server is silent while it is asked, and takes it back",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		const healths: string[] = [];
		client.on("health", ({ status, reason }) => healths.push(`${status}: ${reason}`));
		await connected();
		const { outgoing } = server;
		server.outgoing = () => [];
		await world.until(() => client.health().status === "degraded", "the silence");
		assert.equal(client.state.name, "connected");
		server.outgoing = outgoing;
		server.tell({ type: "heartbeat", heads: {} });
		await world.settle();
		assert.deepEqual(healths, ["healthy: connected", "degraded: the server is silent", "healthy: connected"]);
	}),
);

test(
	"a request without an answer for three seconds makes a connection degraded",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		await connected();
		server.outgoing = (frame) => (frame.type === "receipt" ? [] : [frame]);
		client.thread("t").send({ content: "hello?" });
		await world.advance(3_500);
		assert.deepEqual(client.health(), { status: "degraded", reason: "the server has not answered a request for 3 seconds" });
	}),
);

test(
	"a socket that a policy forbids is reported at once where it never says that it closed",
	inWorld(async (world) => {
		const { client, server, connected, codes, peer } = rig(world);
		await connected();
		const first = peer();
		world.latency = 1_000;
		server.cut();
		await world.until(() => peer() !== first, "another socket");
		peer().failSilently();
		await world.advance(2);
		assert.equal(client.state.name, "waiting");
		assert.ok(codes().includes("socket_refused"), String(codes()));
		world.latency = 0;
		await connected();
	}),
);

test(
	"after the second failed attempt a request finds out why no socket opens",
	inWorld(async (world) => {
		for (const [status, reported] of [
			[404, "the server answered 404 in place of a socket"],
			[426, undefined],
			[0, "something answers at the address but opens no socket"],
		] as const) {
			const asked: string[] = [];
			world.define("fetch", async (url: string, { credentials }: RequestInit) => {
				asked.push(`${url} ${credentials}`);
				return { status };
			});
			const { client, server, connected, errors } = rig(world);
			await connected();
			server.down = true;
			server.cut();
			await world.until(() => client.state.name === "waiting" && client.state.attempt === 4, "the fourth retry");
			assert.deepEqual(asked, ["https://chat.example.com/ws omit"]);
			assert.deepEqual(
				errors.filter(({ code }: AgentwireError) => code === "upgrade_refused").map(({ message }) => message),
				reported === undefined ? [] : [reported],
			);
			client.close();
		}
	}),
);

test(
	"a page that becomes visible asks its socket, and replaces it within three seconds if it is dead",
	inWorld(async (world) => {
		const { client, connected, peer } = rig(world);
		await connected();
		await world.advance(5_000);
		const first = peer();
		first.dead = true;
		world.sleep(600_000);
		world.tell("focus");
		await world.advance(3_000);
		assert.equal(client.state.name, "connected");
		assert.notEqual(peer(), first);
	}),
);

test(
	"hello names the life of the page, the same for all of its clients, and the device if it has a name",
	inWorld(async (world) => {
		const { connected, sent } = rig(world, { device: "laptop-7" });
		await connected();
		const other = rig(world, { user: "ada" });
		await other.connected();
		const [first, second] = sent("hello").map(({ client }) => client as Readonly<Record<string, string>>);
		assert.equal(first?.["device"], "laptop-7");
		assert.equal(second?.["device"], undefined);
		assert.ok((first?.["instance"] ?? "").length >= 32);
		assert.equal(first?.["instance"], second?.["instance"]);
	}),
);

// PROTOCOL: SND-21
test(
	"a message carries the trace that it belongs to, and nothing that is none",
	inWorld(async (world) => {
		const { client, connected, sent } = rig(world);
		await connected();
		const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
		client.thread("t").send({ content: "traced" }, { traceparent });
		await world.settle();
		assert.equal(sent("send")[0]?.["traceparent"], traceparent);
		assert.throws(() => client.thread("t").send({ content: "x" }, { traceparent: traceparent.toUpperCase() }), { code: "invalid_option" });
	}),
);

// PROTOCOL: HEL-4, GEN-3
test(
	"a server of an earlier version, which tells no time and names no cap, is one to talk to",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		server.outgoing = (frame) => {
			const { time: _time, backoffMaxMs: _max, ...rest } = frame;
			return [rest];
		};
		await connected();
		const message = client.thread("t").send({ content: "hi" });
		await world.settle();
		assert.equal(message.state, "stored");
	}),
);

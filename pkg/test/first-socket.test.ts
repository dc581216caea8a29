/** While the wasm is being loaded: the first socket opens meanwhile, and failures end or repeat. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AgentwireError, type ClientOptions, createClientLoading, type Instance } from "./support/package.js";
import { offsets } from "./support/record.js";
import { pageOf } from "./support/rig.js";
import { ModelServer, numbered } from "./support/server.js";
import { inWorld, type World } from "./support/world.js";

/** A client whose module arrives when the test says so. */
function loading(world: World, options: Partial<ClientOptions> = {}) {
	const server = new ModelServer(world);
	const page = pageOf(world);
	const loads: { resolve(instance: Instance): void; reject(error: unknown): void }[] = [];
	let asked = 0;
	const token = (): string => {
		asked += 1;
		return "secret-token";
	};
	const client = createClientLoading(() => new Promise((resolve, reject) => loads.push({ resolve, reject })), {
		url: "wss://x/ws",
		token,
		backoff: { baseMs: 10, maxMs: 10 },
		...options,
	});
	const codes: string[] = [];
	client.on("error", ({ code }) => codes.push(code));
	world.atEnd(() => client.close());
	const arrive = async (): Promise<void> => {
		loads.at(-1)?.resolve(page.instance);
		await world.settle();
	};
	return { client, server, page, loads, codes, arrive, asked: () => asked };
}

test(
	"the socket opens while the wasm is loaded, and the core takes it over with its token",
	inWorld(async (world) => {
		const { client, server, page, arrive, asked } = loading(world);
		server.append("t", ...numbered(2));
		const got = offsets(client.thread("t"));
		await world.settle();
		const [peer] = world.peers;
		assert.deepEqual([peer?.socket.url, peer?.protocols, world.peers.length], ["wss://x/ws", ["agentwire.v1"], 1]);
		assert.deepEqual(peer?.received, [], "nobody speaks before the core is there");
		await arrive();
		assert.deepEqual([world.peers.length, page.faults.cores, asked()], [1, 1, 1]);
		assert.equal(peer?.of("hello")[0]?.["token"], "secret-token");
		assert.deepEqual(got, [1, 2]);
		server.cut();
		await world.until(() => server.sessions.length === 2, "connected again");
		assert.equal(asked(), 2, "the token of the first socket is used once");
	}),
);

test(
	"a socket that is still opening when the core arrives is taken over too",
	inWorld(async (world) => {
		const { client, arrive } = loading(world);
		world.latency = 50;
		await world.settle();
		assert.equal(world.peers[0]?.socket.readyState, 0);
		await arrive();
		await world.until(() => client.state.name === "connected", "connected");
		assert.equal(world.peers.length, 1);
	}),
);

test(
	"a core that is there before the token asks for nothing twice",
	inWorld(async (world) => {
		let asked = 0;
		let answer: (token: string) => void = () => undefined;
		const { client, arrive } = loading(world, {
			token: () => {
				asked += 1;
				return new Promise((resolve) => (answer = resolve));
			},
		});
		await arrive();
		answer("secret-token");
		await world.settle();
		assert.deepEqual([asked, world.peers.length, client.state.name], [1, 1, "connected"]);
	}),
);

test(
	"a first socket that died meanwhile is not taken over; its token is not lost",
	inWorld(async (world) => {
		const { client, server, arrive, asked } = loading(world);
		server.down = true;
		await world.settle();
		assert.equal(world.peers[0]?.socket.readyState, 3);
		server.down = false;
		await arrive();
		await world.until(() => client.state.name === "connected", "connected");
		assert.deepEqual([asked(), world.peers.length], [1, 2]);
	}),
);

test(
	"a token that fails while loading is reported once, and asked for again",
	inWorld(async (world) => {
		let refuse = true;
		const { client, codes, arrive } = loading(world, { token: () => (refuse ? Promise.reject(new Error("no")) : "secret-token") });
		await world.settle();
		await arrive();
		assert.deepEqual(codes, ["token_failed"]);
		refuse = false;
		await world.until(() => client.state.name === "connected", "connected");
		assert.deepEqual(codes, ["token_failed"]);
	}),
);

test(
	"closing while loading closes the first socket and makes no core",
	inWorld(async (world) => {
		const { client, page, arrive } = loading(world);
		await world.settle();
		client.close();
		await arrive();
		assert.deepEqual([world.peers[0]?.closedWith, world.peers[0]?.socket.readyState, page.faults.cores], [1000, 3, 0]);
	}),
);

test(
	"wasm that cannot be fetched is tried again",
	inWorld(async (world) => {
		const { client, page, loads, codes, arrive } = loading(world);
		loads[0]?.reject(new AgentwireError("wasm_unavailable", "404", { retryable: true }));
		await world.settle();
		assert.deepEqual([client.state.name, client.state.reason], ["waiting", "wasm_unavailable"]);
		await world.advance(10);
		assert.equal(loads.length, 2);
		assert.deepEqual(client.state, { name: "connecting", reason: "retry", attempt: 1 });
		await arrive();
		await world.until(() => client.state.name === "connected", "connected");
		assert.equal(page.faults.cores, 1);
		assert.deepEqual(codes, ["wasm_unavailable"]);
	}),
);

test(
	"wasm that cannot be compiled is final",
	inWorld(async (world) => {
		const { client, loads, codes } = loading(world);
		loads[0]?.reject(new AgentwireError("wasm_failed", "blocked"));
		await world.settle();
		assert.equal(client.state.name, "failed");
		await assert.rejects(client.ready(), { code: "wasm_failed" });
		assert.deepEqual(codes, ["wasm_failed"]);
		assert.equal(loads.length, 1);
	}),
);

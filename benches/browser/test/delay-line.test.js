import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { listen } from "../server/delay-line.js";

/** A server that answers each chunk with itself. */
async function echo() {
	const server = createServer((socket) => socket.pipe(socket));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return { server, port: /** @type {import("node:net").AddressInfo} */ (server.address()).port };
}

test("the first answer takes a round trip and the handshake, the next one a round trip", async () => {
	const { server, port } = await echo();
	const line = await listen(60, port);
	const started = performance.now();
	const client = connect(line.port, "127.0.0.1");
	client.write("a");
	await once(client, "data");
	const first = performance.now() - started;
	const again = performance.now();
	client.write("b");
	await once(client, "data");
	const second = performance.now() - again;
	// There is no upper limit: the machine may be busy.
	assert.ok(first >= 119, `${first} ms`);
	assert.ok(second >= 59, `${second} ms`);
	client.destroy();
	line.close();
	server.close();
});

test("every byte comes through once and in order", async () => {
	const { server, port } = await echo();
	const line = await listen(4, port);
	const client = connect(line.port, "127.0.0.1");
	const sent = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => index % 251));
	client.end(sent);
	const parts = [];
	for await (const part of client) parts.push(part);
	assert.ok(Buffer.concat(parts).equals(sent));
	line.close();
	server.close();
});

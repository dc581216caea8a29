/** Answers that come as lines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { lines } from "../src/http/lines.js";
import { settingsOf } from "../src/settings.js";
import { fake } from "./support/until.js";

test("an abort while a line is handled ends the stream, also if its connection has ended, and leaves no timer", async (t) => {
	const server = await fake(t);
	const run = await server.bridge().start("k", { agent: "a", runId: "r1" });
	await run.complete();
	const settings = settingsOf({ url: `http://127.0.0.1:${server.port}`, key: "test-key" });
	const stop = new AbortController();
	const got: unknown[] = [];
	const before = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
	const reading = (async () => {
		for await (const line of lines(settings, "/v1/threads/k/runs/r1/signals", stop.signal)) {
			got.push(line);
			stop.abort(new Error("enough"));
		}
	})();
	await assert.rejects(reading, /enough/);
	assert.deepEqual(got, [{ type: "over" }]);
	assert.equal(process.getActiveResourcesInfo().filter((name) => name === "Timeout").length, before);
});

test("lines that come in pieces are put together, letters of several bytes too", async () => {
	const bytes = new TextEncoder().encode('\n{"text":"Grüße"}\n\n{"n":1}\n');
	const pieces = new ReadableStream<Uint8Array>({
		start(controller) {
			for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
			controller.close();
		},
	});
	const settings = settingsOf({ url: "http://fake", key: "k", fetch: async () => new Response(pieces) });
	const got: object[] = [];
	for await (const line of lines(settings, "/", new AbortController().signal)) got.push(line);
	assert.deepEqual(got, [{ text: "Grüße" }, { n: 1 }]);
});

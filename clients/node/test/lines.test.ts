/** Answers that come as lines. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { lines } from "../src/http/lines.js";
import { settingsOf } from "../src/settings.js";

test("an abort while a line is handled ends the stream, also if its body does not notice, and leaves no timer", { timeout: 5_000 }, async () => {
	// As the body of `fetch` in Node.js 20, when the connection has ended meanwhile.
	const deaf = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new TextEncoder().encode('{"type":"over"}\n')) });
	const settings = settingsOf({ url: "http://fake", key: "k", fetch: async () => new Response(deaf) });
	const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
	const before = timers();
	const stop = new AbortController();
	const reading = (async () => {
		for await (const _ of lines(settings, "/", stop.signal)) stop.abort(new Error("enough"));
	})();
	await assert.rejects(reading, /enough/);
	assert.equal(timers(), before);
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

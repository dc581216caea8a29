import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isWellFormed } from "../src/core/events.js";
import type { RawEventsFrame } from "../src/core/raw.js";
import { eventsOf } from "../src/thread/frames.js";

interface Vectors {
	readonly deltas: readonly { name: string; frame: RawEventsFrame; events: readonly Record<string, unknown>[] }[];
	readonly server_frames: readonly { name: string; clause: string; text: string; kind?: string; error?: string }[];
}

// From the compiled file: pkg/.test/test/frames.test.js
const vectors = JSON.parse(readFileSync(new URL("../../../tests/vectors/protocol.json", import.meta.url), "utf8")) as Vectors;

// PROTOCOL: DLT-1, DLT-2
test("deltas expand as the vectors say (DLT-1)", async (t) => {
	assert.ok(vectors.deltas.length > 0);
	for (const { name, frame, events } of vectors.deltas) {
		await t.test(name, () => {
			assert.ok(isWellFormed(frame));
			const expanded = eventsOf(frame);
			assert.deepEqual(expanded, events);
			assert.deepEqual(
				expanded.map((event) => Object.keys(event)),
				events.map((event) => Object.keys(event)),
			);
			assert.equal(eventsOf(frame), expanded, "the same frame gives the same objects to every consumer (DLT-2)");
		});
	}
});

// PROTOCOL: GEN-3
test("a field that the frame's type does not know is ignored", () => {
	const head = { type: "message_delta" };
	const deltas = { type: "deltas", ch: 3, first: 1, count: 1, head, times: [7], texts: ["x"], events: [{ type: "forged" }] } as unknown as RawEventsFrame;
	assert.deepEqual(eventsOf(deltas), [{ type: "message_delta", time: 7, text: "x" }]);
	const events = { type: "events", ch: 3, first: 1, count: 1, events: [{ type: "a" }], head, times: [7], texts: ["x"] } as unknown as RawEventsFrame;
	assert.deepEqual(eventsOf(events), [{ type: "a" }]);
});

// PROTOCOL: EVT-1, DLT-1
test("frames of events are well-formed or not as the vectors say (EVT-1, DLT-1)", async (t) => {
	const judged = vectors.server_frames.filter(({ clause, text, kind, error }) => {
		if (!/^\{"type":"(events|deltas)"/.test(text) || !/^(EVT|DLT)/.test(clause)) return false;
		return kind === "events" || ["events", "head", "count"].includes(error ?? "");
	});
	assert.ok(judged.length >= 15);
	for (const { name, text, kind } of judged) {
		const frame = JSON.parse(text) as RawEventsFrame;
		// The other numbers are the core's business.
		if (!(frame.count > 0)) continue;
		await t.test(name, () => assert.equal(isWellFormed(frame), kind === "events"));
	}
});

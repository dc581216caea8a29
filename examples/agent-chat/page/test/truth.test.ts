import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { AgentEvent, Gap } from "agentwire";
import { canonical, fingerprint } from "../src/canonical.ts";
import { type Compared, type LogPage, type ReadLog, Recorder } from "../src/truth.ts";

const BODIES = Array.from({ length: 25 }, (_, index) => ({ type: "message_delta", time: index, text: `word ${index}` }));

/** Delivers an event: the one of the log, where no other is given. */
function deliver(recorder: Recorder, offset: number, body: object = BODIES[offset - 1] ?? {}, epoch = "e1"): void {
	recorder.record(body as AgentEvent, { offset, epoch, delivery: "live", position: { epoch, offset } });
}

/** A log that answers at most `most` events at once. */
function logOf(bodies: readonly object[], { epoch = "e1", oldest = 1, most = 7 } = {}): ReadLog & { readonly asked: number[] } {
	const asked: number[] = [];
	const read = async (from: number, limit: number): Promise<LogPage> => {
		asked.push(from);
		const first = Math.max(from, oldest);
		return { epoch, oldest, head: bodies.length, first, events: bodies.slice(first - 1, first - 1 + Math.min(limit, most)) };
	};
	return Object.assign(read, { asked });
}

function recorded(offsets: readonly number[]): Recorder {
	const recorder = new Recorder();
	for (const offset of offsets) deliver(recorder, offset);
	return recorder;
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

async function compare(recorder: Recorder, log: ReadLog = logOf(BODIES), again = false): Promise<Compared> {
	const outcome = await recorder.compare(log, again);
	assert.equal(outcome.state, "compared", JSON.stringify(outcome));
	return outcome as Compared;
}

test("what was delivered once and in order is found right, over several pages", async () => {
	const { at: _, ...found } = await compare(recorded(upTo(20)));
	assert.deepEqual(found, { state: "compared", events: 20, lost: 0, doubled: 0, changed: 0, disordered: 0, firstWrong: undefined, ahead: 5 });
});

test("a lost event is found", async () => {
	const { lost, firstWrong } = await compare(recorded(upTo(20).filter((offset) => offset !== 9)));
	assert.deepEqual([lost, firstWrong], [1, 9]);
});

test("a doubled event is found", async () => {
	const { lost, doubled, firstWrong } = await compare(recorded([...upTo(20), 12]));
	assert.deepEqual([lost, doubled, firstWrong], [0, 1, 12]);
});

test("swapped events are found", async () => {
	const { disordered, firstWrong } = await compare(recorded([1, 2, 4, 3, 5]));
	assert.deepEqual([disordered, firstWrong], [1, 3]);
});

/** Delivers the bodies of the log, with some in the places of others. */
async function replaced(places: Readonly<Record<number, number>>): Promise<readonly (number | undefined)[]> {
	const recorder = new Recorder();
	for (const offset of upTo(20)) deliver(recorder, offset, BODIES[(places[offset] ?? offset) - 1]);
	const { lost, doubled, changed, disordered, firstWrong } = await compare(recorder);
	return [lost, doubled, changed, disordered, firstWrong];
}

test("the next body in the place of one is a lost one and a doubled one", async () => {
	assert.deepEqual(await replaced({ 9: 10 }), [1, 1, 0, 0, 9]);
});

test("the former body in the place of one is a lost one and a doubled one", async () => {
	assert.deepEqual(await replaced({ 9: 8, 17: 16 }), [2, 2, 0, 0, 9]);
});

test("exchanged bodies are out of order", async () => {
	assert.deepEqual(await replaced({ 9: 10, 10: 9 }), [0, 0, 0, 2, 9]);
});

test("another body at an offset is found", async () => {
	const recorder = recorded(upTo(5));
	deliver(recorder, 6, { ...BODIES[5], text: "other" });
	const { lost, doubled, changed, firstWrong } = await compare(recorder);
	assert.deepEqual([lost, doubled, changed, firstWrong], [0, 0, 1, 6]);
});

test("an event that the log does not have is found", async () => {
	const recorder = recorded(upTo(25));
	deliver(recorder, 26, { type: "x" });
	const { changed, firstWrong, events } = await compare(recorder);
	assert.deepEqual([changed, firstWrong, events], [1, 26, 25]);
});

test("a second comparison reads only what is new, and all of it when asked", async () => {
	const recorder = recorded(upTo(10));
	const log = logOf(BODIES);
	await compare(recorder, log);
	for (const offset of [11, 12]) deliver(recorder, offset);
	const before = log.asked.length;
	assert.equal((await compare(recorder, log)).events, 12);
	assert.deepEqual(log.asked.slice(before), [11]);
	assert.equal((await compare(recorder, log, true)).events, 12);
});

test("offsets that the server declared gone are not counted as lost, nor those it no longer has", async () => {
	const recorder = new Recorder();
	const gap: Gap = { from: 1, to: 4, reason: "trimmed", remedy: "refetch", epoch: undefined, position: { epoch: "e1", offset: 4 } };
	recorder.gap(gap);
	for (const offset of upTo(20).slice(4)) deliver(recorder, offset);
	assert.equal((await compare(recorder)).lost, 0);
	assert.equal((await compare(recorder, logOf(BODIES, { oldest: 5 }), true)).lost, 0);
});

test("a log of another epoch, and one that cannot be read, are reported as such", async () => {
	const recorder = recorded(upTo(3));
	assert.deepEqual(await recorder.compare(logOf(BODIES, { epoch: "e2" }), false), { state: "other_epoch" });
	assert.deepEqual(await recorder.compare(() => Promise.reject(new Error("down")), false), { state: "unreadable", reason: "down" });
	assert.deepEqual(await new Recorder().compare(logOf(BODIES), false), { state: "none" });
});

test("after a reset the count begins anew", async () => {
	const recorder = recorded([...upTo(3), 3]);
	recorder.gap({ from: 4, to: undefined, reason: "epoch", remedy: "reset", epoch: "e2", position: { epoch: "e2", offset: 0 } });
	deliver(recorder, 1, BODIES[0], "e2");
	const { events, doubled, firstWrong } = await compare(recorder, logOf(BODIES, { epoch: "e2" }));
	assert.deepEqual([events, doubled, firstWrong], [1, 0, undefined]);
});

test("bodies are compared as the rest of the repository does", () => {
	interface Vector {
		readonly name: string;
		readonly text: string;
		readonly canonical: string;
		readonly fingerprint: string;
	}
	const vectors = JSON.parse(readFileSync(new URL("../../../../../tests/e2e/canonical.json", import.meta.url), "utf8")) as readonly Vector[];
	assert.ok(vectors.length > 5);
	for (const vector of vectors) {
		const text = canonical(JSON.parse(vector.text) as object);
		assert.equal(text, vector.canonical, vector.name);
		assert.equal(fingerprint(text), vector.fingerprint, vector.name);
	}
});

// The page had more than the server knows of.
test("a log that begins anew in the same epoch is recorded anew", async () => {
	const recorder = recorded(upTo(9));
	recorder.gap({ from: 10, to: undefined, reason: "ahead", remedy: "reset", epoch: "e1", position: { epoch: "e1", offset: 0 } });
	assert.deepEqual(recorder.position, { epoch: "e1", offset: 0 });
	for (const offset of upTo(5)) deliver(recorder, offset);
	const { events, lost, doubled } = await compare(recorder, logOf(BODIES.slice(0, 5)), true);
	assert.deepEqual([events, lost, doubled], [5, 0, 0]);
});

/** Both sides of the border count alike: what the package numbers is compared with the core's source. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Border } from "../src/core/border.js";
import { read } from "../src/core/frames.js";
import type { NumberCore } from "../src/core/glue.js";
import type { Host } from "../src/core/raw.js";
import { Texts } from "../src/core/texts.js";
import { CONTRADICTIONS, WORDS } from "../src/core/words.js";
import { rig } from "./support/rig.js";
import { inWorld } from "./support/world.js";

// From the compiled file: pkg/.test/test/numbers.test.js
const root = new URL("../../../", import.meta.url);
const source = (path: string): Promise<string> => readFile(new URL(path, root), "utf8");

/** The part of a text between two others. */
function between(text: string, from: string, to: string): string {
	const start = text.indexOf(from);
	assert.ok(start >= 0, `${from} is missing`);
	return text.slice(start + from.length, text.indexOf(to, start + from.length));
}

const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, name = ""]) => name);

/** `CAUGHT_UP` for `CaughtUp`. */
const screaming = (name: string): string => name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();

/** The constants of a file of the package that are plain numbers, in their order. */
function constants(text: string): Map<string, number> {
	return new Map([...text.matchAll(/^const ([A-Z_]+) = (\d+);$/gm)].map(([, name = "", number]) => [name, Number(number)]));
}

test("words and contradictions stand in the order of the core", async () => {
	assert.deepEqual(WORDS, all(between(await source("src/proto/text.rs"), "words! {", "\n}"), /= "([^"]+)"/g));
	assert.deepEqual(CONTRADICTIONS, all(between(await source("src/proto/wire.rs"), "contradictions! {", "\n}"), /= "([^"]+)"/g));
});

test("the table of the frames is the core's", async () => {
	assert.equal(between(await source("pkg/src/core/frames.ts"), "const FRAMES = `\n", "`"), await source("src/proto/wire/frames.txt"));
});

test("reports, calls, states and frames of the page have the core's numbers", async () => {
	const border = await source("pkg/src/core/border.ts");
	const reports = all(between(await source("src/web/report.rs"), "enum Report {", "}"), /(\w+),/g).map(screaming);
	for (const [name, number] of constants(border)) if (name !== "MOST_TEXTS") assert.equal(reports[number], name);
	assert.deepEqual([...constants(border).values()], [...reports.keys()].slice(0, -1), "the last one is what is left");
	const states = all(between(await source("src/proto/output.rs"), "pub enum State {", "\n}"), /^ {4}(\w+),/gm).map((name) => name.toLowerCase());
	assert.deepEqual(all(between(border, "STATES: readonly RawState[] = [", "]"), /"(\w+)"/g), states);
	const calls = new Map(
		[...between(await source("src/web/client.rs"), "mod call {", "\n}").matchAll(/const (\w+): u32 = (\d+)/g)].map(([, name = "", number]) => [
			name,
			Number(number),
		]),
	);
	const used = new Map([...constants(await source("pkg/src/core/core.ts")), ...constants(await source("pkg/src/core/reader.ts"))]);
	assert.deepEqual([...used].filter(([name]) => calls.has(name)).sort(), [...calls].sort());
	const kinds = all(between(await source("src/proto/wire/numbers.rs"), "pub enum PageKind {", "}"), /(\w+),/g).map(screaming);
	const written = constants(await source("pkg/src/core/written.ts"));
	assert.deepEqual([...written.keys()], kinds.slice(0, -1), "the last one is what is left");
	assert.deepEqual([...written.values()], [...kinds.keys()].slice(0, -1));
});

interface Case {
	readonly name: string;
	readonly text: string;
	readonly kind?: string;
	readonly error?: string;
}

// PROTOCOL: GEN-2, GEN-3, GEN-4, GEN-5, GEN-6
test("every frame of the server is read or refused as the vectors say", async () => {
	const { server_frames: cases } = JSON.parse(await source("tests/vectors/protocol.json")) as { server_frames: Case[] };
	const kinds = all(await source("src/proto/wire/frames.txt"), /^(\w+)/gm);
	assert.ok(cases.length > 100);
	// The core has one kind for both frames of events.
	let contradictions = 0;
	for (const { name, text, kind, error } of cases) {
		const frame = parsed(text);
		if (frame === undefined) {
			assert.ok(error === "any" || error === "type", name);
			continue;
		}
		const result = read(frame, new Texts(), []);
		// Bodies of events are looked at elsewhere (`wellFormed`); fields that contradict each other, in the core.
		if (typeof result === "string") assert.ok(error === "any" || result.startsWith(`${error} `), `${name}: ${result}, expected ${error ?? kind}`);
		else if (error !== undefined) contradictions += Number(!("events" in frame || "texts" in frame));
		else assert.equal((kinds[result] ?? "unknown").replace("deltas", "events"), kind?.replace(":browser", ""), name);
	}
	assert.ok(contradictions < 15, `${contradictions} frames are refused by nobody here`);
});

function parsed(text: string): object | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
	} catch {
		return undefined;
	}
}

test("texts that nobody holds are forgotten, and their numbers used again", () => {
	const texts = new Texts();
	const [held, gone] = [texts.number("thread"), texts.number("run")];
	texts.keep([held]);
	assert.equal(texts.text(held), "thread");
	assert.equal(texts.size, WORDS.length + 1);
	assert.equal(texts.number("another"), gone);
	assert.equal(texts.number("trimmed"), WORDS.indexOf("trimmed"));
});

test("when there are many texts, those that the core does not hold are forgotten", () => {
	const border = new Border({} as Host, "0", undefined);
	const held = border.texts.number("thread");
	let asked = 0;
	const core = {
		texts() {
			asked += 1;
			border.put(held);
			return true;
		},
	} as Partial<NumberCore> as NumberCore;
	for (let run = 0; run < 900; run += 1) border.texts.number(`run ${run}`);
	border.tidy(core);
	assert.equal(asked, 0, "there are not many yet");
	for (let run = 900; run < 1_100; run += 1) border.texts.number(`run ${run}`);
	border.tidy(core);
	assert.deepEqual([border.texts.size, border.texts.text(held)], [WORDS.length + 1, "thread"]);
});

test(
	"a page that sends thousands of messages keeps what it needs of their ids",
	inWorld(async (world) => {
		const { client, server, connected } = rig(world);
		const thread = client.thread("t");
		const got: number[] = [];
		thread.onEvent((_event, { offset }) => got.push(offset));
		await connected();
		for (let count = 0; count < 30; count += 1) {
			const messages = Array.from({ length: 100 }, (_, index) => thread.send({ content: `${count} ${index}` }));
			await world.settle();
			for (const message of messages) assert.equal((await message.receipt).status, "accepted");
		}
		server.cut();
		const last = thread.send({ content: "after a cut" });
		await world.advance(5_000);
		assert.equal((await last.receipt).status, "accepted");
		assert.deepEqual(
			got,
			Array.from({ length: 3_001 }, (_, index) => index + 1),
		);
	}),
);

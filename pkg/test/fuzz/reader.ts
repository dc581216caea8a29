/**
 * Fuzzes the reader of the package: each message is read or refused exactly as the core's own reader of JSON does it, nothing throws, and
 * nothing is kept. `cargo xtask fuzz` runs it.
 *
 * usage: node reader.js --peer PROGRAM --vectors FILE [--seconds N | --texts N] [--seed N]
 *
 * The peer is `sim/src/bin/read_frames.rs`: it takes a line per message, and answers an empty one with what it counted.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Border } from "../../src/core/border.js";
import type { NumberCore } from "../../src/core/glue.js";
import type { Host } from "../../src/core/raw.js";
import { WORDS } from "../../src/core/words.js";
import { Texts } from "./texts.js";

const BATCH = 500;
/** The number of the call that refuses a message (`src/web/client.rs`). */
const BAD_FRAME = 1;
/** Slots begin with it. */
const FIRST_SLOT = 0;

/** What the reader gives the core for one message. A number behind those of `WORDS` is that of one of `texts`. */
type Said =
	| { readonly bad: string }
	| { readonly kind: number; readonly numbers: readonly number[]; readonly texts: readonly string[] }
	| { readonly events: readonly number[] };

/** What a batch came to, as the peer counts it. */
interface Counted {
	readonly accepted: number;
	readonly refused: number;
	/** Messages that the peer's JSON can't hold, such as half a surrogate pair. */
	readonly skipped: number;
}

/** JSON can name half of a surrogate pair; the peer's texts can't hold one, and it skips the message. */
const wellFormed = (text: string): string => Buffer.from(text).toString();

/** Reads one message by the code that ships, before a core that only takes note. */
function read(text: string): Said {
	const heard: Said[] = [];
	const note = (said: Said): false => {
		heard.push(said);
		return false;
	};
	const host: Partial<Host> = {
		socket: () => undefined,
		trapped: (error) => {
			throw error;
		},
	};
	const border = new Border(host as Host, "0", undefined);
	let given: readonly number[] = [];
	border.give = (numbers) => {
		given = numbers;
	};
	const texts = (): readonly string[] =>
		Array.from({ length: border.texts.size - WORDS.length }, (_, index) => wellFormed(border.texts.text(WORDS.length + index)));
	const core: Partial<NumberCore> = {
		events: (_socket, _slot, ...numbers) => note({ events: numbers.slice(0, 3) }),
		frame: (_socket, _slot, kind) => note({ kind, numbers: given, texts: texts() }),
		call: (kind) => {
			assert.equal(kind, BAD_FRAME);
			const [, slot = -1] = given;
			note({ bad: border.slots.get(slot) as string });
			border.slots.release(slot);
		},
	};
	border.serve(core as NumberCore);
	const socket: { onmessage?: ((event: MessageEvent) => void) | null; addEventListener: () => void } = { addEventListener: () => undefined };
	border.socket(socket as Partial<WebSocket> as WebSocket, 1);
	socket.onmessage?.({ data: text } as MessageEvent);
	const [said, another] = heard;
	assert.ok(said !== undefined && another === undefined, `the core was called ${heard.length} times`);
	assert.equal(border.slots.keep("next"), FIRST_SLOT, "a slot was kept");
	return said;
}

const { values } = parseArgs({
	options: {
		peer: { type: "string" },
		vectors: { type: "string" },
		seconds: { type: "string" },
		texts: { type: "string" },
		seed: { type: "string", default: "1" },
	},
});
const { peer: program, vectors } = values;
if (program === undefined || vectors === undefined) throw new Error("name the peer and the vectors");
const most = values.texts === undefined ? Number.POSITIVE_INFINITY : Number(values.texts);
const end = values.seconds === undefined ? Number.POSITIVE_INFINITY : performance.now() + 1_000 * Number(values.seconds);

const { server_frames: frames } = JSON.parse(await readFile(vectors, "utf8")) as { server_frames: { readonly text: string }[] };
const source = new Texts(
	Number(values.seed),
	frames.map(({ text }) => text),
);
const peer = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"] });
const answers = createInterface({ input: peer.stdout })[Symbol.asyncIterator]();
const sums = { accepted: 0, refused: 0, skipped: 0 };
let done = 0;
while (done < most && performance.now() < end) {
	const lines: string[] = [];
	for (let left = Math.min(BATCH, most - done); left > 0; left -= 1) {
		const text = source.next();
		let said: Said;
		try {
			said = read(text);
		} catch (error) {
			throw new Error(`the reader failed on ${JSON.stringify(text)}`, { cause: error });
		}
		lines.push(JSON.stringify({ text, said }));
	}
	done += lines.length;
	peer.stdin.write(`${lines.join("\n")}\n\n`);
	const { value: answer } = await answers.next();
	// It has said on stderr what is different.
	if (answer === undefined) throw new Error(`the peer ended: run again with --seed ${values.seed} --texts ${done}`);
	const counted = JSON.parse(answer) as Counted;
	for (const name of ["accepted", "refused", "skipped"] as const) sums[name] += counted[name];
}
peer.stdin.end();
console.log(`reader: ${done} messages read alike: ${sums.accepted} accepted, ${sums.refused} refused, ${sums.skipped} skipped`);

/**
 * Frames of the server as numbers: the form in which they cross the border. The table below is that of `src/proto/wire/frames.txt`,
 * where a test compares the two; `src/proto/wire.rs` says what it means.
 */
import type { Texts } from "./texts.js";

const FRAMES = `
caughtUp ch=c offset=n openRuns?=l seal?=t128
deltas ch=c first=o count=i1,10000 head=O times=L texts=L
error code=t64 message=T retryable=B retryAfterMs?=i0,86400000 req?=n stream?=p
events ch=c first=o count=i1,10000 events=L
gap ch=c from=o to=o reason=t64
goaway reason=T64 reconnectAfterMs=i0,300000 spreadMs=i0,300000
heartbeat heads=h seals?=s
history req=n
notice kind=T64
ping n=n
pong n=n
receipt id=t128 stream=t256 status=t64 position?{ epoch=T64 offset=o } decision?=t64 by?=T256 error?{ code=T64 retryable=b retryAfterMs?=i0,86400000 }
refreshed tokenExpiresInMs?=n
replayEnd req=n to=n oldest=o
signal stream=T256 signal{ type=T64 }
subscribed ch=c name=t256 epoch=t64 oldest=o head=i0,9007199254740990 next=o base?=n recovered=b reason?=t64
unsubscribed ch?=c name=t256 reason=t64
welcome features?=X session=t128 subject=t256 heartbeatMs=i100,300000 maxFrameBytes=i4096,16777216 maxStreams=i1,10000 sendHorizonMs=n tokenExpiresInMs?=n backoffMaxMs?=i1000,60000 time?=n
`;

/** The number of a frame of an unknown type (GEN-3). */
const UNKNOWN = 255;
/** The largest number of a subscription on a socket (SUB-3). */
export const MAX_CH: number = 2 ** 31 - 1;
/** The longest seal (SUB-6). */
const MAX_SEAL_BYTES = 128;
/** Stands for a field that is missing. */
const NONE = -1;

interface Field {
	readonly name: string;
	readonly isOptional: boolean;
	/** A letter of the table, or `{`. */
	readonly kind: string;
	readonly min: number;
	readonly max: number;
	/** The fields of an object. */
	readonly fields: readonly Field[];
}

interface Kind {
	readonly number: number;
	readonly fields: readonly Field[];
}

const KINDS: ReadonlyMap<string, Kind> = new Map(
	FRAMES.trim()
		.split("\n")
		.map((line, number) => {
			const [name = "", ...words] = line.split(" ");
			return [name, { number, fields: fieldsOf(words.values()) }];
		}),
);

function fieldsOf(words: Iterator<string>): readonly Field[] {
	const fields: Field[] = [];
	for (let { value, done } = words.next(); done !== true && value !== "}"; { value, done } = words.next()) {
		const [, name = "", optional, kind = "", limits = ""] = /^(\w+)(\?)?(?:=)?([{\w])(.*)$/.exec(value) ?? [];
		const [one = Number.NaN, two] = limits.split(",").map(Number);
		const isInteger = kind === "i";
		fields.push({
			name,
			isOptional: optional !== undefined,
			kind: "noc".includes(kind) ? "i" : kind,
			min: isInteger ? one : kind === "n" ? 0 : 1,
			max: isInteger ? (two ?? 0) : kind === "c" ? MAX_CH : kind.toLowerCase() === "t" ? one || Number.POSITIVE_INFINITY : Number.MAX_SAFE_INTEGER,
			fields: kind === "{" ? fieldsOf(words) : [],
		});
	}
	return fields;
}

/** Reads a frame: its numbers go to `out`. Returns the number of its kind, or what is wrong with it (GEN-4). */
export function read(frame: object, texts: Texts, out: number[]): number | string {
	const { type } = frame as { readonly type?: unknown };
	if (typeof type !== "string") return type === undefined ? "type is missing" : "type has the wrong type";
	const kind = KINDS.get(type);
	if (kind === undefined) return UNKNOWN;
	return readFields(frame as Readonly<Record<string, unknown>>, kind.fields, texts, out) ?? kind.number;
}

function readFields(object: Readonly<Record<string, unknown>>, fields: readonly Field[], texts: Texts, out: number[]): string | undefined {
	for (const field of fields) {
		const { name, isOptional, kind } = field;
		const value = object[name];
		if (value === undefined) {
			if (!isOptional) return `${name} is missing`;
			// Capital letters are checked only.
			if (kind > "Z") out.push(NONE);
			continue;
		}
		const problem = readValue(value, field, texts, out);
		if (problem !== undefined) return problem;
	}
	return undefined;
}

function readValue(value: unknown, field: Field, texts: Texts, out: number[]): string | undefined {
	const { name, kind, min, max, isOptional, fields } = field;
	const wrongType = `${name} has the wrong type`;
	const outOfRange = `${name} is outside its range`;
	switch (kind) {
		case "t":
		case "T":
			if (typeof value !== "string") return wrongType;
			if (max !== Number.POSITIVE_INFINITY && (value === "" || isLonger(value, max))) return outOfRange;
			if (kind === "t") out.push(texts.number(value));
			return undefined;
		case "i":
			if (typeof value !== "number") return wrongType;
			if (!isInteger(value, min, max)) return outOfRange;
			out.push(value);
			return undefined;
		case "b":
		case "B":
			if (typeof value !== "boolean") return wrongType;
			if (kind === "b") out.push(Number(value));
			return undefined;
		case "l":
		case "X":
			if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) return wrongType;
			if (kind === "l") out.push(value.length, ...value.map((item) => texts.number(item)));
			return undefined;
		case "L":
			return Array.isArray(value) ? undefined : wrongType;
		case "p":
			out.push(1);
			return undefined;
	}
	// What is left is an object.
	if (!isObject(value)) return wrongType;
	if (kind === "h") {
		const heads = Object.entries(value);
		out.push(heads.length);
		for (const [ch, head] of heads) {
			if (!isChannel(ch) || (typeof head === "number" && !isInteger(head, 0, Number.MAX_SAFE_INTEGER))) return outOfRange;
			if (typeof head !== "number") return wrongType;
			out.push(Number(ch), head);
		}
	}
	if (kind === "s") {
		const seals = Object.entries(value);
		out.push(seals.length);
		for (const [ch, seal] of seals) {
			if (!isChannel(ch) || (typeof seal === "string" && (seal === "" || isLonger(seal, MAX_SEAL_BYTES)))) return outOfRange;
			if (typeof seal !== "string") return wrongType;
			out.push(Number(ch), texts.number(seal));
		}
	}
	if (kind !== "{") return undefined;
	if (isOptional) out.push(1);
	return readFields(value, fields, texts, out);
}

/** Is the key of a map the number of a subscription? */
function isChannel(key: string): boolean {
	return /^[1-9]\d*$/.test(key) && Number(key) <= MAX_CH;
}

/** Is it an integer of the range? */
export function isInteger(value: unknown, min: number, max: number): value is number {
	return typeof value === "number" && value >= min && value <= max && Number.isInteger(value);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Has a text more bytes of UTF-8 than that? It is measured only where its length leaves a doubt: a unit of UTF-16 takes one to three. */
export function isLonger(text: string, maxBytes: number): boolean {
	if (text.length * 3 <= maxBytes) return false;
	return text.length > maxBytes || new TextEncoder().encode(text).length > maxBytes;
}

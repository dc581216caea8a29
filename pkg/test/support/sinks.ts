/**
 * Every place where a token must not get to (I11): what a page wrote there, and how a test writes there on purpose, so that
 * a search which finds nothing is known to look. A new sink is one entry of the list.
 */
import { inspect } from "node:util";
import { memory } from "./core.js";
import { AgentwireError, type Logger, type Metric } from "./package.js";
import { type Rig, type RigOptions, rig } from "./rig.js";
import type { World } from "./world.js";

/** What the tokens of a test begin with. Addresses write it in another way. */
export const MARK = "marked/token+of=agentwire";

/** A world whose sinks are watched. */
export interface Watched {
	readonly world: World;
	/** Makes a client whose sinks are watched too. */
	client(options: RigOptions): Rig;
	/** The newest client. */
	readonly made: Rig;
	readonly logger: Required<Logger>;
	onMetric(metric: Metric): void;
	/** What the logger, `onMetric`, handlers, and each replaced part of the platform got, by name. */
	readonly got: ReadonlyMap<string, unknown[]>;
	/** Every error that was reported, thrown or rejected with. */
	readonly errors: unknown[];
}

export interface Sink {
	readonly name: string;
	/** Everything that was written there. */
	read(watched: Watched): readonly unknown[];
	/** Writes a text there, as a faulty product would. */
	plant(watched: Watched, text: string): void;
}

/** Parts of the platform that keep or carry away what they get. Whoever uses one is noted. */
const PLATFORM = ["localStorage", "sessionStorage", "indexedDB", "caches", "cookieStore", "document", "history", "fetch", "BroadcastChannel", "postMessage"];
const CONSOLE = ["debug", "info", "log", "warn", "error"] as const;

export const SINKS: readonly Sink[] = [
	{ name: "log lines", read: ({ got }) => got.get("log") ?? [], plant: ({ logger }, text) => logger.info("a line", { text }) },
	{
		name: "metrics",
		read: ({ got }) => got.get("metric") ?? [],
		plant: (w, text) => w.onMetric({ name: "gap_offsets", unit: "offsets", value: 1, thread: text }),
	},
	{ name: "facts of the client", read: ({ got }) => got.get("fact") ?? [], plant: ({ made }, text) => made.server.tell({ type: "notice", kind: text }) },
	{ name: "state, health and stats", read: ({ made: { client } }) => [client.state, client.health(), client.stats()], plant: plantStats },
	{ name: "messages of errors", read: (w) => chains(w).map(({ message }) => message), plant: (w, text) => plantError(w, { message: text }) },
	{
		name: "causes of errors",
		read: (w) => chains(w).map(({ cause }) => cause),
		plant: (w, text) => w.errors.push(new Error("a", { cause: new Error("b", { cause: text }) })),
	},
	{
		name: "stacks of errors",
		read: (w) => chains(w).map(({ stack }) => stack),
		plant: (w, text) => w.errors.push(Object.assign(new Error("a"), { stack: `at ${text}` })),
	},
	{
		name: "remediation of errors",
		read: (w) => chains(w).map((error) => Reflect.get(error, "remediation")),
		plant: (w, text) => plantError(w, { remediation: text }),
	},
	{
		name: "JSON of errors",
		read: (w) => chains(w).map((error) => JSON.stringify(error)),
		plant: (w, text) => w.errors.push(Object.assign(new Error("a"), { toJSON: () => text })),
	},
	{ name: "fields of errors", read: chains, plant: (w, text) => w.errors.push(Object.defineProperty(new Error("a"), "b", { value: text })) },
	{ name: "errors of the page", read: ({ world }) => world.uncaught, plant: ({ world }, text) => world.report(text) },
	{ name: "URLs and subprotocols of sockets", read: ({ world }) => world.peers.map(({ socket, protocols }) => [socket.url, protocols]), plant: plantUrl },
	{
		name: "close reasons",
		read: ({ world }) => world.peers.map(({ closeReason }) => closeReason),
		plant: ({ made }, text) => made.peer().socket.close(1000, text),
	},
	{ name: "frames, but for the token of hello and refresh", read: frames, plant: ({ made }, text) => made.client.thread("t").signal({ type: "a", text }) },
	{ name: "memory of the module", read: () => [new Uint8Array(memory().buffer)], plant: (_, text) => plantMemory(text) },
	...CONSOLE.map((name): Sink => ({ name: `console.${name}`, read: ({ got }) => got.get(name) ?? [], plant: (_, text) => console[name](text) })),
	...PLATFORM.map((name): Sink => ({ name, read: ({ got }) => got.get(name) ?? [], plant: (_, text) => Reflect.get(globalThis, name).anything.at(text) })),
];

/** The names of the sinks that hold a marked token, or a form of it. */
export function leaks(watched: Watched): string[] {
	return SINKS.filter((sink) => sink.read(watched).some(isMarked)).map(({ name }) => name);
}

/** Watches the sinks of a world, before a client is made. */
export function watch(world: World): Watched {
	const got = new Map<string, unknown[]>();
	const errors: unknown[] = [];
	const note =
		(name: string) =>
		(...values: unknown[]): void =>
			void got.set(name, [...(got.get(name) ?? []), ...values]);
	for (const name of PLATFORM) world.define(name, noting(note(name)));
	for (const name of CONSOLE) world.define(name, note(name), console);
	const logger = { debug: note("log"), info: note("log"), warn: note("log"), error: note("log") };
	const onMetric = note("metric");
	let made: Rig | undefined;
	return {
		world,
		client(options) {
			made = rig(world, { logger, onMetric, ...options });
			made.client.on("error", (error) => errors.push(error));
			for (const fact of ["state", "notice", "signal", "subject"] as const) made.client.on(fact, note("fact"));
			return made;
		},
		get made() {
			if (made === undefined) throw new Error("no client was made yet");
			return made;
		},
		logger,
		onMetric,
		got,
		errors,
	};
}

/** Stands in for a part of the platform: whatever is called or set in it, at any depth, is noted. */
function noting(note: (...values: unknown[]) => void): unknown {
	const noted = (values: readonly unknown[]): object => {
		note(...values);
		return stand;
	};
	const stand: object = new Proxy(() => undefined, {
		get: (_, key) => (typeof key === "symbol" || key === "then" ? undefined : stand),
		set: (_, key, value) => Boolean(noted([key, value])),
		apply: (_, __, values) => noted(values),
		construct: (_, values) => noted(values),
	});
	return stand;
}

/** The errors that were noted, and after them their causes. */
function chains({ errors }: Watched): Error[] {
	const all = errors.filter((error) => error instanceof Error);
	for (const { cause } of all) if (cause !== undefined) all.push(cause instanceof Error ? cause : new Error(inspect(cause)));
	return all;
}

function frames({ world }: Watched): unknown[] {
	const isCarrier = (type: string): boolean => type === "hello" || type === "refresh";
	return world.peers.flatMap(({ received }) => received.map((frame) => (isCarrier(frame.type) ? { ...frame, token: "" } : frame)));
}

function plantError({ made }: Watched, fields: object): void {
	made.server.tell({ type: "error", code: "x", message: "a", retryable: false, ...fields });
}

function plantStats({ made }: Watched, text: string): void {
	const stats = { ...made.client.stats(), text };
	made.client.stats = () => stats;
}

function plantUrl({ world }: Watched, text: string): void {
	const socket = new WebSocket(`wss://x/ws?t=${encodeURIComponent(text)}`);
	world.later(0, () => socket.close());
}

function plantMemory(text: string): void {
	const end = memory().grow(1) * 65_536;
	new Uint8Array(memory().buffer).set(new TextEncoder().encode(text), end);
}

/** Does a value hold a marked token: as it is, in an address, or in base64 or hexadecimal digits? */
export function isMarked(value: unknown): boolean {
	const text = value instanceof Uint8Array ? Buffer.from(value.buffer).toString("latin1") : textOf(value);
	return FORMS.some((form) => text.includes(form));
}

function textOf(value: unknown): string {
	if (typeof value === "string") return value;
	return inspect(value, {
		depth: Number.POSITIVE_INFINITY,
		showHidden: true,
		maxArrayLength: null,
		maxStringLength: null,
		breakLength: Number.POSITIVE_INFINITY,
	});
}

const FORMS = [MARK, encodeURIComponent(MARK), Buffer.from(MARK).toString("hex"), ...[0, 1, 2].map(base64)];

/** The digits of base64 that stand for the mark alone, when so many bytes come before it. */
function base64(before: number): string {
	const digits = Buffer.from("-".repeat(before) + MARK).toString("base64");
	return digits.slice(Math.ceil((before * 8) / 6), Math.floor(((before + MARK.length) * 8) / 6));
}

/** Notes what a call throws. */
export function throws(watched: Watched, call: () => unknown): void {
	try {
		call();
	} catch (error) {
		watched.errors.push(error);
	}
	if (!(watched.errors.at(-1) instanceof AgentwireError)) throw new Error("it was to throw an AgentwireError");
}

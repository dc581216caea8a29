/** The entries as a page loads them, beside a stand-in for the generated glue. */
import assert from "node:assert/strict";
import { readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { EMPTY, installer } from "./support/installed.js";

const GLUE = `
export const log = [];
let ready = false;
export function initSync({ module }) {
	log.push(["init", module instanceof WebAssembly.Module]);
	ready = true;
}
export function __wbg_reset_state() { log.push(["reset"]); }
const CALLS = { 2: "close", 3: "connect", 10: "tokenReady" };
const TOKEN = 8;
export class RawClient {
	constructor(host) {
		if (!ready) throw new WebAssembly.RuntimeError("used before it was there");
		this.host = host;
		const numbers = Array.from({ length: 16 }, () => host.next());
		log.push(["new", host.text(numbers[15]), Number.isSafeInteger(numbers[0])]);
	}
	call(kind) {
		const name = CALLS[kind];
		if (name === "tokenReady") log.push([name, this.host.slots.get(this.host.next())]);
		else if (name !== undefined) log.push([name]);
		if (name === "connect") this.host.report(TOKEN);
	}
	adopt(socket, token) { log.push(["adopt", socket.protocol, this.host.slots.get(token)]); }
	free() { log.push(["free"]); }
	alive() { return false; }
	counter() { throw new WebAssembly.RuntimeError("unreachable"); }
}
`;

interface Glue {
	readonly log: unknown[][];
}

const page = installer<Glue>(GLUE, EMPTY);

function globalSocket(): void {
	class Socket {
		static readonly OPEN = 1;
		readonly readyState = 0;
		readonly protocol: string;
		constructor(_url: string, protocol: string) {
			this.protocol = protocol;
		}
		close(): void {}
	}
	(globalThis as { WebSocket?: unknown }).WebSocket = Socket;
}

/** Lets the glue load, and all that follows from it. */
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/** Runs it where every look at a page throws. */
async function untouched<T>(run: () => Promise<T>): Promise<T> {
	const ofPage = ["window", "document", "location", "WebSocket", "navigator", "addEventListener", "fetch"];
	const names = [...ofPage, "sessionStorage", "localStorage", "indexedDB", "IDBKeyRange"];
	const kept = names.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
	for (const name of names) {
		Object.defineProperty(globalThis, name, {
			get() {
				throw new Error(`${name} was touched`);
			},
			configurable: true,
		});
	}
	try {
		return await run();
	} finally {
		for (const [name, descriptor] of kept) {
			if (descriptor === undefined) Reflect.deleteProperty(globalThis, name);
			else Object.defineProperty(globalThis, name, descriptor);
		}
	}
}

test("importing touches nothing of a page: plain Node", async () => {
	const { entry, glue } = await page();
	await untouched(async () => {
		for (const name of ["index", "inline"]) {
			const module = await entry(name);
			assert.deepEqual(Object.keys(module).sort(), ["AgentwireError", "UnauthorizedError", "VERSION", "createClient"]);
		}
		assert.deepEqual(Object.keys(await entry("persist")).sort(), ["clearCache", "clearOutbox", "persistOutbox", "persistentCache"]);
		const folds = ["EMPTY", "conversation", "deliveryOf", "emptyConversation", "fold", "hasEnded", "runOf"];
		assert.deepEqual(Object.keys(await entry("conversation")).sort(), folds);
		assert.deepEqual(Object.keys(await entry("conversation/stalls")), ["watchStalls"]);
		assert.deepEqual(Object.keys(await entry("typing")), ["typing"]);
	});
	assert.deepEqual((await glue()).log, []);
});

test("importing the entries for frameworks touches nothing of a page either, and each has its exports", async () => {
	const { root, entry, glue } = await page();
	await symlink(new URL("../../node_modules", import.meta.url), join(root, "node_modules"), "junction");
	// The frameworks themselves look for a page when they are loaded.
	await Promise.all([import("react"), import("vue"), import("svelte")]);
	const exported = await untouched(async () => {
		const names = ["react", "vue", "svelte"];
		return Promise.all(
			names.map(async (name) =>
				Object.keys(await entry(name))
					.sort()
					.join(" "),
			),
		);
	});
	assert.deepEqual(exported, [
		"AgentwireProvider AgentwireThread ClientProvider shallowEqual useApproval useClient useConnection useConversation useMessages useRun useThread",
		"provideAgentwire provideClient provideThread shallowEqual useClient useConnection useConversation useMessages useRun useThread",
		"createAgentwire getAgentwire setAgentwire setClient shallowEqual",
	]);
	assert.deepEqual((await glue()).log, []);
});

test("VERSION is the version of the package", async () => {
	const { entry } = await page();
	const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
	assert.equal((await entry("index"))["VERSION"], version);
});

test("importing works in a worker", async () => {
	const { root } = await page();
	const code = `import { parentPort } from "node:worker_threads"; const m = await import(${JSON.stringify(pathToFileURL(join(root, "dist/index.js")).href)}); parentPort.postMessage(typeof m.createClient);`;
	const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`));
	const said = await new Promise((resolve, reject) => {
		worker.once("message", resolve);
		worker.once("error", reject);
	});
	await worker.terminate();
	assert.equal(said, "function");
});

test("rendering on a server makes a client that says why it cannot connect", async () => {
	const { entry } = await page();
	delete (globalThis as { WebSocket?: unknown }).WebSocket;
	const { createClient } = await entry("index");
	const client = createClient({ url: "wss://x/ws", token: () => "t", logger: { error() {} } });
	await assert.rejects(client.ready(), { code: "no_websocket" });
});

test("agentwire fetches the wasm once, opens the socket meanwhile and hands it over", async () => {
	globalSocket();
	const { entry, glue } = await page();
	const { createClient } = await entry("index");
	const client = createClient({ url: "https://x/ws", token: () => "secret" });
	const { log } = await glue();
	while (!log.some(([name]) => name === "adopt")) await tick();
	const other = createClient({ url: "wss://y/ws", token: () => "secret", wasm: "/elsewhere.wasm" });
	await tick();
	assert.deepEqual(log, [
		["init", true],
		["new", "wss://x/ws", true],
		["adopt", "agentwire.v1", "secret"],
		["new", "wss://y/ws", true],
		["connect"],
		["tokenReady", "secret"],
	]);
	client.close();
	other.close();
	await tick();
	assert.deepEqual(log.slice(-4), [["close"], ["close"], ["free"], ["free"]]);
});

test("agentwire/inline compiles its bytes while the socket opens, and hands it over", async () => {
	globalSocket();
	const { entry, glue } = await page();
	const client = (await entry("inline")).createClient({ url: "wss://x/ws", token: () => "secret" });
	const { log } = await glue();
	while (!log.some(([name]) => name === "adopt")) await tick();
	assert.deepEqual(log.slice(0, 3), [
		["init", true],
		["new", "wss://x/ws", true],
		["adopt", "agentwire.v1", "secret"],
	]);
	client.close();
});

test("both entries share one instance", async () => {
	globalSocket();
	const { entry, glue } = await page();
	const one = (await entry("inline")).createClient({ url: "wss://x/ws", token: () => "t" });
	const two = (await entry("index")).createClient({ url: "wss://x/ws", token: () => "t" });
	const { log } = await glue();
	while (log.filter(([name]) => name === "new").length < 2) await tick();
	assert.equal(log.filter(([name]) => name === "init").length, 1);
	one.stats();
	await tick();
	assert.equal(log.filter(([name]) => name === "reset").length, 1);
	assert.equal(log.filter(([name]) => name === "new").length, 4);
	one.close();
	two.close();
});

test("old engines without Symbol.dispose get no method called undefined", async () => {
	globalSocket();
	const { entry } = await page();
	const kept = globalThis.Symbol;
	const old = Object.create(kept, { dispose: { value: undefined } }) as SymbolConstructor;
	const makeWithout = async (): Promise<object> => {
		globalThis.Symbol = old;
		try {
			return (await entry("inline")).createClient({ url: "wss://x/ws", token: () => "t" });
		} finally {
			globalThis.Symbol = kept;
		}
	};
	const client = await makeWithout();
	assert.ok("close" in client);
	assert.ok(!("undefined" in client) && !(kept.dispose in client));
	assert.ok(kept.dispose in (await (await page()).entry("inline")).createClient({ url: "wss://x/ws", token: () => "t" }));
});

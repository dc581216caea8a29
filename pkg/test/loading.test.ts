/** How each entry gets its wasm module, and what becomes of one that can't be had. Beside a stand-in for the generated glue. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { EMPTY, type Entry, installer } from "./support/installed.js";
import { inPage } from "./support/stub.js";

const GLUE = `
export const log = [];
export let instantiateError;
export function failWith(error) { instantiateError = error; }
let ready = false;
export function initSync({ module }) {
	if (ready) log.push("a second instance");
	log.push(module instanceof WebAssembly.Module ? "init" : "init without a module");
	if (instantiateError) throw instantiateError;
	ready = true;
}
export function __wbg_reset_state() {}
export class RawClient {
	constructor(host) { this.host = host; log.push("new"); }
	call() {} adopt() {} free() {} counter() { return 0; } alive() { return true; }
}
`;

interface Glue {
	readonly log: string[];
	failWith(error: unknown): void;
}

type Client = ReturnType<Entry["createClient"]>;

const WASM = { "content-type": "application/wasm" };
const OPTIONS = { url: "wss://x/ws", token: () => "t", logger: { error() {} } };

const NAMES = ["WebSocket", "WebAssembly", "TextDecoder", "TextEncoder", "fetch", "process"];

const page = installer<Glue>(GLUE, EMPTY);

let kept: (readonly [string, PropertyDescriptor | undefined])[];
let asked: string[];

beforeEach(() => {
	kept = NAMES.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const);
	asked = [];
	set(
		"WebSocket",
		class {
			readonly readyState = 0;
			close(): void {}
		},
	);
});

afterEach(() => {
	for (const [name, descriptor] of kept) {
		if (descriptor === undefined) Reflect.deleteProperty(globalThis, name);
		else Object.defineProperty(globalThis, name, descriptor);
	}
});

function set(name: string, value: unknown): void {
	Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

/** Answers each request as `answer` says. */
function serve(answer: (address: string) => Response): void {
	set("fetch", async (address: string) => {
		asked.push(address);
		return answer(address);
	});
}

interface Failure {
	readonly code: string;
	readonly message: string;
	readonly retryable: boolean;
	readonly remediation: string;
}

/** Why the client has failed for good. */
async function failure(client: Client): Promise<Failure> {
	try {
		await client.ready();
	} catch (error) {
		assert.equal(client.state.name, "failed");
		return error as Failure;
	}
	return assert.fail("the client is connected");
}

/** Resolves with the reason as soon as the client waits for its next attempt. */
function waiting(client: Client): Promise<string> {
	return new Promise((resolve) => client.on("state", ({ to, reason }) => to === "waiting" && resolve(reason)));
}

/** Resolves as soon as there is an instance with a client in it. */
async function created(glue: Glue, clients = 1): Promise<void> {
	while (glue.log.filter((line) => line === "new").length < clients) await new Promise((resolve) => setImmediate(resolve));
}

function isNotFound(error: Failure): void {
	assert.equal(error.code, "wasm_unavailable");
	assert.equal(error.retryable, false);
	for (const text of [error.message, error.remediation]) assert.match(text, /option `wasm`.*`agentwire\/inline`/);
}

// F5: Node.js
test("the default entry reads its module from the file system, without fetch", async () => {
	serve(() => assert.fail("it was fetched"));
	const { entry, glue } = await page();
	const client = (await entry("index")).createClient(OPTIONS);
	await created(await glue());
	assert.deepEqual((await glue()).log, ["init", "new"]);
	client.close();
});

// F5
test("a module that is not on the file system is not found, for good", async () => {
	const { entry, root } = await page();
	await rm(join(root, "wasm/agentwire_bg.wasm"));
	const error = await failure((await entry("index")).createClient(OPTIONS));
	isNotFound(error);
	assert.match(error.message, /ENOENT/);
});

// A10 (a), F5: Node.js before 20.16, a page from a file
test("a file: address that nothing here can read is not found, for good", async () => {
	set("process", { ...process, getBuiltinModule: undefined });
	serve(() => {
		throw new TypeError("not implemented... yet...");
	});
	const { entry } = await page();
	isNotFound(await failure((await entry("index")).createClient(OPTIONS)));
	assert.equal(asked.length, 1);
});

test("the wasm option is where the module is fetched from, whatever type it is served as", async () => {
	for (const type of ["application/wasm", "application/octet-stream"]) {
		serve(() => new Response(EMPTY, { headers: { "content-type": type } }));
		const { entry, glue } = await page();
		const client = (await entry("index")).createClient({ ...OPTIONS, wasm: "https://cdn.example/a.wasm" });
		await created(await glue());
		assert.deepEqual((await glue()).log, ["init", "new"]);
		client.close();
	}
	assert.deepEqual(asked, ["https://cdn.example/a.wasm", "https://cdn.example/a.wasm"]);
});

// A10 (a), F5: esbuild and Rollup
test("a 404 is final, and names the option and the inline entry", async () => {
	serve(() => new Response("no", { status: 404 }));
	const { entry } = await page();
	const error = await failure((await entry("index")).createClient({ ...OPTIONS, wasm: "https://x/a.wasm?signature=secret" }));
	isNotFound(error);
	assert.match(error.message, /https:\/\/x\/a\.wasm: the server answered 404/);
	assert.doesNotMatch(error.message, /secret/);
	assert.deepEqual(asked.length, 1);
});

// A10 (a): a server that answers each unknown address with the page
test("an answer that is no WebAssembly is final", async () => {
	serve(() => new Response("<!doctype html>", { headers: { "content-type": "text/html" } }));
	const { entry } = await page();
	const error = await failure((await entry("index")).createClient({ ...OPTIONS, wasm: "https://x/a.wasm" }));
	isNotFound(error);
	assert.match(error.message, /text\/html/);
});

// A10 (a), F5: an iife bundle, whose `import.meta.url` is undefined
test("an address that is none is final", async () => {
	const { entry } = await page();
	// Without a page, nothing says what a relative address is relative to.
	isNotFound(await failure((await entry("index")).createClient({ ...OPTIONS, wasm: "/a.wasm" })));
});

// A10 (a)
test("a network failure and a busy server are tried again", async () => {
	const broken = new ReadableStream({
		pull(controller) {
			controller.error(new TypeError("terminated"));
		},
	});
	const answers: (() => Response)[] = [
		() => {
			throw new TypeError("Failed to fetch");
		},
		() => new Response("", { status: 503 }),
		() => new Response("", { status: 429 }),
		() => new Response(broken, { headers: { "content-type": "application/octet-stream" } }),
		() => new Response(EMPTY, { headers: WASM }),
	];
	serve(() => (answers.shift() ?? assert.fail)());
	const { entry, glue } = await page();
	const client = (await entry("index")).createClient({ ...OPTIONS, wasm: "https://x/a.wasm", backoff: { baseMs: 10, maxMs: 10 } });
	assert.equal(await waiting(client), "wasm_unavailable");
	await created(await glue());
	assert.equal(asked.length, 5);
	assert.deepEqual((await glue()).log, ["init", "new"]);
	client.close();
});

test("reconnect and a hint of the browser end the wait for the module", () =>
	inPage(async (heard) => {
		for (const hint of ["reconnect", "online"]) {
			let isDown = true;
			serve(() => (isDown ? new Response("", { status: 503 }) : new Response(EMPTY, { headers: WASM })));
			const { entry, glue } = await page();
			const client = (await entry("index")).createClient({ ...OPTIONS, wasm: "https://x/a.wasm", backoff: { baseMs: 60_000, maxMs: 60_000 } });
			assert.equal(await waiting(client), "wasm_unavailable");
			isDown = false;
			const begun = asked.length;
			if (hint === "reconnect") client.reconnect();
			else heard.dispatchEvent(new Event(hint));
			await created(await glue());
			assert.equal(asked.length, begun + 1);
			client.close();
		}
	}));

test("a module that does not compile or does not fit the glue is final, and the next client tries again", async () => {
	const broken = new Uint8Array([...EMPTY, 99]);
	serve(() => new Response(broken, { headers: WASM }));
	const { entry, glue } = await page();
	const { createClient } = await entry("index");
	const { log, failWith } = await glue();
	for (const [fetch, at] of [
		[true, "https://x/a.wasm"],
		[false, undefined],
	] as const) {
		failWith(fetch ? undefined : new WebAssembly.LinkError("import 3 is missing"));
		const { code, retryable } = await failure(createClient({ ...OPTIONS, wasm: at }));
		assert.deepEqual([code, retryable], ["wasm_failed", false]);
	}
	failWith(undefined);
	const fine = createClient(OPTIONS);
	await created(await glue());
	assert.deepEqual(log, ["init", "init", "new"]);
	fine.close();
});

// A10 (b)
test("without WebAssembly both entries fail for good, and the remedy is not the policy of the page", async () => {
	for (const name of ["index", "inline"]) {
		const { entry } = await page();
		Reflect.deleteProperty(globalThis, "WebAssembly");
		const { code, retryable, message, remediation } = await failure((await entry(name)).createClient(OPTIONS));
		assert.deepEqual([code, retryable], ["wasm_failed", false]);
		assert.match(message, /no WebAssembly/);
		assert.match(remediation, /Lockdown Mode/);
		assert.doesNotMatch(remediation, /Content-Security-Policy|unsafe-eval/);
	}
});

// F2: Jest's jsdom
test("without TextDecoder both entries are imported, and a client says what is missing", async () => {
	for (const name of ["index", "inline"]) {
		const { entry } = await page();
		Reflect.deleteProperty(globalThis, "TextDecoder");
		const { code, retryable, message } = await failure((await entry(name)).createClient(OPTIONS));
		assert.deepEqual([code, retryable], ["wasm_failed", false]);
		assert.match(message, /no TextDecoder/);
	}
});

test("a client is not harmed by the address of another one", async () => {
	serve((address) => (address.includes("bad") ? new Response("", { status: 404 }) : new Response(EMPTY, { headers: WASM })));
	const { entry, glue } = await page();
	const { createClient } = await entry("index");
	const [bad, good] = [createClient({ ...OPTIONS, wasm: "https://x/bad.wasm" }), createClient({ ...OPTIONS, wasm: "https://x/good.wasm" })];
	await created(await glue());
	assert.equal(good.state.name, "connecting");
	assert.ok(["connecting", "failed"].includes(bad.state.name));
	assert.deepEqual((await glue()).log.slice(0, 2), ["init", "new"]);
	good.close();
	bad.close();
});

test("an inline client that comes while the other entry makes the instance joins it", async () => {
	const { entry, glue } = await page();
	const made = await glue();
	const fetched = (await entry("index")).createClient(OPTIONS);
	const inline = (await entry("inline")).createClient(OPTIONS);
	await created(made, 2);
	assert.deepEqual(made.log, ["init", "new", "new"]);
	fetched.close();
	inline.close();
});

// F3: bundlers add the file to what they build wherever they find its address
test("no file that agentwire/inline imports names an address of its own", async () => {
	const { root } = await page();
	const seen = new Set<string>();
	const visit = async (file: string): Promise<void> => {
		if (seen.has(file)) return;
		seen.add(file);
		const text = await readFile(file, "utf8");
		assert.doesNotMatch(text, /import\.meta/, file);
		for (const [, from] of text.matchAll(/from "(\.[^"]+)"/g)) await visit(fileURLToPath(new URL(from ?? "", pathToFileURL(file))));
	};
	await visit(join(root, "dist/inline.js"));
	assert.ok(seen.size > 10);
	const fetching = join(root, "dist/core/fetch.js");
	assert.ok(existsSync(fetching));
	assert.ok(!seen.has(fetching));
});

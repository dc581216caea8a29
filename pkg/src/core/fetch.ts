/**
 * How `agentwire` gets its module: from the file beside the glue, or from where the option `wasm` says. Only that entry
 * imports this file: bundlers that see the address below add the .wasm file to what they build.
 */
import { AgentwireError, describe } from "../shared/errors.js";
import type { Instance } from "./instance.js";
import { checkEnvironment, compileError, instanceOf, presentInstance } from "./load.js";

/** Loads under way, by the option. One that is over is forgotten, so that the next call tries again. */
const loads = new Map<string | undefined, Promise<Instance>>();

/** Fetches and compiles the module, once for all clients that ask meanwhile. */
export function fetchInstance(wasm: string | URL | undefined): Instance | Promise<Instance> {
	const present = presentInstance();
	if (present !== undefined) return present;
	checkEnvironment();
	const key = wasm === undefined ? undefined : String(wasm);
	const running = loads.get(key);
	if (running !== undefined) return running;
	const load = compiled(key)
		.then(instanceOf)
		.catch((error: unknown) => {
			// Another entry, or a client with another address, may have made it meanwhile.
			const made = presentInstance();
			if (made !== undefined) return made;
			throw error;
		});
	loads.set(key, load);
	const over = (): void => void loads.delete(key);
	load.then(over, over);
	return load;
}

async function compiled(wasm: string | undefined): Promise<WebAssembly.Module> {
	const address = addressOf(wasm);
	const file = address.protocol === "file:" ? await readFile(address) : undefined;
	if (file !== undefined) return compile(file, address, "it");
	const response = await request(address);
	const type = response.headers.get("content-type") ?? "no type";
	if (/^application\/wasm(;|$)/i.test(type) && typeof WebAssembly.compileStreaming === "function") {
		try {
			return await WebAssembly.compileStreaming(response);
		} catch (error) {
			// The connection was lost while the body came.
			if (error instanceof TypeError) throw unreachable(address, error);
			throw compileError(error);
		}
	}
	const body = await response.arrayBuffer().catch((error: unknown) => {
		throw unreachable(address, error);
	});
	return compile(new Uint8Array(body), address, `the answer (${type})`);
}

function addressOf(wasm: string | undefined): URL {
	try {
		// Bundlers look for exactly these words, with the path as it is here.
		if (wasm === undefined) return new URL("../../wasm/agentwire_bg.wasm", import.meta.url);
		return new URL(wasm, globalThis.document?.baseURI ?? globalThis.location?.href);
	} catch (error) {
		throw absent(
			wasm === undefined ? "this bundle has no address of its own to find agentwire_bg.wasm by" : `the option \`wasm\` is no address: ${short(wasm)}`,
			error,
		);
	}
}

async function request(address: URL): Promise<Response> {
	if (typeof fetch !== "function") throw absent(`there is no fetch here to get ${short(address.href)}`);
	let response: Response;
	try {
		response = await fetch(address.href);
	} catch (error) {
		throw unreachable(address, error);
	}
	if (response.ok) return response;
	const { status } = response;
	const why = new Error(`the server answered ${status}`);
	// A server that is busy or being started may answer otherwise later.
	if (status >= 500 || [408, 425, 429].includes(status)) throw unreachable(address, why);
	throw absent(`${short(address.href)}: ${why.message}`, why);
}

/** What this file needs of Node.js, Deno and Bun. */
interface Process {
	getBuiltinModule?(name: "node:fs/promises"): { readFile(path: string): Promise<Uint8Array<ArrayBuffer>> } | undefined;
	getBuiltinModule?(name: "node:url"): { fileURLToPath(url: string): string } | undefined;
}

/** Reads a local file where that is possible: not by an import, which bundlers for browsers refuse. */
async function readFile(address: URL): Promise<Uint8Array<ArrayBuffer> | undefined> {
	const { process } = globalThis as { readonly process?: Process };
	const files = process?.getBuiltinModule?.("node:fs/promises");
	const urls = process?.getBuiltinModule?.("node:url");
	if (files === undefined || urls === undefined) return undefined;
	try {
		return await files.readFile(urls.fileURLToPath(address.href));
	} catch (error) {
		throw absent(`${short(address.href)}: ${describe(error)}`, error);
	}
}

async function compile(bytes: Uint8Array<ArrayBuffer>, address: URL, what: string): Promise<WebAssembly.Module> {
	if (MAGIC.some((byte, index) => bytes[index] !== byte)) throw absent(`${short(address.href)}: ${what} is no WebAssembly`);
	try {
		return await WebAssembly.compile(bytes);
	} catch (error) {
		throw compileError(error);
	}
}

/** How each module begins. */
const MAGIC = [0x00, 0x61, 0x73, 0x6d];

/** The module can't be had now. Only the network may change: what is local stays as it is. */
function unreachable(address: URL, error: unknown): AgentwireError {
	const text = `${short(address.href)}: ${describe(error)}`;
	if (!/^https?:$/.test(address.protocol)) return absent(text, error);
	return new AgentwireError("wasm_unavailable", `the WebAssembly module could not be fetched from ${text}`, { cause: error });
}

/** The module is not there, and will not be. */
function absent(why: string, cause?: unknown): AgentwireError {
	return new AgentwireError("wasm_unavailable", `the WebAssembly module was not found (${why}). ${WHERE}`, { cause, retryable: false, remediation: WHERE });
}

const WHERE = "Set the option `wasm` to the address where agentwire_bg.wasm is served, or import `agentwire/inline`, which needs no file.";

/** An address for an error: without its query, which may hold a signature. */
function short(address: string): string {
	const plain = address.split(/[?#]/, 1)[0] ?? "";
	return plain.length > 200 ? `${plain.slice(0, 200)}…` : plain;
}

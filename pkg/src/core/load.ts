/**
 * Makes the wasm instance of the page, and is the only file that knows the generated glue. `agentwire` fetches the
 * module (`fetch.ts`) and `agentwire/inline` brings it along; both use the same glue, and so the same instance.
 */
import { initSync, RawClient, __wbg_reset_state as reset } from "../../wasm/agentwire.js";
import { AgentwireError, describe } from "../shared/errors.js";
import { Core } from "./core.js";
import type { CoreHost, NumberCore } from "./glue.js";
import { type Engine, Instance } from "./instance.js";

/** The generated declarations know the host only as `any`. */
const Made = RawClient as unknown as new (host: CoreHost) => NumberCore;

const engine: Engine = { create: (host, config) => new Core(Made, host, config), reset };

let instance: Instance | undefined;

/** The instance of this page, if there is one. */
export function presentInstance(): Instance | undefined {
	return instance;
}

/** Makes the instance from a compiled module, unless there is one: a second one would take the glue away from the clients of the first. */
export function instanceOf(module: WebAssembly.Module): Instance {
	if (instance !== undefined) return instance;
	try {
		initSync({ module });
	} catch (error) {
		throw compileError(error);
	}
	return (instance = new Instance(engine));
}

/** Compiles the module that `base64` holds, beside everything else that the page does. */
export function inlineInstance(base64: string): Instance | Promise<Instance> {
	if (instance !== undefined) return instance;
	checkEnvironment();
	const failed = (error: unknown): never => {
		throw compileError(error);
	};
	return WebAssembly.compile(bytesOf(base64)).catch(failed).then(instanceOf);
}

/** Throws when the environment lacks what the module needs, which does not change while the page lives. */
export function checkEnvironment(): void {
	if (typeof WebAssembly !== "object" || typeof WebAssembly.instantiate !== "function") {
		throw new AgentwireError("wasm_failed", "this environment has no WebAssembly", {
			remediation:
				"The browser has WebAssembly switched off, as Apple's Lockdown Mode and some security settings do. Its user can allow it for this site; a page can't.",
		});
	}
	for (const name of ["TextDecoder", "TextEncoder"] as const) {
		if (typeof globalThis[name] === "function") continue;
		throw new AgentwireError("wasm_failed", `this environment has no ${name}`, {
			remediation: `Set globalThis.${name} before a client is created. Jest's jsdom leaves it out: take it from node:util in a custom environment.`,
		});
	}
}

/** The error for bytes that do not become an instance. The same bytes end the same; only memory may be free later. */
export function compileError(error: unknown): AgentwireError {
	const text = `the WebAssembly module cannot be used: ${describe(error)}`;
	return new AgentwireError("wasm_failed", text, { cause: error, retryable: error instanceof RangeError });
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
	const text = atob(base64);
	const bytes = new Uint8Array(text.length);
	for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
	return bytes;
}

/**
 * Makes the wasm instance of the page, and is the only file that knows the generated glue. `agentwire` fetches the
 * module (`fetch.ts`) and `agentwire/inline` brings it along; both use the same glue, and so the same instance.
 */
import * as generated from "../../wasm/agentwire.js";
import { AgentwireError, describe } from "../shared/errors.js";
import { type Engine, Instance } from "./instance.js";
import type { Host, RawClient, RawConfig } from "./raw.js";

/** What the package uses of the glue. The generated declarations know callbacks and configuration only as `any`. */
interface Glue {
	default(options: { readonly module_or_path: WebAssembly.Module }): Promise<unknown>;
	initSync(options: { readonly module: BufferSource }): unknown;
	readonly RawClient: new (host: Host, config: RawConfig) => RawClient;
	/** Makes a new instance of the module. */
	__wbg_reset_state?(): void;
}

const glue = generated as unknown as Glue;

const engine: Engine = {
	create: (host, config) => new glue.RawClient(host, config),
	// Absent from a glue that was made without it; then the new client lives in what is left of the old instance.
	reset: () => glue.__wbg_reset_state?.(),
};

let instance: Instance | undefined;
/** The instance that is being made. A second one would take the glue away from the clients of the first. */
let making: Promise<Instance> | undefined;

/** The instance of this page, if there is one. */
export function presentInstance(): Instance | undefined {
	return instance;
}

/** Makes the instance from a compiled module, unless there is one. */
export function instanceOf(module: WebAssembly.Module): Promise<Instance> {
	const former = making?.catch(() => undefined) ?? Promise.resolve();
	const made = former.then(async () => {
		if (instance !== undefined) return instance;
		try {
			await glue.default({ module_or_path: module });
		} catch (error) {
			throw compileError(error);
		}
		return (instance ??= new Instance(engine));
	});
	making = made;
	const over = (): void => {
		if (making === made) making = undefined;
	};
	made.then(over, over);
	return made;
}

/** Compiles the module that `base64` holds, now. Answers later only while another entry is making an instance. */
export function inlineInstance(base64: string): Instance | Promise<Instance> {
	if (instance !== undefined) return instance;
	if (making !== undefined) return making.catch(() => inlineInstance(base64));
	checkEnvironment();
	try {
		glue.initSync({ module: bytesOf(base64) });
	} catch (error) {
		throw compileError(error);
	}
	return (instance = new Instance(engine));
}

/** Throws when the environment lacks what the module needs, which does not change while the page lives. */
export function checkEnvironment(): void {
	if (typeof WebAssembly !== "object" || typeof WebAssembly.instantiate !== "function") {
		throw new AgentwireError("wasm_failed", "this environment has no WebAssembly", {
			remediation: "The browser has WebAssembly switched off, as Apple's Lockdown Mode and some security settings do. Its user can allow it for this site; a page can't.",
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

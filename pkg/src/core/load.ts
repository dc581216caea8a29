/**
 * Loads the wasm module, once per page, and is the only file that knows the generated glue. `agentwire` fetches the
 * module and `agentwire/inline` brings it along; both end in the same glue, and so in the same instance.
 */
import * as generated from "../../wasm/agentwire.js";
import { AgentwireError, describe } from "../shared/errors.js";
import { type Engine, Instance } from "./instance.js";
import type { Host, RawClient, RawConfig } from "./raw.js";

/** What the package uses of the glue. The generated declarations know callbacks and configuration only as `any`. */
interface Glue {
	default(options?: { readonly module_or_path: string | URL }): Promise<unknown>;
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
let loading: Promise<Instance> | undefined;

/** Fetches and compiles the module. A failed try is forgotten, so that the next call tries again. */
export function fetchInstance(wasm: string | URL | undefined): Instance | Promise<Instance> {
	if (instance !== undefined) return instance;
	loading ??= glue.default(wasm === undefined ? undefined : { module_or_path: wasm }).then(
		() => (instance ??= new Instance(engine)),
		(error: unknown) => {
			loading = undefined;
			throw loadError(error);
		},
	);
	return loading;
}

/** Compiles the module that `base64` holds, now. */
export function inlineInstance(base64: string): Instance {
	if (instance === undefined) {
		try {
			glue.initSync({ module: bytesOf(base64) });
		} catch (error) {
			throw loadError(error);
		}
		instance = new Instance(engine);
	}
	return instance;
}

function loadError(error: unknown): AgentwireError {
	const message = describe(error);
	// Compiling the same bytes again under the same policy ends the same; a fetch may not.
	const final = error instanceof WebAssembly.CompileError || error instanceof WebAssembly.LinkError;
	if (final) return new AgentwireError("wasm_failed", `the WebAssembly module cannot be used: ${message}`, { cause: error });
	return new AgentwireError("wasm_unavailable", `the WebAssembly module could not be fetched: ${message}`, { cause: error });
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
	const text = atob(base64);
	const bytes = new Uint8Array(text.length);
	for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
	return bytes;
}

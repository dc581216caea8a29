/**
 * The real core: the glue and the module that `cargo xtask build` put into `pkg/wasm`, compiled once per test file. Each
 * page gets a fresh instance of it, and a test can destroy one.
 */
import { Core } from "../../src/core/core.js";
import type { CoreHost, NumberCore } from "../../src/core/glue.js";
import type { Engine } from "./package.js";

/** What is used of the generated glue. */
interface Glue {
	/** Makes the first instance; later calls return what is there. */
	initSync(options: { readonly module: BufferSource }): { readonly memory: WebAssembly.Memory };
	readonly RawClient: new (host: CoreHost) => NumberCore;
	__wbg_reset_state(): void;
}

// From the compiled file: pkg/.test/test/support/core.js
const folder = new URL("../../../wasm/", import.meta.url);

async function load(): Promise<{ glue: Glue; bytes: Uint8Array<ArrayBuffer> }> {
	try {
		const glue = (await import(new URL("agentwire.js", folder).href)) as Glue;
		const { wasmBase64 } = (await import(new URL("inline.js", folder).href)) as { wasmBase64: string };
		return { glue, bytes: Uint8Array.from(Buffer.from(wasmBase64, "base64")) };
	} catch (cause) {
		throw new Error("these tests run on the real module: make it with `cargo xtask build`", { cause });
	}
}

const { glue, bytes } = await load();

/** The instance that the glue uses now. */
function instance(): { readonly memory: WebAssembly.Memory } {
	return glue.initSync({ module: bytes });
}

instance();

/** Makes the glue begin with a fresh instance, as a page that has just been loaded. */
export function freshInstance(): void {
	glue.__wbg_reset_state();
}

/** The memory of the instance. */
export function memory(): WebAssembly.Memory {
	return instance().memory;
}

/**
 * Destroys the instance: whatever enters it next, a call, a timer or a frame of the socket, traps in the module itself, with
 * a real `WebAssembly.RuntimeError` of the engine. No pointer that the module follows from now on lies inside its memory.
 */
export function poison(): void {
	new Uint8Array(instance().memory.buffer).fill(0xfe);
}

/** What a test does to the cores of one page. */
export interface Faults {
	/** Destroys the instance just before the next call of this method of a core, or of the constructor (`new`). */
	trapOn: string | undefined;
	/** Thrown instead of the next call of this method. */
	throwOn: { readonly call: string; readonly error: Error } | undefined;
	/** Hears each call of a core to its host, just before it is made. */
	onHostCall: ((call: string) => void) | undefined;
	/** Number of cores that were made. */
	cores: number;
	/** Number of instances that took the place of another. */
	resets: number;
}

export function newFaults(): Faults {
	return { trapOn: undefined, throwOn: undefined, onHostCall: undefined, cores: 0, resets: 0 };
}

/** Makes cores of the real module. */
export function realEngine(faults: Faults): Engine {
	const before = (call: string): void => {
		if (faults.throwOn?.call === call) {
			const { error } = faults.throwOn;
			faults.throwOn = undefined;
			throw error;
		}
		if (faults.trapOn !== call) return;
		faults.trapOn = undefined;
		poison();
	};
	return {
		create(host, config) {
			before("new");
			const core = new Core(
				glue.RawClient,
				watched(host, (call) => faults.onHostCall?.(call)),
				config,
			);
			faults.cores += 1;
			return watched(core, before);
		},
		reset() {
			faults.resets += 1;
			glue.__wbg_reset_state();
		},
	};
}

/** `target`, with `before` called before each of its methods. */
function watched<T extends object>(target: T, before: (call: string) => void): T {
	return new Proxy(target, {
		get(_target, key) {
			const member: unknown = Reflect.get(target, key, target);
			if (typeof member !== "function") return member;
			return (...args: unknown[]): unknown => {
				before(String(key));
				return Reflect.apply(member, target, args);
			};
		},
	});
}

/** The package as an application has it installed, beside a stand-in for the generated glue. */
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { pathToFileURL } from "node:url";

/** The smallest module. */
export const EMPTY = new Uint8Array([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);

export type Entry = typeof import("../../src/index.js");

export interface Installed<Glue> {
	/** The folder of the package. */
	readonly root: string;
	entry(name: string): Promise<Entry>;
	glue(): Promise<Glue>;
}

/** Returns what installs a package of its own, so that each test has its own page. `inlined` is the module of the inline entry. */
export function installer<Glue>(glue: string, inlined: Uint8Array): () => Promise<Installed<Glue>> {
	let folder: string;
	let count = 0;

	before(async () => {
		folder = await mkdtemp(join(tmpdir(), "agentwire-installed-"));
	});

	after(() => rm(folder, { recursive: true, force: true }));

	return async () => {
		count += 1;
		const root = join(folder, String(count));
		await mkdir(join(root, "wasm"), { recursive: true });
		await cp(new URL("../../src/", import.meta.url), join(root, "dist"), { recursive: true });
		await writeFile(join(root, "package.json"), '{"type":"module"}');
		await writeFile(join(root, "wasm/agentwire.js"), glue);
		await writeFile(join(root, "wasm/agentwire_bg.wasm"), EMPTY);
		await writeFile(join(root, "wasm/inline.js"), `export const wasmBase64 = ${JSON.stringify(Buffer.from(inlined).toString("base64"))};`);
		const load = (path: string): Promise<unknown> => import(pathToFileURL(join(root, path)).href);
		return {
			root,
			entry: (name) => load(`dist/${name}.js`) as Promise<Entry>,
			glue: () => load("wasm/agentwire.js") as Promise<Glue>,
		};
	};
}

// Weighs what a page loads. Prints one JSON object: label -> {raw, gzip, brotli, files}, in bytes; the parts of the default entry,
// what `agentwire/persist` and `agentwire/conversation` add to it, and what the entries for frameworks add to both.
//
// usage: node weigh.mjs PKG
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const pkg = resolve(process.argv[2]);

function weigh(parts) {
	const total = { raw: 0, gzip: 0, brotli: 0, files: parts.length };
	for (const part of parts) {
		total.raw += part.length;
		total.gzip += gzipSync(part, { level: 9 }).length;
		total.brotli += brotliCompressSync(part, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
	}
	return total;
}

/** Bundles what exports all of the entries. */
async function bundle(...entries) {
	const result = await build({
		absWorkingDir: pkg,
		stdin: { contents: entries.map((entry) => `export * from "./dist/${entry}";`).join(""), resolveDir: pkg },
		bundle: true,
		external: ["react", "vue", "svelte"],
		// As bundlers have it in what is published.
		define: { "process.env.NODE_ENV": '"production"' },
		minify: true,
		format: "esm",
		target: "es2022",
		metafile: true,
		write: false,
		logLevel: "error",
		outfile: "bundle.js",
	});
	const [output] = Object.values(result.metafile.outputs);
	return {
		/** What each module adds, minified: the largest first. */
		parts: Object.entries(output.inputs)
			.filter(([path]) => path !== "<stdin>")
			.map(([path, { bytesInOutput }]) => [path, bytesInOutput])
			.sort(([, one], [, other]) => other - one),
		bundled: weigh([result.outputFiles[0].contents]),
		// Each module as it is served unbundled, compressed on its own.
		modules: weigh(
			Object.keys(result.metafile.inputs)
				.filter((path) => path !== "<stdin>")
				.map((path) => readFileSync(join(pkg, path))),
		),
	};
}

/** What `whole` has more than `part`. */
function added(whole, part) {
	return Object.fromEntries(Object.entries(whole).map(([unit, size]) => [unit, size - part[unit]]));
}

const main = await bundle("index.js");
const inline = await bundle("inline.js");
const persist = added((await bundle("index.js", "persist.js")).bundled, main.bundled);
const withConversation = (await bundle("index.js", "conversation.js")).bundled;
const conversation = added(withConversation, main.bundled);
// The frameworks themselves are the page's.
const [react, vue, svelte] = await Promise.all(
	["react", "vue", "svelte"].map(async (name) => added((await bundle("index.js", "conversation.js", `${name}.js`)).bundled, withConversation)),
);
const wasm = weigh([readFileSync(join(pkg, "wasm", "agentwire_bg.wasm"))]);
process.stdout.write(
	JSON.stringify({ wasm, js: main.bundled, modules: main.modules, inline: inline.bundled, persist, conversation, react, vue, svelte, parts: main.parts }),
);

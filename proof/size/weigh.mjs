// Weighs what a page loads. Prints one JSON object: label -> {raw, gzip, brotli, files}, in bytes; and the parts of the default entry.
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

async function bundle(entry) {
	const result = await build({
		absWorkingDir: pkg,
		entryPoints: [join("dist", entry)],
		bundle: true,
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
			.map(([path, { bytesInOutput }]) => [path, bytesInOutput])
			.sort(([, one], [, other]) => other - one),
		bundled: weigh([result.outputFiles[0].contents]),
		// Each module as it is served unbundled, compressed on its own.
		modules: weigh(Object.keys(result.metafile.inputs).map((path) => readFileSync(join(pkg, path)))),
	};
}

const main = await bundle("index.js");
const inline = await bundle("inline.js");
const wasm = weigh([readFileSync(join(pkg, "wasm", "agentwire_bg.wasm"))]);
process.stdout.write(JSON.stringify({ wasm, js: main.bundled, modules: main.modules, inline: inline.bundled, parts: main.parts }));

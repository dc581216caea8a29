// Bundles one entry without configuration: `node bundle.js TOOL FORMAT ENTRY FOLDER`.
import { join, resolve } from "node:path";

const [tool, format, entry, folder] = process.argv.slice(2);
const input = resolve(import.meta.dirname, "src", `${entry}.js`);

const tools = {
	async esbuild() {
		const { build } = await import("esbuild");
		await build({
			entryPoints: [input],
			bundle: true,
			format,
			outfile: join(folder, "main.js"),
			logLevel: "error",
			logOverride: { "empty-import-meta": "silent" },
		});
	},
	async rollup() {
		const [{ rollup }, { nodeResolve }] = await Promise.all([import("rollup"), import("@rollup/plugin-node-resolve")]);
		const bundle = await rollup({ input, plugins: [nodeResolve({ browser: true })] });
		await bundle.write({ format, file: join(folder, "main.js") });
		await bundle.close();
	},
	async webpack() {
		const { default: webpack } = await import("webpack");
		const stats = await new Promise((done, failed) => {
			webpack({ mode: "production", entry: input, output: { path: folder, filename: "main.js" } }, (error, result) => (error ? failed(error) : done(result)));
		});
		if (stats.hasErrors()) throw new Error(stats.toString());
	},
};

await tools[tool]();

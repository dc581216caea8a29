/** Bundles the pages as an application would be: by Vite, minified, one bundle per client. */
import { readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** What is no client: loaded before one, for some loads. */
const BEFORE = ["synthetic", "memory-probe"];

/** Makes the bundles of `pages` in `folder`, each as `PAGE/main.js` with its assets beside it. */
export async function bundle(pages, folder) {
	await rm(folder, { recursive: true, force: true });
	const known = (await readdir(join(ROOT, "page/clients"))).map((file) => basename(file, ".js"));
	for (const page of pages) if (!known.includes(page)) throw new Error(`there is no page/clients/${page}.js`);
	for (const [name, input] of [...BEFORE.map((name) => [name, `page/${name}.js`]), ...pages.map((page) => [page, `page/clients/${page}.js`])]) {
		await build({
			root: ROOT,
			configFile: false,
			logLevel: "error",
			// Assets are found from the script that uses them.
			base: "./",
			publicDir: false,
			build: {
				target: "es2022",
				outDir: join(folder, name),
				emptyOutDir: true,
				rolldownOptions: { input: join(ROOT, input), output: { entryFileNames: "main.js" } },
			},
		});
	}
}

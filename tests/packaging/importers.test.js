// The package in other people's tools, without configuration, as `cargo xtask test --only packaging` sets them up.
// FAULTS: F2, F3, F5
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { launch, needed } from "../page/browser.js";
import { asks, aToken, expected, fails, newThread, run, websocket } from "./asked.js";

/** As `cargo xtask setup` left it, with its packages. */
const SOURCE = fileURLToPath(new URL("importers", import.meta.url));

/** Node.js before 22 has a WebSocket only when it is asked for. */
const WITH_WEBSOCKET = typeof WebSocket === "function" ? [] : ["--experimental-websocket"];

let folder, app, browser;

before(async () => {
	folder = await mkdtemp(join(tmpdir(), "agentwire-importers-"));
	app = join(folder, "app");
	// A copy: Vitest and Jest do not bear every name that a folder above a checkout may have.
	await cp(SOURCE, app, { recursive: true, filter: (path) => path !== join(SOURCE, "node_modules") });
	await copyPackages();
	await mkdir(installed());
	await run("tar", ["-xzf", needed("AGENTWIRE_TARBALL"), "-C", installed(), "--strip-components", "1"], app);
	browser = await launch();
});

after(async () => {
	await browser?.close();
	if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

describe("webpack", { concurrency: false }, () => {
	test("finds the module of the default entry", async () => {
		const root = await bundled("webpack", "esm", "default");
		assert.equal((await wasmFiles(root)).length, 1);
		await asks(browser, root);
	});

	// F3
	test("adds no .wasm file for the inline entry", async () => {
		const root = await bundled("webpack", "esm", "inline");
		assert.deepEqual(await wasmFiles(root), []);
		await asks(browser, root);
	});
});

for (const tool of ["esbuild", "rollup"]) {
	describe(tool, { concurrency: false }, () => {
		// F5
		test("does not find the module of the default entry, and the page says once what to do", async () => {
			const { errors, asked } = await fails(browser, await bundled(tool, "esm", "default"));
			isNotFound(errors, /the server answered 404/);
			assert.deepEqual(asked, ["/wasm/agentwire_bg.wasm"]);
		});

		test("takes the module from where the option says", async () => {
			const root = await bundled(tool, "esm", "option");
			await mkdir(join(root, "static"));
			await cp(join(installed(), "wasm/agentwire_bg.wasm"), join(root, "static/agentwire_bg.wasm"));
			await asks(browser, root);
		});

		test("needs nothing for the inline entry", async () => {
			for (const format of ["esm", "iife"]) await asks(browser, await bundled(tool, format, "inline"));
		});
	});
}

// F5
test("a script of esbuild has no address of its own, and says once what to do", async () => {
	const { errors, asked } = await fails(browser, await bundled("esbuild", "iife", "default"));
	isNotFound(errors, /no address of its own/);
	assert.deepEqual(asked, []);
});

// F5
describe("Node.js", { concurrency: false }, () => {
	for (const entry of ["agentwire", "agentwire/inline"]) {
		test(`gets every event with ${entry}`, () => converses((env) => run(process.execPath, [...WITH_WEBSOCKET, join(app, "src/node.js"), entry], app, env)));
	}
});

for (const world of ["node", "jsdom"]) {
	for (const entry of ["default", "inline"]) {
		const env = { AGENTWIRE_TEST_ENTRY: entry, AGENTWIRE_TEST_WORLD: world };

		// F5
		test(`Vitest in ${world} gets every event with the ${entry} entry`, async () => {
			const vitest = join(app, "node_modules/vitest/vitest.mjs");
			const args = [vitest, "run", "--environment", world];
			await converses((more) => run(process.execPath, args, app, { ...env, ...more, NODE_OPTIONS: WITH_WEBSOCKET.join(" ") }));
		});

		// F2, F5
		test(`Jest in ${world} gets every event with the ${entry} entry`, async () => {
			const jest = join(app, "node_modules/jest/bin/jest.js");
			const args = [jest, "--ci", "--env", world, "--cacheDirectory", join(folder, "jest")];
			const options = ["--experimental-vm-modules", ...WITH_WEBSOCKET].join(" ");
			const { without } = await converses((more) => run(process.execPath, args, app, { ...env, ...more, NODE_OPTIONS: options }));
			// jsdom has no TextDecoder: the import must not care, and a client must say so.
			assert.equal(without?.code, world === "jsdom" ? "wasm_failed" : undefined);
			if (without !== undefined)
				assert.match(`${without.state} ${without.retryable} ${without.message} ${without.remediation}`, /^failed false .*no TextDecoder.*node:util/);
		});
	}
}

const installed = () => join(app, "node_modules", "agentwire");

/** Links or copies the packages: they are too many to be installed for each run. */
async function copyPackages() {
	const [from, to] = [join(SOURCE, "node_modules"), join(app, "node_modules")];
	try {
		await promisify(execFile)("cp", ["-al", from, to]);
	} catch {
		// Another file system, or another system.
		await rm(to, { recursive: true, force: true });
		await cp(from, to, { recursive: true, verbatimSymlinks: true });
	}
}

/** Bundles `src/<entry>.js` and resolves with the folder of a page that loads it. */
async function bundled(tool, format, entry) {
	const root = join(folder, `${tool}-${format}-${entry}`);
	await mkdir(root);
	await run(process.execPath, [join(app, "bundle.js"), tool, format, entry, root], app);
	const script = format === "iife" ? '<script src="./main.js"></script>' : '<script type="module" src="./main.js"></script>';
	await writeFile(
		join(root, "index.html"),
		`<!doctype html><meta charset="utf-8"><title>${tool}</title><link rel="icon" href="data:,"><output id="events">nothing yet</output><p id="answer"></p><pre id="errors"></pre>${script}`,
	);
	return root;
}

async function wasmFiles(root) {
	return (await readdir(root, { recursive: true })).filter((name) => name.endsWith(".wasm"));
}

/** One error, which is final and names both ways out. */
function isNotFound(errors, why) {
	assert.equal(errors.length, 1, JSON.stringify(errors));
	const [{ code, retryable, message, remediation }] = errors;
	assert.deepEqual([code, retryable], ["wasm_unavailable", false]);
	assert.match(message, why);
	for (const text of [message, remediation]) assert.match(text, /option `wasm`.*`agentwire\/inline`/);
}

/** Has a program ask, and compares what it left with the server's log. Resolves with what else it left. */
async function converses(start) {
	const name = newThread();
	const out = join(folder, `${name}.json`);
	const said = await start({ AGENTWIRE_TEST_WS: websocket, AGENTWIRE_TEST_TOKEN: await aToken(), AGENTWIRE_TEST_THREAD: name, AGENTWIRE_TEST_OUT: out });
	const { events, last, text, ...rest } = await readFile(out, "utf8").then(JSON.parse, () => assert.fail(`nothing was left; it said\n${said}`));
	assert.deepEqual({ events, last, text }, await expected(name));
	return rest;
}

// `cargo xtask sidecar --check`: backends in Python and Node.js publish through the server to pages, while all of them are killed and the
// network is cut. Afterwards the log of the server, what the pages got and what the backends were told have to agree.
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Judgement, lines, logged } from "./judge.js";
import { Program } from "./program.js";
import { proxy } from "./proxy.js";
import { saboteur } from "./saboteur.js";

const { values: options } = parseArgs({
	options: {
		kills: { type: "string", default: "40" },
		pages: { type: "string", default: "4" },
		seed: { type: "string", default: "1" },
		/** What is killed: "all", or "server" alone. */
		only: { type: "string", default: "all" },
		sabotage: { type: "string" },
	},
});

/** Steps of each run. */
const STEPS = 20;

/** How long it may take until something moves, and until all is over at the end, in milliseconds. */
const PATIENCE = 60_000;

const { AGENTWIRE_BRIDGE_BIN, AGENTWIRE_PYTHON, SIDECAR_FOLDER: folder } = process.env;
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const [secret, key] = [randomBytes(32).toString("hex"), randomBytes(32).toString("hex")];
const kills = Number(options.kills);
const random = generator(Number(options.seed));

/** Events that pages have got, and who waits for one more. */
let seen = 0;
let wake = () => {};
const idle = new Set();

const programs = [];
try {
	process.exitCode = (await check()) ? 0 : 1;
} catch (error) {
	console.error(`sidecar: ${error.message}`);
	process.exitCode = 1;
} finally {
	await Promise.all(programs.map((program) => program.kill()));
	process.exit();
}

async function check() {
	await mkdir(folder, { recursive: true });
	const port = await free();
	const file = (name) => join(folder, name);
	await writeFile(
		file("agentwire.toml"),
		`[server]\nlisten = "127.0.0.1:${port}"\norigins = ["*"]\n[log]\npath = ${JSON.stringify(file("log.sqlite"))}\n` +
			`[auth]\nsecrets = ["${secret}"]\n[[keys]]\nname = "backends"\nkey = "${key}"\nrights = ["publish", "deliver", "read"]\n` +
			`[deliver]\nmode = "worker"\nlease_ms = 5000\n`,
	);
	const server = new Program(
		"the server",
		() => ({ command: AGENTWIRE_BRIDGE_BIN, args: ["--config", file("agentwire.toml")], env: {}, log: file("server.log") }),
		/listens on/,
	);
	const network = await proxy(port);
	const liar = options.sabotage === undefined ? undefined : await saboteur(port, options.sabotage);
	const ofBackend = { SIDECAR_URL: `http://127.0.0.1:${liar?.port ?? port}`, SIDECAR_KEY: key, SIDECAR_STEPS: String(STEPS) };
	const backend = (name, command, args) =>
		new Program(name, () => ({ command, args, env: { ...ofBackend, SIDECAR_TOLD: file(`${name}.told`) }, log: file(`${name}.log`) }), /ready/);
	const backends = [backend("python", AGENTWIRE_PYTHON, [here("backend.py")]), backend("node", process.execPath, [here("backend.mjs")])];
	const pages = Array.from({ length: Number(options.pages) }, (_, n) => page(`user-${n + 1}`, network.port, file));
	programs.push(server, ...backends, ...pages);
	await server.start();
	await Promise.all([...backends, ...pages].map((program) => program.start()));

	const counts = await disturb(server, backends, pages, network);
	await rest(pages);
	const judgement = await judge(`http://127.0.0.1:${port}`, backends, pages, file);
	for (const line of judgement.wrong.slice(0, 20)) console.log(`  wrong: ${line}`);
	const { events, lost, duplicated, outOfOrder, runs, messages, wrong } = judgement;
	const all = wrong.length === 0 ? `${runs} runs all ended, ${messages} messages answered once` : `${runs} runs, ${messages} messages, ${wrong.length} wrong`;
	const what = Object.entries(counts.by).map(([name, count]) => `${name} ${count}`);
	console.log(`  killed or cut: ${what.join(", ")}; logs are in ${folder}`);
	console.log(`sidecar: ${events} events, ${counts.kills} kills: ${lost} lost, ${duplicated} duplicated, ${outOfOrder} out of order, ${all}`);
	return judgement.isGood && messages > 0;
}

function page(user, port, file) {
	const start = (life) => ({
		command: process.execPath,
		args: ["--experimental-websocket", here("page.mjs")],
		env: {
			SIDECAR_PAGE_URL: `ws://127.0.0.1:${port}/ws`,
			SIDECAR_SECRET: secret,
			SIDECAR_USER: user,
			SIDECAR_LIFE: String(life),
			SIDECAR_FILE: file(`${user}-${life}.got`),
			NODE_NO_WARNINGS: "1",
		},
		log: file(`${user}.log`),
	});
	return new Program(user, start, undefined, (line) => {
		if (line === "event") seen += 1;
		if (line === "idle") idle.add(user);
		wake();
	});
}

/** Kills and cuts, each while events come. */
async function disturb(server, backends, pages, network) {
	const by = {};
	let [done, shown] = [0, 0];
	while (done < kills) {
		// Not at once after the last one: something has to be in flight.
		await until(seen + 5 + Math.floor(random() * 60));
		const victims = options.only === "server" ? [server] : [server, server, ...backends, pages[Math.floor(random() * pages.length)], network];
		const victim = victims[Math.floor(random() * victims.length)];
		const name = victim === network ? "network" : victim.name.replace(/-\d+$/, "s");
		by[name] = (by[name] ?? 0) + 1;
		if (victim === network) network.cut();
		else {
			await victim.kill();
			await victim.start();
			done += 1;
		}
		for (const program of programs) if (program.isGone) throw new Error(`${program.name} ended by itself; see its log in ${folder}`);
		if (done >= shown + 10) console.log(`  ${(shown = done)} of ${kills} kills, ${seen} events seen`);
	}
	return { kills: done, by };
}

/** Waits until the pages have got so many events. */
function until(count) {
	return waited(
		() => seen >= count,
		() => `no event came for ${PATIENCE / 1_000} s`,
	);
}

/** Lets everything end. */
async function rest(pages) {
	idle.clear();
	for (const one of pages) one.say("stop");
	await waited(
		() => idle.size === pages.length,
		() => `the messages of ${pages.length - idle.size} pages were not answered within ${PATIENCE / 1_000} s`,
	);
}

async function waited(isSo, why) {
	let late = false;
	const timer = setTimeout(() => {
		late = true;
		wake();
	}, PATIENCE);
	while (!isSo()) {
		if (late) throw new Error(`${why()}; logs are in ${folder}`);
		await new Promise((resolve) => (wake = resolve));
	}
	clearTimeout(timer);
}

async function judge(server, backends, pages, file) {
	const judgement = new Judgement();
	const told = new Set();
	for (const { name } of backends) for (const { run, step } of await lines(file(`${name}.told`))) told.add(`${run} ${step}`);
	for (const { name: user, life: lives } of pages) {
		const log = await logged(server, key, `${user}/plan`);
		judgement.thread(user, log, told);
		for (let life = 1; life <= lives; life += 1) {
			judgement.page(`${user}, page ${life}`, await lines(file(`${user}-${life}.got`)), log, life === lives);
		}
	}
	judgement.untold(told);
	return judgement;
}

/** Random numbers from 0 to 1, the same for each seed (mulberry32). */
function generator(seed) {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** A port that is free now; the server needs the same one after each kill. */
function free() {
	return new Promise((resolve, reject) => {
		const listener = createServer();
		listener.once("error", reject);
		listener.listen(0, "127.0.0.1", () => {
			const { port } = listener.address();
			listener.close(() => resolve(port));
		});
	});
}

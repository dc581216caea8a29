/**
 * A headless Chromium with a fresh profile, and its pages: each a new tab from a host of its own, and so in a renderer process of its own
 * with nothing in a cache. A browser context per page would isolate no better, and opens a window with renderers for its controls.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { Cdp } from "./cdp.js";
import { mainThreadNs } from "./cpu.js";
import { sleep, within } from "./deadline.js";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

const FLAGS = [
	"--headless=new",
	"--remote-debugging-pipe",
	"--no-first-run",
	"--no-default-browser-check",
	"--no-proxy-server",
	"--disable-background-networking",
	"--disable-background-timer-throttling",
	"--disable-backgrounding-occluded-windows",
	"--disable-component-update",
	"--disable-default-apps",
	"--disable-extensions",
	"--disable-gpu",
	"--disable-renderer-backgrounding",
	"--disable-sync",
	// The hosts of the pages.
	"--host-resolver-rules=MAP *.localhost 127.0.0.1",
	"--mute-audio",
	// A renderer in reserve would be one that no page uses.
	"--disable-features=SpareRendererForSitePerProcess,Translate,MediaRouter,OptimizationHints",
];

/** How long Chromium may take to start, or to open a page, in seconds. */
const START_SECONDS = 60;
/** How long a page works to show which renderer is its own, in milliseconds, and how often at most. */
const SIGN_MS = 20;
const SIGNS = 20;

/** Chromium's program: `AGENTWIRE_CHROMIUM`, else the first known name in `PATH`. */
export function findChromium() {
	const named = process.env["AGENTWIRE_CHROMIUM"];
	const places = named ? [named] : (process.env["PATH"] ?? "").split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
	const program = places.find((place) => existsSync(place));
	if (program === undefined)
		throw new Error("Chromium is not installed: install it (on Debian: apt-get install chromium), or name its program in AGENTWIRE_CHROMIUM");
	return program;
}

export class Chromium {
	#process;
	#profile;
	#cdp;

	constructor(process, profile, cdp) {
		this.#process = process;
		this.#profile = profile;
		this.#cdp = cdp;
	}

	static async start(program) {
		const profile = await mkdtemp(join(tmpdir(), "agentwire-bench-"));
		// The sandbox refuses to work for root.
		const flags = process.getuid?.() === 0 ? [...FLAGS, "--no-sandbox"] : FLAGS;
		// A group of its own: a Ctrl-C reaches the driver alone, which then closes the browser, with all its processes.
		const child = spawn(program, [...flags, `--user-data-dir=${profile}`, "about:blank"], {
			stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
			detached: true,
		});
		const cdp = new Cdp(/** @type {any} */ (child.stdio[3]), /** @type {any} */ (child.stdio[4]));
		child.on("error", (error) => cdp.lost(new Error(`Chromium can't be started: ${error.message}`)));
		child.on("exit", (code, signal) => cdp.lost(new Error(`Chromium ended (${code ?? signal})`)));
		const browser = new Chromium(child, profile, cdp);
		try {
			browser.version = (await within(START_SECONDS, cdp.send("Browser.getVersion"), () => "Chromium did not start")).product;
		} catch (error) {
			await browser.close();
			throw error;
		}
		return browser;
	}

	/** Why the browser is gone, if it is. */
	get lost() {
		return this.#cdp.reason;
	}

	/** Waits until the browser has done what it does after its start, or 10 seconds. */
	async settle() {
		const busy = async () => (await this.#renderers()).reduce((sum, id) => sum + ns(id), 0);
		let before = await busy();
		for (let turn = 0; turn < 40; turn += 1) {
			await sleep(250);
			const now = await busy();
			if (now - before < 2e6) return;
			before = now;
		}
	}

	/** Opens `url` in a new tab. */
	async open(url) {
		const others = new Set(await this.#renderers());
		const { targetId } = await this.#cdp.send("Target.createTarget", { url });
		const { sessionId } = await this.#cdp.send("Target.attachToTarget", { targetId, flatten: true });
		return new Page(this.#cdp, targetId, sessionId, async () => (await this.#renderers()).filter((id) => !others.has(id)));
	}

	/** Opens `url` in a new tab and leaves it alone: nothing is attached while it runs. */
	async openUnwatched(url) {
		const { targetId } = await this.#cdp.send("Target.createTarget", { url });
		return { close: () => this.#cdp.send("Target.closeTarget", { targetId }) };
	}

	async #renderers() {
		const { processInfo } = await this.#cdp.send("SystemInfo.getProcessInfo");
		return processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
	}

	/** Ends the browser with all its processes, and removes its profile. */
	async close() {
		const ended =
			this.#process.exitCode !== null || this.#process.signalCode !== null ? Promise.resolve() : new Promise((resolve) => this.#process.once("exit", resolve));
		this.kill();
		await Promise.race([ended, sleep(5_000)]);
		await rm(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }).catch(() => undefined);
	}

	/** The hard end, for when there is no time. */
	kill() {
		try {
			if (this.#process.pid !== undefined) process.kill(-this.#process.pid, "SIGKILL");
		} catch {
			// It is gone.
		}
	}
}

export class Page {
	#cdp;
	#target;
	#session;
	#newRenderers;

	constructor(cdp, target, session, newRenderers) {
		this.#cdp = cdp;
		this.#target = target;
		this.#session = session;
		this.#newRenderers = newRenderers;
	}

	/** The value of `expression`, or of the promise that it is. */
	async evaluate(expression) {
		const { result, exceptionDetails } = await this.#cdp.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }, this.#session);
		if (exceptionDetails !== undefined) throw new Error(`the page threw: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
		return result.value;
	}

	/** Waits until `expression` is true. */
	async until(expression) {
		const end = Date.now() + START_SECONDS * 1000;
		for (;;) {
			// While the page loads, there may be no context to ask.
			if (await this.evaluate(expression).catch(() => false)) return;
			if (Date.now() > end) throw new Error(`the page did not load: ${expression} is not true`);
			await sleep(10);
		}
	}

	/** The process of this page: of the renderers that came with it, the one that works when the page does. */
	async process() {
		for (let turn = 0; turn < SIGNS; turn += 1) {
			const renderers = (await this.#newRenderers()).map((id) => ({ id, before: ns(id) }));
			await this.evaluate(`{ const end = performance.now() + ${SIGN_MS}; while (performance.now() < end); }`);
			const [first, second] = renderers.map(({ id, before }) => ({ id, ran: ns(id) - before })).sort((a, b) => b.ran - a.ran);
			if (first !== undefined && first.ran > 5 * (second?.ran ?? 0)) return first.id;
		}
		throw new Error("the process of the page was not found");
	}

	/** Leaves nothing to collect from before. */
	async collectGarbage() {
		await this.#cdp.send("HeapProfiler.collectGarbage", {}, this.#session);
	}

	/** Bytes of the JavaScript heap that are in use. */
	async heapBytes() {
		const { usedSize } = await this.#cdp.send("Runtime.getHeapUsage", {}, this.#session);
		return usedSize;
	}

	close() {
		return this.#cdp.send("Target.closeTarget", { targetId: this.#target });
	}
}

/** A renderer that ended has run for ever less. */
function ns(id) {
	try {
		return mainThreadNs(id);
	} catch {
		return 0;
	}
}

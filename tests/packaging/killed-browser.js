// Browsers that keep their data in a folder and can be killed, each with the same few calls: Chromium, and Firefox by geckodriver.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { complaints, drive, FLAGS, needed } from "../page/browser.js";
import { said } from "../page/program.js";

/** Preferences that keep Firefox from talking to anybody and from asking what it shall do after a crash. */
const PREFERENCES = {
	"app.update.enabled": false,
	"browser.sessionstore.resume_from_crash": false,
	"browser.shell.checkDefaultBrowser": false,
	"datareporting.policy.dataSubmissionEnabled": false,
	"network.captive-portal-service.enabled": false,
	"network.connectivity-service.enabled": false,
};

/** The engines, each with why it is left out, if it is. WebKit's automation keeps nothing between two sessions. */
export const ENGINES = [
	{ name: "Chromium", start: chromium, skip: false },
	{
		name: "Firefox",
		start: firefox,
		skip: process.env.AGENTWIRE_GECKODRIVER === undefined && "Firefox is not set up: `cargo xtask setup --browsers firefox` brings it",
	},
];

/**
 * Starts Chromium with its data in `folder`. A page has `click(selector)`, `run(program, argument)`, which resolves with what the
 * program resolves with, `reload()` and `close()`. `wrong` has what the pages that were closed complained about.
 */
async function chromium(folder) {
	const child = spawn(needed("AGENTWIRE_CHROMIUM"), [...FLAGS, "--headless=new", "--remote-debugging-port=0", `--user-data-dir=${folder}`, "about:blank"], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	const browser = await drive(await said(child, /^DevTools listening on (.*)$/, [child.stderr]));
	const [context] = browser.contexts();
	const wrong = [];
	return {
		wrong,
		async page(address) {
			const page = await context.newPage();
			const complained = complaints(page);
			page.on("close", () => wrong.push(...complained));
			await page.goto(address);
			return {
				click: (selector) => page.locator(selector).click(),
				run: (program, argument) => page.evaluate(program, argument),
				reload: () => page.reload(),
				close: () => page.close(),
			};
		},
		/** Ends it as a crash does. */
		kill: () => killed(child),
	};
}

/** The same for Firefox. What its pages complain about is not heard. */
async function firefox(folder) {
	await mkdir(folder, { recursive: true });
	const driver = spawn(needed("AGENTWIRE_GECKODRIVER"), ["--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
	const port = await said(driver, /Listening on 127\.0\.0\.1:(\d+)/, [driver.stdout]);
	const options = { binary: needed("AGENTWIRE_FIREFOX"), args: ["-headless", "-profile", folder], prefs: PREFERENCES };
	const ask = async (path, body, method = "POST") => {
		const sent = method === "POST" && { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
		const answer = await fetch(`http://127.0.0.1:${port}/session${path}`, { method, ...sent });
		const { value } = await answer.json();
		if (!answer.ok) throw new Error(`geckodriver: ${value.error}: ${value.message}`);
		return value;
	};
	const { sessionId, capabilities } = await ask("", { capabilities: { alwaysMatch: { browserName: "firefox", "moz:firefoxOptions": options } } });
	const session = (path, body = {}, method = "POST") => ask(`/${sessionId}${path}`, body, method);
	return {
		wrong: [],
		async page(address) {
			const { handle } = await session("/window/new", { type: "tab" });
			const inPage = async (path, body, method) => {
				await session("/window", { handle });
				return session(path, body, method);
			};
			const run = (program, argument) => inPage("/execute/sync", { script: `return (${program})(...arguments)`, args: [argument ?? null] });
			await inPage("/url", { url: address });
			return {
				click: (selector) => run((chosen) => document.querySelector(chosen).click(), selector),
				run,
				reload: () => inPage("/refresh"),
				close: () => inPage("/window", {}, "DELETE"),
			};
		},
		async kill() {
			if (driver.exitCode !== null || driver.signalCode !== null) return;
			process.kill(capabilities["moz:processID"], "SIGKILL");
			// The driver waits until the process is gone, and with it the lock of its folder.
			await session("", {}, "DELETE").catch(() => undefined);
			await killed(driver);
		},
	};
}

async function killed(child) {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exit = once(child, "exit");
	child.kill("SIGKILL");
	await exit;
}

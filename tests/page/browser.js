// Chromium for the tests of pages: headless, and with an ear for what goes wrong in a page.
import { chromium } from "playwright-core";

/** How the browser is started. */
export const FLAGS = [
	"--no-sandbox",
	"--disable-gpu",
	"--disable-dev-shm-usage",
	"--disable-background-networking",
	"--disable-component-update",
	"--disable-sync",
	"--no-first-run",
	"--disable-quic",
];

/** Starts the browser that `AGENTWIRE_CHROMIUM` names. */
export function launch() {
	return chromium.launch({ executablePath: needed("AGENTWIRE_CHROMIUM"), args: FLAGS });
}

/** Drives a browser that was started elsewhere and prints this address. */
export function drive(address) {
	return chromium.connectOverCDP(address);
}

/** The environment variable `name`, which `cargo xtask test` sets. */
export function needed(name) {
	const value = process.env[name];
	if (value === undefined || value === "") throw new Error(`${name} is not set: run these tests with \`cargo xtask test\``);
	return value;
}

/** Collects what `page` complains about: errors in its console, exceptions, and requests to any host but this one. */
export function complaints(page) {
	const all = [];
	page.on("console", (message) => {
		if (message.type() === "error") all.push(`console: ${message.text()}`);
	});
	page.on("pageerror", (error) => all.push(`exception: ${error.stack ?? error.message}`));
	page.on("request", (request) => {
		const { protocol, hostname } = new URL(request.url());
		if (!["data:", "blob:"].includes(protocol) && hostname !== "127.0.0.1") all.push(`request to ${hostname}`);
	});
	return all;
}

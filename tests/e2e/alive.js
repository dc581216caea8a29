// A page with many clients, which takes note of when each of them has caught up. `cargo xtask alive` drives it.

import { createClient } from "/pkg/dist/index.js";

const url = new URLSearchParams(location.search).get("ws");
const token = async ({ signal }) => (await (await fetch("/token", { method: "POST", signal })).json()).token;
/** The content of a large event, in characters. */
const LARGE = 8_000;

/** What is known of each client. */
const pages = [];
let watch;

function open(name) {
	const client = createClient({ url, token, maxPendingSends: 4_096 });
	const thread = client.thread(name);
	const page = { client, thread, backAt: undefined, connectedAt: undefined, events: 0, failed: undefined };
	// Failures that are waited for are no faults of the page.
	client.on("error", () => undefined);
	client.on("state", ({ to, reason }) => {
		if (to === "connected") page.connectedAt = Date.now();
		if (to === "failed") page.failed = reason;
	});
	thread.onBatch((events) => {
		page.events += events.length;
		watch?.();
	});
	thread.onResumed(() => (page.backAt = Date.now()));
	pages.push(page);
	return page;
}

window.alive = {
	/** Opens so many clients of one thread. */
	open: (count, name) => {
		for (let index = 0; index < count; index += 1) open(name);
	},
	/** Forgets when clients had caught up. */
	forget: () => {
		for (const page of pages) page.backAt = undefined;
	},
	/** When each client had caught up, in milliseconds since the Unix epoch, and what is wrong with the others. */
	back: () => ({
		at: pages.filter((page) => page.backAt !== undefined && page.client.state.name === "connected").map((page) => page.backAt),
		states: [
			...new Set(pages.filter((page) => page.backAt === undefined).map(({ client, failed }) => failed ?? `${client.state.name}: ${client.state.reason}`)),
		],
	}),
	/** The least number of events that any client has got. */
	events: () => Math.min(...pages.map((page) => page.events)),
	ask: () => void pages[0].thread.send({ content: "Give me a tour of this project" }),
	/** Sends so many large messages through one client, and measures until another one has them, in milliseconds. */
	drain: (count, name) => {
		const [reader, writer] = [open(name), open(name)];
		window.drained = undefined;
		const begin = async () => {
			await Promise.all([reader.client.ready(), writer.client.ready()]);
			const before = reader.events;
			const begun = performance.now();
			watch = () => {
				if (reader.events < before + count || window.drained !== undefined) return;
				window.drained = performance.now() - begun;
				watch = undefined;
				for (const page of [reader, writer]) {
					page.client.close();
					pages.splice(pages.indexOf(page), 1);
				}
			};
			for (let index = 0; index < count; index += 1) writer.thread.send({ type: "note", index, content: "x".repeat(LARGE) });
		};
		begin().catch((error) => (window.drained = String(error)));
	},
};

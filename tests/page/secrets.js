// Every place in a page where its tokens must not get to (I11): what is there, and how a test writes there on purpose, so that
// a search which finds nothing is known to look. A new sink is one entry of the list.
import assert from "node:assert/strict";

/** Watches `page` from before it is opened. Its tokens are those that the token desk gives it; each is a promise. */
export function watch(page) {
	const watched = { page, tokens: [], lines: [], requests: [], sockets: [], frames: [] };
	page.on("response", (response) => {
		if (new URL(response.url()).pathname !== "/demo/token" || !response.ok()) return;
		watched.tokens.push(
			response.json().then(
				({ token }) => token,
				// The page was left before it came.
				() => undefined,
			),
		);
	});
	page.on("console", (message) => watched.lines.push(message.text()));
	page.on("pageerror", (error) => watched.lines.push(error.stack ?? error.message));
	page.on("request", (request) => {
		// Where a token belongs.
		const { authorization: _, ...headers } = request.headers();
		watched.requests.push([request.url(), headers, request.postData()]);
	});
	page.on("websocket", (socket) => {
		watched.sockets.push(socket.url());
		socket.on("framesent", ({ payload }) => watched.frames.push(withoutToken(payload)));
	});
	return watched;
}

/** A frame without the token that it carries to the server. */
function withoutToken(payload) {
	const frame = JSON.parse(payload);
	return frame.type === "hello" || frame.type === "refresh" ? { ...frame, token: "" } : frame;
}

/** `read` gives what a sink holds, and `plant` writes a text there: both run in the page. What the test noted itself is `noted`. */
export const SINKS = [
	{
		name: "text",
		read: () => document.documentElement.textContent,
		plant: (text) => document.body.append(text),
	},
	{
		name: "attributes",
		read: () => Array.from(document.querySelectorAll("*"), (element) => Array.from(element.attributes, ({ name, value }) => [name, value])),
		plant: (text) => document.body.setAttribute("data-a", text),
	},
	{
		name: "fields",
		read: () => Array.from(document.querySelectorAll("input, textarea, select"), ({ value }) => value),
		plant: (text) => document.body.append(Object.assign(document.createElement("input"), { value: text })),
	},
	{
		name: "title, address and history",
		read: () => [document.title, location.href, history.state, window.name],
		plant: (text) => history.replaceState({ text }, ""),
	},
	{ name: "localStorage", read: () => ({ ...localStorage }), plant: (text) => localStorage.setItem("a", text) },
	{ name: "sessionStorage", read: () => ({ ...sessionStorage }), plant: (text) => sessionStorage.setItem("a", text) },
	{ name: "indexedDB", read: databases, plant: inDatabase },
	{
		name: "caches",
		read: async () => {
			const answers = [];
			for (const name of await caches.keys()) {
				const cache = await caches.open(name);
				for (const request of await cache.keys()) answers.push(request.url, await (await cache.match(request)).text());
			}
			return answers;
		},
		plant: async (text) => (await caches.open("a")).put("/a", new Response(text)),
	},
	{
		name: "cookies",
		read: () => document.cookie,
		plant: (text) => {
			// biome-ignore lint/suspicious/noDocumentCookie: a leak is planted
			document.cookie = `a=${text}`;
		},
	},
	{ name: "console and exceptions", noted: ({ lines }) => lines, plant: (text) => console.debug(text) },
	{ name: "requests", noted: ({ requests }) => requests, plant: (text) => fetch(`/healthz?a=${text}`) },
	{
		name: "addresses of sockets",
		noted: ({ sockets }) => sockets,
		plant: (text) => new Promise((resolve) => Object.assign(new WebSocket(`/ws?a=${text}`, "agentwire.v1"), { onopen: resolve, onclose: resolve })),
	},
	{
		name: "frames, but for the token of hello and refresh",
		noted: ({ frames }) => frames,
		plant: async (text) => {
			const { ws } = await (await fetch("/demo/config")).json();
			const socket = new WebSocket(ws, "agentwire.v1");
			await new Promise((resolve) => Object.assign(socket, { onopen: resolve, onclose: resolve }));
			socket.send(JSON.stringify({ type: "a", text }));
		},
	},
];

/** The names of the sinks that hold a token of the page, or a part of one. */
export async function leaks({ page, ...watched }) {
	const tokens = (await Promise.all(watched.tokens)).filter((token) => token !== undefined);
	assert.ok(tokens.length > 0, "the page has got no token");
	// The first part is the same for all, and says nothing.
	const parts = tokens.flatMap((token) => token.split(".").slice(1));
	const found = [];
	for (const sink of SINKS) {
		const text = JSON.stringify(sink.noted?.(watched) ?? (await page.evaluate(sink.read)));
		if (parts.some((part) => text.includes(part))) found.push(sink.name);
	}
	return found;
}

async function databases() {
	const done = (request) =>
		new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
	const all = [];
	for (const { name } of await indexedDB.databases()) {
		const database = await done(indexedDB.open(name));
		for (const store of database.objectStoreNames) {
			const rows = database.transaction(store).objectStore(store);
			all.push(name, store, await done(rows.getAllKeys()), await done(rows.getAll()));
		}
		database.close();
	}
	return all;
}

function inDatabase(text) {
	return new Promise((resolve, reject) => {
		const request = indexedDB.open("a", 1);
		request.onupgradeneeded = () => request.result.createObjectStore("b").put({ text }, 1);
		request.onsuccess = () => resolve(request.result.close());
		request.onerror = () => reject(request.error);
	});
}

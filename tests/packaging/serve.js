// A static server on the loopback, with the token that the pages ask for.
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".wasm": "application/wasm" };

/** Serves the folder `root`; tokens come from the chat server at `chat`. */
export async function serve(root, chat) {
	const server = createServer(async (request, response) => {
		const { pathname } = new URL(request.url, "http://127.0.0.1");
		try {
			if (request.method === "POST" && pathname === "/token") return response.end(await token(chat));
			const path = normalize(decodeURIComponent(pathname));
			const body = await readFile(join(root, path.endsWith("/") ? `${path}index.html` : path));
			response.setHeader("content-type", TYPES[extname(path) || ".html"] ?? "application/octet-stream");
			response.end(body);
		} catch {
			response.writeHead(404).end();
		}
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	return {
		address: `http://127.0.0.1:${server.address().port}/`,
		close() {
			server.closeAllConnections();
			return new Promise((resolve) => server.close(resolve));
		},
	};
}

/** A token for the user that all pages here share. */
export async function token(chat) {
	const response = await fetch(`${chat}demo/token`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ user: "packaging" }),
	});
	if (!response.ok) throw new Error(`the chat server gave no token (${response.status})`);
	return (await response.json()).token;
}

/** The pages: one script per client, as the bundler made it, in a page that holds nothing else. */
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };

export async function serve(folder, request, response) {
	const url = new URL(request.url ?? "/", "http://localhost");
	const page = /^\/page\/([a-z-]+)$/.exec(url.pathname);
	if (page) return answer(response, 200, "text/html; charset=utf-8", html(page[1], url.searchParams));
	const path = normalize(url.pathname);
	if (path.startsWith("/bundles/") && !path.includes("..")) {
		try {
			return answer(response, 200, TYPES[extname(path)] ?? "application/octet-stream", await readFile(join(folder, path.slice("/bundles/".length))));
		} catch {
			// Answered below.
		}
	}
	answer(response, 404, "text/plain", "no such file");
}

function html(client, query) {
	// `before` names scripts that must run before the client is imported.
	const scripts = [...query.getAll("before"), client].map((name) => `<script type="module" src="/bundles/${name}/main.js"></script>`);
	return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${client}</title><link rel="icon" href="data:,">${scripts.join("")}</html>`;
}

function answer(response, status, type, body) {
	response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body), "cache-control": "no-store" }).end(body);
}

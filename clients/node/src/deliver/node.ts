/** Serves a fetch-style handler with `node:http`, Express and what resembles them. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { BridgeError } from "../errors.js";
import type { FetchHandler } from "./webhook.js";

/** For `http.createServer(…)` and `app.post(path, …)`. Put it before a body parser: the signature is over the raw bytes. */
export function nodeHandler(handler: FetchHandler): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
	return async (request, response) => {
		let answer: Response;
		try {
			answer = await handler(requestOf(request));
		} catch (error) {
			console.error(error);
			answer = new Response(null, { status: 500 });
		}
		response.writeHead(answer.status, Object.fromEntries(answer.headers));
		response.end(Buffer.from(await answer.arrayBuffer()));
	};
}

function requestOf(incoming: IncomingMessage & { readonly body?: unknown }): Request {
	const headers = new Headers();
	for (const [name, value] of Object.entries(incoming.headers)) if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
	const { method = "GET", body } = incoming;
	const init: RequestInit & { duplex?: "half" } = { method, headers };
	if (method !== "GET" && method !== "HEAD") {
		init.body = bodyOf(incoming, body);
		init.duplex = "half";
	}
	return new Request("http://localhost/", init);
}

function bodyOf(incoming: IncomingMessage, body: unknown): NonNullable<RequestInit["body"]> {
	// `express.raw()` leaves the bytes.
	if (body instanceof Uint8Array) return body as Uint8Array<ArrayBuffer>;
	if (incoming.readableEnded) {
		throw new BridgeError("bad_option", "a body parser has read the request: put the webhook before express.json(), or use express.raw({ type: '*/*' })");
	}
	return Readable.toWeb(incoming) as ReadableStream<Uint8Array>;
}

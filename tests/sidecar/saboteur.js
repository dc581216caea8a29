// A proxy between backends and server that breaks the promise on purpose, so that the check has to notice.
import { createServer, request } from "node:http";

/** How many batches of steps pass before each one that is sabotaged. */
const EVERY = 40;

/** Listens, and passes requests on to `port`. `kind`: "drop" answers a batch without passing it on, "twice" passes one on twice. */
export function saboteur(port, kind) {
	let batches = 0;
	const server = createServer(async (incoming, answer) => {
		const parts = [];
		for await (const part of incoming) parts.push(part);
		const body = Buffer.concat(parts);
		const { method, url, headers } = incoming;
		const isBatch = method === "POST" && url.endsWith("/events") && body.includes('"step"');
		if (isBatch && (batches += 1) % EVERY === 0) {
			const batch = JSON.parse(body);
			if (kind === "drop") {
				const seq = batch.producer.seq + batch.events.length - 1;
				answer.setHeader("content-type", "application/json");
				// As if it were durable. The next batch has a gap before it, unless it says that it is the next one.
				answer.end(JSON.stringify({ epoch: "e", offset: 1, seq, applied: batch.events.length, repeated: 0, cancelled: [] }));
				dropped.add(batch.producer.id);
				lost.set(batch.producer.id, (lost.get(batch.producer.id) ?? 0) + batch.events.length);
				return;
			}
			delete batch.producer;
			batch.events = batch.events.filter(({ type }) => type === "step");
			await pass({ method, url, headers }, Buffer.from(JSON.stringify(batch)));
		}
		const rest = isProduced(method, url) ? renumbered(body) : body;
		const passed = pass({ method, url, headers }, rest, (response) => {
			answer.writeHead(response.statusCode, response.headers);
			response.pipe(answer);
			answer.on("close", () => response.destroy());
		});
		passed.catch(() => answer.destroy());
	});
	/** Producers with batches that were dropped, and how many of their events. */
	const [dropped, lost] = [new Set(), new Map()];

	const isProduced = (method, url) => kind === "drop" && method === "POST" && url.endsWith("/events");

	/** What is dropped must not be missed by the server. */
	function renumbered(body) {
		const batch = JSON.parse(body);
		if (!dropped.has(batch.producer?.id)) return body;
		batch.producer.seq -= lost.get(batch.producer.id);
		return Buffer.from(JSON.stringify(batch));
	}

	function pass({ method, url, headers }, body, took = (response) => response.resume()) {
		return new Promise((resolve, reject) => {
			const { "transfer-encoding": _, ...kept } = headers;
			const outgoing = request({ port, host: "127.0.0.1", method, path: url, headers: { ...kept, "content-length": body.length } }, (response) => {
				took(response);
				resolve();
			});
			outgoing.on("error", reject);
			outgoing.end(body);
		});
	}

	return new Promise((resolve) => {
		server.listen(0, "127.0.0.1", () => resolve({ port: server.address().port, close: () => server.closeAllConnections() || server.close() }));
	});
}

/** An answer that comes as lines of JSON for as long as its connection lives. */
import { follow, orAborted } from "../abort.js";
import { BridgeError } from "../errors.js";
import { type Asked, asUnreachable, open, type Server } from "./request.js";

/** The server sends an empty line every 15 seconds: after three of them the connection is dead. */
const SILENCE_MS = 45_000;
const LONGEST_LINE = 8 << 20;

/** Opens a stream of lines and yields each object. Ends with the connection; throws a {@link BridgeError}, or the reason of `signal`. */
export async function* lines(
	server: Server,
	path: string,
	signal: AbortSignal,
	query: Asked["query"] = {},
	opened: () => void = () => {},
): AsyncGenerator<object> {
	const life = new AbortController();
	const unfollow = follow(signal, life);
	const dead = setTimeout(() => life.abort(), SILENCE_MS);
	try {
		const response = await open(server, "GET", path, life.signal, { query, headers: { accept: "application/x-ndjson" } });
		opened();
		if (response.body === null) return;
		const decoder = new TextDecoder();
		let rest = "";
		const reader = response.body.getReader();
		for (;;) {
			// The body does not always notice an abort that comes between two reads.
			const { done, value } = await orAborted(reader.read(), life.signal);
			if (done) return;
			dead.refresh();
			const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
			rest = parts.pop() ?? "";
			if (rest.length > LONGEST_LINE) throw new BridgeError("bad_answer", "a line of the server does not end");
			for (const part of parts) if (part.trim() !== "") yield objectOf(part);
		}
	} catch (error) {
		signal.throwIfAborted();
		throw asUnreachable(error, life.signal.aborted ? `no line within ${SILENCE_MS} ms` : undefined);
	} finally {
		clearTimeout(dead);
		unfollow();
		life.abort();
	}
}

function objectOf(line: string): object {
	let value: unknown;
	try {
		value = JSON.parse(line);
	} catch {
		value = undefined;
	}
	if (typeof value !== "object" || value === null) throw new BridgeError("bad_answer", "a line of the server is no JSON object");
	return value;
}

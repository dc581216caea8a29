/** A small agentwire-bridge, written from docs/HTTP.md, that can misbehave. */
import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Bridge, type BridgeOptions, type Delivery } from "../../src/index.js";
import { type Fields, Refused, Store } from "./store.js";

/** What goes wrong with a request. `lost`: it never arrives; `cut`: it is done, but its answer is lost; `copied`: it arrives twice. */
export type Fault = "none" | "lost" | "cut" | "copied" | "slow" | { readonly status: number; readonly retryAfter?: string; readonly code?: string };

export interface Seen {
	readonly method: string;
	readonly path: string;
	readonly headers: IncomingMessage["headers"];
	readonly body: Fields;
	readonly at: number;
}

export class Fake extends EventEmitter {
	readonly store: Store = new Store();
	/** Every request, in the order of arrival. */
	readonly seen: Seen[] = [];
	/** Decides what goes wrong. */
	fault: (seen: Seen) => Fault = () => "none";
	/** Requests wait for this before they are answered. */
	hold: Promise<void> | undefined;
	/** How many publish requests of one producer were under way at once, at most. */
	mostAtOnce = 0;
	/** Lines that a worker is sent; kept until they are accepted. */
	readonly deliveries: Map<string, Delivery> = new Map();
	port = 0;
	#server: Server | undefined;
	readonly #atOnce: Map<string, number> = new Map();

	async start(): Promise<this> {
		this.#server = createServer((request, response) => void this.#serve(request, response));
		this.#server.listen(this.port, "127.0.0.1");
		await once(this.#server, "listening");
		this.port = (this.#server.address() as AddressInfo).port;
		return this;
	}

	/** Cuts all connections. What is stored stays. */
	async stop(): Promise<void> {
		const server = this.#server;
		this.#server = undefined;
		if (server === undefined) return;
		const closed = once(server, "close");
		server.close();
		server.closeAllConnections();
		await closed;
	}

	async restart(): Promise<void> {
		await this.stop();
		await this.start();
	}

	bridge(options: BridgeOptions = {}): Bridge {
		return new Bridge({ url: `http://127.0.0.1:${this.port}`, key: "test-key", onError: () => {}, ...options });
	}

	requests(end: string): readonly Seen[] {
		return this.seen.filter(({ path }) => path.endsWith(end));
	}

	/** Adds a signal to a run, as a user does. */
	signal(key: string, runId: string, signal: Fields): void {
		const run = this.store.run(key, runId);
		if (signal["type"] === "cancelled") run.isCancelled = true;
		run.signals.push(signal);
		this.emit(`signal ${key} ${runId}`);
	}

	deliver(delivery: Delivery): void {
		this.deliveries.set(delivery.id, delivery);
		this.emit("delivery", delivery);
	}

	async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const url = new URL(request.url ?? "/", "http://fake");
		const text = await textOf(request).catch(() => undefined);
		if (text === undefined) return;
		const seen: Seen = {
			method: request.method ?? "",
			path: url.pathname,
			headers: request.headers,
			body: text === "" ? {} : (JSON.parse(text) as Fields),
			at: performance.now(),
		};
		this.seen.push(seen);
		this.emit("request", seen);
		const fault = this.fault(seen);
		if (fault === "lost") return void request.socket.destroy();
		if (typeof fault === "object") {
			if (fault.retryAfter !== undefined) response.setHeader("retry-after", fault.retryAfter);
			return reply(response, fault.status, { code: fault.code ?? "overloaded", message: "the fake server is told to say so" });
		}
		const release = this.#enter(seen);
		await this.hold;
		if (fault === "slow") await new Promise((resolve) => setTimeout(resolve, 30));
		let status = 200;
		let body: Fields | undefined;
		try {
			if (request.headers.authorization !== "Bearer test-key") throw new Refused(401, "key_invalid");
			body = this.#answer(seen, response);
			if (fault === "copied" && seen.method === "POST") this.#answer(seen, response);
		} catch (error) {
			if (!(error instanceof Refused)) throw error;
			status = error.status;
			body = error.body;
		} finally {
			release();
		}
		if (fault === "cut") return void request.socket.destroy();
		if (body !== undefined) reply(response, status, body);
		this.emit("answered", seen);
	}

	#enter({ path, body }: Seen): () => void {
		const id = (body["producer"] as { readonly id?: string } | undefined)?.id;
		if (id === undefined || !path.endsWith("/events")) return () => {};
		const count = (this.#atOnce.get(id) ?? 0) + 1;
		this.#atOnce.set(id, count);
		this.mostAtOnce = Math.max(this.mostAtOnce, count);
		return () => this.#atOnce.set(id, (this.#atOnce.get(id) ?? 1) - 1);
	}

	/** The body of the answer, or nothing if it is a stream of lines. */
	#answer({ method, path, body }: Seen, response: ServerResponse): Fields | undefined {
		const [, version, kind, first = "", second, third = "", fourth] = path.split("/");
		if (version !== "v1") throw new Refused(404, "not_found");
		const key = decodeURIComponent(first);
		if (kind === "threads" && second === "events" && method === "POST") return this.#published(key, body);
		if (kind === "threads" && second === "runs" && fourth === "heartbeat") {
			const { isOpen, isCancelled } = this.store.run(key, third);
			return { runId: third, isOpen, isCancelled };
		}
		if (kind === "threads" && second === "runs" && fourth === "signals") return this.#signals(response, key, third);
		if (kind === "deliveries" && first === "") return this.#worker(response);
		if (kind === "deliveries" && (second === "accept" || second === "refuse")) {
			if (this.deliveries.get(first)?.attempt !== body["attempt"]) throw new Refused(404, "not_found");
			this.deliveries.delete(first);
			this.emit(second, first, body);
			return {};
		}
		throw new Refused(404, "not_found");
	}

	#published(key: string, body: Fields): Fields {
		const answer = this.store.publish(key, body);
		for (const [runId, run] of this.store.thread(key).runs) if (!run.isOpen) this.emit(`signal ${key} ${runId}`);
		return answer;
	}

	#signals(response: ServerResponse, key: string, runId: string): undefined {
		const run = this.store.run(key, runId);
		let sent = 0;
		const send = (): void => {
			for (; sent < run.signals.length; sent++) response.write(`${JSON.stringify(run.signals[sent])}\n`);
			if (!run.isOpen) response.end();
		};
		this.#stream(response, `signal ${key} ${runId}`, send);
		this.emit("listening", runId);
		return undefined;
	}

	#worker(response: ServerResponse): undefined {
		const send = (delivery: Delivery): unknown => response.write(`${JSON.stringify(delivery)}\n`);
		this.#stream(response, "delivery", send as () => void);
		for (const delivery of this.deliveries.values()) send(delivery);
		return undefined;
	}

	#stream(response: ServerResponse, event: string, send: () => void): void {
		response.writeHead(200, { "content-type": "application/x-ndjson" });
		response.write("\n");
		this.on(event, send);
		response.on("close", () => this.off(event, send));
		if (event !== "delivery") send();
	}
}

function reply(response: ServerResponse, status: number, body: Fields): void {
	response.writeHead(status, { "content-type": "application/json" });
	response.end(JSON.stringify(body));
}

async function textOf(request: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of request) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks).toString();
}

/** The real server, as `agentwire-bridge dev` starts it, and a page that talks to it. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import WebSocket from "ws";
import { Bridge, type BridgeOptions, threadKey } from "../../src/index.js";
import type { Fields, StoredEvent } from "./store.js";
import { event } from "./until.js";

/** The secret that `dev` signs webhooks with. */
export const DEV_SECRET = "whsec_YSBzZWNyZXQgZm9yIGRldmVsb3BtZW50IGFsb25l";
const DEADLINE_MS = 20_000;

export class RealServer {
	readonly #binary: string;
	readonly #folder: string = mkdtempSync(join(tmpdir(), "agentwire-node-"));
	readonly #more: readonly string[];
	#child: ChildProcess | undefined;
	/** What `dev` says that backends paste. */
	#key = "dev";
	#address = "127.0.0.1:0";

	constructor(binary: string, more: readonly string[] = []) {
		this.#binary = binary;
		this.#more = more;
	}

	/** Starts it; a second time at the same address, with the same log. */
	async start(): Promise<void> {
		const child = spawn(this.#binary, ["dev", "--listen", this.#address, "--log", join(this.#folder, "log.sqlite"), ...this.#more], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		this.#child = child;
		let said = "";
		const signal = AbortSignal.timeout(DEADLINE_MS);
		const ended = once(child, "exit", { signal }).then(([code]) => assert.fail(`the server ended with ${code}: ${said}`));
		const address = (async (): Promise<string> => {
			for await (const chunk of child.stdout ?? []) {
				said += String(chunk);
				const found = /listens on http:\/\/(\S+)/.exec(said)?.[1];
				if (found === undefined) continue;
				this.#key = /key[=:] ?"([^"]+)"/.exec(said)?.[1] ?? this.#key;
				return found;
			}
			return assert.fail(`the server did not say its address: ${said}`);
		})();
		ended.catch(() => {});
		this.#address = await Promise.race([address, ended]);
	}

	async kill(): Promise<void> {
		const child = this.#child;
		if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
		const ended = once(child, "exit");
		child.kill("SIGKILL");
		await ended;
	}

	async close(): Promise<void> {
		await this.kill();
		rmSync(this.#folder, { recursive: true, force: true });
	}

	bridge(options: BridgeOptions = {}): Bridge {
		return new Bridge({ url: `http://${this.#address}`, key: this.#key, onError: () => {}, ...options });
	}

	/** All events of a thread, from the API. */
	async events(key: string): Promise<readonly StoredEvent[]> {
		const all: StoredEvent[] = [];
		for (;;) {
			const url = `http://${this.#address}/v1/threads/${encodeURIComponent(key)}/events?from=${all.length + 1}&limit=1000`;
			const answer = await fetch(url, { headers: { authorization: `Bearer ${this.#key}` } });
			const text = await answer.text();
			assert.equal(answer.status, 200, text);
			const { events, head } = JSON.parse(text) as { readonly events: readonly StoredEvent[]; readonly head: number };
			all.push(...events);
			if (all.length >= head || events.length === 0) return all;
		}
	}

	/** A page of this user that is connected and follows one thread. */
	async page(t: TestContext, user: string, thread: string): Promise<Page> {
		const token = await (await fetch(`http://${this.#address}/dev/token?user=${user}`, { method: "POST" })).text();
		const page = new Page(`ws://${this.#address}/ws`, token, user, thread);
		t.after(() => page.close());
		await page.ready;
		return page;
	}
}

/** A page. It emits `frame` with each frame of the server. */
export class Page extends EventEmitter {
	readonly key: string;
	readonly ready: Promise<unknown>;
	readonly #socket: WebSocket;
	readonly #thread: string;

	constructor(url: string, token: string, user: string, thread: string) {
		super();
		this.key = threadKey(user, thread);
		this.#thread = thread;
		this.#socket = new WebSocket(url, "agentwire.v1");
		this.#socket.on("message", (data) => this.emit("frame", JSON.parse(String(data))));
		this.#socket.on("error", () => {});
		this.#socket.on("open", () => {
			const client = { name: "test", version: "0.0.0" };
			this.#send({
				type: "hello",
				token,
				client,
				features: [],
				window: { events: 65_536, bytes: 67_108_864 },
				streams: [{ name: thread, open: { from: "start" } }],
			});
		});
		this.ready = this.#frame(({ type }) => type === "subscribed");
	}

	/** Sends a message; returns its id once it is durable. */
	async say(content: string, more: Fields = {}): Promise<string> {
		return await this.ask({ type: "send", message: { type: "user_message", content }, ...more });
	}

	/** Sends a request about the thread, and waits for its receipt. */
	async ask(request: Fields): Promise<string> {
		const id = randomUUID();
		const receipt = this.#frame((frame) => frame["id"] === id);
		this.#send({ ...request, id, stream: this.#thread });
		const frame = await receipt;
		assert.ok(["accepted", "cancelled", "approved", "resolved"].includes(String(frame["status"])), JSON.stringify(frame));
		return id;
	}

	close(): void {
		this.#socket.terminate();
	}

	async #frame(is: (frame: Fields) => boolean): Promise<Fields> {
		return await event(this, "frame", is, DEADLINE_MS);
	}

	#send(frame: Fields): void {
		this.#socket.send(JSON.stringify(frame));
	}
}

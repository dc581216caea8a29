/** The server and the delay lines, as the driver sees them: processes that it started, and ends. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { start as startDelayLine } from "../server/delay-line.js";
import { within } from "./deadline.js";

export class Server {
	#child;
	#port;
	/** @type {Map<number, Promise<{ port: number, child: import("node:child_process").ChildProcess }>>} */
	#lines = new Map();
	/** Who waits for what of which run. @type {Map<string, { resolve: (message: any) => void, reject: (error: Error) => void }>} */
	#waiting = new Map();
	/** What was said before somebody waited for it. @type {Map<string, any>} */
	#said = new Map();
	#nextRun = 1;
	/** Why the server is gone, if it is. @type {Error | undefined} */
	lost;

	constructor(child, port) {
		this.#child = child;
		this.#port = port;
		child.on("message", (message) => this.#heard(message));
		child.on("exit", (code, signal) => {
			this.lost = new Error(`the server ended (${code ?? signal})`);
			for (const { reject } of this.#waiting.values()) reject(this.lost);
		});
	}

	/** Starts a server of the bundles in `pages`. */
	static start(pages) {
		const child = fork(fileURLToPath(new URL("../server/main.js", import.meta.url)), [pages], {
			stdio: ["ignore", "inherit", "inherit", "ipc"],
			serialization: "advanced",
		});
		const listening = new Promise((resolve, reject) => {
			child.once("message", (/** @type {any} */ { port }) => resolve(new Server(child, port)));
			child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
			child.once("error", reject);
		});
		return within(30, listening, () => "the server did not listen");
	}

	/** Where pages are loaded from: directly, or through a delay line. */
	async origin(roundTrip, host) {
		if (roundTrip === undefined) return `http://${host}:${this.#port}`;
		let line = this.#lines.get(roundTrip);
		if (line === undefined) {
			line = within(30, startDelayLine(roundTrip, this.#port), () => "the delay line did not listen");
			this.#lines.set(roundTrip, line);
		}
		return `http://${host}:${(await line).port}`;
	}

	/** Has a run encoded. Resolves with its number. */
	async prepare(plan) {
		const run = String(this.#nextRun++);
		this.#say({ type: "prepare", run, plan });
		await this.wait(run, "prepared", 60);
		return run;
	}

	/** Sends the next `count` events of the run; without a pace as fast as possible. */
	go(run, count, pace) {
		this.#said.delete(`${run} sent`);
		this.#say({ type: "go", run, count, pace });
	}

	/** Waits for what the server says about the run: `subscribed`, `sent`, `report`. A failed run rejects. */
	wait(run, what, seconds) {
		if (this.lost !== undefined) return Promise.reject(this.lost);
		const key = `${run} ${what}`;
		const failure = this.#said.get(`${run} failed`);
		if (failure !== undefined) return Promise.reject(new Error(failure.reason));
		const said = this.#said.get(key);
		if (said !== undefined) return Promise.resolve(said);
		const heard = new Promise((resolve, reject) => this.#waiting.set(key, { resolve, reject }));
		return within(seconds, heard, () => `the server did not say "${what}"`).finally(() => this.#waiting.delete(key));
	}

	/** What went wrong with the run, as the server sees it. */
	failure(run) {
		return this.#said.get(`${run} failed`)?.reason;
	}

	/** The run is over, and its connection may close. */
	forget(run) {
		this.#say({ type: "forget", run });
		for (const key of this.#said.keys()) if (key.startsWith(`${run} `)) this.#said.delete(key);
	}

	/** A server that is gone hears nothing; whoever waits for its answer learns why there is none. */
	#say(message) {
		if (this.#child.connected) this.#child.send(message, () => undefined);
	}

	#heard(message) {
		const key = `${message.run} ${message.type}`;
		this.#said.set(key, message);
		this.#waiting.get(key)?.resolve(message);
		if (message.type !== "failed") return;
		for (const [waits, { reject }] of this.#waiting) if (waits.startsWith(`${message.run} `)) reject(new Error(message.reason));
	}

	/** Ends the server and the delay lines. */
	async close() {
		this.#child.kill("SIGKILL");
		for (const line of this.#lines.values()) await line.then(({ child }) => child.kill("SIGKILL")).catch(() => undefined);
	}
}

// A program that is killed and started again.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { createInterface } from "node:readline";

/** How long a program may take to say that it is ready, in milliseconds. */
const PATIENCE = 30_000;

export class Program {
	#start;
	#child;
	/** How often it was started. */
	life = 0;

	/**
	 * `start(life)` answers `{ command, args, env, log }`; `ready` is what its first line holds. `line` is called with each later one.
	 */
	constructor(name, start, ready, line = () => {}) {
		this.name = name;
		this.#start = start;
		this.ready = ready;
		this.line = line;
	}

	async start() {
		this.life += 1;
		const { command, args, env, log } = this.#start(this.life);
		const errors = openSync(log, "a");
		const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", errors] });
		closeSync(errors);
		this.#child = child;
		// A write to a program that was killed says nothing new.
		child.stdin.on("error", () => {});
		const lines = createInterface(child.stdout);
		const late = AbortSignal.timeout(PATIENCE);
		const ended = once(child, "exit").then(() => Promise.reject(new Error(`${this.name} ended before it was ready; see ${log}`)));
		ended.catch(() => {});
		if (this.ready !== undefined) {
			const said = once(lines, "line", { signal: late }).catch(() => Promise.reject(new Error(`${this.name} was not ready in time; see ${log}`)));
			const [first] = await Promise.race([said, ended]);
			if (!this.ready.test(first)) throw new Error(`${this.name} said ${JSON.stringify(first)}; see ${log}`);
		}
		lines.on("line", (line) => this.line(line));
	}

	say(line) {
		this.#child.stdin.write(`${line}\n`);
	}

	/** Kills it, and resolves when it is gone. */
	async kill() {
		const child = this.#child;
		if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
		const gone = once(child, "exit");
		child.kill("SIGKILL");
		await gone;
	}

	/** Whether it has ended by itself. */
	get isGone() {
		return this.#child.exitCode !== null || this.#child.signalCode !== null;
	}
}

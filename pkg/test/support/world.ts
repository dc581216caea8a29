/**
 * A page in virtual time: timers, clocks, the network and the page's own events belong to the test. Nothing waits for real
 * time: `settle` runs what is due, `advance` moves the clocks.
 */
import assert from "node:assert/strict";
import { Random } from "./seed.js";
import { type Peer, ScriptedSocket, type SocketHost } from "./socket.js";

/** Something that happens at a time. */
interface Task {
	readonly id: number;
	/** Milliseconds since the world began. */
	readonly at: number;
	/** Armed by the page, and not by the network or the server. */
	readonly ofPage: boolean;
	readonly run: () => void;
}

/** `Date.now()` when a world begins. */
const EPOCH_MS = 1_790_000_000_000;
/** Longest delay that `setTimeout` takes. */
const MAX_DELAY_MS = 2 ** 31 - 1;
/** Tasks at one moment after which a test gives up on a page that does not come to rest. */
const MAX_TASKS = 200_000;

// Taken before any world replaces what it would replace.
const nextTurn = setImmediate;

/** Lets every promise run that can. */
export function microtasks(): Promise<void> {
	return new Promise((resolve) => nextTurn(resolve));
}

export class World implements SocketHost {
	/** Every socket that the page opened, in order, as its server sees it. */
	readonly peers: Peer[] = [];
	/** Errors that reached nobody but the page: uncaught, or given to `reportError`. */
	readonly uncaught: unknown[] = [];
	/** What the browser would print about the use of sockets. */
	readonly socketWarnings: string[] = [];
	/** One way, in milliseconds. */
	latency = 0;
	/** How long a socket is closing when the server has closed it, in milliseconds. */
	closingMs = 0;
	/** The least delay of a timer of the page, in milliseconds: browsers clamp those of a page that is hidden for long to a minute. */
	minTimerMs = 0;
	/** How often the page read a clock. */
	clockReads = 0;
	/** Timers of lost instances, which nobody can take back. */
	staleTimers = 0;
	/** What answers a new socket. By default nobody does. */
	onSocket: (peer: Peer) => void = () => undefined;
	/** Lets something outside of the world go on for a moment, before time passes; returns whether there was anything. */
	onQuiet: (() => Promise<boolean>) | undefined;
	/** Thrown by `new WebSocket`, as when a policy of the page forbids the address. */
	refuseSockets: unknown;
	readonly random: Random;
	/** The page's `window`. */
	readonly page = new EventTarget();
	readonly #restore: (() => void)[] = [];
	readonly #atEnd: (() => void)[] = [];
	#tasks: Task[] = [];
	#lastTask = 0;
	#now = 0;
	/** What `Date.now()` is ahead of the time that passed. */
	#wallAhead = EPOCH_MS;

	constructor(seed: number) {
		this.random = new Random(seed);
	}

	/** Milliseconds since the world began. */
	get now(): number {
		return this.#now;
	}

	get wallNow(): number {
		return this.#wallAhead + this.#now;
	}

	/** Number of timers that the page has armed. */
	get timers(): number {
		return this.#tasks.filter((task) => task.ofPage).length;
	}

	// --- time ---

	/** Runs `run` after `ms`; the result takes it back. */
	later(ms: number, run: () => void): () => void {
		const id = this.#add(ms, run, false);
		return () => this.#cancel(id);
	}

	/** Runs everything that is due now, and all that follows from it at this moment. */
	async settle(): Promise<void> {
		await microtasks();
		for (let count = 0; ; count += 1) {
			const task = this.#take(this.#now);
			if (task === undefined && (await this.onQuiet?.()) === true) continue;
			if (task === undefined) return;
			assert.ok(count < MAX_TASKS, "the page never comes to rest");
			this.#run(task);
			await microtasks();
		}
	}

	/** Lets `ms` pass. */
	async advance(ms: number): Promise<void> {
		const end = this.#now + ms;
		await this.settle();
		for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
			this.#now = next;
			await this.settle();
		}
		this.#now = end;
		await this.settle();
	}

	/** Lets time pass until `condition` holds; fails when it does not within `ms`. */
	async until(condition: () => boolean, what: string, ms = 600_000): Promise<void> {
		const end = this.#now + ms;
		await this.settle();
		while (!condition()) {
			const next = this.#next(end);
			assert.ok(next !== undefined, `${what}: not within ${ms} ms`);
			this.#now = next;
			await this.settle();
		}
	}

	/** The machine sleeps: clocks move, and nothing runs until it wakes. */
	sleep(ms: number): void {
		this.#now += ms;
	}

	/** The user sets the clock. */
	setWallClock(ms: number): void {
		this.#wallAhead += ms;
	}

	#next(end: number): number | undefined {
		let next: number | undefined;
		for (const { at } of this.#tasks) if (at <= end && (next === undefined || at < next)) next = at;
		return next === undefined ? undefined : Math.max(next, this.#now);
	}

	#take(through: number): Task | undefined {
		let first: Task | undefined;
		for (const task of this.#tasks) {
			if (task.at > through) continue;
			if (first === undefined || task.at < first.at) first = task;
		}
		if (first !== undefined) this.#tasks.splice(this.#tasks.indexOf(first), 1);
		return first;
	}

	#run(task: Task): void {
		try {
			task.run();
		} catch (error) {
			// What a test asserts inside a callback fails the test, not the page.
			if (error instanceof assert.AssertionError) throw error;
			this.report(error);
		}
	}

	#add(ms: number, run: () => void, ofPage: boolean): number {
		this.#lastTask += 1;
		const delay = ms > MAX_DELAY_MS ? 1 : Math.max(0, Math.trunc(ms) || 0);
		this.#tasks.push({ id: this.#lastTask, at: this.#now + delay, ofPage, run });
		return this.#lastTask;
	}

	#cancel(id: unknown): void {
		this.#tasks = this.#tasks.filter((task) => task.id !== id);
	}

	// --- the page ---

	/** An error that nobody caught: the page's `error` event, and if that is not prevented, the console. */
	report(error: unknown): void {
		const event = Object.assign(new Event("error", { cancelable: true }), { error, message: String(error) });
		if (this.page.dispatchEvent(event)) this.uncaught.push(error);
	}

	/** What was reported so far; a test that expects it takes it away. */
	takeUncaught(): unknown[] {
		return this.uncaught.splice(0);
	}

	/** Dispatches an event of the page, such as `online` or `pagehide`. */
	tell(type: string, fields: Readonly<Record<string, unknown>> = {}): void {
		this.page.dispatchEvent(Object.assign(new Event(type), fields));
	}

	/** The browser says that there is a network, or none. */
	online(online: boolean): void {
		this.define("navigator", { onLine: online });
		this.tell(online ? "online" : "offline");
	}

	warn(text: string): void {
		this.socketWarnings.push(text);
	}

	// --- beginning and end ---

	/** Takes the place of the platform. */
	install(): void {
		const world = this;
		class WebSocket extends ScriptedSocket {
			constructor(url: string, protocols?: string | string[]) {
				if (world.refuseSockets !== undefined) throw world.refuseSockets;
				super(world, url, protocols);
			}
		}
		this.define("WebSocket", WebSocket);
		this.define("setTimeout", (run: () => void, ms = 0) => this.#add(Math.max(ms, this.minTimerMs), run, true));
		this.define("clearTimeout", (id: unknown) => this.#cancel(id));
		this.define("addEventListener", this.page.addEventListener.bind(this.page));
		this.define("removeEventListener", this.page.removeEventListener.bind(this.page));
		this.define("navigator", { onLine: true });
		// Nothing answers requests, unless a test says so.
		this.define("fetch", async () => {
			throw new TypeError("fetch failed");
		});
		this.define("reportError", (error: unknown) => this.report(error));
		const counted = (now: number): number => {
			this.clockReads += 1;
			return now;
		};
		this.define("now", () => counted(this.#now), performance);
		this.define("now", () => counted(this.wallNow), Date);
		this.define("random", () => this.random.fraction(), Math);
	}

	/** Replaces a global, or a member of `owner`, until the world ends. */
	define(name: string, value: unknown, owner: object = globalThis): void {
		const former = Object.getOwnPropertyDescriptor(owner, name);
		Object.defineProperty(owner, name, { value, configurable: true, writable: true });
		this.#restore.push(() => {
			if (former === undefined) Reflect.deleteProperty(owner, name);
			else Object.defineProperty(owner, name, former);
		});
	}

	/** Runs `check` when the test is over. */
	atEnd(check: () => void): void {
		this.#atEnd.push(check);
	}

	/** Closes what the test left open, and looks at what must never happen in any test. */
	async finish(): Promise<void> {
		for (const check of this.#atEnd) check();
		await this.settle();
		assert.deepEqual(this.socketWarnings, [], "nothing is sent on a socket that takes nothing (F6)");
		assert.deepEqual(this.uncaught, [], "no error reaches the page that the test does not expect");
		assert.ok(this.timers <= this.staleTimers, `closed clients leave no timer armed, but here are ${this.timers}`);
	}

	uninstall(): void {
		for (const restore of this.#restore.splice(0).reverse()) restore();
	}
}

/** The body of a test that runs in a world of its own. */
export function inWorld(body: (world: World) => Promise<void> | void, seed = 1): () => Promise<void> {
	return async () => {
		const world = new World(seed);
		world.install();
		try {
			await body(world);
			await world.finish();
		} finally {
			world.uninstall();
		}
	};
}

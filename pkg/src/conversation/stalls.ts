/**
 * Stalls: what has been silent for too long. An overlay on a conversation: silence ends nothing, and a stall is gone when there is
 * something new. Nothing counts while the page catches up.
 */
import type { Client } from "../client/api.js";
import { fields, integer, withMethods } from "../shared/check.js";
import type { Unsubscribe } from "../shared/listeners.js";
import { lookupOf } from "./lookup.js";
import type { Conversation, Run } from "./model.js";
import { runOf } from "./select.js";
import type { Stall, StallWatch, StallWatcher } from "./stall.js";
import { isOpen } from "./status.js";

export type { Stall } from "./stall.js";

/** After how many milliseconds silence is a stall; 0: never. */
export interface StallOptions {
	/** The client, for stalls of the connection. @default none: there are none */
	readonly client?: Pick<Client, "state" | "on"> | undefined;
	/** The client has no connection and wants one. @default 5_000 */
	readonly socketMs?: number | undefined;
	/** A run that waits neither for a tool, nor for a sub-agent, nor for a person has no event. @default 30_000 */
	readonly runMs?: number | undefined;
	/** A tool is running, or longer than its `estimatedMs` if that is more. @default 60_000 */
	readonly toolMs?: number | undefined;
}

/**
 * Watches for stalls, as the option `stalls` of `conversation()`: one watch serves any number of conversations. Throws `invalid_option`.
 */
export function watchStalls(options: StallOptions = {}): StallWatch {
	const thresholds = thresholdsOf(options);
	return (changed) => new Stalls(thresholds, options.client, changed);
}

type Thresholds = Readonly<Record<"socketMs" | "runMs" | "toolMs", number>>;

/** States of a client in which it wants a connection and has none. */
const WITHOUT_CONNECTION: readonly string[] = ["connecting", "waiting", "offline"];

/** Fills in the defaults. Throws `invalid_option`. */
function thresholdsOf(given: StallOptions): Thresholds {
	const { socketMs, runMs, toolMs } = fields("stall options", given, ["client", "socketMs", "runMs", "toolMs"]);
	withMethods("client", given.client, ["on"]);
	const ms = (name: string, value: unknown, usual: number): number => integer(name, value, 0, 2_147_483_647, usual);
	return { socketMs: ms("socketMs", socketMs, 5_000), runMs: ms("runMs", runMs, 30_000), toolMs: ms("toolMs", toolMs, 60_000) };
}

/** Something that may stall. */
interface Watched {
	readonly of: object;
	readonly ms: number;
	readonly since: number;
	readonly stall: Stall;
}

class Stalls implements StallWatcher {
	readonly #thresholds: Thresholds;
	readonly #changed: () => void;
	#watched = new Map<string, Watched>();
	#lost: Watched | undefined;
	#isConnected = true;
	#conversation: Conversation<unknown> | undefined;
	#timer: ReturnType<typeof setTimeout> | undefined;
	#stalls: readonly Stall[] = [];
	#off: Unsubscribe = () => undefined;

	constructor(thresholds: Thresholds, client: StallOptions["client"], changed: () => void) {
		this.#thresholds = thresholds;
		this.#changed = changed;
		if (client === undefined) return;
		this.#connected(!WITHOUT_CONNECTION.includes(client.state.name));
		this.#off = client.on("state", ({ to }) => this.#connected(!WITHOUT_CONNECTION.includes(to)));
	}

	/** The same list as long as nothing changes. */
	get stalls(): readonly Stall[] {
		return this.#stalls;
	}

	/** What the conversation is now. `undefined`: the page catches up. */
	follow(conversation: Conversation<unknown> | undefined): void {
		if (conversation === this.#conversation) return;
		this.#conversation = conversation;
		this.#look();
	}

	dispose(): void {
		this.#off();
		clearTimeout(this.#timer);
	}

	/** The client has a connection, or none. */
	#connected(isConnected: boolean): void {
		if (isConnected === this.#isConnected) return;
		this.#isConnected = isConnected;
		const { socketMs } = this.#thresholds;
		const never = isConnected || socketMs === 0;
		this.#lost = never ? undefined : watched(undefined, this, socketMs, { kind: "socket", since: Date.now() });
		this.#look();
	}

	#look(): void {
		const former = this.#watched;
		this.#watched = new Map();
		const conversation = this.#isConnected ? this.#conversation : undefined;
		if (conversation !== undefined) for (const runId of lookupOf(conversation).open) this.#watch(conversation, runOf(conversation, runId), former);
		this.#judge();
	}

	#watch(conversation: Conversation<unknown>, run: Run | undefined, former: ReadonlyMap<string, Watched>): void {
		if (run === undefined) return;
		const { runMs, toolMs } = this.#thresholds;
		const { runId, parts, openTools, status } = run;
		const since = Date.now();
		const key = `run ${runId}`;
		const { open, children } = lookupOf(conversation);
		const waits = openTools > 0 || status !== "running" || (children.get(runId)?.some((child) => open.has(child)) ?? false);
		if (!waits && runMs > 0) this.#watched.set(key, watched(former.get(key), run, runMs, { kind: "run", runId, since }));
		if (openTools === 0 || toolMs === 0) return;
		for (const part of parts) {
			if (part.kind !== "tool" || !isOpen(part)) continue;
			const of = `tool ${runId} ${part.key}`;
			// Arguments that stream in are something new.
			const moving = part.state === "pending" ? part : this;
			this.#watched.set(of, watched(former.get(of), moving, Math.max(toolMs, part.estimatedMs ?? 0), { kind: "tool", runId, key: part.key, since }));
		}
	}

	/** Says what has stalled by now, and looks again when the next one may. */
	#judge(): void {
		const now = performance.now();
		const stalls: Stall[] = [];
		let next = Number.POSITIVE_INFINITY;
		for (const { since, ms, stall } of this.#lost === undefined ? this.#watched.values() : [this.#lost]) {
			const left = since + ms - now;
			if (left <= 0) stalls.push(stall);
			else next = Math.min(next, left);
		}
		clearTimeout(this.#timer);
		if (next < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#judge(), Math.ceil(next));
		if (stalls.length === this.#stalls.length && stalls.every((stall, index) => stall === this.#stalls[index])) return;
		this.#stalls = stalls;
		this.#changed();
	}
}

/** Counts on from before if it is about the same object. */
function watched(former: Watched | undefined, of: object, ms: number, stall: Stall): Watched {
	return former?.of === of ? former : { of, ms, since: performance.now(), stall };
}

/** What happens to the server of a scenario, and to the network. */
import type { Body } from "../support/log.js";
import type { Random } from "../support/seed.js";
import type { ModelServer } from "../support/server.js";
import type { World } from "../support/world.js";
import type { Journal } from "./journal.js";
import type { Story } from "./page.js";

const MAX_EPOCHS = 12;

export class Weather {
	readonly #world: World;
	readonly #random: Random;
	readonly #server: ModelServer;
	readonly #journal: Journal;
	/** Streams whose log went back without anybody knowing it yet: nothing is written there before a page has come (LIF-4). */
	readonly #unnoticed = new Set<string>();
	#openRuns: { readonly thread: string; readonly id: string }[] = [];
	#lastRun = 0;
	#lastEvent = 0;

	constructor(world: World, server: ModelServer, journal: Journal) {
		this.#world = world;
		this.#random = world.random;
		this.#server = server;
		this.#journal = journal;
	}

	/** May a send be applied anywhere now? */
	get isSettled(): boolean {
		return this.#unnoticed.size === 0;
	}

	write(name: string, count: number): void {
		if (this.#unnoticed.has(name)) {
			if (this.#server.log(name).isOfFormerProcess && this.#server.latest?.sub(name) === undefined) return;
			this.#unnoticed.delete(name);
		}
		this.#journal.note(`${name} gets ${count}`);
		this.#server.append(name, ...this.#events(name, count));
		this.#journal.tally.add("events written", count);
	}

	trim({ name, log }: Story): void {
		if (log.head < log.oldest) return;
		const through = this.#random.integer(log.oldest, log.head);
		this.#journal.note(`${name} is trimmed through ${through}`);
		this.#server.trim(name, through);
		this.#journal.tally.add("trims");
	}

	/** A backup is put back: a new epoch. */
	restore({ name, log }: Story): void {
		if (log.lives.length >= MAX_EPOCHS) return;
		const keep = this.#random.integer(0, log.head);
		const epoch = `e${log.lives.length + 1}`;
		const events = this.#events(name, this.#random.integer(0, 4));
		this.#journal.note(`${name} is restored to ${keep} as ${epoch}, with ${events.length} more`);
		this.#unnoticed.delete(name);
		this.#server.restore(name, keep, epoch, ...events);
		this.#journal.tally.add("restores");
	}

	/** The server loses the end of a log and does not know it. */
	crash(story: Story): void {
		const { name, log } = story;
		if (log.lives.length >= MAX_EPOCHS || this.#unnoticed.has(name)) return;
		const keep = this.#random.integer(Math.min(log.oldest - 1, log.head), log.head);
		this.#journal.note(`${name} loses what follows ${keep} in a crash`);
		this.#server.crash(name, keep);
		this.#unnoticed.add(name);
		// A position beyond it would no longer be known to be wrong once something new is written there.
		story.positions = story.positions.filter(({ epoch, offset }) => epoch !== log.epoch || offset <= keep);
		this.#journal.tally.add("crashes");
	}

	/** The server ends a subscription. */
	end({ name }: Story): void {
		if (this.#server.latest?.sub(name) === undefined) return;
		this.#journal.note(`${name} is ended by the server`);
		this.#server.end(name, "forbidden");
		this.#journal.tally.add("ends");
	}

	/** The connection ends, one way or another. */
	cut(): void {
		const how = this.#random.pick(["cut", "1012", "down", "dead"] as const);
		this.#journal.note(how);
		this.#journal.tally.add(how);
		if (how === "1012") return this.#server.close(1012);
		if (how === "dead") {
			for (const { peer } of this.#server.sessions) peer.dead = true;
			return;
		}
		this.#server.cut();
		if (how === "cut") return;
		this.#server.down = true;
		this.#world.later(this.#random.pick([500, 5_000, 60_000]), () => (this.#server.down = false));
	}

	changeLatency(): void {
		this.#world.latency = this.#random.pick([0, 0, 3, 40]);
		this.#journal.note(`latency ${this.#world.latency}`);
	}

	/** The faults are over. */
	calm(): void {
		this.#world.latency = 0;
		this.#server.down = false;
		this.#server.overloaded = 0;
		this.#server.withholdReceipts = false;
		this.#server.cut();
	}

	#events(name: string, count: number): Body[] {
		return Array.from({ length: count }, () => this.#event(name));
	}

	#event(name: string): Body {
		const random = this.#random;
		this.#lastEvent += 1;
		const n = this.#lastEvent;
		switch (random.integer(1, 8)) {
			case 1:
				this.#lastRun += 1;
				this.#openRuns.push({ thread: name, id: `r${this.#lastRun}` });
				return { type: "agent_started", runId: `r${this.#lastRun}`, agent: "a", n };
			case 2: {
				const run = this.#openRuns.find(({ thread }) => thread === name);
				if (run === undefined) return { type: "tick", n };
				this.#openRuns = this.#openRuns.filter((known) => known !== run);
				return { type: "agent_completed", runId: run.id, n };
			}
			case 3:
			case 4:
				return { type: "message_delta", runId: "r0", messageId: "m", time: n, text: String(n) };
			case 5:
				return { type: random.pick(["gap", "resumed", "ended", "event"]), from: 1, to: null, n };
			default:
				return { type: "tick", n, text: "x".repeat(random.integer(0, 400)) };
		}
	}
}

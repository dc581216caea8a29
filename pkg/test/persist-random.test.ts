/** Lives of one user's pages under random faults: what was typed is stored once, in the order in which it was typed, and shown once all the time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser } from "./support/browser.js";
import { poison } from "./support/core.js";
import { persistOutbox } from "./support/package.js";
import { type Rig, rig } from "./support/rig.js";
import { ModelServer } from "./support/server.js";
import { inWorld, type World } from "./support/world.js";

const SEEDS = 150;
const STEPS = 40;

/** A page that shows the messages of its thread, and those on their way that the thread does not have yet. */
interface Life {
	readonly made: Rig;
	readonly events: string[];
}

class Story {
	readonly world: World;
	readonly browser: Browser;
	readonly server: ModelServer;
	typed: string[] = [];
	#count = 0;
	#isDeaf = false;
	#traps: number[] = [];
	readonly steps: string[] = [];
	#life: Life | undefined;

	constructor(world: World) {
		this.world = world;
		this.browser = new Browser(world);
		this.server = new ModelServer(world);
	}

	get life(): Life {
		return (this.#life ??= this.#begin());
	}

	#begin(): Life {
		const made = rig(this.world, { server: this.server, ...(this.world.random.chance(0.5) ? { user: "ada" } : {}), outbox: persistOutbox() });
		const events: string[] = [];
		made.client.thread("t").onEvent((event) => {
			if ("sendId" in event) events.push(String(event.sendId));
		});
		return { made, events };
	}

	async step(): Promise<void> {
		const { random } = this.world;
		const step = random.pick(["send", "send", "send", "crash", "cut", "down", "up", "deaf", "mute", "talk", "time", "trap", "burst"] as const);
		this.steps.push(step);
		const { server } = this;
		const { made } = this.life;
		switch (step) {
			case "send":
				this.#send();
				break;
			case "burst":
				for (let count = 0; count < 4; count += 1) this.#send();
				break;
			case "crash":
				this.browser.crash();
				made.client.close();
				this.#life = undefined;
				await this.#forget();
				break;
			case "cut":
				server.cut();
				break;
			case "down":
				server.down = true;
				server.cut();
				break;
			case "up":
				server.down = false;
				break;
			case "deaf":
				this.#isDeaf = true;
				server.incoming = (frame) => frame.type === "send";
				break;
			case "mute":
				server.outgoing = (frame) => (frame.type === "receipt" ? [] : [frame]);
				break;
			case "talk":
				this.calm();
				break;
			case "time":
				await this.world.advance(random.pick([10, 1_000, 40_000]));
				break;
			case "trap":
				// More within a minute end the client.
				this.#traps = this.#traps.filter((at) => this.world.now - at < 60_000);
				if (this.#traps.push(this.world.now) > 4) break;
				poison();
				made.client.stats();
				break;
		}
		await this.browser.settle();
	}

	calm(): void {
		// What was dropped on a socket is not followed by anything on it (SND-4).
		if (this.#isDeaf) this.server.cut();
		this.#isDeaf = false;
		this.server.incoming = () => false;
		this.server.outgoing = (frame) => [frame];
	}

	/** Everything works from now on. */
	async end(): Promise<void> {
		this.calm();
		this.server.down = false;
		this.server.cut();
		const { made, events } = this.life;
		await this.browser.settle();
		await this.world.until(() => made.client.outbox().length === 0 && events.length === this.typed.length, "everything is stored and shown");
		// What crashed pages waited for is over.
		await this.world.advance(5_000);
	}

	/** What the page shows of messages. */
	get shown(): string[] {
		const { made, events } = this.life;
		return [
			...events,
			...made.client
				.outbox()
				.map(({ id }) => id)
				.filter((id) => !events.includes(id)),
		];
	}

	/** What was typed before the server had named the user was in memory only. */
	async #forget(): Promise<void> {
		const rows = (await this.browser.rows()).map(({ id }) => id);
		const applied = this.server.applied.map(({ id }) => id);
		this.typed = this.typed.filter((id) => rows.includes(id) || applied.includes(id));
	}

	#send(): void {
		this.#count += 1;
		const id = `m${this.#count}`;
		this.typed.push(id);
		this.life.made.client.thread("t").send({ content: id }, { id });
	}
}

test("what was typed is stored once and in order, and shown once, whatever happens to the page, the network and the server", async () => {
	for (let seed = 1; seed <= SEEDS; seed += 1) {
		await inWorld(async (world) => {
			const story = new Story(world);
			try {
				for (let step = 0; step < STEPS; step += 1) {
					await story.step();
					const { shown } = story;
					assert.equal(new Set(shown).size, shown.length, "nothing is shown twice");
				}
				await story.end();
				assert.deepEqual(
					story.server.applied.map(({ id }) => id),
					story.typed,
				);
				assert.deepEqual(story.shown, story.typed);
				assert.deepEqual(await story.browser.rows(), []);
			} catch (error) {
				throw new Error(`seed ${seed}: ${story.steps.join(" ")}: ${String(error)}`, { cause: error });
			}
			world.takeUncaught();
		}, seed)();
	}
});

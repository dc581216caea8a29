/** One scenario from one seed: a page, a server, and everything that happens to them. */
import { newEngine } from "../support/rig.js";
import { ModelServer } from "../support/server.js";
import { World } from "../support/world.js";
import { Application, NAMES } from "./application.js";
import { Journal, type Tally } from "./journal.js";
import type { Story } from "./page.js";
import { Weather } from "./weather.js";

class Scenario {
	readonly #world: World;
	readonly #server: ModelServer;
	readonly #journal: Journal;
	readonly #weather: Weather;
	readonly #application: Application;

	/** `traces`: keeps every frame. */
	constructor(world: World, tally: Tally, traces: boolean) {
		const { random } = world;
		this.#world = world;
		this.#journal = new Journal(world, tally);
		this.#server = new ModelServer(world);
		this.#server.traces = traces;
		this.#server.batch = random.integer(1, 9);
		this.#server.replayPage = random.pick([3, 10_000]);
		this.#server.compacts = random.chance(0.3);
		this.#server.heartbeatMs = random.pick([1_000, 15_000]);
		this.#weather = new Weather(world, this.#server, this.#journal);
		for (const name of NAMES) this.#weather.write(name, random.integer(0, 12));
		if (random.chance(0.3)) this.#server.trim("a", random.integer(1, 8));
		this.#application = new Application(world, newEngine(), this.#server, this.#journal);
	}

	/** What was broken; nothing when all is well. */
	async run(): Promise<string | undefined> {
		const { broken } = this.#journal;
		try {
			const count = this.#world.random.integer(20, 90);
			for (let index = 0; index < count && broken.length === 0; index += 1) await this.#step();
			if (broken.length === 0) await this.#finish();
		} catch (error) {
			this.#journal.fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
		}
		this.#application.client.close();
		await this.#world.settle();
		for (const error of this.#world.takeUncaught()) if (!(error instanceof WebAssembly.RuntimeError)) this.#journal.fail(`an uncaught error: ${String(error)}`);
		for (const violation of this.#server.violations) this.#journal.fail(`the page broke ${violation}`);
		for (const warning of this.#world.socketWarnings) this.#journal.fail(`F6: ${warning}`);
		return this.#journal.report;
	}

	/** Every frame of both sides, for whoever looks into one scenario. */
	get wire(): string {
		return this.#server.sessions.flatMap(({ name, trace }) => trace.map((line) => `${name} ${line}`)).join("\n");
	}

	async #step(): Promise<void> {
		const { random } = this.#world;
		const [application, weather] = [this.#application, this.#weather];
		const story = random.pick([...application.stories.values()]);
		const handle = story.handles.size === 0 ? undefined : random.pick([...story.handles]);
		const steps: readonly (readonly [weight: number, run: () => Promise<void> | void])[] = [
			[12, () => weather.write(story.name, random.integer(1, 6))],
			[10, () => this.#pass(random.pick([0, 1, 10, 60, 300]))],
			[4, () => this.#pass(random.pick([2_000, 12_000, 40_000]))],
			[4, () => weather.cut()],
			[2, () => weather.trim(story)],
			[2, () => weather.restore(story)],
			[1, () => weather.crash(story)],
			[2, () => weather.end(story)],
			[1, () => weather.changeLatency()],
			[8, () => application.open(story)],
			[6, () => handle && application.listen(story, handle)],
			[8, () => handle && application.read(story, handle)],
			[12, () => application.pull(random.integer(1, 6))],
			[2, () => handle && application.stopListening(story, handle)],
			[2, () => handle && application.stopReading(story, handle)],
			[3, () => handle && application.close(story, handle)],
			[4, () => handle && weather.isSettled && application.send(handle)],
			[3, () => application.retry()],
			[1, () => application.trap()],
			[3, () => application.disturb()],
			[1, () => application.reload()],
		];
		let left = random.integer(
			1,
			steps.reduce((sum, [weight]) => sum + weight, 0),
		);
		for (const [weight, run] of steps) {
			left -= weight;
			if (left > 0) continue;
			await run();
			break;
		}
		if (!random.chance(0.7)) return;
		await this.#world.settle();
		for (const known of application.stories.values()) this.#check(known);
	}

	async #pass(ms: number): Promise<void> {
		this.#journal.note(`${ms} ms pass`);
		await this.#world.advance(ms);
	}

	#check(story: Story): void {
		const sub = this.#server.latest?.sub(story.name);
		story.check(sub?.caughtUp === true && this.#world.latency === 0, (rule) => this.#journal.fail(rule));
	}

	/** The faults are over: everybody gets everything that is still owed. */
	async #finish(): Promise<void> {
		const { client, stories, sent } = this.#application;
		this.#journal.note("the faults are over");
		this.#application.calm();
		this.#weather.calm();
		await this.#world.advance(1_000);
		// Whoever was ended by the server is asked for again with the next handle.
		for (const story of stories.values()) {
			if (story.handles.size === 0) continue;
			client.thread(story.name);
			story.ended = false;
		}
		for (let round = 0; round < 400 && this.#isOwed(); round += 1) {
			for (const { story, reading } of this.#application.readings) this.#application.next(story, reading);
			// A message that was transmitted five times waits for up to ten minutes (SND-19).
			await this.#world.advance(client.state.name === "connected" && round < 100 ? 100 : 5_000);
		}
		await this.#world.advance(100);
		if (client.state.name !== "connected") this.#journal.fail(`I7: the client is ${client.state.name}: ${client.state.reason}`);
		for (const story of stories.values()) {
			for (const witness of story.witnesses) {
				witness.finish();
				this.#journal.tally.add("items", witness.story.length);
			}
			this.#check(story);
		}
		for (const one of sent) this.#checkSent(one);
		for (const { id } of this.#server.received("send")) if (!this.#application.ids.has(String(id))) this.#journal.fail(`I6: nobody has sent ${String(id)}`);
		if (this.#world.peers.filter((peer) => peer.isOpen).length > 1) this.#journal.fail("I8: more than one socket is open");
		this.#journal.tally.add("scenarios");
	}

	/** Is anything still under way? */
	#isOwed(): boolean {
		const { client, stories, sent } = this.#application;
		if (client.state.name !== "connected" || sent.some(({ message }) => ["queued", "sending"].includes(message.state))) return true;
		return [...stories.values()].some(({ witnesses, log }) =>
			witnesses.some(({ place, resumes }) => resumes === 0 || place?.epoch !== log.epoch || place.offset !== log.head),
		);
	}

	#checkSent({ message, outcomes, attempts }: Application["sent"][number]): void {
		if (outcomes.length !== attempts) this.#journal.fail(`I6: ${message.id} settled ${outcomes.length} times in ${attempts} attempts, and is ${message.state}`);
		const applied = this.#server.applied.filter(({ id }) => id === message.id);
		if (applied.length > 1) this.#journal.fail(`I6: ${message.id} was applied ${applied.length} times`);
		if (message.state === "stored" && applied.length === 0) this.#journal.fail(`I6: ${message.id} is stored, and the server does not know it`);
		if (message.state === "failed") this.#journal.tally.add(`failed as ${message.error?.code}`);
	}
}

/** Runs the scenario of a seed: what it broke, and with `traces` every frame. */
export async function runScenario(seed: number, tally: Tally, traces: boolean): Promise<{ readonly broken: string | undefined; readonly wire: string }> {
	const world = new World(seed);
	world.install();
	try {
		const scenario = new Scenario(world, tally, traces);
		return { broken: await scenario.run(), wire: scenario.wire };
	} finally {
		world.uninstall();
	}
}

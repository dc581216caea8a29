/** One scenario from one seed: a page, a server, and everything that happens to them. */
import { poison } from "../support/core.js";
import type { Body } from "../support/log.js";
import { type ClientOptions, createClientIn, type From, isAgentwireError, type Position, type ThreadItem } from "../support/package.js";
import { placeText } from "../support/record.js";
import { newEngine, type Page } from "../support/rig.js";
import type { Random } from "../support/seed.js";
import { ModelServer } from "../support/server.js";
import { World } from "../support/world.js";
import { type Begin, Witness } from "./oracle.js";
import { follow, type Handle, type Life, type Reading, Story } from "./page.js";

/** Names of threads. */
const NAMES = ["a", "b", "inbox"];
/** Codes of errors that a client may report while everything is as it should be. */
const EXPECTED: ReadonlySet<string> = new Set(["internal", "stream_ended"]);
const MAX_HANDLES = 3;
const MAX_READINGS = 3;
const MAX_EPOCHS = 12;

function beginText(begin: Begin): string {
	return begin.kind === "at" ? `at ${placeText(begin.position)}` : begin.kind === "from" ? `from ${begin.life?.epoch ?? "anywhere"}/${begin.offset}` : "at the start";
}

/** What happened how often: a run whose faults do not take effect proves nothing. */
export class Tally {
	readonly counts = new Map<string, number>();

	add(what: string, count = 1): void {
		this.counts.set(what, (this.counts.get(what) ?? 0) + count);
	}
}

class Scenario {
	readonly #world: World;
	readonly #random: Random;
	readonly #tally: Tally;
	readonly #page: Page;
	readonly #server: ModelServer;
	/** What was done, for the report of a failure. */
	readonly #steps: string[] = [];
	readonly #broken: string[] = [];
	/** Of every message that the application sent. */
	readonly #ids = new Set<string>();
	readonly #options: ClientOptions;
	#life: Life;
	#lastEvent = 0;
	#lastRun = 0;
	#openRuns: { readonly thread: string; readonly id: string }[] = [];
	/** Streams whose log went back without anybody knowing it yet: nothing is written there before a page has come (LIF-4). */
	readonly #unnoticed = new Set<string>();
	/** How a handler is disturbed when it runs next. */
	#inHandler: ((story: Story, handle: Handle) => void) | undefined;

	/** `traces`: keeps every frame. */
	constructor(seed: number, world: World, tally: Tally, traces: boolean) {
		this.#world = world;
		this.#random = world.random;
		this.#tally = tally;
		this.#page = newEngine();
		this.#server = new ModelServer(world);
		this.#server.traces = traces;
		this.#server.batch = this.#random.integer(1, 9);
		this.#server.replayPage = this.#random.pick([3, 10_000]);
		this.#server.compacts = this.#random.chance(0.3);
		this.#server.heartbeatMs = this.#random.pick([1_000, 15_000]);
		this.#options = {
			url: "wss://chat.example.com/ws",
			token: () => (this.#random.chance(0.5) ? "token" : Promise.resolve("token")),
			window: { events: this.#random.pick([1, 2, 4, 16, 512]), bytes: this.#random.pick([1_024, 262_144]) },
			logger: { error() {} },
			onMetric: () => undefined,
		};
		for (const name of NAMES) this.#write(name, this.#random.integer(0, 12));
		if (this.#random.chance(0.3)) this.#server.trim("a", this.#random.integer(1, 8));
		this.#life = this.#begin();
		this.#note(`seed ${seed}`);
	}

	/** What was broken; nothing when all is well. */
	async run(): Promise<string | undefined> {
		try {
			const count = this.#random.integer(20, 90);
			for (let index = 0; index < count && this.#broken.length === 0; index += 1) await this.#step();
			if (this.#broken.length === 0) await this.#finish();
		} catch (error) {
			this.#fail(error instanceof Error ? (error.stack ?? error.message) : String(error));
		}
		this.#life.client.close();
		await this.#world.settle();
		for (const error of this.#world.takeUncaught()) if (!(error instanceof WebAssembly.RuntimeError)) this.#fail(`an uncaught error: ${String(error)}`);
		for (const violation of this.#server.violations) this.#fail(`the page broke ${violation}`);
		for (const warning of this.#world.socketWarnings) this.#fail(`F6: ${warning}`);
		if (this.#broken.length === 0) return undefined;
		return `${this.#broken.slice(0, 3).join("\n  ")}\n  steps: ${this.#steps.join(" · ")}`;
	}

	/** Every frame of both sides, for whoever looks into one scenario. */
	get wire(): string {
		return this.#server.sessions.flatMap(({ name, trace }) => trace.map((line) => `${name} ${line}`)).join("\n");
	}

	#note(step: string): void {
		this.#steps.push(`${this.#world.now}: ${step}`);
	}

	#fail(rule: string): void {
		this.#broken.push(rule);
	}

	#begin(positions: ReadonlyMap<string, Position[]> = new Map()): Life {
		const client = createClientIn(this.#page.instance, this.#options);
		client.on("error", (error) => {
			if (!EXPECTED.has(error.code)) this.#fail(`the client reported ${error.code}: ${error.message}`);
			this.#tally.add(`error ${error.code}`);
		});
		const stories = new Map(NAMES.map((name) => [name, new Story(name, this.#server.log(name))]));
		for (const [name, story] of stories) story.positions = positions.get(name) ?? [];
		return { client, stories, sent: [] };
	}

	// --- steps ---

	async #step(): Promise<void> {
		const random = this.#random;
		const story = random.pick([...this.#life.stories.values()]);
		const handles = [...story.handles];
		const handle = handles.length === 0 ? undefined : random.pick(handles);
		const steps: readonly (readonly [weight: number, run: () => Promise<void> | void])[] = [
			[12, () => this.#write(story.name, random.integer(1, 6))],
			[10, () => this.#pass(random.pick([0, 1, 10, 60, 300]))],
			[4, () => this.#pass(random.pick([2_000, 12_000, 40_000]))],
			[8, () => this.#open(story)],
			[6, () => handle && this.#listen(story, handle)],
			[8, () => handle && this.#read(story, handle)],
			[12, () => this.#pull(random.integer(1, 6))],
			[2, () => handle && this.#stopListening(story, handle)],
			[2, () => handle && this.#stopReading(story, handle)],
			[3, () => handle && this.#close(story, handle)],
			[4, () => this.#cut()],
			[2, () => this.#trim(story)],
			[2, () => this.#restore(story)],
			[1, () => this.#crash(story)],
			[3, () => handle && this.#send(handle)],
			[3, () => this.#retry()],
			[2, () => this.#end(story)],
			[1, () => this.#trap()],
			[3, () => this.#disturb()],
			[1, () => this.#reload()],
			[1, () => this.#slow()],
		];
		let left = random.integer(1, steps.reduce((sum, [weight]) => sum + weight, 0));
		for (const [weight, run] of steps) {
			left -= weight;
			if (left > 0) continue;
			await run();
			break;
		}
		if (random.chance(0.7)) await this.#settle();
	}

	async #settle(): Promise<void> {
		await this.#world.settle();
		for (const story of this.#life.stories.values()) this.#check(story);
	}

	#check(story: Story): void {
		const sub = this.#server.session0?.sub(story.name);
		story.check(sub?.caughtUp === true && this.#world.latency === 0, (rule) => this.#fail(rule));
	}

	async #pass(ms: number): Promise<void> {
		this.#note(`${ms} ms pass`);
		await this.#world.advance(ms);
	}

	// --- the server ---

	#write(name: string, count: number): void {
		if (this.#unnoticed.has(name)) {
			if (this.#server.log(name).isOfFormerProcess && this.#server.session0?.sub(name) === undefined) return;
			this.#unnoticed.delete(name);
		}
		const events: Body[] = [];
		while (events.length < count) events.push(this.#event(name));
		this.#note(`${name} gets ${count}`);
		this.#server.append(name, ...events);
		this.#tally.add("events written", count);
	}

	#event(name: string): Body {
		const random = this.#random;
		this.#lastEvent += 1;
		const n = this.#lastEvent;
		const open = this.#openRuns.filter(({ thread }) => thread === name);
		switch (random.integer(1, 8)) {
			case 1:
				this.#lastRun += 1;
				this.#openRuns.push({ thread: name, id: `r${this.#lastRun}` });
				return { type: "agent_started", runId: `r${this.#lastRun}`, agent: "a", n };
			case 2: {
				const [run] = open;
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

	#trim(story: Story): void {
		const { log } = story;
		if (log.head < log.oldest) return;
		const through = this.#random.integer(log.oldest, log.head);
		this.#note(`${story.name} is trimmed through ${through}`);
		this.#server.trim(story.name, through);
		this.#tally.add("trims");
	}

	#restore(story: Story): void {
		const { log } = story;
		if (log.lives.length >= MAX_EPOCHS) return;
		const keep = this.#random.integer(0, log.head);
		const epoch = `e${log.lives.length + 1}`;
		const events = Array.from({ length: this.#random.integer(0, 4) }, () => this.#event(story.name));
		this.#note(`${story.name} is restored to ${keep} as ${epoch}, with ${events.length} more`);
		this.#unnoticed.delete(story.name);
		this.#server.restore(story.name, keep, epoch, ...events);
		this.#tally.add("restores");
	}

	#crash(story: Story): void {
		const { log } = story;
		if (log.lives.length >= MAX_EPOCHS || this.#unnoticed.has(story.name)) return;
		const keep = this.#random.integer(Math.min(log.oldest - 1, log.head), log.head);
		this.#note(`${story.name} loses what follows ${keep} in a crash`);
		this.#server.crash(story.name, keep);
		this.#unnoticed.add(story.name);
		// What the application stored beyond it is not known to be wrong once something new is written there.
		story.positions = story.positions.filter(({ epoch, offset }) => epoch !== log.epoch || offset <= keep);
		this.#tally.add("crashes");
	}

	#end(story: Story): void {
		if (this.#server.session0?.sub(story.name) === undefined) return;
		this.#note(`${story.name} is ended by the server`);
		this.#server.end(story.name, "forbidden");
		this.#tally.add("ends");
	}

	// --- the network ---

	#cut(): void {
		const how = this.#random.pick(["cut", "1012", "down", "dead"] as const);
		this.#note(how);
		this.#tally.add(how);
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

	#slow(): void {
		this.#world.latency = this.#random.pick([0, 0, 3, 40]);
		this.#note(`latency ${this.#world.latency}`);
	}

	// --- the page ---

	#from(story: Story): From | undefined {
		const random = this.#random;
		switch (random.integer(1, 6)) {
			case 1:
				return "start";
			case 2:
				return "live";
			case 3:
				return { last: random.integer(1, 5) };
			case 4:
				return story.positions.length === 0 ? undefined : random.pick(story.positions);
			default:
				return undefined;
		}
	}

	#open(story: Story): void {
		if (story.handles.size >= MAX_HANDLES) return;
		const from = this.#from(story);
		try {
			const thread = this.#life.client.thread(story.name, { from });
			if (from !== undefined && story.from === undefined && !story.started) story.from = from;
			const handle: Handle = { thread, witness: undefined, stop: undefined, readings: new Set() };
			thread.onEnded(() => this.#ended(story));
			story.handles.add(handle);
			story.ended = false;
			this.#note(`${story.name} is opened from ${JSON.stringify(from)}`);
			this.#tally.add("handles");
		} catch (error) {
			if (!isAgentwireError(error) || error.code !== "stream_conflict") throw error;
			this.#tally.add("conflicts");
		}
	}

	/** The server ended the subscription: the handlers go on with the next consumer or handle, iterators are over. */
	#ended(story: Story): void {
		if (story.ended) return;
		this.#note(`${story.name} has ended`);
		story.end();
	}

	#listen(story: Story, handle: Handle): void {
		if (handle.stop !== undefined) return;
		const witness = this.#witness(story, undefined, true);
		const { thread } = handle;
		const keep = (position: Position): void => {
			if (this.#random.chance(0.1)) story.positions.push(position);
			const disturb = this.#inHandler;
			this.#inHandler = undefined;
			disturb?.(story, handle);
		};
		const offs = [
			thread.onEvent((event, meta) => {
				witness.event(event, meta);
				keep(meta.position);
			}),
			thread.onGap((gap) => {
				witness.gap(gap);
				keep(gap.position);
			}),
			thread.onResumed((resumed) => {
				witness.resumed(resumed);
				keep(resumed.position);
			}),
		];
		if (this.#random.chance(0.3)) {
			offs.push(thread.onEvent((event, meta) => {
				Object.freeze(event);
				Object.freeze(meta);
			}));
		}
		handle.witness = witness;
		handle.stop = () => offs.forEach((off) => off());
		this.#note(`${witness.name} listens`);
		this.#tally.add("handlers");
	}

	#witness(story: Story, own: From | undefined, ofHandlers: boolean): Witness {
		const number = this.#tally.counts.get("consumers") ?? 0;
		this.#tally.add("consumers");
		const joins = ofHandlers && story.listening.length > 0;
		const begin = story.begin(own, ofHandlers, this.#life.client.state.name === "connected");
		const witness = new Witness(`${story.name}#${number} (${ofHandlers ? "handlers" : `iterator from ${JSON.stringify(own)}`}, begins ${beginText(begin)})`, story.log, begin, () => story.owed, (rule) => this.#fail(rule));
		// What the handlers before it were given in a catch-up that is under way, it has not seen.
		if (joins) witness.forget();
		return witness;
	}

	#read(story: Story, handle: Handle): void {
		if (handle.readings.size >= MAX_READINGS) return;
		const from = this.#from(story);
		const witness = this.#witness(story, from, false);
		const reading: Reading = { witness, iterator: handle.thread.events({ from }), waiting: 0, detached: false, over: false };
		handle.readings.add(reading);
		this.#note(`${witness.name} reads`);
		this.#tally.add("iterators");
		this.#next(story, reading);
	}

	#next(story: Story, reading: Reading): void {
		if (reading.over || reading.waiting >= 3) return;
		reading.waiting += 1;
		reading.iterator.next().then(
			(result: IteratorResult<ThreadItem, undefined>) => {
				reading.waiting -= 1;
				if (result.done === true) {
					reading.over = reading.detached = true;
					return;
				}
				reading.witness.item(result.value);
				if (this.#random.chance(0.1) && reading.witness.place !== undefined) story.positions.push(reading.witness.place);
			},
			(error: unknown) => {
				reading.waiting -= 1;
				reading.over = reading.detached = true;
				if (!isAgentwireError(error) || error.code !== "stream_ended") this.#fail(`${reading.witness.name} rejected with ${String(error)}`);
			},
		);
	}

	#pull(count: number): void {
		const readings = [...this.#life.stories.values()].flatMap((story) => [...story.handles].flatMap((handle) => [...handle.readings].map((reading) => ({ story, reading }))));
		if (readings.length === 0) return;
		const { story, reading } = this.#random.pick(readings);
		for (let index = 0; index < count; index += 1) this.#next(story, reading);
	}

	#stopListening(story: Story, handle: Handle, delivering = false): void {
		if (handle.stop === undefined) return;
		this.#note(`${handle.witness?.name} stops`);
		story.leave(() => {
			handle.stop?.();
			handle.stop = undefined;
			handle.witness = undefined;
		}, delivering);
	}

	#stopReading(story: Story, handle: Handle): void {
		const [reading] = handle.readings;
		if (reading === undefined) return;
		this.#note(`${reading.witness.name} returns`);
		story.leave(() => {
			void reading.iterator.return?.();
			reading.over = reading.detached = true;
			handle.readings.delete(reading);
		});
	}

	#close(story: Story, handle: Handle, delivering = false): void {
		this.#note(`a handle of ${story.name} closes`);
		story.leave(() => {
			handle.thread.close();
			story.handles.delete(handle);
			for (const reading of handle.readings) reading.over = reading.detached = true;
		}, delivering);
		if (story.handles.size > 0) return;
		story.from = undefined;
		story.started = false;
		story.opened = new Set();
	}

	#send(handle: Handle): void {
		this.#server.withholdReceipts = this.#random.chance(0.2);
		if (this.#random.chance(0.2)) this.#server.overloaded += 1;
		if (this.#unnoticed.size > 0) return;
		this.#lastEvent += 1;
		const id = `m${this.#lastEvent}`;
		if (this.#random.chance(0.25)) this.#server.forbidden.add(id);
		this.#ids.add(id);
		const message = handle.thread.send({ content: `message ${this.#lastEvent}` }, { id });
		const sent = { message, outcomes: [], attempts: 0 };
		follow(sent, message.receipt);
		this.#life.sent.push(sent);
		this.#note(`${message.id} is sent to ${handle.thread.name}`);
		this.#tally.add("messages");
	}

	#retry(): void {
		const failed = this.#life.sent.filter(({ message }) => message.state === "failed");
		if (failed.length === 0) return;
		const sent = this.#random.pick(failed);
		follow(sent, sent.message.retry());
		this.#tally.add("retries");
	}

	/** The instance is lost, and a call finds out. */
	#trap(): void {
		if (this.#tooManyTraps()) return;
		this.#note("trap");
		this.#poison();
		if (this.#random.chance(0.5)) this.#life.client.stats();
		this.#tally.add("traps");
	}

	/** The next handler is disturbed while it runs. */
	#disturb(): void {
		switch (this.#random.integer(1, 4)) {
			case 1:
				this.#inHandler = () => {
					if (this.#tooManyTraps()) return;
					this.#note("trap in a handler");
					this.#poison();
					this.#tally.add("traps in handlers");
				};
				break;
			case 2:
				this.#inHandler = () => {
					for (let count = 0; count < 3; count += 1) this.#pull(2);
					this.#tally.add("pulls in handlers");
				};
				break;
			case 3:
				this.#inHandler = (story, handle) => {
					this.#stopListening(story, handle, true);
					this.#tally.add("stops in handlers");
				};
				break;
			default:
				this.#inHandler = (story, handle) => {
					this.#close(story, handle, true);
					this.#tally.add("closes in handlers");
				};
		}
	}

	#poison(): void {
		poison();
		for (const { handles } of this.#life.stories.values()) {
			for (const { witness, readings } of handles) {
				witness?.forget();
				for (const reading of readings) reading.witness.forget();
			}
		}
	}

	readonly #trapTimes: number[] = [];

	#tooManyTraps(): boolean {
		const now = this.#world.now;
		if (this.#trapTimes.filter((at) => now - at < 120_000).length >= 2) return true;
		this.#trapTimes.push(now);
		return false;
	}

	/** The page is left, and comes again with the positions that its application stored. */
	#reload(): void {
		this.#note("reload");
		this.#tally.add("reloads");
		const positions = new Map<string, Position[]>();
		for (const [name, story] of this.#life.stories) {
			const { slowest } = story;
			positions.set(name, slowest === undefined ? story.positions : [slowest]);
		}
		this.#life.client.close();
		this.#life = this.#begin(positions);
	}

	// --- the end ---

	/** The faults are over: everybody gets everything that is still owed. */
	async #finish(): Promise<void> {
		const { client, stories, sent } = this.#life;
		const server = this.#server;
		this.#note("the faults are over");
		this.#inHandler = undefined;
		server.down = false;
		server.overloaded = 0;
		server.withholdReceipts = false;
		this.#world.latency = 0;
		server.cut();
		await this.#world.advance(1_000);
		await this.#world.until(() => client.state.name === "connected" || client.state.name === "failed", "connected", 300_000);
		// Whoever was ended by the server is asked for again with the next handle.
		for (const story of stories.values()) {
			if (story.handles.size === 0) continue;
			client.thread(story.name);
			story.ended = false;
		}
		const readings = [...stories.values()].flatMap((story) => [...story.handles].flatMap((handle) => [...handle.readings].map((reading) => ({ story, reading }))));
		const behind = (): boolean => [...stories.values()].some(({ witnesses, log }) => witnesses.some(({ place, resumes }) => resumes === 0 || place?.epoch !== log.epoch || place.offset !== log.head));
		for (let round = 0; round < 400 && (client.state.name !== "connected" || behind() || sent.some(({ message }) => message.state === "pending")); round += 1) {
			for (const { story, reading } of readings) this.#next(story, reading);
			await this.#world.advance(behind() ? 100 : 5_000);
		}
		await this.#world.advance(100);
		if (client.state.name !== "connected") this.#fail(`the client is ${client.state.name}: ${client.state.reason}`);
		for (const story of stories.values()) {
			for (const witness of story.witnesses) {
				witness.finish();
				this.#tally.add("items", witness.story.length);
			}
			this.#check(story);
		}
		for (const { message, outcomes, attempts } of sent) {
			if (outcomes.length !== attempts) this.#fail(`I6: ${message.id} settled ${outcomes.length} times in ${attempts} attempts, and is ${message.state}`);
			const applied = server.applied.filter(({ id }) => id === message.id);
			if (applied.length > 1) this.#fail(`I6: ${message.id} was applied ${applied.length} times`);
			if (message.state === "sent" && applied.length === 0) this.#fail(`I6: ${message.id} is sent, and the server does not know it`);
			if (message.state === "failed") this.#tally.add(`failed as ${message.error?.code}`);
		}
		for (const { id } of server.received("send")) if (!this.#ids.has(String(id))) this.#fail(`I6: nobody has sent ${String(id)}`);
		if (this.#world.peers.filter((peer) => peer.isOpen).length > 1) this.#fail("I8: more than one socket is open");
		this.#tally.add("scenarios");
	}
}

/** Runs the scenario of a seed: what it broke, and with `traces` every frame. */
export async function runScenario(seed: number, tally: Tally, traces: boolean): Promise<{ readonly broken: string | undefined; readonly wire: string }> {
	const world = new World(seed);
	world.install();
	try {
		const scenario = new Scenario(seed, world, tally, traces);
		return { broken: await scenario.run(), wire: scenario.wire };
	} finally {
		world.uninstall();
	}
}

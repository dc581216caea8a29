/** What the application of a scenario does: it opens, listens, reads, sends, leaves, and is disturbed by traps. */
import { poison } from "../support/core.js";
import { type Client, type ClientOptions, createClientIn, type From, isAgentwireError, type Position, type ThreadItem } from "../support/package.js";
import { placeText } from "../support/record.js";
import type { Page } from "../support/rig.js";
import type { Random } from "../support/seed.js";
import type { ModelServer } from "../support/server.js";
import type { World } from "../support/world.js";
import type { Journal } from "./journal.js";
import { type Begin, Witness } from "./oracle.js";
import { follow, type Handle, type Reading, type Sent, Story } from "./page.js";

/** Names of threads. */
export const NAMES: readonly string[] = ["a", "b", "inbox"];
/** Codes of errors that a client may report while everything is as it should be. */
const EXPECTED: ReadonlySet<string> = new Set(["internal", "send_held", "stream_ended"]);
const MAX_HANDLES = 3;
const MAX_READINGS = 3;
/** Pulls of one iterator that wait at once. */
const MAX_PULLS = 3;
/** Traps within two minutes: more may end a client. */
const MAX_TRAPS = 2;

export class Application {
	readonly #world: World;
	readonly #random: Random;
	readonly #page: Page;
	readonly #server: ModelServer;
	readonly #journal: Journal;
	readonly #options: ClientOptions;
	/** Of every message that it sent, in all its lives. */
	readonly ids = new Set<string>();
	client: Client;
	stories: ReadonlyMap<string, Story>;
	sent: Sent[] = [];
	/** How a handler is disturbed when it runs next. */
	#inHandler: ((story: Story, handle: Handle) => void) | undefined;
	#trapTimes: number[] = [];

	constructor(world: World, page: Page, server: ModelServer, journal: Journal) {
		this.#world = world;
		this.#random = world.random;
		this.#page = page;
		this.#server = server;
		this.#journal = journal;
		this.#options = {
			url: "wss://chat.example.com/ws",
			token: () => (this.#random.chance(0.5) ? "token" : Promise.resolve("token")),
			window: { events: this.#random.pick([1, 2, 4, 16, 512]), bytes: this.#random.pick([1_024, 262_144]) },
			logger: { error() {} },
			onMetric: () => undefined,
		};
		this.stories = this.#newStories();
		this.client = this.#newClient();
	}

	/** Every iterator of every handle. */
	get readings(): { readonly story: Story; readonly reading: Reading }[] {
		return [...this.stories.values()].flatMap((story) => [...story.handles].flatMap(({ readings }) => [...readings].map((reading) => ({ story, reading }))));
	}

	/** The page is left, and comes again with the positions that its application stored. */
	reload(): void {
		this.#journal.note("reload");
		this.#journal.tally.add("reloads");
		const former = this.stories;
		this.stories = this.#newStories();
		for (const [name, { slowest, positions }] of former) {
			const story = this.stories.get(name);
			if (story !== undefined) story.positions = slowest === undefined ? positions : [slowest];
		}
		this.client.close();
		this.client = this.#newClient();
		this.sent = [];
	}

	/** Nothing is disturbed any more. */
	calm(): void {
		this.#inHandler = undefined;
	}

	// --- handles, handlers and iterators ---

	open(story: Story): void {
		if (story.handles.size >= MAX_HANDLES) return;
		const from = this.#from(story);
		try {
			const thread = this.client.thread(story.name, { from });
			if (from !== undefined && story.from === undefined && !story.started) story.from = from;
			thread.onEnded(() => this.#ended(story));
			story.handles.add({ thread, witness: undefined, stop: undefined, readings: new Set() });
			story.ended = false;
			this.#journal.note(`${story.name} is opened from ${JSON.stringify(from)}`);
			this.#journal.tally.add("handles");
		} catch (error) {
			if (!isAgentwireError(error) || error.code !== "stream_conflict") throw error;
			this.#journal.tally.add("conflicts");
		}
	}

	close(story: Story, handle: Handle, delivering = false): void {
		this.#journal.note(`a handle of ${story.name} closes`);
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

	listen(story: Story, handle: Handle): void {
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
			offs.push(
				thread.onEvent((event, meta) => {
					Object.freeze(event);
					Object.freeze(meta);
				}),
			);
		}
		handle.witness = witness;
		handle.stop = () => {
			for (const off of offs) off();
		};
		this.#journal.note(`${witness.name} listens`);
		this.#journal.tally.add("handlers");
	}

	stopListening(story: Story, handle: Handle, delivering = false): void {
		if (handle.stop === undefined) return;
		this.#journal.note(`${handle.witness?.name} stops`);
		story.leave(() => {
			handle.stop?.();
			handle.stop = undefined;
			handle.witness = undefined;
		}, delivering);
	}

	read(story: Story, handle: Handle): void {
		if (handle.readings.size >= MAX_READINGS) return;
		const from = this.#from(story);
		const witness = this.#witness(story, from, false);
		const reading: Reading = { witness, iterator: handle.thread.events({ from }), waiting: 0, detached: false, over: false };
		handle.readings.add(reading);
		this.#journal.note(`${witness.name} reads`);
		this.#journal.tally.add("iterators");
		this.next(story, reading);
	}

	stopReading(story: Story, handle: Handle): void {
		const [reading] = handle.readings;
		if (reading === undefined) return;
		this.#journal.note(`${reading.witness.name} returns`);
		story.leave(() => {
			void reading.iterator.return?.();
			reading.over = reading.detached = true;
			handle.readings.delete(reading);
		});
	}

	/** Pulls from any iterator. */
	pull(count: number): void {
		const { readings } = this;
		if (readings.length === 0) return;
		const { story, reading } = this.#random.pick(readings);
		for (let index = 0; index < count; index += 1) this.next(story, reading);
	}

	next(story: Story, reading: Reading): void {
		if (reading.over || reading.waiting >= MAX_PULLS) return;
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
				if (!isAgentwireError(error) || error.code !== "stream_ended") this.#journal.fail(`${reading.witness.name} rejected with ${String(error)}`);
			},
		);
	}

	// --- messages ---

	send({ thread }: Handle): void {
		this.#server.withholdReceipts = this.#random.chance(0.2);
		if (this.#random.chance(0.2)) this.#server.overloaded += 1;
		const id = `m${this.ids.size + 1}`;
		this.ids.add(id);
		if (this.#random.chance(0.25)) this.#server.forbidden.add(id);
		const message = thread.send({ content: `message ${id}` }, { id });
		const sent = { message, outcomes: [], attempts: 0 };
		follow(sent, message.receipt);
		this.sent.push(sent);
		this.#journal.note(`${id} is sent to ${thread.name}`);
		this.#journal.tally.add("messages");
	}

	retry(): void {
		const failed = this.sent.filter(({ message }) => message.state === "failed");
		if (failed.length === 0) return;
		const sent = this.#random.pick(failed);
		this.#journal.note(`${sent.message.id} is sent again`);
		follow(sent, sent.message.retry());
		this.#journal.tally.add("retries");
	}

	// --- traps, and handlers that do more than they should ---

	/** The instance is lost, and the next call, timer or frame finds out. */
	trap(): void {
		if (!this.#poison("trap", "traps")) return;
		if (this.#random.chance(0.5)) this.client.stats();
	}

	/** The handler that runs next does something more. */
	disturb(): void {
		this.#inHandler = this.#random.pick([
			() => {
				this.#poison("trap in a handler", "traps in handlers");
			},
			() => {
				for (let count = 0; count < 3; count += 1) this.pull(2);
				this.#journal.tally.add("pulls in handlers");
			},
			(story: Story, handle: Handle) => {
				this.stopListening(story, handle, true);
				this.#journal.tally.add("stops in handlers");
			},
			(story: Story, handle: Handle) => {
				this.close(story, handle, true);
				this.#journal.tally.add("closes in handlers");
			},
		]);
	}

	#poison(what: string, counted: string): boolean {
		const { now } = this.#world;
		this.#trapTimes = this.#trapTimes.filter((at) => now - at < 120_000);
		if (this.#trapTimes.length >= MAX_TRAPS) return false;
		this.#trapTimes.push(now);
		this.#journal.note(what);
		this.#journal.tally.add(counted);
		poison();
		for (const { handles } of this.stories.values()) {
			for (const { witness, readings } of handles) {
				witness?.forget();
				for (const reading of readings) reading.witness.forget();
			}
		}
		return true;
	}

	// --- inside ---

	#newStories(): ReadonlyMap<string, Story> {
		return new Map(NAMES.map((name) => [name, new Story(name, this.#server.log(name))]));
	}

	#newClient(): Client {
		const client = createClientIn(this.#page.instance, this.#options);
		client.on("error", (error) => {
			if (!EXPECTED.has(error.code)) this.#journal.fail(`the client reported ${error.code}: ${error.message}`);
			this.#journal.tally.add(`error ${error.code}`);
		});
		return client;
	}

	#from(story: Story): From | undefined {
		switch (this.#random.integer(1, 6)) {
			case 1:
				return "start";
			case 2:
				return "live";
			case 3:
				return { last: this.#random.integer(1, 5) };
			case 4:
				return story.positions.length === 0 ? undefined : this.#random.pick(story.positions);
			default:
				return undefined;
		}
	}

	#witness(story: Story, own: From | undefined, ofHandlers: boolean): Witness {
		const joins = ofHandlers && story.listening.length > 0;
		const begin = story.begin(own, ofHandlers, this.client.state.name === "connected");
		const what = ofHandlers ? "handlers" : `iterator from ${JSON.stringify(own)}`;
		const name = `${story.name}#${this.#journal.nextConsumer()} (${what}, begins ${beginText(begin)})`;
		const witness = new Witness(
			name,
			story.log,
			begin,
			() => story.owed,
			(rule) => this.#journal.fail(rule),
		);
		// What the handlers before it were given in a catch-up that is under way, it has not seen.
		if (joins) witness.forget();
		return witness;
	}

	/** The server ended the subscription: handlers go on with the next consumer or handle, iterators are over. */
	#ended(story: Story): void {
		if (story.ended) return;
		this.#journal.note(`${story.name} has ended`);
		story.end();
	}
}

function beginText(begin: Begin): string {
	return begin.kind === "at"
		? `at ${placeText(begin.position)}`
		: begin.kind === "from"
			? `from ${begin.life?.epoch ?? "anywhere"}/${begin.offset}`
			: "at the start";
}

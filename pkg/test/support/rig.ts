/** A client of the real package in a world, with a server. */
import assert from "node:assert/strict";
import { type Faults, freshInstance, newFaults, realEngine } from "./core.js";
import { type AgentwireError, type Client, type ClientOptions, createClientIn, Instance } from "./package.js";
import { ModelServer } from "./server.js";
import type { Frame, Peer } from "./socket.js";
import type { World } from "./world.js";

/** One page: an instance of the module, for any number of clients. */
export interface Page {
	readonly instance: Instance;
	readonly faults: Faults;
}

const pages = new WeakMap<World, Page>();

/** The page of a world: it has just been loaded, with a fresh instance. */
export function pageOf(world: World): Page {
	const page = pages.get(world) ?? newPage(world);
	pages.set(world, page);
	return page;
}

function newPage(world: World): Page {
	const page = newEngine();
	world.atEnd(() => {
		if (page.faults.resets > 0) world.staleTimers += page.faults.cores;
	});
	return page;
}

/** A page that has just been loaded. The glue has one instance: what a former page did with it is over. */
export function newEngine(): Page {
	freshInstance();
	const faults = newFaults();
	return { instance: new Instance(realEngine(faults)), faults };
}

/** Everything of one client. */
export interface Rig {
	readonly world: World;
	readonly server: ModelServer;
	readonly page: Page;
	readonly client: Client;
	readonly errors: AgentwireError[];
	/** The codes of `errors`. */
	codes(): string[];
	/** Every change of state, as `from>to reason`. */
	readonly states: string[];
	/** The newest socket, as the server sees it. */
	peer(): Peer;
	/** Every frame of a type that this world's pages sent. */
	sent(type: string): Frame[];
	/** Waits until the client is connected, and all that follows from it has happened. */
	connected(): Promise<void>;
}

export interface RigOptions extends Partial<ClientOptions> {
	/** @default a new one */
	readonly server?: ModelServer;
}

/** A client of the world's page. Its module is there at once, as with `agentwire/inline`. It connects with the first `world.settle()`. */
export function rig(world: World, options: RigOptions = {}): Rig {
	const { server = new ModelServer(world), ...given } = options;
	const page = pageOf(world);
	const client = createClientIn(page.instance, { url: "wss://chat.example.com/ws", token: () => "secret-token", ...given, autoConnect: false });
	const errors: AgentwireError[] = [];
	const states: string[] = [];
	client.on("error", (error) => errors.push(error));
	client.on("state", ({ from, to, reason }) => states.push(`${from}>${to} ${reason}`));
	if (given.autoConnect !== false) client.connect();
	world.atEnd(() => {
		client.close();
		for (const { cause } of errors) if (cause instanceof assert.AssertionError) throw cause;
		assert.deepEqual(server.violations, [], "the page keeps to the protocol");
	});
	const peer = (): Peer => {
		const last = world.peers.at(-1);
		if (last === undefined) throw new Error("no socket was opened yet");
		return last;
	};
	return {
		world,
		server,
		page,
		client,
		errors,
		states,
		peer,
		codes: () => errors.map(({ code }) => code),
		sent: (type) => world.peers.flatMap((known) => known.of(type)),
		connected: () => world.until(() => client.state.name === "connected", "connected"),
	};
}

/** What a test of a framework has: a document, a server, a page, and a look at what is left of it. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { type Client, type ClientOptions, createClientIn } from "./package.js";
import type { Page } from "./rig.js";
import { pageOf } from "./rig.js";
import { ModelServer } from "./server.js";
import type { Frame } from "./socket.js";
import { inWorld, microtasks, type World } from "./world.js";

/** Turns of the event loop in which a framework does what it put off. */
const TURNS = 6;

/** A document, a server and a page in a world. */
export interface Stage {
	readonly world: World;
	readonly server: ModelServer;
	readonly page: Page;
	/** Where to render. */
	readonly root: HTMLElement;
	/** Makes a client of the page, as `createClient` does. Every one is in `clients`. */
	readonly createClient: (options: ClientOptions) => Client;
	readonly clients: Client[];
	/** What was written to the console as a warning or an error; a test that expects it takes it away. */
	readonly said: string[];
	/** What clients reported as errors; a test that expects it takes it away. */
	readonly logged: string[];
	/** Lets everything happen that is due now, in the page and in the framework. */
	settle(): Promise<void>;
	/** Lets `ms` pass. */
	advance(ms: number): Promise<void>;
	/** Waits until the newest client is connected. */
	connected(): Promise<void>;
	/** Every frame of a type that pages sent. */
	sent(type: string): Frame[];
	/** Every subscription that was asked for, in `hello` and later, as `name` or `name from offset`. */
	subscribed(): string[];
	/** Listeners of the client on the document. */
	readonly heard: Set<string>;
	/** What is shown. */
	text(): string;
}

export const OPTIONS: ClientOptions = { url: "wss://chat.example.com/ws", token: () => "secret-token" };

/** The body of a test with a stage. When it ends, nothing may be left: no open socket, no timer, no listener, nothing on the console. */
export function onStage(body: (stage: Stage) => Promise<void>): () => Promise<void> {
	return inWorld(async (world) => {
		const server = new ModelServer(world);
		const page = pageOf(world);
		const root = document.createElement("div");
		document.body.replaceChildren(root);
		const clients: Client[] = [];
		const said: string[] = [];
		const logged: string[] = [];
		for (const level of ["warn", "error"]) world.define(level, (...texts: unknown[]) => said.push(texts.map(String).join(" ")), console);
		const heard = new Set<string>();
		for (const [method, note] of [
			["addEventListener", (type: string) => heard.add(type)],
			["removeEventListener", (type: string) => heard.delete(type)],
		] as const) {
			const real = document[method];
			const noted = (type: string, ...rest: [EventListener]): void => {
				note(type);
				real.call(document, type, ...rest);
			};
			world.define(method, noted, document);
		}
		const settle = async (): Promise<void> => {
			for (let turn = 0; turn < TURNS; turn += 1) {
				await microtasks();
				await world.settle();
			}
		};
		const sent = (type: string): Frame[] => world.peers.flatMap((peer) => peer.of(type));
		const stage: Stage = {
			world,
			server,
			page,
			root,
			clients,
			said,
			logged,
			heard,
			createClient: (options) => {
				const client = createClientIn(page.instance, options);
				clients.push(client);
				return client;
			},
			settle,
			advance: async (ms) => {
				await settle();
				await world.advance(ms);
				await settle();
			},
			connected: async () => {
				await settle();
				await world.until(() => clients.at(-1)?.state.name === "connected", "connected");
				await settle();
			},
			sent,
			subscribed: () => [...sent("hello"), ...sent("subscribe")].flatMap(({ streams }) => (streams as Subscription[]).map(nameOf)),
			text: () => root.textContent ?? "",
		};
		await body(stage);
		assert.deepEqual(said, [], "nothing is said on the console that the test does not expect");
		assert.deepEqual(logged, [], "no client reports an error that the test does not expect");
		assert.deepEqual(server.violations, []);
	});
}

/** What is left of a stage whose components are gone: nothing, after a while. */
export async function leavesNothing({ world, advance, clients, heard }: Stage): Promise<void> {
	await advance(5_000);
	const onPage = ["online", "offline", "pagehide", "pageshow", "focus"].flatMap((type) => getEventListeners(world.page, type));
	assert.deepEqual(
		{
			timers: world.timers,
			sockets: world.peers.filter(({ isOpen }) => isOpen).length,
			clients: clients.map(({ state }) => state.name).filter((name) => name !== "closed"),
			listeners: [...onPage.map(String), ...["visibilitychange", "resume"].filter((type) => heard.has(type))],
		},
		{ timers: 0, sockets: 0, clients: [], listeners: [] },
	);
}

interface Subscription {
	readonly name: string;
	readonly position?: { readonly offset: number };
}

function nameOf({ name, position }: Subscription): string {
	return position === undefined ? name : `${name} from ${position.offset}`;
}

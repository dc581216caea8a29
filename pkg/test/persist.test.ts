/** Messages that survive the page: reloads, crashes, two tabs, and storage that fails. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, Browser, type StorageFault } from "./support/browser.js";
import { poison } from "./support/core.js";
import { type Client, clearOutbox, type Message, persistOutbox } from "./support/package.js";
import { type Rig, type RigOptions, rig } from "./support/rig.js";
import { ModelServer } from "./support/server.js";
import type { Frame } from "./support/socket.js";
import { inWorld, type World } from "./support/world.js";

const URL = "wss://chat.example.com/ws";

/** A browser, and a server that outlives its pages. */
class Scene {
	readonly world: World;
	readonly browser: Browser;
	readonly server: ModelServer;
	/** Errors of all pages. */
	readonly codes: string[] = [];

	constructor(world: World, options?: { readonly hasLocks: boolean }) {
		this.world = world;
		this.browser = new Browser(world, options);
		this.server = new ModelServer(world);
	}

	/** A page begins. Without a network, its server does not answer. */
	async page(options: RigOptions = {}): Promise<Rig> {
		const made = rig(this.world, { server: this.server, user: "ada", outbox: persistOutbox(), ...options });
		made.client.on("error", ({ code }) => this.codes.push(code));
		await this.browser.settle();
		return made;
	}

	/** A page crashes with everything that it has not stored. */
	async crash({ client }: Rig): Promise<void> {
		this.browser.crash();
		client.close();
		await this.browser.settle();
	}

	/** The network comes back, and every page connects. */
	async online(...pages: readonly Rig[]): Promise<void> {
		this.server.down = false;
		for (const page of pages) await page.connected();
		await this.browser.settle();
	}

	get applied(): string[] {
		return this.server.applied.map(({ id }) => id);
	}
}

function inBrowser(body: (scene: Scene) => Promise<void>, options?: { readonly hasLocks: boolean }): () => Promise<void> {
	return inWorld((world) => body(new Scene(world, options)));
}

/** The messages on their way, as `id state`. */
const shown = (client: Client): string[] => client.outbox().map(({ id, state }) => `${id} ${state}`);

/** What a page that folds events by their `sendId` shows of messages: those of the thread, and those on their way. */
function visible(made: Rig, options: { readonly from?: "live" } = {}): () => string[] {
	const events: string[] = [];
	made.client.thread("t", options).onEvent((event) => {
		if ("sendId" in event) events.push(String(event.sendId));
	});
	return () => [
		...events,
		...made.client
			.outbox()
			.map(({ id }) => id)
			.filter((id) => !events.includes(id)),
	];
}

test(
	"messages that were typed without a network survive crashes, and are stored once and in order",
	inBrowser(async (scene) => {
		scene.server.down = true;
		const first = await scene.page();
		for (const id of ["a", "b"]) first.client.thread("t").send({ content: id, metadata: { n: 1 } }, { id });
		await scene.browser.settle();
		await scene.crash(first);
		const second = await scene.page();
		assert.deepEqual(shown(second.client), ["a queued", "b queued"]);
		second.client.thread("t").send({ content: "c" }, { id: "c" });
		await scene.browser.settle();
		await scene.crash(second);
		const lists: string[][] = [];
		const third = await scene.page({ autoConnect: false });
		third.client.on("outbox", (messages) => lists.push(messages.map(({ id }) => id)));
		const [message] = third.client.outbox();
		assert.deepEqual([message?.id, message?.thread, message?.content], ["a", "t", { type: "user_message", content: "a", metadata: { n: 1 } }]);
		const states: string[] = [];
		message?.on("change", ({ state }) => states.push(state));
		third.client.thread("t").send({ content: "d" }, { id: "d" });
		third.client.connect();
		await scene.online(third);
		assert.deepEqual(scene.applied, ["a", "b", "c", "d"]);
		assert.deepEqual([states, (await message?.receipt)?.position?.offset], [["sending", "stored"], 1]);
		assert.deepEqual(shown(third.client), []);
		assert.deepEqual(lists.at(-1), []);
		assert.deepEqual(await scene.browser.rows(), []);
		assert.deepEqual(scene.codes, []);
	}),
);

/** Where a page crashes, and what it shows of the message after the next start without a network. */
const crashes: readonly [where: string, prepare: (scene: Scene) => void, after: readonly string[]][] = [
	["before the message is transmitted", ({ server }) => (server.down = true), ["m queued"]],
	["after it is transmitted, and before it arrives", ({ server }) => (server.incoming = (frame) => frame.type === "send"), ["m queued"]],
	["after it is stored by the server, and before receipt and event", ({ server }) => (server.outgoing = without("receipt", "events")), ["m queued"]],
	["after the receipt, and before the event", ({ server }) => (server.outgoing = without("events")), ["m stored"]],
	["after the event", () => undefined, []],
];

function without(...types: readonly string[]): (frame: Frame) => readonly Frame[] {
	return (frame) => (types.includes(frame.type) ? [] : [frame]);
}

for (const [where, prepare, after] of crashes) {
	for (const receiptFirst of [true, false]) {
		test(
			`a page that crashes ${where} shows its message once, and it is stored once${receiptFirst ? "" : " (the event comes before the receipt)"}`,
			inBrowser(async (scene) => {
				prepare(scene);
				const { server } = scene;
				const first = await scene.page();
				const firstShows = visible(first);
				first.client.thread("t").send({ content: "x" }, { id: "m" });
				await scene.browser.settle();
				assert.deepEqual(firstShows(), ["m"]);
				await scene.crash(first);
				server.incoming = () => false;
				server.outgoing = (frame) => [frame];
				server.withholdReceipts = !receiptFirst;
				server.down = true;
				const second = await scene.page();
				assert.deepEqual(shown(second.client), after);
				const secondShows = visible(second);
				await scene.online(second);
				assert.deepEqual([secondShows(), scene.applied], [["m"], ["m"]]);
				assert.deepEqual(shown(second.client), [], "the event takes its place");
				assert.deepEqual(await scene.browser.rows(), []);
				server.withholdReceipts = false;
				await scene.crash(second);
				const third = await scene.page();
				const thirdShows = visible(third);
				await scene.online(third);
				assert.deepEqual([thirdShows(), scene.applied, scene.codes], [["m"], ["m"], []]);
			}),
		);
	}
}

test(
	"a message is transmitted only when its row says durably since when the server may know it",
	inBrowser(async (scene) => {
		const made = await scene.page();
		await made.connected();
		await scene.browser.settle();
		scene.browser.fault = (method) => (method === "oncomplete" ? "hangs" : undefined);
		const message = made.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		assert.deepEqual([message.state, scene.applied], ["queued", []]);
		await scene.world.advance(5_000);
		assert.deepEqual([message.state, scene.applied, scene.codes], ["stored", ["m"], ["storage_failed"]]);
		const next = made.client.thread("t").send({ content: "x" });
		await scene.browser.settle();
		assert.equal(next.state, "stored", "a browser that has failed is waited for no more");
		await scene.world.advance(5_000);
	}),
);

// PROTOCOL: SND-5
test(
	"a message that may have been transmitted in a former page is not sent again beyond the horizon of the server",
	inBrowser(async (scene) => {
		const { server } = scene;
		server.withholdReceipts = true;
		const first = await scene.page();
		await first.connected();
		first.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		await scene.crash(first);
		server.withholdReceipts = false;
		await scene.world.advance(server.sendHorizonMs + 3_600_000);
		const second = await scene.page();
		await scene.online(second);
		const [message] = second.client.outbox();
		assert.deepEqual([message?.state, message?.error?.code, scene.applied], ["failed", "outcome_unknown", ["m"]]);
		message?.retry().catch(() => undefined);
		await scene.browser.settle();
		assert.deepEqual([message?.state, server.received("send").length], ["failed", 1]);
		await scene.crash(second);
		const third = await scene.page();
		await scene.online(third);
		assert.deepEqual(shown(third.client), ["m failed"], "nobody knows yet what became of it");
		third.client.thread("t").onEvent(() => {});
		await scene.browser.settle();
		assert.deepEqual(shown(third.client), [], "its event says it");
		assert.deepEqual(await scene.browser.rows(), []);
	}),
);

// PROTOCOL: SND-5
test(
	"the age of a message of a former page is counted by the server's clock, where the server tells its time",
	inBrowser(async (scene) => {
		const { server, world } = scene;
		const begun = world.now;
		let told = 0;
		server.outgoing = (frame) => {
			if (frame.type !== "welcome") return frame.type === "receipt" || frame.type === "events" ? [] : [frame];
			return [{ ...frame, time: 1_000_000 + told + world.now - begun }];
		};
		const first = await scene.page();
		await first.connected();
		await scene.browser.settle();
		first.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		assert.equal((await scene.browser.rows())[0]?.["sentAt"], 1_000_000 + world.now - begun);
		await scene.crash(first);
		world.setWallClock(2 * server.sendHorizonMs);
		const second = await scene.page();
		await scene.online(second);
		assert.deepEqual(shown(second.client), ["m sending"], "the user has set the clock: no time has passed");
		await scene.crash(second);
		world.setWallClock(-2 * server.sendHorizonMs);
		told = server.sendHorizonMs + 3_600_000;
		const third = await scene.page();
		await scene.online(third);
		assert.deepEqual(shown(third.client), ["m failed"], "the page has slept, and its clock with it");
	}),
);

// PROTOCOL: SND-5
test(
	"a message that was first transmitted to a server that told no time does not become younger when it tells one",
	inBrowser(async (scene) => {
		const { server, world } = scene;
		server.outgoing = (frame) => (frame.type === "receipt" ? [] : [frame]);
		const first = await scene.page();
		await first.connected();
		first.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		await scene.crash(first);
		const begun = world.now;
		server.outgoing = (frame) => [frame.type === "welcome" ? { ...frame, time: 1_000_000 + world.now - begun } : frame];
		await world.advance(server.sendHorizonMs + 3_600_000);
		for (const _ of [1, 2, 3]) {
			const later = await scene.page();
			await scene.online(later);
			assert.deepEqual(shown(later.client), ["m failed"]);
			server.cut();
			await world.advance(60_000);
			await scene.online(later);
			await scene.crash(later);
		}
		assert.equal(server.received("send").length, 1);
	}),
);

test(
	"a message whose outcome is unknown is shown until the application discards it",
	inBrowser(async (scene) => {
		const { server } = scene;
		server.incoming = (frame) => frame.type === "send";
		const first = await scene.page();
		await first.connected();
		first.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		await scene.crash(first);
		await scene.world.advance(server.sendHorizonMs + 3_600_000);
		const second = await scene.page();
		await scene.online(second);
		assert.deepEqual(shown(second.client), ["m failed"]);
		second.client.outbox()[0]?.discard();
		assert.deepEqual([shown(second.client), await scene.browser.rows()], [[], []]);
	}),
);

test(
	"a message that was never transmitted is sent however long ago it was typed",
	inBrowser(async (scene) => {
		scene.server.down = true;
		const first = await scene.page();
		first.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		await scene.crash(first);
		await scene.world.advance(2 * scene.server.sendHorizonMs);
		const second = await scene.page();
		await scene.online(second);
		assert.deepEqual([scene.applied, shown(second.client)], [["m"], []]);
	}),
);

test(
	"a message that failed for certain, and one that was taken back, are not found again",
	inBrowser(async (scene) => {
		scene.server.down = true;
		scene.server.forbidden.add("refused");
		const first = await scene.page();
		const thread = first.client.thread("t");
		thread.send({ content: "x" }, { id: "refused" });
		thread.send({ content: "x" }, { id: "late", timeoutMs: 1_000 });
		const discarded = thread.send({ content: "x" }, { id: "discarded" });
		discarded.discard();
		await scene.world.advance(1_000);
		assert.deepEqual(shown(first.client), ["refused queued"]);
		assert.deepEqual([discarded.state, discarded.error?.code], ["failed", "aborted"]);
		assert.deepEqual(
			(await scene.browser.rows()).map(({ id }) => id),
			["refused"],
		);
		await scene.online(first);
		assert.deepEqual([shown(first.client), await scene.browser.rows(), scene.applied], [[], [], []]);
		void discarded.retry();
		await scene.browser.settle();
		assert.deepEqual([discarded.state, scene.applied], ["stored", ["discarded"]]);
	}),
);

// --- receipts and events ---

test(
	"a receipt is enough where the thread is not open for events",
	inBrowser(async (scene) => {
		const made = await scene.page();
		await made.connected();
		made.client.thread("t").send({ content: "x" });
		await scene.browser.settle();
		assert.deepEqual([shown(made.client), await scene.browser.rows()], [[], []]);
	}),
);

test(
	"an iterator has got the event when it is pulled",
	inBrowser(async (scene) => {
		const made = await scene.page();
		await made.connected();
		const iterator = made.client.thread("t").events();
		const first = iterator.next();
		await scene.browser.settle();
		assert.equal((await first).value?.kind, "resumed");
		made.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		assert.deepEqual(shown(made.client), ["m stored"]);
		assert.equal((await scene.browser.rows()).length, 1);
		await iterator.next();
		// What was pulled last is delivered when the next item is asked for, or at once: either way it is now.
		void iterator.next();
		assert.deepEqual([shown(made.client), await scene.browser.rows()], [[], []]);
	}),
);

test(
	"a stored message of a former page goes when the thread is beyond it, also where its event does not come again",
	inBrowser(async (scene) => {
		for (const epoch of [undefined, "e2"]) {
			scene.server.outgoing = without("events");
			const first = await scene.page();
			const thread = first.client.thread("t", { from: "live" });
			thread.onEvent(() => {});
			await first.connected();
			thread.send({ content: "x" });
			await scene.browser.settle();
			assert.equal(first.client.outbox()[0]?.state, "stored");
			await scene.crash(first);
			scene.server.outgoing = (frame) => [frame];
			if (epoch !== undefined) scene.server.restore("t", 0, epoch);
			const second = await scene.page();
			second.client.thread("t", { from: "live" }).onEvent(() => {});
			await scene.online(second);
			assert.deepEqual([shown(second.client), await scene.browser.rows()], [[], []]);
			await scene.crash(second);
		}
	}),
);

test(
	"an event of another user with the same id proves nothing",
	inBrowser(async (scene) => {
		scene.server.incoming = (frame) => frame.type === "send";
		const made = await scene.page();
		made.client.thread("t").onEvent(() => {});
		await made.connected();
		const message = made.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		scene.server.append("t", { type: "user_message", content: "y", sendId: "m", user: "bob" });
		await scene.browser.settle();
		assert.equal(message.state, "sending");
		scene.server.append("t", { type: "user_message", content: "x", sendId: "m", user: "ada" });
		await scene.browser.settle();
		assert.deepEqual([message.state, (await message.receipt).position, shown(made.client)], ["stored", { epoch: "e1", offset: 2 }, []]);
	}),
);

// --- users (I11) ---

test(
	"nothing of one user is shown or sent for another (I11)",
	inBrowser(async (scene) => {
		const { server } = scene;
		server.down = true;
		const ofAda = await scene.page();
		ofAda.client.thread("t").send({ content: "for the eyes of ada" }, { id: "a" });
		await scene.browser.settle();
		await scene.crash(ofAda);
		server.subject = "bob";
		const ofBob = await scene.page({ user: "bob" });
		const elsewhere = await scene.page({ url: "wss://chat.example.com/other" });
		assert.deepEqual([shown(ofBob.client), shown(elsewhere.client)], [[], []]);
		elsewhere.client.close();
		await scene.online(ofBob);
		assert.deepEqual([shown(ofBob.client), server.received("send")], [[], []]);
		ofBob.client.close();
		const mistaken = await scene.page();
		await scene.world.until(() => mistaken.client.state.name === "failed", "the end");
		assert.deepEqual([mistaken.client.state.reason, shown(mistaken.client), server.received("send")], ["subject_changed", [], []]);
		server.subject = "ada";
		const again = await scene.page({ user: undefined, autoConnect: false });
		again.client.thread("t").send({ content: "later" }, { id: "b" });
		assert.deepEqual(shown(again.client), ["b queued"], "nobody knows the user yet");
		again.client.connect();
		await scene.online(again);
		assert.deepEqual(scene.applied, ["a", "b"]);
		assert.deepEqual(scene.codes, ["subject_changed"]);
	}),
);

test(
	"clearOutbox deletes what is kept of one user on one server",
	inBrowser(async (scene) => {
		scene.server.down = true;
		for (const user of ["ada", "bob"]) {
			const made = await scene.page({ user });
			made.client.thread("t").send({ content: "x" }, { id: user });
			await scene.browser.settle();
			made.client.close();
		}
		const cleared = clearOutbox({ url: URL.replace("wss", "https"), user: "ada" });
		await scene.browser.settle();
		await cleared;
		assert.deepEqual(
			(await scene.browser.rows()).map(({ id }) => id),
			["bob"],
		);
		await assert.rejects(clearOutbox({ url: URL, user: "" }), { code: "invalid_option", message: /^user is ""/ });
		await assert.rejects(clearOutbox({ url: URL } as { url: string; user: string }), { code: "invalid_option" });
	}),
);

// --- two tabs ---

test(
	"a tab leaves the messages of one that is alive alone, and takes them over when it is gone",
	inBrowser(async (scene) => {
		scene.server.down = true;
		const one = await scene.page();
		one.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		const [lock] = scene.browser.locks;
		scene.browser.open();
		const two = await scene.page();
		two.client.thread("t").send({ content: "y" }, { id: "n" });
		await scene.browser.settle();
		assert.deepEqual([shown(one.client), shown(two.client)], [["m queued"], ["n queued"]]);
		assert.equal(scene.browser.locks.length, 2);
		assert.match(lock ?? "", /^agentwire outbox /);
		one.client.close();
		await scene.browser.settle();
		assert.equal(scene.browser.locks.length, 1);
		await scene.online(two);
		assert.deepEqual(scene.applied.sort(), ["m", "n"]);
		assert.deepEqual([shown(two.client), await scene.browser.rows()], [[], []]);
	}),
);

test(
	"of two tabs that find the message of a page that is gone, one takes it",
	inBrowser(async (scene) => {
		scene.server.down = true;
		const gone = await scene.page();
		gone.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		await scene.crash(gone);
		const tabs = await Promise.all([scene.page(), scene.page()]);
		assert.deepEqual(
			tabs.flatMap(({ client }) => shown(client)),
			["m queued"],
		);
		await scene.online(...tabs);
		assert.deepEqual([scene.applied, scene.server.received("send").length], [["m"], 1]);
	}),
);

test(
	"a page that starts while the one before it is still on its way out finds its messages a moment later",
	inBrowser(async (scene) => {
		scene.server.down = true;
		const left = await scene.page();
		left.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		const next = await scene.page();
		assert.deepEqual(shown(next.client), []);
		left.client.close();
		await scene.world.advance(1_000);
		await scene.browser.settle();
		assert.deepEqual(shown(next.client), ["m queued"]);
	}),
);

test(
	"a tab that is shown looks for messages of tabs that are gone",
	inBrowser(async (scene) => {
		scene.server.down = true;
		const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
		scene.world.define("document", document);
		const one = await scene.page();
		one.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		const two = await scene.page();
		one.client.close();
		document.dispatchEvent(new Event("visibilitychange"));
		await scene.browser.settle();
		assert.deepEqual(shown(two.client), []);
		document.visibilityState = "visible";
		document.dispatchEvent(new Event("visibilitychange"));
		await scene.browser.settle();
		assert.deepEqual(shown(two.client), ["m queued"]);
	}),
);

test(
	"a page in the back/forward cache holds no lock",
	inBrowser(async (scene) => {
		const made = await scene.page();
		assert.equal(scene.browser.locks.length, 1);
		scene.world.tell("pagehide", { persisted: true });
		await scene.browser.settle();
		assert.deepEqual(scene.browser.locks, []);
		scene.world.tell("pageshow", { persisted: true });
		await scene.browser.settle();
		assert.equal(scene.browser.locks.length, 1);
		made.client.close();
		await scene.browser.settle();
		assert.deepEqual(scene.browser.locks, []);
	}),
);

// PROTOCOL: SND-1, SND-5
test(
	"without Web Locks a page takes over what it finds: a message that two pages send is stored once",
	inBrowser(
		async (scene) => {
			scene.server.down = true;
			const one = await scene.page();
			one.client.thread("t").send({ content: "x" }, { id: "m" });
			await scene.browser.settle();
			const two = await scene.page();
			assert.deepEqual([shown(one.client), shown(two.client)], [["m queued"], ["m queued"]]);
			await scene.online(one, two);
			assert.deepEqual([scene.applied, shown(one.client), shown(two.client)], [["m"], [], []]);
			assert.deepEqual(await scene.browser.rows(), []);
			scene.server.down = true;
			scene.server.cut();
			await scene.browser.settle();
			one.client.thread("t").send({ content: "x" }, { id: "n" });
			await scene.browser.settle();
			const three = await scene.page();
			one.client.close();
			two.client.close();
			await scene.world.advance(scene.server.sendHorizonMs + 3_600_000);
			await scene.online(three);
			assert.equal(three.client.outbox()[0]?.error?.code, "outcome_unknown", "the other page may have sent it");
		},
		{ hasLocks: false },
	),
);

// --- storage that fails ---

const faults: readonly [name: string, fault: (method: string) => StorageFault][] = [
	["every call is denied", () => "throws"],
	["the database does not open", (method) => (method === "onsuccess" ? "hangs" : undefined)],
	["the database cannot be made", (method) => (method === "createObjectStore" ? "throws" : undefined)],
	["no transaction begins", (method) => (method === "transaction" ? "throws" : undefined)],
	["nothing can be read", (method) => (method === "getAll" ? "throws" : undefined)],
	["nothing can be written", (method) => (method === "put" ? "throws" : undefined)],
	["the storage is full", (method) => (method === "put" ? "aborts" : undefined)],
	["nothing can be deleted", (method) => (method === "delete" ? "aborts" : undefined)],
	["the browser never answers", (method) => (method.startsWith("on") ? "hangs" : undefined)],
];

for (const [name, fault] of faults) {
	test(
		`${name}: it is reported once, and messages are sent from memory`,
		inBrowser(async (scene) => {
			scene.browser.fault = fault;
			scene.server.down = true;
			const made = await scene.page();
			const thread = made.client.thread("t");
			thread.onEvent(() => {});
			const messages: Message[] = ["a", "b"].map((id) => thread.send({ content: id }, { id }));
			await scene.browser.settle();
			await scene.world.advance(60_000);
			await scene.online(made);
			messages.push(thread.send({ content: "c" }, { id: "c" }));
			await scene.browser.settle();
			assert.deepEqual(
				messages.map(({ state }) => state),
				["stored", "stored", "stored"],
			);
			await scene.world.advance(60_000);
			assert.deepEqual([scene.applied, shown(made.client)], [["a", "b", "c"], []]);
			assert.deepEqual(scene.codes, ["storage_failed"]);
			assert.match(made.errors[0]?.message ?? "", /^messages cannot be kept in this browser: ./);
		}),
	);
}

test(
	"a later version of the database, and no database at all, are reported once",
	inBrowser(async (scene) => {
		const later = await answer(scene.browser.storage.open("agentwire", 9));
		const made = await scene.page();
		made.client.thread("t").send({ content: "x" }, { id: "a" });
		await scene.online(made);
		later.close();
		scene.world.define("indexedDB", undefined);
		const other = await scene.page();
		other.client.thread("t").send({ content: "x" }, { id: "b" });
		await scene.online(other);
		assert.deepEqual(
			[scene.applied, scene.codes],
			[
				["a", "b"],
				["storage_failed", "storage_failed"],
			],
		);
	}),
);

test(
	"an upgrade that another tab blocks is not waited for",
	inBrowser(async (scene) => {
		const opening = scene.browser.storage.open("agentwire", 1);
		opening.onupgradeneeded = () => opening.result.createObjectStore("outbox", { keyPath: ["scope", "id"] });
		const old = await answer(opening);
		const deleting = scene.browser.storage.deleteDatabase("agentwire");
		const made = rig(scene.world, { server: scene.server, user: "ada", outbox: persistOutbox() });
		const message = made.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.world.settle();
		await made.connected();
		await scene.world.advance(4_999);
		assert.deepEqual([message.state, made.codes()], ["queued", []]);
		await scene.world.advance(1);
		assert.deepEqual([message.state, made.codes()], ["stored", ["storage_failed"]]);
		old.close();
		await answer(deleting);
	}),
);

test(
	"a later version of the package in another tab is not blocked",
	inBrowser(async (scene) => {
		const made = await scene.page();
		await made.connected();
		const later = await answer(scene.browser.storage.open("agentwire", 2));
		assert.equal(later.version, 2);
		const message = made.client.thread("t").send({ content: "x" });
		await scene.browser.settle();
		assert.deepEqual([message.state, scene.codes], ["stored", ["storage_failed"]]);
		later.close();
	}),
);

// --- limits and order ---

test(
	"a page takes over as many messages as there is room for, the oldest first, and the others later",
	inBrowser(async (scene) => {
		scene.server.down = true;
		const first = await scene.page();
		for (const id of ["a", "b", "c"]) first.client.thread("t").send({ content: id }, { id });
		await scene.browser.settle();
		await scene.crash(first);
		const second = await scene.page({ maxPendingSends: 2 });
		assert.deepEqual(shown(second.client), ["a queued", "b queued"]);
		await scene.online(second);
		assert.deepEqual([scene.applied, shown(second.client), await scene.browser.rows()], [["a", "b", "c"], [], []]);
	}),
);

test(
	"the messages of several pages that are gone share the room, and the rest comes when there is some",
	inBrowser(async (scene) => {
		scene.server.down = true;
		const pages = [];
		for (const id of ["a", "b", "c"]) {
			const one = await scene.page();
			one.client.thread("t").send({ content: id }, { id });
			await scene.browser.settle();
			pages.push(one);
		}
		for (const one of pages) await scene.crash(one);
		scene.server.down = false;
		scene.server.withholdReceipts = true;
		const last = await scene.page({ maxPendingSends: 2 });
		await last.connected();
		await scene.browser.settle();
		assert.deepEqual(shown(last.client).length, 2);
		scene.server.withholdReceipts = false;
		scene.server.cut();
		await scene.online(last);
		await scene.browser.settle();
		assert.deepEqual([scene.applied.length, shown(last.client), await scene.browser.rows()], [3, [], []]);
		assert.deepEqual(scene.codes, []);
	}),
);

// PROTOCOL: SND-4
test(
	"what was typed while the former messages were read goes out behind them, also from a new core",
	inBrowser(async (scene) => {
		const { server } = scene;
		server.incoming = (frame) => frame.type === "send";
		const first = await scene.page();
		await first.connected();
		first.client.thread("t").send({ content: "x" }, { id: "former" });
		await scene.browser.settle();
		await scene.crash(first);
		const second = rig(scene.world, { server, user: "ada", outbox: persistOutbox() });
		second.client.thread("t").send({ content: "x" }, { id: "typed" });
		await scene.online(second);
		assert.deepEqual(shown(second.client), ["former sending", "typed sending"]);
		const transmitted = (): unknown[] => server.session.peer.of("send").map(({ id }) => id);
		assert.deepEqual(transmitted(), ["former", "typed"]);
		poison();
		second.client.stats();
		await scene.online(second);
		assert.deepEqual(transmitted(), ["former", "typed"]);
	}),
);

test(
	"a cancel goes out behind the messages before it, and is not kept",
	inBrowser(async (scene) => {
		const made = await scene.page();
		await made.connected();
		made.client.thread("t").send({ content: "x" });
		const cancelled = made.client.thread("t").cancel("r");
		await scene.browser.settle();
		assert.equal(await cancelled, "unknown_run");
		assert.deepEqual(
			scene.server.session.peer.received.filter(({ type }) => type === "send" || type === "cancel").map(({ type }) => type),
			["send", "cancel"],
		);
		scene.server.down = true;
		scene.server.cut();
		await scene.browser.settle();
		const lost = made.client.thread("t").cancel("r");
		await scene.browser.settle();
		assert.deepEqual(await scene.browser.rows(), []);
		made.client.close();
		await assert.rejects(lost, { code: "closed" });
	}),
);

test(
	"a message that the application sends again by itself is one with the one that is found",
	inBrowser(async (scene) => {
		scene.server.withholdReceipts = true;
		const first = await scene.page();
		await first.connected();
		first.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		await scene.crash(first);
		await scene.world.advance(scene.server.sendHorizonMs + 3_600_000);
		const second = rig(scene.world, { server: scene.server, user: "ada", outbox: persistOutbox() });
		const message = second.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.online(second);
		assert.deepEqual(shown(second.client), ["m failed"]);
		assert.equal(message.error?.code, "outcome_unknown");
		assert.equal(scene.server.received("send").length, 1);
	}),
);

test(
	"a trap of the core loses nothing that is kept, and sends nothing twice",
	inBrowser(async (scene) => {
		const made = await scene.page();
		await made.connected();
		made.page.faults.trapOn = "send";
		const message = made.client.thread("t").send({ content: "x" }, { id: "m" });
		await scene.browser.settle();
		await made.connected();
		await scene.browser.settle();
		assert.deepEqual([message.state, scene.applied, scene.codes], ["stored", ["m"], ["internal"]]);
		assert.deepEqual(await scene.browser.rows(), []);
	}),
);

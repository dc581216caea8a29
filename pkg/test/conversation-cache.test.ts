/** Conversations in IndexedDB: reloads, two tabs, other users, and storage that fails. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConversationOptions, type ConversationStore, conversation, deliveryOf } from "../src/conversation.js";
import { answer, Browser } from "./support/browser.js";
import { outline } from "./support/conversation.js";
import { type CacheOptions, clearCache, persistentCache } from "./support/package.js";
import { type Rig, type RigOptions, rig } from "./support/rig.js";
import { ModelServer } from "./support/server.js";
import { inWorld, type World } from "./support/world.js";

const URL = "wss://chat.example.com/ws";

interface Tab {
	readonly made: Rig;
	readonly chat: ConversationStore;
}

/** A browser, and a server that outlives its pages. */
class Scene {
	readonly world: World;
	readonly browser: Browser;
	readonly server: ModelServer;

	constructor(world: World) {
		this.world = world;
		this.browser = new Browser(world);
		this.server = new ModelServer(world);
	}

	/** A page that shows thread `t`. */
	async page(cache: Partial<CacheOptions> = {}, options: RigOptions = {}, more: ConversationOptions = {}): Promise<Tab> {
		const made = rig(this.world, { server: this.server, ...options });
		const chat = conversation(made.client.thread("t"), { cache: persistentCache({ user: "ada", ...cache }), ...more });
		this.world.atEnd(() => chat.dispose());
		await this.browser.settle();
		return { made, chat };
	}

	async connected({ made }: Tab): Promise<void> {
		await made.connected();
		await this.browser.settle();
	}

	/** Time for a flush. */
	async flushed(): Promise<void> {
		await this.world.advance(1_100);
		await this.browser.settle();
	}

	/** A page crashes with everything that it has not stored. */
	async crash({ made }: Tab): Promise<void> {
		this.browser.crash();
		made.client.close();
		await this.browser.settle();
	}

	/** Keys of what is stored, by store. */
	async stored(): Promise<Record<"heads" | "entries", readonly unknown[]>> {
		await this.browser.settle();
		const database = await answer(this.browser.storage.open("agentwire-cache"));
		const keys = (name: string) => answer(database.transaction(name).objectStore(name).getAllKeys());
		const found = { heads: await keys("heads"), entries: await keys("entries") };
		database.close();
		return found;
	}
}

function inBrowser(body: (scene: Scene) => Promise<void>): () => Promise<void> {
	return inWorld((world) => body(new Scene(world)));
}

const lines = ({ chat }: Tab): readonly string[] => outline(chat.getSnapshot().conversation);
const user = (content: string) => ({ type: "user_message", content, user: "ada" });
const started = { type: "agent_started", runId: "r1", agent: "a" };
const delta = (text: string) => ({ type: "message_delta", runId: "r1", messageId: "m1", text });

test(
	"a page shows what a former page kept before it is connected, and goes on from exactly there",
	inBrowser(async (scene) => {
		const { server } = scene;
		server.append("t", user("Hi"), started, delta("Two "));
		const first = await scene.page();
		await scene.connected(first);
		await scene.flushed();
		const before = lines(first);
		await scene.crash(first);
		server.append("t", delta("files"));
		server.down = true;
		const second = await scene.page();
		assert.deepEqual(lines(second), before, "before any connection");
		const snapshot = second.chat.getSnapshot();
		assert.equal(snapshot.caughtUp, false);
		// It was there before: no sound is played for it.
		assert.deepEqual(
			snapshot.items.map((item) => deliveryOf(snapshot, item)),
			["replay", "replay"],
		);
		server.down = false;
		await scene.connected(second);
		await scene.world.advance(1_000);
		assert.match(lines(second).join("\n"), /Two files/);
		assert.equal(second.chat.getSnapshot().conversation.duplicates, 0);
		// Only what was missing was sent.
		const positions = second.made
			.sent("subscribe")
			.concat(second.made.sent("hello"))
			.flatMap((frame) => (frame["streams"] as { position?: object }[]) ?? []);
		assert.deepEqual(positions.at(-1)?.position, { epoch: server.log("t").epoch, offset: 3 });
	}),
);

test(
	"a flush writes what has changed, at most once a second, and when the page is hidden or ends",
	inBrowser(async (scene) => {
		const { server, browser, world } = scene;
		let puts: string[] = [];
		browser.fault = (method) => {
			if (method === "put" || method === "delete") puts.push(method);
			return undefined;
		};
		const page = await scene.page();
		await scene.connected(page);
		server.append("t", user("One"), user("Two"), started, delta("a"));
		await scene.flushed();
		// Three items, a run and the head.
		assert.equal(puts.filter((one) => one === "put").length, 5);
		puts = [];
		for (const text of ["b", "c", "d"]) {
			server.append("t", delta(text));
			await world.advance(100);
		}
		assert.deepEqual(puts, [], "not before a second is over");
		await scene.flushed();
		assert.deepEqual(puts, ["put", "put"], "the run and the head");
		puts = [];
		server.append("t", delta("e"));
		await world.settle();
		world.tell("pagehide");
		await browser.settle();
		assert.deepEqual(puts, ["put", "put"]);
	}),
);

test(
	"of two tabs, the one that is less far in the log overwrites nothing",
	inBrowser(async (scene) => {
		const { server, world } = scene;
		server.append("t", user("One"));
		const ahead = await scene.page();
		await scene.connected(ahead);
		await scene.flushed();
		const behind = await scene.page();
		await scene.connected(behind);
		await scene.flushed();
		// Both have this one, and neither has written it, when one of them loses its connection for good.
		server.append("t", user("Two"));
		await world.settle();
		server.down = true;
		server.sessions.at(-1)?.peer.drop();
		server.append("t", started, delta("x"));
		await scene.flushed();
		assert.ok(!lines(behind).join().includes("r1") && lines(ahead).length > lines(behind).length);
		const next = await scene.page();
		assert.deepEqual(lines(next), lines(ahead));
	}),
);

test(
	"two tabs write one line of records in turn",
	inBrowser(async (scene) => {
		const { server } = scene;
		server.append("t", user("One"));
		const [one, two] = [await scene.page(), await scene.page()];
		for (const page of [one, two]) await scene.connected(page);
		for (const text of ["a", "b", "c"]) {
			server.append("t", ...(text === "a" ? [started] : []), delta(text), user(text));
			await scene.flushed();
			const next = await scene.page();
			assert.deepEqual(lines(next), lines(one));
			next.chat.dispose();
		}
		await scene.crash(two);
		server.append("t", delta("d"));
		await scene.flushed();
		const last = await scene.page();
		assert.deepEqual(lines(last), lines(one));
	}),
);

test(
	"another user's conversation is never shown, and is deleted",
	inBrowser(async (scene) => {
		const { server } = scene;
		server.append("t", user("Secret"));
		const first = await scene.page();
		await scene.connected(first);
		await scene.flushed();
		await scene.crash(first);
		// The page believes that it is ada's; the server says otherwise.
		server.subject = "bob";
		const second = await scene.page();
		const shown: string[][] = [];
		second.chat.subscribe(() => shown.push([...lines(second)]));
		server.restore("t", 0, "e-of-bob", user("Of bob"));
		await scene.connected(second);
		await scene.flushed();
		assert.ok(!lines(second).join().includes("Secret"), lines(second).join());
		assert.deepEqual((await scene.stored()).heads, []);
		assert.deepEqual((await scene.stored()).entries, []);
		// One that knows the user reads nothing of another one.
		server.down = true;
		const third = await scene.page({ user: "bob" }, { user: "bob" });
		assert.deepEqual(lines(third), []);
	}),
);

test(
	"a thread that is deleted or forbidden is deleted in the cache too",
	inBrowser(async (scene) => {
		const { server } = scene;
		for (const reason of ["deleted", "forbidden"]) {
			server.append("t", user("Hi"));
			const page = await scene.page();
			await scene.connected(page);
			await scene.flushed();
			assert.equal((await scene.stored()).heads.length, 1);
			server.end("t", reason);
			await scene.flushed();
			assert.deepEqual(await scene.stored(), { heads: [], entries: [] });
			assert.equal(page.chat.getSnapshot().ended?.reason, reason);
			page.chat.dispose();
		}
	}),
);

test(
	"what another version kept, or what is not whole, is dropped",
	inBrowser(async (scene) => {
		const { server, browser } = scene;
		server.append("t", user("Hi"), started);
		const first = await scene.page({ version: "1" });
		await scene.connected(first);
		await scene.flushed();
		await scene.crash(first);
		server.down = true;
		const other = await scene.page({ version: "2" });
		assert.deepEqual(lines(other), []);
		await scene.crash(other);
		const same = await scene.page({ version: "1" });
		assert.equal(lines(same).length > 0, true);
		await scene.crash(same);
		// A record is missing.
		const database = await answer(browser.storage.open("agentwire-cache"));
		const entries = database.transaction("entries", "readwrite").objectStore("entries");
		const [key] = await answer(entries.getAllKeys());
		await answer(entries.delete(key as IDBValidKey));
		database.close();
		const cut = await scene.page({ version: "1" });
		assert.deepEqual(lines(cut), []);
		server.down = false;
		await scene.connected(cut);
		await scene.flushed();
		assert.match(lines(cut).join("\n"), /Hi/);
	}),
);

test(
	"the threads that were used last are kept, and all of a user can be deleted",
	inBrowser(async (scene) => {
		const { server, world } = scene;
		for (const name of ["a", "b", "c"]) {
			server.append(name, user(name));
			const made = rig(world, { server });
			const chat = conversation(made.client.thread(name), { cache: persistentCache({ user: "ada", maxThreads: 2 }) });
			await made.connected();
			await scene.flushed();
			chat.dispose();
			await scene.browser.settle();
		}
		const { heads } = await scene.stored();
		assert.deepEqual(heads.map((key) => (key as string[])[1]).sort(), ["b", "c"]);
		await clearCache({ url: URL, user: "bob" });
		assert.equal((await scene.stored()).heads.length, 2);
		await clearCache({ url: URL, user: "ada" });
		assert.deepEqual(await scene.stored(), { heads: [], entries: [] });
	}),
);

test(
	"storage that fails is reported once, and the conversation comes from the server",
	inBrowser(async (scene) => {
		const { server, browser } = scene;
		server.append("t", user("Hi"));
		for (const fault of ["throws", "aborts", "hangs"] as const) {
			for (const method of ["open", "get", "put"]) {
				browser.fault = (called) => (called === method ? fault : undefined);
				const page = await scene.page();
				await scene.world.advance(6_000);
				await scene.connected(page);
				server.append("t", user("more"));
				await scene.world.advance(8_000);
				await browser.settle();
				assert.match(lines(page).join("\n"), /Hi/, `${method} ${fault}`);
				const codes = page.made.codes();
				assert.ok(codes.length <= 1 && codes.every((code) => code === "storage_failed"), `${method} ${fault}: ${codes.join()}`);
				browser.fault = () => undefined;
				page.chat.dispose();
				page.made.client.close();
				await browser.settle();
				await clearCache({ url: URL, user: "ada" });
			}
		}
	}),
);

test(
	"options are checked, and a store that is disposed of while it reads follows nothing",
	inBrowser(async (scene) => {
		const { world, server } = scene;
		for (const options of [{}, { user: "" }, { user: "ada", version: 1 }, { user: "ada", maxThreads: 0 }, { user: "ada", thread: "t" }]) {
			assert.throws(() => persistentCache(options as CacheOptions), { code: "invalid_option" });
		}
		server.append("t", user("Hi"));
		const { client } = rig(world, { server });
		const cache = persistentCache({ user: "ada" });
		const initial = conversation(client.thread("x")).getSnapshot().conversation;
		assert.throws(() => conversation(client.thread("t"), { cache, initial }), { code: "invalid_option" });
		const chat = conversation(client.thread("t"), { cache });
		chat.dispose();
		await scene.browser.settle();
		await world.advance(1_000);
		assert.deepEqual(chat.getSnapshot().items, []);
	}),
);

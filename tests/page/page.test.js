// The chat page as people and screen readers meet it, calm and under faults. `cargo xtask test --only page` runs this.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, afterEach, before, test } from "node:test";
import { complaints, launch } from "./browser.js";
import { Chat, until } from "./chat.js";
import { start } from "./demo.js";
import { picture } from "./picture.js";
import { leaks, SINKS, watch } from "./secrets.js";

/** Broad: a sub-agent for each folder, several hundred events. */
const BROAD = "Give me a tour of this project";
const SHORT = "Which files mention backoff, and how often?";
const ASK_FIRST = "Ask me before you search for backoff";

const WIDE = { width: 1200, height: 760 };
const NARROW = { width: 390, height: 844 };

let demo, browser;
/** What the broad question is answered with when nothing is disturbed: the conversation, and the answer in it. */
let undisturbed;

before(async () => {
	// One after the other: what was started when the next one fails is ended below, and would hang the run otherwise.
	browser = await launch();
	try {
		demo = await start();
	} catch (error) {
		await browser.close();
		throw error;
	}
});

after(async () => {
	await browser?.close();
	await demo?.kill();
});

/** What belongs to one test goes with it. */
const opened = [];
afterEach(async () => {
	await Promise.all(opened.splice(0).map((context) => context.close()));
});

/**
 * A browser of its own for a test, with nothing stored. `socket` stands between its page and the server: it gets both and
 * returns what takes the messages of the page.
 */
async function chat({ viewport = WIDE, colorScheme = "light", socket } = {}) {
	const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce" });
	opened.push(context);
	context.setDefaultTimeout(15_000);
	const page = await context.newPage();
	if (socket !== undefined) await page.routeWebSocket(/\/ws$/, (route) => route.onMessage(socket(route.connectToServer(), route)));
	const one = new Chat(page, demo.address, complaints(page));
	one.watched = watch(page);
	await one.open();
	return one;
}

// First, while the list of conversations is short.
if (process.env.AGENTWIRE_SHOTS === "1")
	test("pictures for the docs", async () => {
		const light = await chat();
		await light.part("empty").waitFor();
		await picture(light.page, "empty-light");
		await light.ask(BROAD);
		await light.visited(3);
		await picture(light.page, "streaming-light");
		await light.openFaults();
		await light.cut();
		const back = await light.head();
		await until("more of the answer to come after the fault", async () => (await light.head()) > back + 40);
		await picture(light.page, "after-fault-light");

		const dark = await chat({ colorScheme: "dark" });
		await dark.ask(BROAD);
		await dark.visited(3);
		await picture(dark.page, "streaming-dark");

		const narrow = await chat({ viewport: NARROW });
		await narrow.ask(SHORT);
		await narrow.finished();
		await picture(narrow.page, "narrow-390");
	});

test("an undisturbed answer arrives whole", async () => {
	const one = await chat();
	await one.part("empty").waitFor();
	await one.part("example").filter({ hasText: BROAD }).click();
	await one.finished();
	await one.isTrue();
	undisturbed = { conversation: await one.text(), answer: await one.text(one.part("run")) };
	assert.match(undisturbed.conversation, new RegExp(`^- log "Conversation":\n\\s+- article "You":\n\\s+- paragraph: ${BROAD}\n`));
	assert.match(undisturbed.conversation, /article "Answer of [\w-]+: finished"/);
	one.isCalm();
});

test("cut, frozen and loaded again in the middle, the same answer reads the same", async () => {
	const one = await chat();
	await one.openFaults();
	await one.ask(BROAD);
	await one.visited(1);
	await one.cut();
	await one.visited(2);
	await one.cut();

	await one.press("Freeze traffic");
	await one.switched("Freeze traffic", true);
	const frozenAt = await one.head();
	await until("the agent to go on while nothing comes through", async () => (await one.head()) > frozenAt + 20);
	await one.part("verify").click();
	await one
		.part("verified")
		.getByText(/, [\d,]+ on the way\b/)
		.waitFor();
	await one.press("Freeze traffic");
	await one.switched("Freeze traffic", false);

	await one.runs("running").waitFor();
	await one.page.reload();
	await one.runs("running").waitFor();
	await one.connected();
	await one.openFaults();
	await one.press("Keep cutting");
	const cuts = await one.times("Cut the socket");
	await until("three more cuts", async () => (await one.times("Cut the socket")) >= cuts + 3);
	await one.press("Keep cutting");
	await one.switched("Keep cutting", false);

	await one.finished();
	await one.isTrue();
	assert.equal(await one.text(), undisturbed.conversation);
	one.isCalm({ faults: true });
});

test("an answer that a restart interrupts says so, and asking again completes it", async () => {
	const one = await chat();
	await one.openFaults();
	await one.ask(BROAD);
	await one.visited(2);
	await one.press("Restart the server");
	await one.runs("failed").waitFor();
	const interrupted = one.runs("failed");
	// A sub-agent that was at work says so too, beside the run.
	await interrupted.getByTestId("run-status").filter({ hasText: "Interrupted" }).waitFor();
	await interrupted.getByText(/^The server was restarted while the agent was at work\./).waitFor();
	await one.isTrue();
	await interrupted.getByRole("button", { name: "Ask again" }).click();
	await one.finished();
	await one.isTrue();
	assert.equal(await one.text(one.runs("completed")), undisturbed.answer);
	one.isCalm({ faults: true });
});

test("every fault does what it says, and the page comes back from it", async () => {
	const one = await chat();
	await one.openFaults();
	await one.ask(SHORT);
	await one.finished(1);

	await one.press("Cut the socket");
	await one.recovered("After the cut");
	await one.connected();
	assert.ok((await one.times("Cut the socket")) > 0);

	await one.press("Keep cutting");
	await one.switched("Keep cutting", true);
	const cuts = await one.times("Cut the socket");
	await until("two more cuts", async () => (await one.times("Cut the socket")) >= cuts + 2);
	await one.press("Keep cutting");
	await one.switched("Keep cutting", false);
	await one.recovered("After the cuts?");
	await one.connected();

	// A question that is asked now leaves the page, and nothing answers until the traffic flows.
	await one.press("Freeze traffic");
	await one.switched("Freeze traffic", true);
	await one.ask(SHORT);
	await one.page.getByText("Sending", { exact: true }).waitFor();
	await one.connected();
	await one.press("Freeze traffic");
	await one.finished(2);

	const kills = await one.times("Restart the server");
	await one.press("Restart the server");
	await one.recovered("After the restart");
	await one.connected();
	assert.equal(await one.times("Restart the server"), kills + 1);

	await one.press("Go offline");
	// The server is on this machine, where no network is needed: the page goes on trying.
	await one.part("connection").getByText("Reconnecting").waitFor();
	await one.ask(SHORT);
	await one.page.getByText("Waiting to be sent").waitFor();
	await one.press("Go offline");
	await one.connected();
	await one.finished(3);
	await one.recovered("After being offline");

	await one.press("Let the token expire");
	await one.recovered("After the token had expired");
	await one.connected();

	await one.isTrue();
	one.isCalm({ faults: true });
});

test("a search is approved as it was changed, and denied with a reason", async () => {
	const one = await chat();
	await one.ask(ASK_FIRST);
	const asked = one.page.getByRole("group", { name: /^The agent asks: May I search the files for backoff\?/ });
	const limit = asked.getByRole("textbox", { name: "Most lines" });
	await limit.fill("900");
	await asked.getByRole("textbox", { name: "Search for" }).fill("station");
	await asked.getByRole("button", { name: "Approve with changes" }).click();
	// It is said where it stands, and nothing was sent.
	await asked.getByText("This must be at most 200.").waitFor();
	assert.ok(await limit.evaluate((element) => element === document.activeElement));
	await limit.fill("2");
	await limit.press("Enter");
	await one.finished(1);
	await one.part("decision").getByText("Approved by ada, with changes.").waitFor();
	await one.part("answer").getByText("in 2 lines").waitFor();

	await one.ask(ASK_FIRST);
	await one.page.getByRole("button", { name: "Say why not…" }).click();
	await one.page.keyboard.type("not today");
	// It must not approve.
	await one.page.keyboard.press("Enter");
	await one.finished(2);
	await one.part("decision").getByText("Denied by ada: “not today”").waitFor();
	await one.part("answer").getByText("As you wish: I searched nothing.").waitFor();
	await one.isTrue();
	one.isCalm();
});

test("an error says what can be done about it, and asking again works when it is time", async () => {
	const one = await chat();
	await one.ask("Show me a failure");
	const failed = one.runs("failed");
	await failed.getByTestId("tool").and(one.page.locator('[data-state="failed"]')).waitFor();
	await failed.getByTestId("note").getByText("Ask me to list the files.").waitFor();
	await failed.getByTestId("run-ending").getByText("You asked me to fail, so I did.").waitFor();
	await failed.getByTestId("run-ending").getByText("Ask again: the second attempt works.").waitFor();
	assert.ok(await failed.getByRole("button", { name: /^Ask again in \d s$/ }).isDisabled());
	await failed.getByRole("button", { name: "Ask again", exact: true }).click();
	await one.finished();
	await one.isTrue();
	one.isCalm();
});

test("messages wait for their turn, are edited and taken back, and steer the answer at work", async () => {
	const one = await chat();
	await one.ask(BROAD);
	await one.visited(1);
	await one.ask("How many tests are there?");
	await one.ask("List the files");
	const waiting = one.part("question").and(one.page.locator('[data-state="waiting"]'));
	await waiting.nth(1).waitFor();
	await waiting.nth(1).getByText("Waits for its turn: 2 before it").waitFor();

	await waiting.first().getByRole("button", { name: "Edit" }).click();
	const field = one.page.getByRole("textbox", { name: "Your message" });
	await field.fill("How many retries are there?");
	await field.press("Enter");
	await waiting.first().getByText("How many retries are there?", { exact: true }).waitFor();
	await waiting.nth(1).getByRole("button", { name: "Take back" }).click();
	await one.page.getByText("Taken back", { exact: true }).waitFor();

	await one.page.getByRole("radio", { name: "Into this answer" }).check();
	await one.ask("skip tests");
	await one.page.getByText("Taken into the answer", { exact: true }).waitFor();
	await one.page.getByText("Left out, as you wished.").waitFor({ timeout: 45_000 });
	await one.finished(2);
	// The one that was edited, and neither the one that was taken back nor the one that steered.
	assert.equal(await one.part("run").count(), 2);
	await one.runs("completed").nth(1).getByText("retries").first().waitFor();
	await one.isTrue();
	one.isCalm();
});

test("another page of the same user sees that somebody is typing, until the message is sent", async () => {
	const one = await chat();
	await one.ask(SHORT);
	await one.finished();
	const other = new Chat(await one.page.context().newPage(), demo.address, []);
	await other.open(new URL(one.page.url()).hash);
	await other.finished();
	await other.page.getByRole("textbox", { name: "Your question" }).pressSequentially("Hello");
	const hint = one.part("hint");
	await hint.getByText("You are typing on another page").waitFor();
	await other.page.keyboard.press("Enter");
	await one.finished(2);
	assert.equal(await hint.innerText(), "");
	one.isCalm();
});

test("after a reload the conversation is there before any connection, and goes on from there", async () => {
	const one = await chat();
	await one.ask(SHORT);
	await one.finished();
	await one.part("answer").waitFor();
	const before = await one.text();
	// It is written once a second; what a page had not written when it was left comes from the server.
	await until("the end of the answer to be kept", async () => (await one.keptRuns()).includes("completed"));
	// No token, no connection: what is shown comes from this browser.
	let admit;
	const closed = new Promise((resolve) => {
		admit = resolve;
	});
	await one.page.route("**/demo/token", (route) => closed.then(() => route.continue()));
	await one.page.reload();
	await one.runs("completed").waitFor();
	assert.equal(await one.text(), before);
	assert.equal(await one.part("connection").innerText(), "Connecting…");
	admit();
	await one.connected();
	await one.ask("List the files");
	await one.finished(2);
	await one.isTrue();
	one.isCalm();
});

test("a question that the server refused goes again under its id, and is there once", async () => {
	let refusing = false;
	const sent = [];
	const one = await chat({
		socket: (server, page) => (text) => {
			const { type, id, stream } = JSON.parse(text);
			if (type === "send") sent.push(id);
			const error = { code: "quota", message: "the quota is used up", retryable: false };
			if (type === "send" && refusing) page.send(JSON.stringify({ type: "receipt", id, stream, status: "rejected", error }));
			else server.send(text);
		},
	});
	refusing = true;
	await one.ask(SHORT);
	const failed = one.part("question").filter({ hasText: "It was not sent: the quota is used up." });
	await failed.getByRole("button", { name: "Try again" }).click();
	await until("the question to be refused again", async () => sent.length === 2);
	await failed.waitFor();
	refusing = false;
	await failed.getByRole("button", { name: "Try again" }).click();
	await one.finished();
	assert.equal(sent.length, 3);
	assert.equal(new Set(sent).size, 1, `it was sent as ${sent.join(", ")}`);
	assert.equal(await one.part("question").count(), 1);
	await one.isTrue();
	one.isCalm();
});

test("a client whose token is refused begins anew with what was there, once the token is right", async () => {
	const one = await chat();
	await one.openFaults();
	await one.ask(SHORT);
	await one.finished();
	const refused = JSON.stringify({ token: "no.such.token", expiresInMs: 3_600_000 });
	await one.page.route("**/demo/token", (route) => route.fulfill({ contentType: "application/json", body: refused }));
	await one.press("Cut the socket");
	await one.part("failure").getByText("The server does not accept who you are", { exact: true }).waitFor();
	assert.equal(await one.runs("completed").count(), 1, "what was there stays");
	assert.ok(await one.part("composer").isDisabled());
	await one.page.unroute("**/demo/token");
	await one.part("failure").getByRole("button", { name: "Get a new token" }).click();
	await one.connected();
	await one.ask(SHORT);
	await one.finished(2);
	await one.isTrue();
	one.isCalm({ faults: true });
});

test("each conversation is shown by itself, with what is being written in it", async () => {
	const one = await chat();
	await one.ask(SHORT);
	await one.finished();
	const field = one.page.getByRole("textbox", { name: "Your question" });
	await field.fill("the first draft");
	await one.create();
	assert.equal(await field.inputValue(), "");
	await one.ask("List the files");
	await one.finished();
	await field.fill("the second draft");
	for (const [title, draft] of [
		[SHORT, "the first draft"],
		["List the files", "the second draft"],
	]) {
		await one.part("sidebar").locator('[data-shown="false"]').getByRole("button", { name: title, exact: true }).first().click();
		await one.part("title").getByText(title, { exact: true }).waitFor();
		await one.part("question").getByText(title, { exact: true }).waitFor();
		await one.finished();
		assert.deepEqual([await one.part("run").count(), await field.inputValue()], [1, draft]);
		await one.isTrue();
	}
	one.isCalm();
});

test("a token of another user ends the client before anything is shown, and a right one starts over", async () => {
	const one = await chat();
	await one.ask(SHORT);
	await one.finished();
	await one.page.route("**/demo/token", (route) => route.continue({ postData: JSON.stringify({ user: "eve" }) }));
	await one.page.reload();
	await one.part("failure").getByText("You are somebody else now", { exact: true }).waitFor();
	assert.equal(await one.part("question").count(), 0);
	await one.part("new-conversation").click();
	await one.page.unroute("**/demo/token");
	await one.part("failure").getByRole("button", { name: "Start over" }).click();
	await one.connected();
	await one.finished();
	await one.isTrue();
	one.isCalm();
});

test("a token of the page is in its hello and its refresh, and nowhere else", async () => {
	const one = await chat();
	await one.openFaults();
	await one.ask(SHORT);
	await one.finished();
	await one.cut();
	assert.deepEqual(await leaks(one.watched), []);
	const before = one.watched.tokens.length;
	await one.press("Let the token expire");
	await one.recovered("After the token had expired");
	await one.connected();
	await one.isTrue();
	assert.ok(one.watched.tokens.length > before + 1, "it got new ones");
	assert.deepEqual(await leaks(one.watched), []);
	await one.page.reload();
	await one.connected();
	assert.deepEqual(await leaks(one.watched), []);
	one.isCalm({ faults: true });

	// The search that found nothing finds a token that is planted, sink by sink.
	const planted = await one.watched.tokens[0];
	for (const { name, plant } of SINKS) {
		assert.ok(!(await leaks(one.watched)).includes(name), `${name}: nothing was planted there yet`);
		await one.page.evaluate(plant, planted);
		await until(`a token to be found in: ${name}`, async () => (await leaks(one.watched)).includes(name));
	}
});

test("nothing stands in the way of people who see, hear or move differently", async () => {
	const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
	const one = await chat();
	await one.part("empty").waitFor();
	await accessible("the empty page");
	await one.ask(SHORT);
	await one.finished();
	await one.text();
	await accessible("the finished page");
	await one.page.setViewportSize(WIDE);
	await one.openFaults();
	await accessible("the finished page with its faults", [WIDE]);
	await one.closeFaults();
	await one.ask(ASK_FIRST);
	await one.part("approval").waitFor();
	await accessible("a page that asks its user");
	await one.page.getByRole("button", { name: "Approve", exact: true }).click();
	await one.finished(2);
	await one.ask("Show me a failure");
	await one.runs("failed").waitFor();
	await accessible("a page with a failure");
	await one.page.setViewportSize(WIDE);
	await one.ask(BROAD);
	await one.visited(1);
	await one.ask(SHORT);
	await one.page.getByText("Waits for its turn: 1 before it").waitFor();
	await accessible("a page with a message that waits", [WIDE]);
	one.isCalm();

	/** Checks what is shown in both colours and at both widths. */
	async function accessible(what, viewports = [WIDE, NARROW]) {
		const found = [];
		const colours = new Set();
		for (const viewport of viewports) {
			await one.page.setViewportSize(viewport);
			for (const colorScheme of ["dark", "light"]) {
				await one.page.emulateMedia({ colorScheme });
				colours.add(await one.page.evaluate(() => getComputedStyle(document.body).backgroundColor));
				await one.settled();
				await one.page.evaluate(axe);
				const violations = await one.page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ["violations"] })).violations);
				for (const { id, impact, help, nodes } of violations) {
					if (impact !== "serious" && impact !== "critical") continue;
					found.push(
						`${what}, ${colorScheme}, ${viewport.width} px: ${id} (${impact}): ${help}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary}`).join(" ")}`,
					);
				}
			}
		}
		assert.deepEqual(found, []);
		assert.equal(colours.size, 2, "dark and light look the same");
	}
});

test("interrupted, the demo ends cleanly, and a page that is open says that nobody is there", async () => {
	const one = await chat();
	await one.ask(SHORT);
	await one.finished();
	await demo.stop();
	await one.part("away").getByText("The server can’t be reached", { exact: true }).waitFor();
	one.isCalm({ faults: true });
});

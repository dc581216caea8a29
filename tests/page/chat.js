// The chat page as its user has it in hand.
import assert from "node:assert/strict";

/** How long the page may take to come back after a fault, in milliseconds. */
const BACK = 20_000;
/** How long an answer may take. */
const ANSWER = 45_000;

/** What the browser says when a connection is cut or a server is away: faults that the tests make. */
const OF_FAULTS = [
	/^console: WebSocket connection to 'ws:\/\/127\.0\.0\.1:\d+\/ws' failed/,
	/^console: Failed to load resource: (net::ERR_|the server responded with a status of 502)/,
];

export class Chat {
	/** `wrong` is what the page complained about so far. */
	constructor(page, address, wrong) {
		this.page = page;
		this.address = address;
		this.wrong = wrong;
	}

	part(id) {
		return this.page.getByTestId(id);
	}

	/** The conversation. */
	get log() {
		return this.page.getByRole("log", { name: "Conversation" });
	}

	/** Opens the page and waits until it is connected. */
	async open(path = "/") {
		await this.page.goto(this.address + path);
		await this.connected();
	}

	connected() {
		return this.page
			.getByTestId("connection")
			.filter({ hasText: /^Connected$/ })
			.waitFor({ timeout: BACK });
	}

	async create() {
		await this.part("new-conversation").click();
		await this.part("empty").waitFor();
	}

	async ask(question) {
		const field = this.page.getByRole("textbox", { name: "Your question" });
		await field.fill(question);
		await field.press("Enter");
	}

	/** The runs that ended, or are, in `status`. */
	runs(status) {
		return this.page.locator(`[data-testid="run"][data-status="${status}"]`);
	}

	/** Waits until `count` answers are finished and nothing is at work. */
	async finished(count = 1) {
		await this.runs("completed")
			.nth(count - 1)
			.waitFor({ timeout: ANSWER });
		assert.equal(await this.runs("running").count(), 0);
	}

	/** Waits until the answer at work shows `count` sub-agents. */
	async visited(count) {
		await this.runs("running")
			.getByTestId("sub-agent")
			.nth(count - 1)
			.waitFor({ timeout: ANSWER });
	}

	async openFaults() {
		await this.page.getByRole("button", { name: "Break it" }).click();
		await this.part("fault-panel").waitFor();
	}

	async closeFaults() {
		await this.page.getByRole("button", { name: "Close this panel" }).click();
		await this.part("fault-panel").waitFor({ state: "hidden" });
	}

	/** Presses the control of a fault, as people find it: by the name of its group. */
	press(fault) {
		return this.fault(fault)
			.getByRole(["Keep cutting", "Freeze traffic", "Go offline"].includes(fault) ? "switch" : "button")
			.click();
	}

	fault(name) {
		return this.page.getByRole("group", { name, exact: true });
	}

	/** Waits until the panel says that a switch is on or off. */
	switched(fault, on) {
		return this.fault(fault).getByRole("switch", { checked: on }).waitFor();
	}

	/** How often a fault was made, as the panel says. */
	async times(fault) {
		const facts = await this.fault(fault)
			.getByText(/ so far$/)
			.allInnerTexts();
		return facts.length === 0 ? 0 : Number.parseInt(facts[0].replaceAll(",", ""), 10);
	}

	/** Waits until the strip says that the page has caught up after a fault, whatever came between. */
	async recovered(after) {
		const words = new RegExp(`${after}: (first event after [\\d.]+ m?s, )?caught up after [\\d.]+ m?s\\.$`);
		let said;
		await until(`the strip to say “${after}: … caught up after …”`, async () => {
			said = plain(await this.part("recovery").innerText());
			return words.test(said);
		}).catch((error) => assert.fail(`${error.message}; it says “${said}”`));
	}

	/** Cuts once, and waits until the page is back. */
	async cut() {
		const before = await this.times("Cut the socket");
		await this.press("Cut the socket");
		await until("the cut to be counted", async () => (await this.times("Cut the socket")) > before);
		await this.connected();
		await this.recovered("After the cuts?");
	}

	/** The head of this conversation's log, read past the page. */
	async head() {
		const id = decodeURIComponent(/#\/c\/(.+)$/.exec(this.page.url())?.[1] ?? "");
		assert.notEqual(id, "", "the address names no conversation");
		const body = JSON.stringify({ user: "ada" });
		const desk = await fetch(`${this.address}/demo/token`, { method: "POST", headers: { "content-type": "application/json" }, body });
		const authorization = `Bearer ${(await desk.json()).token}`;
		const response = await fetch(`${this.address}/v1/threads/${encodeURIComponent(id)}/events?from=1&limit=1`, { headers: { authorization } });
		assert.equal(response.status, 200);
		return (await response.json()).head;
	}

	/** Has the page compare all it got with the log: nothing lost, nothing doubled, no event left out, and all of it is what is shown. */
	async isTrue() {
		await this.connected();
		const head = await this.head();
		assert.ok(head > 0, "there is nothing to compare");
		await this.part("verify").click();
		const expected = `lost 0 · doubled 0 | ${head.toLocaleString("en")} events compared with the log`;
		let found;
		await until(`the strip to say “${expected}”`, async () => {
			found = `${plain(await this.part("counters").innerText())} | ${plain(await this.part("verified").innerText())}`;
			return found.startsWith(`${expected} `) && !found.includes("on the way") && found.endsWith("; shown as logged");
		}).catch((error) => assert.fail(`${error.message}; it says “${found}”`));
		assert.equal(await this.part("counters").getAttribute("data-state"), "right");
	}

	/**
	 * What the conversation says to a screen reader, with every step, argument and result unfolded. Left out is only what
	 * no two runs share: the time of a question and how long a run or a tool took.
	 */
	async text(part = this.log) {
		await until("everything to be unfolded", () =>
			part.evaluate((element) => {
				const folded = element.querySelectorAll('[aria-expanded="false"]');
				for (const button of folded) button.click();
				return folded.length === 0;
			}),
		);
		await part.evaluate((element) => {
			for (const time of element.querySelectorAll("time, .time")) time.setAttribute("aria-hidden", "true");
		});
		return part.ariaSnapshot();
	}

	/** The states of the runs that the browser has kept of every conversation. */
	keptRuns() {
		return this.page.evaluate(async () => {
			const done = (request) =>
				new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
			const database = await done(indexedDB.open("agentwire-cache"));
			const entries = await done(database.transaction("entries").objectStore("entries").getAll());
			database.close();
			return entries.flatMap(({ value }) => value.status ?? []);
		});
	}

	/** Waits until no change of colours or places is under way: a child begins its own when that of its parent ends. */
	async settled() {
		const still = await this.page.evaluate(async () => {
			let calm = 0;
			for (let frame = 0; frame < 300 && calm < 3; frame += 1) {
				await new Promise((resolve) => requestAnimationFrame(resolve));
				calm = document.getAnimations().some((animation) => animation instanceof CSSTransition) ? 0 : calm + 1;
			}
			return calm === 3;
		});
		assert.ok(still, "the page does not stop changing");
	}

	/** The page complained about nothing; `faults`: about nothing but the faults that were made. */
	isCalm({ faults = false } = {}) {
		const rest = faults ? this.wrong.filter((line) => !OF_FAULTS.some((pattern) => pattern.test(line))) : this.wrong;
		assert.deepEqual(rest, []);
	}
}

/** Waits until `condition` holds. Asks again and again, as what it asks has no events to wait for. */
export async function until(what, condition, limit = BACK) {
	const deadline = Date.now() + limit;
	while (!(await condition())) {
		if (Date.now() > deadline) throw new Error(`waited ${limit / 1000} s for ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 25));
	}
}

function plain(text) {
	return text.replace(/\s+/g, " ").trim();
}

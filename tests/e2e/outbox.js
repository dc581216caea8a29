// Brings what the page recorded to the server: numbered batches, one request at a time, and beacons when the page goes.

/** A batch is posted when it holds this many records … */
const BATCH_RECORDS = 200;
/** … or after this many milliseconds. */
const BATCH_MS = 100;
/** Records in one batch at the most, so that a beacon stays below the 64 KiB that browsers allow. */
const MAX_RECORDS = 1000;

/**
 * Each batch keeps its number until the server has answered it, so the server can tell a batch that is missing from an
 * event that is. A batch whose answer was under way when the page left comes twice and counts once.
 */
export class Outbox {
	/** Batches that the server has not answered. */
	#unanswered = [];
	#records = [];
	#bodies = [];
	#facts = [];
	#epochs = [];
	#next = 0;
	#timer = undefined;
	#busy = false;
	#left = false;
	/** The last request failed. */
	#failing = false;

	/** `view()` is what the page knows now; `control(answer)` gets the server's answer to each batch. */
	constructor(life, view, control) {
		this.life = life;
		this.view = view;
		this.control = control;
		this.#arm();
	}

	record(offset, epoch, replay, print, body) {
		let index = this.#epochs.indexOf(epoch);
		if (index < 0) index = this.#epochs.push(epoch) - 1;
		this.#records.push([offset, index, replay ? 1 : 0, print]);
		this.#bodies.push(body);
		if (this.#left) this.leave();
		else if (this.#records.length >= BATCH_RECORDS) void this.#post();
	}

	/** Facts are rare and somebody waits for them: they go at once. */
	fact(fact) {
		this.#facts.push(fact);
		if (this.#left) this.leave();
		else void this.#post();
	}

	/** Says good-bye: everything that the server has not answered goes by beacon. Safe to call again. */
	leave() {
		this.#left = true;
		clearTimeout(this.#timer);
		while (this.#records.length > 0 || this.#facts.length > 0) this.#seal();
		if (this.#unanswered.length === 0) this.#seal();
		const batches = this.#unanswered.splice(0);
		const last = batches.at(-1);
		for (const batch of batches) {
			navigator.sendBeacon("/record", JSON.stringify({ ...batch.content, final: batch === last }));
		}
	}

	/** The page is back after it said good-bye: it was kept while another one was shown. */
	back() {
		this.#left = false;
		if (!this.#busy) this.#arm();
	}

	#arm() {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => void this.#post(), BATCH_MS);
	}

	#seal() {
		const content = {
			life: this.life,
			seq: this.#next,
			final: false,
			epochs: this.#epochs.slice(),
			records: this.#records.splice(0, MAX_RECORDS),
			facts: this.#facts.splice(0),
			view: this.view(),
		};
		this.#next += 1;
		const bodies = this.#bodies.splice(0, MAX_RECORDS);
		const batch = { content, bodies };
		this.#unanswered.push(batch);
		return batch;
	}

	async #post() {
		if (this.#busy || this.#left) return;
		this.#busy = true;
		clearTimeout(this.#timer);
		try {
			// Nothing new is sealed before the old is through, so that a page without a network does not pile up batches.
			if (this.#unanswered.length === 0) this.#seal();
			const [batch] = this.#unanswered;
			const { content, bodies } = batch;
			if (bodies.length > 0) content.digest ??= await sha256(bodies);
			if (this.#left) return;
			const response = await fetch("/record", { method: "POST", body: JSON.stringify(content) });
			if (!response.ok) throw new Error(`the recorder answered ${response.status}`);
			const answer = await response.json();
			this.#failing = false;
			const index = this.#unanswered.indexOf(batch);
			if (index >= 0) this.#unanswered.splice(index, 1);
			this.control(answer);
		} catch (error) {
			// The batch stays unanswered and goes again; if it never arrives, the server finds a hole and says so.
			if (!this.#failing) console.error("a batch was not taken:", error);
			this.#failing = true;
		} finally {
			this.#busy = false;
			if (!this.#left) {
				const full = this.#records.length >= BATCH_RECORDS || this.#facts.length > 0;
				if (full && !this.#failing) void this.#post();
				else this.#arm();
			}
		}
	}
}

async function sha256(bodies) {
	const bytes = new TextEncoder().encode(bodies.map((body) => `${body}\n`).join(""));
	const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
	return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

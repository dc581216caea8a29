/**
 * Chromium's DevTools protocol over the pipe: commands and their answers, nothing else. No domain is ever enabled, so the browser
 * sends no event about what a page does; with the Network domain on, each WebSocket frame would cost the page an event.
 */
export class Cdp {
	#pipe;
	#nextId = 1;
	/** @type {Map<number, { resolve: (result: any) => void, reject: (error: Error) => void, method: string }>} */
	#open = new Map();
	/** @type {Error | undefined} */
	#lost;

	/** @param {import("node:stream").Writable} input @param {import("node:stream").Readable} output */
	constructor(input, output) {
		this.#pipe = input;
		let rest = "";
		output.setEncoding("utf8");
		output.on("data", (chunk) => {
			const parts = (rest + chunk).split("\0");
			rest = parts.pop() ?? "";
			for (const part of parts) this.#answer(JSON.parse(part));
		});
		for (const stream of [input, output]) {
			stream.on("error", () => this.lost(new Error("the pipe to Chromium broke")));
			stream.on("close", () => this.lost(new Error("Chromium ended")));
		}
	}

	send(method, params = {}, sessionId = undefined) {
		if (this.#lost !== undefined) return Promise.reject(this.#lost);
		const id = this.#nextId++;
		return new Promise((resolve, reject) => {
			this.#open.set(id, { resolve, reject, method });
			this.#pipe.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
		});
	}

	/** Why there is no answer any more. */
	get reason() {
		return this.#lost;
	}

	lost(error) {
		if (this.#lost !== undefined) return;
		this.#lost = error;
		for (const { reject } of this.#open.values()) reject(error);
		this.#open.clear();
	}

	#answer({ id, result, error }) {
		const open = this.#open.get(id);
		if (open === undefined) return;
		this.#open.delete(id);
		if (error === undefined) open.resolve(result);
		else open.reject(new Error(`${open.method}: ${error.message}`));
	}
}

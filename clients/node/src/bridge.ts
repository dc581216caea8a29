/** The entry of this package: one server, one key. */
import { Claims } from "./deliver/claims.js";
import type { Message, MessageHandler } from "./deliver/types.js";
import { type FetchHandler, receiver, type WebhookOptions } from "./deliver/webhook.js";
import { Worker, type WorkOptions } from "./deliver/worker.js";
import type { Run } from "./run/run.js";
import { start } from "./run/start.js";
import type { RunOptions } from "./run/types.js";
import { withinRun } from "./run/within.js";
import { type BridgeOptions, type Settings, settingsOf } from "./settings.js";

export class Bridge {
	readonly #settings: Settings;
	readonly #claims: Claims = new Claims();

	/** Checks the options and makes no request. Throws a `BridgeError` of code `bad_option`. */
	constructor(options: BridgeOptions = {}) {
		this.#settings = settingsOf(options);
	}

	/**
	 * Runs an agent in a thread, or for a message of a user, which it claims. The run ends when `work` ends: completed, failed if
	 * it throws (and the error is thrown again), or cancelled if a user cancelled it. Returns what `work` returns.
	 */
	async run<T>(target: string | Message, options: RunOptions, work: (run: Run) => Promise<T> | T): Promise<T> {
		return await withinRun(await this.start(target, options), this.#settings, work);
	}

	/** Begins a run that ends with `complete`, `fail` or `cancel`, or as failed with `await using`. Resolves when its start is durable. */
	async start(target: string | Message, options: RunOptions): Promise<Run> {
		return await start(this.#settings, this.#claims, target, options);
	}

	/** Works on the messages of users until `options.signal`. Resolves when all handlers have ended. */
	async work(options: WorkOptions, handler: MessageHandler): Promise<void> {
		await new Worker(this.#settings, this.#claims, options, handler).run();
	}

	/** Makes a fetch-style handler for the webhook of the server; `nodeHandler` serves it with `node:http` or Express. */
	webhook(options: WebhookOptions, handler: MessageHandler): FetchHandler {
		return receiver(this.#settings, this.#claims, options, handler);
	}
}

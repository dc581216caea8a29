/** Keeps the lease of a run while it has nothing to say. */
import { isBridgeError } from "../errors.js";
import { request, type Server } from "../http/request.js";

export interface LeaseHooks {
	readonly cancelled: () => void;
	readonly over: () => void;
	readonly failed: (error: unknown) => void;
}

export class Lease {
	readonly #server: Server;
	readonly #path: string;
	readonly #hooks: LeaseHooks;
	readonly #timer: NodeJS.Timeout;
	#beating = false;
	#stopped = false;

	/** Sends a heartbeat after each third of the lease without an event, so that two may be lost. */
	constructor(server: Server, path: string, leaseMs: number, hooks: LeaseHooks) {
		this.#server = server;
		this.#path = path;
		this.#hooks = hooks;
		this.#timer = setTimeout(() => void this.#beat(), leaseMs / 3);
	}

	/** An event goes out or was written. */
	touch(): void {
		if (!this.#stopped) this.#timer.refresh();
	}

	stop(): void {
		this.#stopped = true;
		clearTimeout(this.#timer);
	}

	async #beat(): Promise<void> {
		this.touch();
		if (this.#beating) return;
		this.#beating = true;
		try {
			const { isOpen, isCancelled } = await request(this.#server, "POST", this.#path, { body: "{}" });
			if (this.#stopped) return;
			if (isOpen === false) this.#hooks.over();
			else if (isCancelled === true) this.#hooks.cancelled();
		} catch (error) {
			// The next one comes soon enough, if the server only could not be reached.
			if (!this.#stopped && !(isBridgeError(error) && error.retryable)) this.#hooks.failed(error);
		} finally {
			this.#beating = false;
		}
	}
}

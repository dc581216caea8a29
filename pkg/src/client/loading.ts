/** From `connect()` to the wasm instance: loads it, again after a failure, and opens the first socket meanwhile. */
import type { Instance } from "../core/instance.js";
import { AgentwireError, describe } from "../shared/errors.js";
import { EarlySocket } from "./early.js";
import { watchBrowser } from "./network.js";
import type { Settings } from "./options.js";
import type { TokenSource } from "./token.js";

/** Gets the wasm instance: at once, or when it is loaded. */
export type Loader = (wasm: string | URL | undefined) => Instance | Promise<Instance>;

/** Callbacks of the loading. */
export interface LoadingHooks {
	loaded(instance: Instance, early: EarlySocket | undefined): void;
	/** No further try makes sense. */
	failed(error: AgentwireError): void;
	/** The next try begins after `delay` milliseconds. */
	missed(error: AgentwireError, delay: number, attempt: number): void;
	retrying(attempt: number): void;
}

/** The least time between two tries that something outside asks for, in milliseconds. */
const HURRIED_MS = 2_000;

export class Loading {
	readonly #settings: Settings;
	readonly #load: Loader;
	readonly #tokens: TokenSource;
	readonly #hooks: LoadingHooks;
	#early: EarlySocket | undefined;
	#retry: ReturnType<typeof setTimeout> | undefined;
	/** Ends the wait for the next try. */
	#proceed: (() => void) | undefined;
	#unwatch: () => void = () => undefined;
	#triedAt = 0;
	#cancelled = false;

	constructor(settings: Settings, load: Loader, tokens: TokenSource, hooks: LoadingHooks) {
		this.#settings = settings;
		this.#load = load;
		this.#tokens = tokens;
		this.#hooks = hooks;
	}

	begin(): void {
		let loading: Instance | Promise<Instance>;
		try {
			loading = this.#load(this.#settings.wasm);
		} catch (error) {
			return this.#missed(error, 0);
		}
		if (!(loading instanceof Promise)) return this.#hooks.loaded(loading, undefined);
		this.#early = new EarlySocket(this.#settings.url, this.#tokens);
		this.#await(loading, 0);
	}

	/** Tries now in place of later, but no sooner than 2 seconds after the try before. */
	hurry(): void {
		const proceed = this.#proceed;
		if (proceed === undefined) return;
		clearTimeout(this.#retry);
		this.#retry = setTimeout(proceed, Math.max(0, this.#triedAt + HURRIED_MS - performance.now()));
	}

	cancel(): void {
		this.#cancelled = true;
		this.#unwatch();
		this.#proceed = undefined;
		clearTimeout(this.#retry);
		this.#early?.cancel();
		this.#early = undefined;
	}

	#await(loading: Promise<Instance>, attempt: number): void {
		loading.then(
			(instance) => {
				if (this.#cancelled) return;
				const early = this.#early;
				this.#early = undefined;
				this.#hooks.loaded(instance, early);
			},
			(error: unknown) => {
				if (!this.#cancelled) this.#missed(error, attempt);
			},
		);
	}

	#missed(thrown: unknown, attempt: number): void {
		this.#early?.cancel();
		this.#early = undefined;
		const error = thrown instanceof AgentwireError ? thrown : new AgentwireError("wasm_failed", describe(thrown), { cause: thrown });
		if (!error.retryable) return this.#hooks.failed(error);
		const { backoffBaseMs, backoffMaxMs } = this.#settings.config;
		// As the core does it, whose options these are (CLS-4): the first step as a whole, the upper half of the later ones.
		const step = Math.min(backoffMaxMs ?? 20_000, backoffBaseMs * 2 ** attempt);
		const delay = attempt === 0 ? Math.random() * step : step - (Math.random() * step) / 2;
		this.#triedAt = performance.now();
		this.#proceed = () => {
			this.#proceed = undefined;
			this.#unwatch();
			this.#hooks.retrying(attempt + 1);
			if (!this.#cancelled) this.#await(this.#again(), attempt + 1);
		};
		this.#retry = setTimeout(this.#proceed, delay);
		const hurry = (): void => this.hurry();
		this.#unwatch = watchBrowser({ online: (online) => online && hurry(), away: () => undefined, wake: hurry });
		this.#hooks.missed(error, delay, attempt);
	}

	async #again(): Promise<Instance> {
		return this.#load(this.#settings.wasm);
	}
}

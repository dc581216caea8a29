/**
 * Which pages are alive: each holds a lock of its own name for as long as it lives, and the browser releases it when the page is
 * gone, however that happens. So each message is used by one page at a time.
 *
 * Where there are no Web Locks (a page without https, an old browser), nobody can say. A page then takes over what it finds when it
 * starts. Two pages may send one message: it has one id, and the server stores it once (SND-1).
 */
import { randomId } from "../../shared/names.js";
import { within } from "../deadline.js";

export class Pages {
	/** The name of this page. */
	readonly me: string = randomId();
	#release: () => void = () => undefined;
	#ended = false;

	/** Can it be known which pages are alive? */
	get areKnown(): boolean {
		return locks() !== undefined;
	}

	/** Holds this page's name. A page in the back/forward cache holds nothing, or the browser would not keep it there. */
	async begin(): Promise<void> {
		if (this.#ended) return;
		globalThis.addEventListener?.("pagehide", this.#onHide);
		globalThis.addEventListener?.("pageshow", this.#onShow);
		await this.#hold();
	}

	end(): void {
		this.#ended = true;
		globalThis.removeEventListener?.("pagehide", this.#onHide);
		globalThis.removeEventListener?.("pageshow", this.#onShow);
		this.#release();
	}

	/** Runs `work` if a page is gone, and returns whether it is. No other page does so meanwhile. */
	async ifGone(page: string, work: () => Promise<void>): Promise<boolean> {
		const manager = locks();
		if (manager === undefined) {
			await work();
			return true;
		}
		return within("give a lock", (resolve, reject) => {
			const use = async (lock: Lock | null): Promise<boolean> => {
				if (lock !== null) await work();
				return lock !== null;
			};
			manager.request(nameOf(page), { ifAvailable: true }, use).then(resolve, reject);
		});
	}

	readonly #onHide = (): void => this.#release();

	readonly #onShow = (event: Event): void => {
		// Without the lock another page may take this one's messages over, which then may be transmitted twice and are stored once.
		if ("persisted" in event && event.persisted === true) this.#hold().catch(() => undefined);
	};

	async #hold(): Promise<void> {
		const manager = locks();
		if (manager === undefined || this.#ended) return;
		await within<void>("give a lock", (resolve, reject) => {
			const held = new Promise<void>((release) => (this.#release = release));
			const take = (): Promise<void> => {
				resolve();
				return held;
			};
			manager.request(nameOf(this.me), take).catch(reject);
		});
	}
}

function nameOf(page: string): string {
	return `agentwire outbox ${page}`;
}

function locks(): LockManager | undefined {
	return globalThis.navigator?.locks;
}

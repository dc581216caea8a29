/** The messages that `client.outbox()` returns, one for each id. */
import type { Message } from "./message.js";

export class Listed {
	#messages = new Map<string, Message>();
	readonly #changed: (messages: readonly Message[]) => void;

	/** `changed` gets the new list whenever a message comes or goes. */
	constructor(changed: (messages: readonly Message[]) => void) {
		this.#changed = changed;
	}

	get all(): readonly Message[] {
		return [...this.#messages.values()];
	}

	add(message: Message): void {
		if (this.#messages.has(message.id)) return;
		this.#messages.set(message.id, message);
		this.#changed(this.all);
	}

	/** Puts some in front of the others. */
	raise(ids: readonly string[]): void {
		const entries = [...this.#messages];
		const isRaised = ([id]: readonly [string, Message]): boolean => ids.includes(id);
		this.#messages = new Map([...entries.filter(isRaised), ...entries.filter((entry) => !isRaised(entry))]);
		this.#changed(this.all);
	}

	delete(id: string): void {
		if (this.#messages.delete(id)) this.#changed(this.all);
	}

	clear(): void {
		if (this.#messages.size === 0) return;
		this.#messages.clear();
		this.#changed([]);
	}
}

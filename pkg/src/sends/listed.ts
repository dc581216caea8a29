/** The messages that `client.outbox()` returns, one for each id. */
import type { Message } from "./message.js";

export class Listed {
	/** In their order. Whoever changes it calls `changed`. */
	readonly messages: Map<string, Message> = new Map();
	readonly #changed: (messages: readonly Message[]) => void;

	/** `changed` gets the new list whenever a message comes or goes. */
	constructor(changed: (messages: readonly Message[]) => void) {
		this.#changed = changed;
	}

	get all(): readonly Message[] {
		return [...this.messages.values()];
	}

	add(message: Message): void {
		if (this.messages.has(message.id)) return;
		this.messages.set(message.id, message);
		this.changed();
	}

	delete(id: string): void {
		if (this.messages.delete(id)) this.changed();
	}

	changed(): void {
		this.#changed(this.all);
	}
}

/** A message of an agent that grows while it is written. */
import { randomUUID } from "node:crypto";
import type { AnyEvent } from "../publish/kinds.js";

export class MessageWriter {
	readonly id: string;
	readonly #publish: (event: AnyEvent) => Promise<void>;
	#text = "";

	constructor(publish: (event: AnyEvent) => Promise<void>, id: string = randomUUID()) {
		this.#publish = publish;
		this.id = id;
	}

	/** What was written so far. */
	get text(): string {
		return this.#text;
	}

	/** Appends text. Resolves when the queue has room for more. */
	async delta(text: string): Promise<void> {
		if (text === "") return;
		this.#text += text;
		await this.#publish({ type: "message_delta", messageId: this.id, text });
	}

	/** Writes the whole message. A message of which nothing was written is left out. */
	async complete(interrupted: boolean = false): Promise<string> {
		if (this.#text === "") return "";
		await this.#publish({ type: "message_completed", messageId: this.id, content: this.#text, ...(interrupted ? { interrupted } : {}) });
		return this.#text;
	}
}

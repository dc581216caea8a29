/** Messages of this page whose event has not come yet: shown at once, and as the same item when it comes. */
import type { Message } from "../sends/message.js";
import type { Unsubscribe } from "../shared/listeners.js";
import type { UserMessage } from "./model.js";
import { messageKey, messageOf } from "./users.js";

interface Entry {
	readonly message: Message;
	item: UserMessage;
	off: Unsubscribe;
}

export class Outgoing {
	readonly #entries = new Map<string, Entry>();
	readonly #changed: () => void;
	#items: readonly UserMessage[] = [];

	constructor(changed: () => void) {
		this.#changed = changed;
	}

	/** In the order in which they were sent. The same list as long as nothing changes. */
	get items(): readonly UserMessage[] {
		return this.#items;
	}

	get(sendId: string): Message | undefined {
		return this.#entries.get(sendId)?.message;
	}

	add(message: Message): void {
		const { id } = message;
		this.#entries.get(id)?.off();
		const entry: Entry = { message, item: itemOf(message, Date.now()), off: () => undefined };
		this.#entries.set(id, entry);
		entry.off = message.on("change", () => {
			// It was taken back.
			if (message.state === "failed" && message.error?.code === "aborted") return this.delete(id);
			entry.item = itemOf(message, entry.item.time);
			this.#update();
		});
		this.#update();
	}

	/** An event has come: it may be that of a message. */
	settle({ type, sendId }: { readonly type?: unknown; readonly sendId?: unknown }): void {
		if (this.#entries.size > 0 && typeof sendId === "string" && this.get(sendId)?.content["type"] === type) this.delete(sendId);
	}

	delete(sendId: string): void {
		this.#entries.get(sendId)?.off();
		if (this.#entries.delete(sendId)) this.#update();
	}

	dispose(): void {
		for (const { off } of this.#entries.values()) off();
		this.#entries.clear();
	}

	#update(): void {
		this.#items = [...this.#entries.values()].map(({ item }) => item);
		this.#changed();
	}
}

function itemOf({ id, content, state, error }: Message, time: number | undefined): UserMessage {
	return { ...messageOf({ ...content, time, sendId: id }, messageKey(id), undefined), sending: { state, error } };
}

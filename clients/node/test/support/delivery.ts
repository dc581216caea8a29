/** Deliveries as docs/HTTP.md shows them, and their signed requests. */
import { randomBytes } from "node:crypto";
import { secretOf, sign } from "../../src/deliver/signature.js";
import type { Message } from "../../src/index.js";

export const KEY = "ada/plan";

export function message(n: number, more: Partial<Message> = {}): Message {
	return {
		id: `dlv-${n}`,
		type: "message",
		attempt: 1,
		time: 1_790_000_000_000,
		thread: { key: KEY, name: "plan" },
		user: "ada",
		sendId: `s-${n}`,
		offset: n,
		text: n,
		content: `question ${n}`,
		event: { type: "user_message", content: `question ${n}` },
		leaseMs: 30_000,
		...more,
	};
}

export const newSecret = (): string => `whsec_${randomBytes(24).toString("base64")}`;

export interface Signed {
	readonly secret: string;
	readonly body: string;
	readonly id?: string;
	/** Seconds away from now. */
	readonly away?: number;
	readonly signature?: string;
}

export function signedHeaders({ secret, body, id = "dlv-1", away = 0, signature }: Signed): Record<string, string> {
	const timestamp = String(Math.floor(Date.now() / 1_000) + away);
	return {
		"content-type": "application/json",
		"webhook-id": id,
		"webhook-timestamp": timestamp,
		"webhook-signature": signature ?? sign(secretOf(secret), id, timestamp, Buffer.from(body)),
	};
}

export function signed(options: Signed): Request {
	return new Request("https://backend.example.com/hook", { method: "POST", headers: signedHeaders(options), body: options.body });
}

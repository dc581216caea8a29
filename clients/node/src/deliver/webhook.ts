/** Gets deliveries as requests of the server. */

import { BridgeError } from "../errors.js";
import type { Settings } from "../settings.js";
import type { Claims } from "./claims.js";
import { handle, type Outcome } from "./handle.js";
import { Left } from "./left.js";
import { Replays } from "./replays.js";
import { secretOf, verify } from "./signature.js";
import { type Delivery, deliveryOf, type MessageHandler, type Notice } from "./types.js";

export interface WebhookOptions {
	/** The secret of the server's configuration (`whsec_…`); several while it is changed. */
	readonly secret: string | readonly string[];
	/** Gets the deliveries that are no messages. Runs get theirs by themselves. */
	readonly onNotice?: (notice: Notice) => Promise<unknown> | unknown;
	/** Keeps a serverless function alive until the handler has ended, after its answer was sent. */
	readonly waitUntil?: (work: Promise<unknown>) => void;
	/** The longest body in bytes; 4 MiB by default. */
	readonly maxBodyBytes?: number;
}

export type FetchHandler = (request: Request) => Promise<Response>;

interface Reply {
	readonly status: number;
	readonly body: object;
}

/** Makes the handler. It answers when a run has claimed the message, or the message handler has ended, or after 5 seconds. */
export function receiver(settings: Settings, claims: Claims, options: WebhookOptions, handler: MessageHandler): FetchHandler {
	const secrets = (typeof options.secret === "string" ? [options.secret] : options.secret).map(secretOf);
	if (secrets.length === 0) throw new BridgeError("bad_option", "give `secret`, the secret of the server's webhook");
	const most = options.maxBodyBytes ?? 4 << 20;
	// A server that restarts counts its attempts from 1 again: one that failed here must be able to come again.
	const replays = new Replays<Reply>(({ status }) => status < 500);
	const left = new Left();

	const take = async (delivery: Delivery): Promise<Reply> => {
		if (delivery.type !== "message") {
			await options.onNotice?.(delivery);
			return { status: 200, body: {} };
		}
		if (left.has(delivery.id)) return replyOf({ kind: "done" });
		const { outcome, ended } = handle(delivery, handler, { claims, onError: settings.onError });
		options.waitUntil?.(ended);
		void ended.then((one) => one.left && left.add(delivery.id));
		return replyOf(await outcome);
	};

	return async (request) => {
		if (request.method !== "POST") return answer({ status: 405, body: { message: "post deliveries" } });
		const body = await bytesOf(request, most);
		if (body === undefined) return answer({ status: 413, body: { message: `a delivery has at most ${most} bytes` } });
		const verdict = verify(secrets, request.headers, body);
		if (!verdict.ok) return answer({ status: verdict.status, body: { message: verdict.why } });
		let delivery: Delivery;
		try {
			delivery = deliveryOf(JSON.parse(new TextDecoder().decode(body)));
		} catch (error) {
			settings.onError(error);
			return answer({ status: 400, body: { message: "the body is no delivery" } });
		}
		try {
			return answer(await replays.once(verdict.id, delivery.attempt, () => take(delivery)));
		} catch (error) {
			settings.onError(error);
			return answer({ status: 500, body: { message: "the handler failed" } });
		}
	};
}

function replyOf(outcome: Outcome): Reply {
	switch (outcome.kind) {
		case "accepted":
			return { status: 200, body: {} };
		case "done":
			return { status: 200, body: { done: true } };
		case "refused":
			return { status: 422, body: { message: outcome.message } };
		case "failed":
			return { status: 500, body: { message: "the handler failed" } };
	}
}

function answer({ status, body }: Reply): Response {
	return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

/** The raw bytes of a body, or nothing if there are too many. */
async function bytesOf(request: Request, most: number): Promise<Uint8Array | undefined> {
	const chunks: Uint8Array[] = [];
	let length = 0;
	if (request.body !== null) {
		for await (const chunk of request.body) {
			length += chunk.length;
			if (length > most) return undefined;
			chunks.push(chunk);
		}
	}
	return Buffer.concat(chunks);
}

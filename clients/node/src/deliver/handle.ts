/** Works on one message, and says as soon as possible what to answer to the server. */
import { isBridgeError, messageOf, Refusal } from "../errors.js";
import type { Claims } from "./claims.js";
import type { Message, MessageHandler } from "./types.js";

/** What the server is answered. */
export type Outcome =
	/** A run has claimed it, or the handler takes its time: the lease runs from now on. */
	| { readonly kind: "accepted" }
	/** The handler ended without a run. */
	| { readonly kind: "done" }
	/** The handler does not want it. */
	| { readonly kind: "refused"; readonly message: string }
	/** The handler failed before a run: it comes again. */
	| { readonly kind: "failed"; readonly error: unknown };

export interface Handling {
	readonly outcome: Promise<Outcome>;
	/** When the handler has ended; never rejects. `left` is true if no run claimed the message and the handler is content with that. */
	readonly ended: Promise<{ readonly left: boolean }>;
}

/** A handler that has no run by then is accepted: the server waits for 10 seconds for a webhook, and for 30 for a worker. */
export const ACCEPT_AFTER_MS = 5_000;

export interface HandleOptions {
	readonly claims: Claims;
	readonly onError: (error: unknown) => void;
	/** Is awaited before a run claims the message. */
	readonly beforeClaim?: () => Promise<void>;
	readonly acceptAfterMs?: number;
}

export function handle(message: Message, handler: MessageHandler, options: HandleOptions): Handling {
	const { claims, onError, beforeClaim = async () => {}, acceptAfterMs = ACCEPT_AFTER_MS } = options;
	let claimed = false;
	let settle: (outcome: Outcome) => void = () => {};
	const outcome = new Promise<Outcome>((resolve) => {
		settle = resolve;
	});
	const made = (): void => {
		claimed = true;
		settle({ kind: "accepted" });
	};
	const unwatch = claims.watch(message, { before: beforeClaim, made });
	const timer = setTimeout(() => settle({ kind: "accepted" }), acceptAfterMs);
	const work = async (): Promise<{ readonly left: boolean }> => {
		try {
			await handler(message);
			settle({ kind: "done" });
			return { left: !claimed };
		} catch (error) {
			settle(outcomeOf(error));
			// What a user did is no fault.
			if (!isBridgeError(error, "cancelled") && !isBridgeError(error, "outdated") && !(error instanceof Refusal)) onError(error);
			return { left: false };
		} finally {
			clearTimeout(timer);
			unwatch();
		}
	};
	return { outcome, ended: Promise.resolve().then(work) };
}

function outcomeOf(error: unknown): Outcome {
	if (error instanceof Refusal) return { kind: "refused", message: messageOf(error) };
	// Edited or withdrawn meanwhile: this attempt is over, and the new text comes by itself.
	if (isBridgeError(error, "outdated")) return { kind: "accepted" };
	return { kind: "failed", error };
}

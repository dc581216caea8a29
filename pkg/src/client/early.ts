/**
 * Opens the first socket while the wasm is still being loaded, so that a page waits for the slower of the two and not
 * for both.
 */
import type { TokenSource } from "./token.js";

/** The subprotocol (GEN-1). */
const PROTOCOL = "agentwire.v1";

export class EarlySocket {
	#socket: WebSocket | undefined;
	#token = "";
	#given = false;

	constructor(url: string, tokens: TokenSource) {
		tokens.prefetch().then(
			(token) => {
				if (this.#given) return;
				this.#token = token;
				try {
					this.#socket = new WebSocket(url, PROTOCOL);
				} catch {
					// A policy of the page refuses the address. The core meets the same, and tries again by its backoff.
				}
			},
			// The core asks for the token and gets this failure as the answer.
			() => undefined,
		);
	}

	/** The socket and its token, if it still lives. Nothing is opened from now on. */
	take(): { readonly socket: WebSocket; readonly token: string } | undefined {
		this.#given = true;
		const socket = this.#socket;
		this.#socket = undefined;
		if (socket === undefined || socket.readyState > WebSocket.OPEN) return undefined;
		return { socket, token: this.#token };
	}

	cancel(): void {
		this.take()?.socket.close(1000);
	}
}

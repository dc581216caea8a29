/** What a client says about its connection. */
import type { Counters } from "../core/counters.js";

/**
 * - `idle`: not asked to connect yet (`autoConnect: false`)
 * - `connecting`: loading, asking for a token, opening a socket, or waiting for the welcome
 * - `connected`: the server has welcomed this client
 * - `waiting`: between two attempts; see `retryAt`
 * - `offline`: the browser says that there is no network; tried again every 20 to 30 seconds, see `retryAt`
 * - `closed`: the application closed the client; final
 * - `failed`: no further attempt makes sense; see `reason`; `client.reconnect()` tries anew
 */
export type StateName = "idle" | "connecting" | "connected" | "waiting" | "offline" | "closed" | "failed";

/** The state of the connection. */
export interface ConnectionState {
	readonly name: StateName;
	/** What led to it: a code of `AgentwireError`, a close code's name, or another word. */
	readonly reason: string;
	/** When the next attempt begins, in milliseconds since the Unix epoch; only while `waiting`, and `offline` without a network. */
	readonly retryAt?: number;
	/** Attempts since a connection last lasted or the page woke up; 0 for the first. */
	readonly attempt: number;
}

/** A change of state. */
export interface StateChange {
	/** The state before. */
	readonly from: StateName;
	/** The state now. */
	readonly to: StateName;
	/** As in {@link ConnectionState}. */
	readonly reason: string;
	/** As in {@link ConnectionState}. */
	readonly retryAt?: number;
	/** As in {@link ConnectionState}. */
	readonly attempt: number;
}

/** Text of the server for people (NTC-1). */
export interface Notice {
	/** `health`, `backlog`, `degraded` or another. */
	readonly kind: string;
	/** What to show. */
	readonly message?: string;
	/** How bad it is. */
	readonly level?: "info" | "warning" | "error";
	readonly [field: string]: unknown;
}

/** What another page in a thread says of the moment (SIG-1). */
export interface Signal {
	/** The thread it was sent in. */
	readonly thread: string;
	/** The user it comes from. */
	readonly from: string | undefined;
	/** What the other page gave to `thread.signal`. */
	readonly signal: { readonly type: string; readonly [field: string]: unknown };
	/** Milliseconds after which it means nothing any more. */
	readonly expiresInMs: number | undefined;
}

/** The user that the token names, as the server says. */
export interface Subject {
	/** The user's name. */
	readonly subject: string;
	/** Names this connection in the server's logs. */
	readonly session: string;
}

/** Figures of a client since it was made. */
export interface Stats extends Counters {
	/** The state of the connection. */
	readonly state: StateName;
	/** How often the wasm instance was lost and replaced; the other figures count from the last time. */
	readonly rebuilds: number;
	/** Messages, cancels and approvals that are not settled. */
	readonly pending: number;
}

/** Health in one word, and why. */
export interface Health {
	/**
	 * - `initializing`: not connected yet, and at most three retries so far
	 * - `healthy`: connected, and the server answers
	 * - `degraded`: connected, but the server is silent, slow or leaves a request unanswered, or it said within the last minute that
	 *   something is wrong; or in the first three retries after a loss
	 * - `unhealthy`: from the fourth retry on, and without a network
	 * - `failed`: no further attempt is made; see `reason` and `client.reconnect()`
	 * - `closed`: the application closed the client
	 */
	readonly status: "initializing" | "healthy" | "degraded" | "unhealthy" | "failed" | "closed";
	/** What it follows from, in words. */
	readonly reason: string;
}

const NOTICE_MS = 60_000;
const RETRIES_UNTIL_UNHEALTHY = 3;

/** What is known of a connection beside its state. */
export interface Signs {
	/** Was it connected before? */
	readonly wasConnected: boolean;
	/** What the core noticed of a connection that stands. */
	readonly trouble: string | undefined;
	/** The last notice that said something was wrong. */
	readonly notice: { readonly kind: string; readonly at: number } | undefined;
	/** Attempts since a connection last lasted. */
	readonly attempts: number;
}

const TROUBLES: Readonly<Record<string, string>> = {
	silent: "the server is silent",
	slow: "the server takes more than 2 seconds to answer",
	unanswered: "the server has not answered a request for 3 seconds",
};

/** Derives the health. */
export function healthOf(state: ConnectionState, { wasConnected, trouble, notice, attempts }: Signs, now: number): Health {
	const { name, reason } = state;
	switch (name) {
		case "connected":
			if (trouble !== undefined) return { status: "degraded", reason: TROUBLES[trouble] ?? trouble };
			if (notice !== undefined && now - notice.at < NOTICE_MS) return { status: "degraded", reason: `the server says: ${notice.kind}` };
			return { status: "healthy", reason: "connected" };
		case "idle":
			return { status: "initializing", reason: "not asked to connect yet" };
		case "connecting":
		case "waiting":
			if (attempts > RETRIES_UNTIL_UNHEALTHY) return { status: "unhealthy", reason: `still not connected: ${reason}` };
			return { status: wasConnected ? "degraded" : "initializing", reason: `connecting: ${reason}` };
		case "offline":
			return { status: "unhealthy", reason: `no network: ${reason}` };
		case "closed":
		case "failed":
			return { status: name, reason };
	}
}

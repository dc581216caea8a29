/** What a client says about its connection. */
import type { Counters } from "../core/counters.js";

/**
 * - `idle`: not asked to connect yet (`autoConnect: false`)
 * - `connecting`: loading, asking for a token, opening a socket, or waiting for the welcome
 * - `connected`: the server has welcomed this client
 * - `waiting`: between two attempts; see `retryAt`
 * - `offline`: the browser says that there is no network
 * - `closed`: the application closed the client; final
 * - `failed`: no further attempt makes sense; see `reason`; final
 */
export type StateName = "idle" | "connecting" | "connected" | "waiting" | "offline" | "closed" | "failed";

/** The state of the connection. */
export interface ConnectionState {
	readonly name: StateName;
	/** What led to it: a code of `AgentwireError`, a close code's name, or another word. */
	readonly reason: string;
	/** When the next attempt begins, in milliseconds since the Unix epoch; only while `waiting`. */
	readonly retryAt?: number;
	/** Number of the attempt, from 0; 0 again once every thread has caught up. */
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

/** Health in one word, derived from the state and the server's notices. */
export interface Health {
	/**
	 * `healthy`: connected. `degraded`: connecting, in the first two retries, or the server said so within the last
	 * minute. `down`: offline, not connected, or from the third retry on.
	 */
	readonly status: "healthy" | "degraded" | "down";
	/** The reason of the state, or the kind of the notice. */
	readonly reason: string;
}

const NOTICE_MS = 60_000;
const RETRIES_UNTIL_DOWN = 3;

/** Derives the health; `notice` is the last one that said something was wrong. */
export function healthOf(state: ConnectionState, notice: { readonly kind: string; readonly at: number } | undefined, now: number): Health {
	const { name, reason, attempt } = state;
	switch (name) {
		case "connected":
			if (notice !== undefined && now - notice.at < NOTICE_MS) return { status: "degraded", reason: notice.kind };
			return { status: "healthy", reason: "connected" };
		case "connecting":
		case "waiting":
			return { status: attempt < RETRIES_UNTIL_DOWN ? "degraded" : "down", reason };
		case "idle":
		case "offline":
		case "closed":
		case "failed":
			return { status: "down", reason };
	}
}

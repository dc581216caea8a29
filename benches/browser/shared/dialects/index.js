/**
 * The servers' halves of the clients' protocols, as far as the load needs them: opening a connection, subscribing, and frames of
 * events. They have no socket and no clock, so the same code runs in the server and inside the page (the synthetic dispatch).
 *
 * A dialect has
 * - `name`,
 * - `burst(size)`: how many of `size` events that arrive together this protocol's server sends in one frame,
 * - `encode(events, first)`: one frame with these events (texts of JSON; the first has the number `first`),
 * - `session(hooks)`: the state of one connection: `opened()` and `received(text)` are told what happens, `sent(last)` that the events
 *   up to `last` went out, and `room(first, count, bytes)` answers whether flow control lets these events go now.
 *
 * `hooks` has `send(text)`, `subscribed()`: the client gets events from now on, `fail(reason)`, and `history`: that many events exist
 * when the client subscribes.
 */
import { ably } from "./ably.js";
import { agentwire, agentwireDeltas } from "./agentwire.js";
import { centrifuge } from "./centrifuge.js";
import { phoenix } from "./phoenix.js";
import { raw } from "./raw.js";
import { signalr } from "./signalr.js";
import { socketio } from "./socketio.js";

/** @type {Readonly<Record<string, any>>} */
export const DIALECTS = Object.fromEntries(
	[raw, phoenix, socketio, centrifuge, signalr, ably, agentwire, agentwireDeltas].map((dialect) => [dialect.name, dialect]),
);

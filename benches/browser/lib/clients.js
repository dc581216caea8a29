/**
 * The clients. `page` is the script in `page/clients`, `dialect` what its server speaks. `only` lists the kinds of load that a client
 * is for, if it is not for all. `isExperiment`: it is measured only if it is named. `perMessage`: its servers send one event per message, so a burst costs it a message per event.
 */

/** @typedef {{ id: string, label: string, page: string, dialect: string, use?: string, only?: string[], perMessage?: boolean, isExperiment?: boolean }} Client */

/** The limit that the others are compared with. */
export const REFERENCE = "raw";
/** The same page again: its ratio says how far two equal things are apart on this machine now. */
export const CONTROL = "raw-again";

/** @type {Client[]} */
export const CLIENTS = [
	{ id: REFERENCE, label: "raw WebSocket + JSON.parse", page: "raw", dialect: "raw", perMessage: true },
	{ id: CONTROL, label: "raw again (A/A)", page: "raw", dialect: "raw" },
	{ id: "reconnecting-websocket", label: "reconnecting-websocket", page: "reconnecting-websocket", dialect: "raw", perMessage: true },
	{ id: "partysocket", label: "partysocket", page: "partysocket", dialect: "raw", perMessage: true },
	{ id: "phoenix", label: "phoenix", page: "phoenix", dialect: "phoenix", perMessage: true },
	{ id: "socketio", label: "socket.io", page: "socketio", dialect: "socketio", perMessage: true },
	{ id: "centrifuge", label: "centrifuge", page: "centrifuge", dialect: "centrifuge" },
	{ id: "signalr", label: "SignalR (JSON)", page: "signalr", dialect: "signalr", perMessage: true },
	{ id: "ably", label: "ably (emulated)", page: "ably", dialect: "ably", perMessage: true },
	{ id: "agentwire", label: "agentwire, on(type)", page: "agentwire", dialect: "agentwire", use: "handlers" },
	{ id: "agentwire-batch", label: "agentwire, onBatch", page: "agentwire", dialect: "agentwire", use: "batch" },
	{ id: "agentwire-iterator", label: "agentwire, iterator", page: "agentwire", dialect: "agentwire", use: "iterator" },
	{ id: "agentwire-deltas", label: "agentwire, deltas frames", page: "agentwire", dialect: "agentwire-deltas", use: "handlers", only: ["tokens"] },
	{ id: "agentwire-inline", label: "agentwire/inline", page: "agentwire-inline", dialect: "agentwire", use: "handlers", only: ["startup", "startup-50"] },
	// What the cost of ours is made of. Measured only if they are named.
	...["envelope", "handlers", "checks", "wasm", "meta"].map((use) => ({
		id: `layer-${use}`,
		label: `layer: ${use}`,
		page: "layers",
		dialect: "agentwire",
		use,
		only: ["frames-50", "tokens", "dispatch-1", "dispatch-50"],
		isExperiment: true,
	})),
	{ id: "layer-unread", label: "layer: unread", page: "layers", dialect: "agentwire", use: "unread", only: ["tokens"], isExperiment: true },
];

/** Whether it is ours, for tables and charts. */
export const isOurs = (/** @type {string} */ id) => id.startsWith("agentwire");

/** Stores for Svelte 4 and 5: one client, one store for each thread, and values that change when what they select changes. */

export { type Equality, shallowEqual } from "./hooks/compare.js";
export type { ConnectionView } from "./hooks/connection.js";
export type { AgentwireSource, ClientSource } from "./hooks/given.js";
export type { Selector } from "./hooks/selection.js";
export type { ThreadSettings } from "./hooks/settings.js";
export type { SharedConversation, ThreadActions } from "./hooks/shared.js";
export { type Agentwire, createAgentwire, getAgentwire, setClient } from "./svelte/context.js";
export { setAgentwire } from "./svelte/provide.js";
export type { Readable } from "./svelte/readable.js";
export type { ThreadStore } from "./svelte/thread.js";

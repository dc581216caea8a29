/**
 * What survives the page: messages that were typed and are not stored yet, and conversations as they were shown. They are found again
 * after a reload, a crash or a start without a network.
 */
export type { OutboxStore } from "./client/options.js";
export type { ConversationCache } from "./conversation/cache.js";
export { type CacheOptions, clearCache, persistentCache } from "./persist/cache/store.js";
export { clearOutbox, persistOutbox } from "./persist/outbox/store.js";
export type { OutboxOwner } from "./persist/scope.js";

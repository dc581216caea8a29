/**
 * An outbox that survives the page: a message that was typed and is not stored yet is found again after a reload, a crash or a start
 * without a network.
 */
export type { OutboxStore } from "./client/options.js";
export { clearOutbox, type OutboxOwner, persistOutbox } from "./persist/store.js";

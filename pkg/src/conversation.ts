/** A thread as state: messages and runs in an immutable conversation, which one pure fold makes of the thread's events and facts. */
export type { CachedConversation, ConversationCache } from "./conversation/cache.js";
export { type CustomFold, emptyConversation, type FoldOptions, fold, type Place } from "./conversation/fold.js";
export { conversation } from "./conversation/following.js";
export type { FoldLimits } from "./conversation/limits.js";
export type * from "./conversation/model.js";
export { EMPTY } from "./conversation/model.js";
export type * from "./conversation/parts.js";
export type * from "./conversation/repair.js";
export { runOf } from "./conversation/select.js";
export { deliveryOf, type Snapshot } from "./conversation/snapshot.js";
export type * from "./conversation/stall.js";
export { hasEnded } from "./conversation/status.js";
export type { ConversationOptions, ConversationStore } from "./conversation/store.js";

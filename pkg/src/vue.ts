/** Composables for Vue 3.3 and later: one client, one store for each thread, and refs that change when what they select changes. */

export { type Equality, shallowEqual } from "./hooks/compare.js";
export type { ConnectionView } from "./hooks/connection.js";
export type { Selector } from "./hooks/selection.js";
export type { ThreadSettings } from "./hooks/settings.js";
export type { SharedConversation, ThreadActions } from "./hooks/shared.js";
export { type ClientSource, provideClient, useClient } from "./vue/client.js";
export { type ConversationRefs, type MessagesRefs, useConnection, useConversation, useMessages, useRun } from "./vue/conversation.js";
export { type AgentwireSource, provideAgentwire } from "./vue/provide.js";
export { provideThread, useThread } from "./vue/thread.js";

"use client";
export { type Equality, shallowEqual } from "./hooks/compare.js";
/** Hooks for React 18 and later: one client, one store for each thread, and components that are rendered when what they show changes. */
export type { ConnectionView } from "./hooks/connection.js";
export type { Selector } from "./hooks/selection.js";
export type { ThreadSettings } from "./hooks/settings.js";
export type { SharedConversation, ThreadActions } from "./hooks/shared.js";
export { type ApprovalView, useApproval } from "./react/approval.js";
export { ClientProvider, type ClientProviderProps, useClient } from "./react/client.js";
export { type ConnectionActions, useConnection } from "./react/connection.js";
export { type ConversationView, type MessagesView, useConversation, useMessages, useRun } from "./react/conversation.js";
export { AgentwireProvider, type AgentwireProviderProps } from "./react/provider.js";
export { AgentwireThread, type AgentwireThreadProps, useThread } from "./react/thread.js";

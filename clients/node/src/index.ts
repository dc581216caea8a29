/** Publishes what AI agents do to an agentwire-bridge, and gets what users do. */
import type { Bridge } from "./bridge.js";
import type { MessageHandler } from "./deliver/types.js";
import type { FetchHandler, WebhookOptions } from "./deliver/webhook.js";

export { Bridge } from "./bridge.js";
export { nodeHandler } from "./deliver/node.js";
export type { ApprovalResolved, Delivery, Message, MessageChanged, MessageHandler, Notice, RunCancelled, SteeringDelivery } from "./deliver/types.js";
export type { FetchHandler, WebhookOptions } from "./deliver/webhook.js";
export type { WorkOptions } from "./deliver/worker.js";
export { BridgeError, type BridgeErrorCode, isBridgeError, Refusal } from "./errors.js";
export * from "./events.js";
export type { MessageWriter } from "./run/message.js";
export type { ChildOptions, Run, ToolCall } from "./run/run.js";
export type { Answer, Completion, Failure, Publishable, Question, RunOptions, Steering, Thinking, ToolOptions } from "./run/types.js";
export type { BridgeOptions } from "./settings.js";
export { threadKey } from "./thread-key.js";

/** The same as `bridge.webhook(options, handler)`. */
export function webhook({ bridge, ...options }: WebhookOptions & { readonly bridge: Bridge }, handler: MessageHandler): FetchHandler {
	return bridge.webhook(options, handler);
}

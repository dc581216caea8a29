/** What both entries of the package export beside `createClient`. */
export type { Client, ClientEvents } from "./client/api.js";
export type { BackoffFunction, BackoffOptions, ClientOptions, OutboxStore, WindowOptions } from "./client/options.js";
export { VERSION } from "./client/options.js";
export type { ConnectionState, Health, Notice, Signal, StateChange, StateName, Stats, Subject } from "./client/state.js";
export type { TokenFunction, TokenReason, TokenRefusal, TokenRequest } from "./client/token.js";
export type { MessageContent, Spelt, UserMessageContent } from "./sends/content.js";
export type { Message, MessageState, SendOptions } from "./sends/message.js";
export type { Receipt } from "./sends/receipt.js";
export type { ErrorCode, ErrorDetails, KnownErrorCode } from "./shared/errors.js";
export { AgentwireError, UnauthorizedError } from "./shared/errors.js";
export type { ListenOptions, Unsubscribe } from "./shared/listeners.js";
export type { Metric } from "./shared/metrics.js";
export type { Logger, LogLevel } from "./shared/report.js";
export type * from "./thread/events.js";
export type { BatchMeta, Ended, EventMeta, Gap, Resumed, ThreadItem } from "./thread/facts.js";
export type { From } from "./thread/from.js";
export type { Position } from "./thread/position.js";
export type {
	ApprovalAnswer,
	ApproveOutcome,
	BatchHandler,
	CancelOutcome,
	EditOutcome,
	EventHandler,
	EventsOptions,
	Thread,
	ThreadOptions,
	WithdrawOutcome,
} from "./thread/thread.js";

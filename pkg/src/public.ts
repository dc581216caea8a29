/** What both entries of the package export beside `connect`. */
export { AgentwireError } from "./errors.js";
export type { ErrorCode, ErrorDetails, KnownErrorCode } from "./errors.js";
export type * from "./events.js";
export { localPositions, sessionPositions } from "./positions.js";
export type { PositionScope, PositionStore, StoredPosition, WebPositionsOptions } from "./positions.js";
export { VERSION } from "./options.js";
export type { BackoffOptions, ConnectOptions, WindowOptions } from "./options.js";
export type { Client, ClientEvents } from "./client.js";
export type { ListenOptions, Unsubscribe } from "./listeners.js";
export type { Message, MessageContent, MessageState, SendOptions } from "./message.js";
export type { Metric } from "./metrics.js";
export type { Receipt } from "./outbox.js";
export type { Logger, LogLevel } from "./report.js";
export type { ConnectionState, Health, Notice, Signal, StateChange, StateName, Stats, Subject } from "./state.js";
export type { From, StreamFacts } from "./stream.js";
export type { ApproveOutcome, CancelOutcome, EventsOptions, Thread, ThreadOptions } from "./thread.js";
export type { TokenFunction, TokenReason, TokenRequest } from "./token.js";

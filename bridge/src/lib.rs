//! The server half of agentwire.

mod auth;
mod bridge;
mod clock;
mod dispatch;
mod emitter;
mod event;
#[cfg(feature = "faults")]
mod faults;
mod http;
mod hub;
mod limits;
mod log;
mod recovery;
mod run;
mod session;
mod stream;
mod wire;

pub use auth::{Access, AuthError, Authenticator, Authorizer, Hs256, Identity, OwnStreams, Refusal};
pub use bridge::{Bridge, BridgeBuilder, BuildError};
pub use dispatch::{Agent, Turn, UserMessage};
pub use emitter::{Emitter, PublishError};
pub use event::{Effect, Event, EventError};
#[cfg(feature = "faults")]
pub use faults::Sabotage;
pub use limits::{LimitError, Limits};
pub use log::{
    Append, Change, Commit, Guard, Log, LogError, MemoryLog, Observer, Once, OpenError, Outcome, Page, Pending,
    Receipt, SqliteLog, Status, StreamState, Ticket, Unfinished,
};
pub use run::{
    AgentError, Completion, Decision, Message, Run, Severity, Thinking, ToolCall, ToolStart, Urgency,
};
pub use stream::{INBOX, NameError, Position, StreamKey};

//! What an agent says of a run.

pub use agentwire_events::types::{Severity, Urgency};
use serde_json::{Map, Value};

use super::put;
use crate::event::MAX_INTEGER;

/// What an agent is at. Every field is optional; what is absent is not sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thinking {
    /// The thought, for people.
    pub text: Option<String>,
    /// The step the run is at, from 1.
    pub step: Option<u32>,
    /// How many steps there are.
    pub total_steps: Option<u32>,
    /// How far the run is, from 0 to 100.
    pub progress: Option<f64>,
    /// How long it will still take, in milliseconds.
    pub remaining_ms: Option<u64>,
    /// How urgent it is.
    pub urgency: Option<Urgency>,
}

/// What a run has come to. A text becomes the summary, another JSON value the result.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The result, for programs.
    pub result: Option<Value>,
    /// One sentence, for people.
    pub summary: Option<String>,
    /// Tokens that were used: `{inputTokens, outputTokens, totalTokens}`.
    pub usage: Option<Value>,
}

impl From<&str> for Completion {
    fn from(summary: &str) -> Self {
        summary.to_owned().into()
    }
}

impl From<String> for Completion {
    fn from(summary: String) -> Self {
        Self { summary: Some(summary), ..Self::default() }
    }
}

impl From<Value> for Completion {
    fn from(result: Value) -> Self {
        Self { result: Some(result), ..Self::default() }
    }
}

/// Why a run failed. Every [`std::error::Error`] becomes one with `?`: its text goes to the server's log, and pages learn
/// only that the agent failed.
///
/// ```
/// use agentwire_bridge::AgentError;
///
/// let error = AgentError {
///     retry_after_ms: Some(30_000),
///     user_message: Some("The model is busy. Please ask again in a minute.".to_owned()),
///     ..AgentError::new("model_overloaded", "the model answered 529")
/// };
/// assert_eq!(error.code, "model_overloaded");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentError {
    /// For programs, such as `model_unavailable`. Required.
    pub code: String,
    /// For developers.
    pub message: Option<String>,
    /// How bad it is. Defaults to high.
    pub severity: Severity,
    /// What a person can do about it.
    pub suggestions: Vec<String>,
    /// When it is worth trying again, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// For people.
    pub user_message: Option<String>,
    /// What else is known of it, for programs.
    pub details: Option<Value>,
    /// For the log of the server alone: pages don't get it.
    pub cause: Option<String>,
}

/// Whether a run survives an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recoverable {
    Yes,
    No,
}

impl<E: std::error::Error> From<E> for AgentError {
    fn from(error: E) -> Self {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            cause.push_str(": ");
            cause.push_str(&inner.to_string());
            source = inner.source();
        }
        let message = "the agent failed; the log of its server says why";
        Self { cause: Some(cause), ..Self::new("agent_failed", message) }
    }
}

/// What the event of an error has beside its texts, in bytes and generously.
const OTHER_FIELDS: usize = 1_024;

impl AgentError {
    /// The fields of the event, without what is for the server alone.
    pub(super) fn into_fields(self, run: &str, recoverable: Recoverable) -> Map<String, Value> {
        if let Some(cause) = &self.cause {
            tracing::warn!(run, code = self.code, cause, "an agent failed");
        }
        let mut fields = Map::new();
        put(&mut fields, "message", self.message);
        // A run has to end, whatever its agent says.
        put(&mut fields, "retryAfterMs", self.retry_after_ms.map(|ms| ms.min(MAX_INTEGER)));
        put(&mut fields, "userMessage", self.user_message);
        put(&mut fields, "details", self.details);
        if !self.suggestions.is_empty() {
            fields.insert("suggestions".to_owned(), self.suggestions.into());
        }
        fields.insert("code".to_owned(), self.code.into());
        fields.insert("severity".to_owned(), self.severity.as_str().into());
        fields.insert("recoverable".to_owned(), (recoverable == Recoverable::Yes).into());
        fields
    }

    /// The error, without its texts if these do not fit into a frame: a run has to end.
    pub(crate) fn fitting(self, max_frame_bytes: usize) -> Self {
        let texts = [Some(&self.code), self.message.as_ref(), self.user_message.as_ref()];
        let bytes = texts
            .into_iter()
            .flatten()
            .chain(&self.suggestions)
            .map(|text| Value::from(&**text).to_string().len() + 1)
            .sum::<usize>()
            + self.details.as_ref().map_or(0, |details| details.to_string().len());
        if bytes + OTHER_FIELDS <= max_frame_bytes {
            return self;
        }
        let code = if self.code.len() <= 64 { self.code } else { "agent_failed".to_owned() };
        tracing::warn!(code, bytes, "the texts of an agent's error do not fit into a frame");
        let message = Some("its text does not fit into a frame".to_owned());
        Self { code, message, user_message: None, suggestions: Vec::new(), details: None, ..self }
    }

    /// The event that ends a run by this error.
    pub(crate) fn into_event(self, run: &str) -> Value {
        let mut fields = self.into_fields(run, Recoverable::No);
        fields.insert("type".to_owned(), "agent_error".into());
        fields.insert("runId".to_owned(), run.into());
        fields.into()
    }

    /// An error of severity high.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: Some(message.into()), ..Self::default() }
    }
}

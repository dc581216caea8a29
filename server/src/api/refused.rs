//! The answer to a request that is refused: a status, a code, and what to do.

use std::time::Duration;

use agentwire_bridge::{BatchError, LogError, PublishError};
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

/// Seconds after which a request is repeated that failed for want of the log.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<Duration>,
    /// Fields beside code and message.
    more: Map<String, Value>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, more: Map::new() }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let retry_after = Some(RETRY_AFTER);
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message) }
    }

    /// Adds a field to the answer.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.more.insert(field.to_owned(), value.into());
        self
    }
}

impl From<LogError> for Refused {
    fn from(error: LogError) -> Self {
        tracing::warn!(%error, "a request failed: the log cannot be used now");
        Self::unavailable("the log cannot be used now; repeat the request")
    }
}

impl From<PublishError> for Refused {
    fn from(error: PublishError) -> Self {
        let message = error.to_string();
        match error {
            PublishError::Log(error) => error.into(),
            PublishError::Event(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_event", message),
            PublishError::Name(_) => Self::bad_request(message),
            PublishError::Approval => Self::new(StatusCode::CONFLICT, "approval_conflict", message),
            PublishError::Outdated => {
                let message = "the message was edited, withdrawn or claimed by another run; leave it";
                Self::new(StatusCode::CONFLICT, "outdated", message)
            }
            _ => Self::new(StatusCode::CONFLICT, "run_over", message),
        }
    }
}

impl From<BatchError> for Refused {
    fn from(error: BatchError) -> Self {
        let message = error.to_string();
        match error {
            BatchError::Event { index, error } => {
                let is_large = matches!(error, agentwire_bridge::EventError::TooLarge { .. });
                let refused = if is_large {
                    Self::too_large(message)
                } else {
                    Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_event", message)
                };
                refused.with("index", index)
            }
            BatchError::Missing { expected } => {
                Self::new(StatusCode::CONFLICT, "producer_gap", message).with("expected", expected)
            }
            BatchError::Conflict => Self::new(StatusCode::CONFLICT, "key_conflict", message),
            BatchError::Publish(error) => error.into(),
            _ => Self::bad_request(message),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { status, code, message, retry_after, mut more } = self;
        more.insert("code".to_owned(), code.into());
        more.insert("message".to_owned(), message.into());
        let mut response = (status, Json(Value::Object(more))).into_response();
        if let Some(after) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        response
    }
}

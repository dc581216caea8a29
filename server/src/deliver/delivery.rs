//! What a backend is told, as JSON.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use agentwire_bridge::{Claim, StreamKey, UserMessage};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::workers::Slot;
use crate::clock::now_ms;

/// One thing that a backend is to know, until it has accepted it.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    id: String,
    kind: &'static str,
    stream: StreamKey,
    /// The fields of its type, as JSON without the braces.
    fields: String,
    /// How often it was tried.
    pub(super) attempt: u64,
    /// The place at the worker that has it and has not answered.
    pub(super) slot: Arc<Mutex<Option<Slot>>>,
}

impl Delivery {
    /// `parts` make the first part of its id. What comes after a restart has another one, as it is to be handled again.
    fn new(kind: &'static str, stream: &StreamKey, parts: &[&str], fields: &Map<String, Value>) -> Self {
        let mut hash = Sha256::new();
        for part in [kind, stream.as_str()].iter().chain(parts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        static PROCESS: LazyLock<u32> = LazyLock::new(|| fastrand::u32(..));
        let mut id = format!("dlv-{:08x}", *PROCESS);
        for byte in &hash.finalize()[..8] {
            let _ = write!(id, "{byte:02x}");
        }
        let fields = Value::Object(fields.clone()).to_string();
        let fields = fields[1..fields.len() - 1].to_owned();
        Self { id, kind, stream: stream.clone(), fields, attempt: 0, slot: Arc::default() }
    }

    /// It was accepted and came to nothing: it is to be handled again, under another id.
    pub(super) fn again(&mut self) {
        let base = self.id.split('.').next().unwrap_or_default();
        self.id = format!("{base}.{}", self.attempt + 1);
    }

    /// A message that a run is to claim.
    pub(super) fn message(message: &UserMessage, claim: &Claim, lease: Duration) -> Self {
        let mut fields = message_fields(message, claim);
        fields.insert("leaseMs".to_owned(), millis(lease).into());
        let text = claim.text.to_string();
        let mut delivery = Self::new("message", &message.stream, &[&claim.send_id, &text], &fields);
        delivery.append_event(message);
        delivery
    }

    /// A message that was given to the backend has another text, or was taken back.
    pub(super) fn taken_back(kind: &'static str, message: &UserMessage, claim: &Claim) -> Self {
        let fields = json!({ "user": message.user, "sendId": claim.send_id, "offset": claim.offset });
        let text = claim.text.to_string();
        Self::new(kind, &message.stream, &[&claim.send_id, &text], &object(fields))
    }

    /// A signal of a run. `parts` tell it from others of the run.
    pub(super) fn of_run(
        kind: &'static str,
        stream: &StreamKey,
        run: &str,
        parts: &[&str],
        mut fields: Map<String, Value>,
    ) -> Self {
        fields.insert("runId".to_owned(), run.into());
        Self::new(kind, stream, &[&[run], parts].concat(), &fields)
    }

    /// Adds the message as it is stored, without reading it again.
    pub(super) fn append_event(&mut self, message: &UserMessage) {
        // The text is that of the log: one JSON object.
        if RawValue::from_string(message.json().to_owned()).is_ok() {
            let _ = write!(self.fields, r#","event":{}"#, message.json());
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    pub(super) fn thread(&self) -> &str {
        self.stream.as_str()
    }

    /// The delivery as it goes out, at this attempt.
    pub(super) fn to_json(&self) -> String {
        let now_ms = now_ms();
        let separator = if self.fields.is_empty() { "" } else { "," };
        format!(
            r#"{{"id":{},"type":"{}","attempt":{},"time":{now_ms},"thread":{}{separator}{}}}"#,
            json!(self.id),
            self.kind,
            self.attempt,
            json!({ "key": self.stream.as_str(), "name": self.stream.name() }),
            self.fields,
        )
    }
}

/// What says which message it is, and what it says.
pub(super) fn message_fields(message: &UserMessage, claim: &Claim) -> Map<String, Value> {
    object(json!({
        "user": message.user, "sendId": claim.send_id, "offset": claim.offset, "text": claim.text,
        "content": message.content,
    }))
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

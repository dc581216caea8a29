//! One event, encoded once: the text that the log stores is the text that goes into frames.

use std::sync::Arc;

use agentwire_events::{EventType, Invalid, find};
pub(crate) use agentwire_events::{MAX_ID_BYTES, MAX_INTEGER};
use serde_json::{Map, Value, json};

use crate::clock::now_ms;
use crate::live::Decision;
use crate::log::{Resolution, Terms};
use crate::question::terms_of;

/// Room that a frame with a single event needs beside its body, in bytes (EVT-8).
pub(crate) const FRAME_OVERHEAD: usize = 128;

/// Why an event cannot be published. Nothing of it enters the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The event is a list, a number or another value without fields.
    #[error("an event is a JSON object")]
    NotAnObject,
    /// The event has no text `type`.
    #[error("an event needs a text `type` of 1 byte or more")]
    NoType,
    /// A page sent what only agents write.
    #[error("`{0}` is written by agents only; use `user_message` or a type of your own")]
    AgentsOnly(String),
    /// A field that section 12 of the protocol lists is missing, has another type, or a value outside of its range or list.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The event does not fit into one frame.
    #[error("the event has {bytes} bytes, but a frame holds {max}; split it or store the bulk elsewhere")]
    TooLarge {
        /// Bytes of the event.
        bytes: usize,
        /// Most bytes an event may have.
        max: usize,
    },
}

/// An event that is ready for the log: checked, with its `time`, encoded once.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    body: Arc<str>,
    effect: Effect,
    notable: bool,
}

/// What an event changes in the ledger of its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    #[default]
    None,
    /// The run is open from here on, unless it is known already.
    Run {
        /// The run.
        run: Arc<str>,
        /// The run that it is a part of.
        parent: Option<Arc<str>>,
        /// The message the run answers: it is claimed.
        claims: Option<Claims>,
    },
    /// A run takes a message that it is given.
    SteeringTaken {
        /// The run.
        run: Arc<str>,
        /// The message.
        claims: Claims,
    },
    /// The run is over, and its open approvals with it.
    RunEnded {
        /// The run.
        run: Arc<str>,
    },
    /// The run waits for a person.
    ApprovalRequested {
        /// The run.
        run: Arc<str>,
        /// The approval.
        approval: Arc<str>,
        /// What an answer is bound to.
        terms: Terms,
    },
    /// Somebody has answered.
    ApprovalResolved {
        /// The run.
        run: Arc<str>,
        /// The approval.
        approval: Arc<str>,
        /// The answer.
        resolution: Resolution,
    },
}

/// Which message of a stream is claimed. One and no more: users who share a stream can choose the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claims {
    /// The message at this offset, with this text.
    At {
        /// Its place.
        offset: u64,
        /// The place of its text, if that was edited.
        edited: Option<u64>,
        /// Whether it must still wait, because agents of other processes may have been given it as well.
        is_exclusive: bool,
    },
    /// The first one with this `sendId` that waits.
    First(Arc<str>),
}

impl Event {
    /// Checks and encodes an event; sets `time` when it is missing. `max_frame_bytes` bounds its size (EVT-8).
    pub(crate) fn new(event: Value, max_frame_bytes: usize) -> Result<Self, EventError> {
        let Value::Object(fields) = event else {
            return Err(EventError::NotAnObject);
        };
        Self::from_fields(fields, max_frame_bytes, true)
    }

    /// Encodes what a user sent: it opens or ends no run, and is of no type that agents write (SND-6).
    pub(crate) fn from_send(fields: Map<String, Value>, max_frame_bytes: usize) -> Result<Self, EventError> {
        if let Some(Value::String(kind)) = fields.get("type")
            && kind != "user_message"
            && find(kind).is_some()
        {
            return Err(EventError::AgentsOnly(kind.clone()));
        }
        let mut event = Self::from_fields(fields, max_frame_bytes, false)?;
        event.notable = true;
        Ok(event)
    }

    fn from_fields(
        mut fields: Map<String, Value>,
        max_frame_bytes: usize,
        tracked: bool,
    ) -> Result<Self, EventError> {
        let Some(Value::String(kind)) = fields.remove("type") else {
            return Err(EventError::NoType);
        };
        if kind.is_empty() {
            return Err(EventError::NoType);
        }
        match fields.get("time") {
            None => drop(fields.insert("time".to_owned(), now_ms().into())),
            Some(time) if time.is_u64() => {}
            Some(_) => {
                return Err(Invalid::new("event", "time", "whole milliseconds").into());
            }
        }
        let effect = match find(&kind) {
            None => Effect::None,
            Some(row) => {
                row.check(&fields)?;
                if tracked { Effect::of(row, &mut fields)? } else { Effect::None }
            }
        };
        let body = encode(&kind, &fields);
        let max = max_frame_bytes.saturating_sub(FRAME_OVERHEAD);
        if body.len() > max {
            return Err(EventError::TooLarge { bytes: body.len(), max });
        }
        let notable = kind == "user_message" || matches!(effect, Effect::RunEnded { .. });
        Ok(Self { body: body.into(), effect, notable })
    }

    /// Says that the run is known to be open: the precondition of the append looks at it.
    pub(crate) fn of_open_run(mut self) -> Self {
        if matches!(self.effect, Effect::Run { .. }) {
            self.effect = Effect::None;
        }
        self
    }

    /// Says which message its run answers or takes.
    pub(crate) fn claiming(self, offset: u64, edited: Option<u64>) -> Self {
        self.with_claims(Claims::At { offset, edited, is_exclusive: false })
    }

    /// As [`Event::claiming`], if the message still waits and has this `sendId`.
    pub(crate) fn claiming_alone(self, send_id: &str, offset: u64, edited: Option<u64>) -> Self {
        match &self.effect {
            Effect::Run { claims: Some(Claims::First(id)), .. }
            | Effect::SteeringTaken { claims: Claims::First(id), .. }
                if **id == *send_id =>
            {
                self.with_claims(Claims::At { offset, edited, is_exclusive: true })
            }
            _ => self,
        }
    }

    fn with_claims(mut self, new: Claims) -> Self {
        match &mut self.effect {
            Effect::Run { claims, .. } => *claims = Some(new),
            Effect::SteeringTaken { claims, .. } => *claims = new,
            _ => {}
        }
        self
    }

    /// The end of a run whose cancel was confirmed to a page: the event as `agent_cancelled`, at the same time. One that
    /// is that already stays as it is, and so does one that ends no run.
    #[must_use]
    pub(crate) fn cancelled(&self) -> Self {
        let Effect::RunEnded { run } = &self.effect else { return self.clone() };
        let fields: Map<String, Value> = serde_json::from_str(&self.body).unwrap_or_default();
        if fields.get("type").and_then(Value::as_str) == Some("agent_cancelled") {
            return self.clone();
        }
        let mut kept = Map::new();
        kept.insert("runId".to_owned(), (**run).into());
        kept.insert("reason".to_owned(), "requested".into());
        kept.insert("time".to_owned(), fields.get("time").cloned().unwrap_or_else(|| now_ms().into()));
        Self { body: encode("agent_cancelled", &kept).into(), ..self.clone() }
    }

    /// An event of the bridge itself: an object with a `type`, of a few ids and numbers, without an effect.
    pub(crate) fn made(event: Value) -> Self {
        let Value::Object(mut fields) = event else { unreachable!("the bridge makes objects") };
        let kind = fields.remove("type").unwrap_or_default();
        fields.insert("time".to_owned(), now_ms().into());
        let body = encode(kind.as_str().unwrap_or_default(), &fields).into();
        Self { body, effect: Effect::None, notable: false }
    }

    /// Says that nobody answered an approval in time.
    pub(crate) fn expiry(run: &Arc<str>, approval: &Arc<str>) -> Self {
        let decision = Decision::Expired.as_str();
        let event = json!({ "type": "approval_resolved", "runId": &**run, "approvalId": &**approval, "decision": decision });
        let resolution = Resolution { decision: decision.into(), by: None };
        let (run, approval) = (Arc::clone(run), Arc::clone(approval));
        Self { effect: Effect::ApprovalResolved { run, approval, resolution }, ..Self::made(event) }
    }

    /// The JSON text as it is stored and sent.
    pub(crate) fn body(&self) -> &Arc<str> {
        &self.body
    }

    /// What the log has to note beside the event.
    pub(crate) fn effect(&self) -> &Effect {
        &self.effect
    }

    /// Whether the inbox of the user is notified: a message of a user, or the end of a run.
    pub(crate) fn is_notable(&self) -> bool {
        self.notable
    }
}

impl Effect {
    /// The run that it is about.
    pub(crate) fn run(&self) -> Option<&Arc<str>> {
        match self {
            Self::Run { run, .. }
            | Self::RunEnded { run }
            | Self::SteeringTaken { run, .. }
            | Self::ApprovalRequested { run, .. }
            | Self::ApprovalResolved { run, .. } => Some(run),
            Self::None => None,
        }
    }

    fn of(row: &EventType, fields: &mut Map<String, Value>) -> Result<Self, EventError> {
        if !row.is_of_run() {
            return Ok(Self::None);
        }
        let run = text(fields, "runId")?;
        if row.name == "approval_requested" {
            let approval = text(fields, "approvalId")?;
            return Ok(Self::ApprovalRequested { run, approval, terms: terms_of(fields)? });
        }
        let optional = |field| fields.contains_key(field).then(|| text(fields, field)).transpose();
        Ok(match row.name {
            "agent_completed" | "agent_cancelled" | "agent_died" => Self::RunEnded { run },
            "agent_error" if fields.get("recoverable") != Some(&Value::Bool(true)) => Self::RunEnded { run },
            "steering_taken" => Self::SteeringTaken { run, claims: Claims::First(text(fields, "sendId")?) },
            "approval_resolved" => Self::ApprovalResolved {
                run,
                approval: text(fields, "approvalId")?,
                resolution: Resolution { decision: text(fields, "decision")?, by: optional("user")? },
            },
            "run_accepted" | "agent_started" => Self::Run {
                run,
                parent: optional("parentRunId")?,
                claims: optional("sendId")?.map(Claims::First),
            },
            // The run need not know of it.
            "steering_requested" => Self::None,
            _ => Self::Run { run, parent: None, claims: None },
        })
    }
}

/// The text of a field. Of the fields that are looked at, the check has found those that are required, and that they are texts.
fn text(fields: &Map<String, Value>, field: &'static str) -> Result<Arc<str>, EventError> {
    let text = fields.get(field).and_then(Value::as_str);
    Ok(text.ok_or_else(|| Invalid::new("event", field, "text"))?.into())
}

/// Writes the event with its type in front, where a reader of the log looks first.
fn encode(kind: &str, fields: &Map<String, Value>) -> String {
    let rest = Value::from(fields.clone()).to_string();
    let kind = Value::from(kind).to_string();
    let separator = if fields.is_empty() { "" } else { "," };
    format!("{{\"type\":{kind}{separator}{}", &rest[1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(value: Value) -> Result<Event, EventError> {
        Event::new(value, 4_096)
    }

    // PROTOCOL: EVT-9
    #[test]
    fn no_field_is_reserved() {
        let body = r#"{"type":"x","delivery":null,"epoch":[1],"offset":"here","time":5}"#;
        assert_eq!(&**event(serde_json::from_str(body).unwrap()).unwrap().body(), body);
    }

    // PROTOCOL: EVT-8
    #[test]
    fn what_pages_cannot_take_is_refused() {
        assert_eq!(event(json!([1])).unwrap_err(), EventError::NotAnObject);
        assert_eq!(event(json!({"text": "hi"})).unwrap_err(), EventError::NoType);
        assert_eq!(event(json!({"type": 1})).unwrap_err(), EventError::NoType);
        assert_eq!(event(json!({"type": ""})).unwrap_err(), EventError::NoType);
        assert!(matches!(event(json!({"type": "x", "time": 1.5})), Err(EventError::Invalid(_))));
        let large = "x".repeat(4_096);
        assert!(matches!(event(json!({"type": "x", "text": large})), Err(EventError::TooLarge { .. })));
    }

    // PROTOCOL: RUN-6
    #[test]
    fn a_listed_event_with_a_bad_field_is_refused_and_named() {
        let refused = |value: Value| event(value).unwrap_err().to_string();
        assert_eq!(
            refused(json!({"type": "agent_started", "runId": "r1"})),
            "`agent` of `agent_started` is missing: it must be text"
        );
        assert_eq!(
            refused(json!({"type": "agent_thinking", "runId": "r1", "progress": 100.5})),
            "`progress` of `agent_thinking` must be a number from 0 to 100"
        );
        let sent = json!({"type": "user_message", "content": "hi", "references": "all"});
        let Value::Object(sent) = sent else { unreachable!() };
        let refused = Event::from_send(sent, 4_096).unwrap_err().to_string();
        assert_eq!(refused, "`references` of `user_message` must be a list");
        let more = json!({"type": "agent_cancelled", "runId": "r1", "by": [1]});
        assert!(event(more).unwrap().body().contains(r#""by":[1]"#));
    }

    #[test]
    fn the_type_comes_first_and_time_is_set() {
        let with_time = event(json!({"a": [1, "\""], "time": 5, "type": "x\""})).unwrap();
        assert_eq!(&**with_time.body(), r#"{"type":"x\"","a":[1,"\""],"time":5}"#);
        let without: Value = serde_json::from_str(event(json!({"type": "x"})).unwrap().body()).unwrap();
        assert!(without["time"].as_u64().unwrap() > 1_600_000_000_000);
    }

    #[test]
    fn effects_follow_the_table_of_the_protocol() {
        let effect = |value| event(value).unwrap().effect().clone();
        let run = || Arc::<str>::from("r1");
        assert_eq!(effect(json!({"type": "custom", "runId": "r1"})), Effect::None);
        assert_eq!(
            effect(json!({"type": "agent_started", "runId": "r1", "agent": "a", "sendId": "s1"})),
            Effect::Run { run: run(), parent: None, claims: Some(Claims::First("s1".into())) }
        );
        let answer =
            event(json!({"type": "agent_started", "runId": "r1", "agent": "a", "sendId": "s1"})).unwrap();
        let claims = Some(Claims::At { offset: 7, edited: Some(9), is_exclusive: false });
        assert_eq!(answer.claiming(7, Some(9)).effect(), &Effect::Run { run: run(), parent: None, claims });
        assert_eq!(
            effect(json!({"type": "agent_started", "runId": "r1", "agent": "a", "parentRunId": "r0"})),
            Effect::Run { run: run(), parent: Some("r0".into()), claims: None }
        );
        assert_eq!(
            effect(json!({"type": "agent_thinking", "runId": "r1"})),
            Effect::Run { run: run(), parent: None, claims: None }
        );
        let failed = |recoverable: bool| json!({"type": "agent_error", "runId": "r1", "code": "x", "severity": "low", "recoverable": recoverable});
        for end in [
            json!({"type": "agent_completed", "runId": "r1"}),
            json!({"type": "agent_cancelled", "runId": "r1"}),
            json!({"type": "agent_died", "runId": "r1", "cause": "x"}),
            failed(false),
        ] {
            assert_eq!(effect(end.clone()), Effect::RunEnded { run: run() }, "{end}");
        }
        assert_eq!(effect(failed(true)), Effect::Run { run: run(), parent: None, claims: None });
    }

    // PROTOCOL: SND-6
    #[test]
    fn a_page_writes_messages_and_types_of_its_own_only() {
        let send = |kind: &str| {
            let Value::Object(fields) = json!({"type": kind, "runId": "r1", "content": "hi"}) else {
                unreachable!()
            };
            Event::from_send(fields, 4_096)
        };
        let protocol = include_str!("../../docs/PROTOCOL.md");
        let table = protocol.split_once("## 12. Event types").unwrap().1;
        let listed: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(kind, _)| kind)
            .collect();
        assert!(listed.contains(&"user_message") && listed.len() > 15, "{listed:?}");
        for kind in listed.into_iter().filter(|kind| *kind != "user_message") {
            assert_eq!(send(kind).unwrap_err(), EventError::AgentsOnly(kind.to_owned()));
        }
        for kind in ["user_message", "reaction"] {
            assert_eq!(send(kind).unwrap().effect(), &Effect::None);
        }
    }
}

//! What a log stores: records, and the facts in them.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::stream::StreamKey;

/// One atomic batch of a stream: all of it is durable, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its number in the stream, from 1 and without holes.
    pub seq: u64,
    /// Offset of its first event. A record without events has the offset that the next event gets.
    pub first: u64,
    /// JSON texts of its events, which have the offsets from `first` on. None holds a control character.
    pub events: Vec<Arc<str>>,
    /// What it changes in the ledger. A log stores facts and does not look at them.
    pub facts: Vec<Fact>,
    /// When it was written, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whether the stream has open work after it: [`Log::unfinished`](super::Log::unfinished) lists it then.
    pub is_open: bool,
}

impl Record {
    /// The offset of the last event up to this record; 0 when there is none.
    pub fn head(&self) -> u64 {
        self.first + self.events.len() as u64 - 1
    }

    /// Bytes of its events.
    pub fn event_bytes(&self) -> usize {
        self.events.iter().map(|event| event.len()).sum()
    }

    /// The whole record as one line of JSON, for logs that store texts.
    pub fn to_json(&self) -> String {
        let facts = facts_to_json(&self.facts);
        format!(
            "{{\"seq\":{},\"first\":{},\"events\":{},\"facts\":{facts},\"atMs\":{},\"open\":{}}}",
            self.seq,
            self.first,
            list(&self.events, ","),
            self.at_ms,
            self.is_open
        )
    }

    /// The inverse of [`Record::to_json`]. Fails for a text that is no record, or one of a newer version.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Text<'a> {
            seq: u64,
            first: u64,
            #[serde(borrow)]
            events: Vec<&'a RawValue>,
            facts: Vec<Fact>,
            at_ms: u64,
            open: bool,
        }
        let text: Text<'_> = serde_json::from_str(text)?;
        Ok(Self {
            seq: text.seq,
            first: text.first,
            events: text.events.into_iter().map(|event| event.get().into()).collect(),
            facts: text.facts,
            at_ms: text.at_ms,
            is_open: text.open,
        })
    }
}

impl Serialize for Record {
    /// As JSON only: events are JSON texts.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_json()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(text.get()).map_err(serde::de::Error::custom)
    }
}

/// What separates two events in a stored list. No event holds a line feed, so it also splits the list again.
const SEPARATOR: &str = ",\n";

/// The events as a JSON array that [`split`] takes apart without parsing it.
pub fn join(events: &[Arc<str>]) -> String {
    list(events, SEPARATOR)
}

fn list(events: &[Arc<str>], separator: &str) -> String {
    let bytes: usize = events.iter().map(|event| event.len() + separator.len()).sum();
    let mut text = String::with_capacity(bytes + 2);
    text.push('[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(event);
    }
    text.push(']');
    text
}

/// The inverse of [`join`].
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or_default();
    // An event is never empty, but a list can be.
    inner.split(SEPARATOR).filter(|event| !event.is_empty())
}

/// The facts as a JSON array.
pub fn facts_to_json(facts: &[Fact]) -> String {
    serde_json::to_string(facts).expect("facts have text keys and no maps")
}

/// What a record changes in the ledger of its stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Fact {
    /// A send, a cancel or an approval was answered: each copy of it gets this receipt.
    Answered {
        /// What makes copies known.
        key: IdempotencyKey,
        /// How it ended.
        status: Status,
        /// The epoch of its place.
        epoch: Arc<str>,
        /// The offset of the last event it wrote, or the head if it wrote none.
        offset: u64,
        /// Of an answer to an approval: what counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resolution: Option<Resolution>,
        /// Whether a message for an agent was sent.
        #[serde(default)]
        is_message: bool,
    },
    /// A message waits for an agent.
    Waiting {
        /// Its place.
        offset: u64,
        /// The id that its page chose.
        send_id: Arc<str>,
        /// Who sent it.
        subject: Arc<str>,
        /// Whether an event says that it waits.
        #[serde(default)]
        is_queued: bool,
        /// Whether it comes before those that wait.
        #[serde(default)]
        is_front: bool,
    },
    /// A message that waits is for a run that is open.
    Steers {
        /// Its place.
        offset: u64,
        /// The run.
        run: Arc<str>,
    },
    /// The run that a message was for is over, and did not take it: it waits for a run of its own.
    Requeued {
        /// Its place.
        offset: u64,
    },
    /// A message waits no more: a run claimed it, or it was passed by.
    Claimed {
        /// Its place.
        offset: u64,
    },
    /// A message waits no more: a user took it back.
    Withdrawn {
        /// Its place.
        offset: u64,
    },
    /// A message that waits has another text.
    Edited {
        /// Its place.
        offset: u64,
        /// The place of the text.
        body: u64,
    },
    /// A run is open from here on.
    RunStarted {
        /// The run.
        run: Arc<str>,
        /// The place of its first event.
        offset: u64,
        /// What it belongs to.
        #[serde(default)]
        origin: Origin,
    },
    /// A run is over, and its open approvals with it.
    RunEnded {
        /// The run.
        run: Arc<str>,
        /// The place of its last event.
        offset: u64,
    },
    /// The cancel of a run was accepted: whatever ends it from now on is written as `agent_cancelled` (SND-7).
    CancelAccepted {
        /// The run.
        run: Arc<str>,
    },
    /// A run waits for a person.
    ApprovalRequested {
        /// The run.
        run: Arc<str>,
        /// The approval; another run can have one of the same name.
        approval: Arc<str>,
        /// What an answer is bound to.
        #[serde(default)]
        terms: Terms,
    },
    /// Somebody has answered.
    ApprovalResolved {
        /// The run; empty in the log of an older version.
        #[serde(default)]
        run: Arc<str>,
        /// The approval.
        approval: Arc<str>,
        /// The place of its event; 0 in the log of an older version.
        #[serde(default)]
        offset: u64,
        /// The answer; `None` in the log of an older version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resolution: Option<Resolution>,
    },
    /// Something happened that inboxes are notified of: a message of a user, or the end of a run.
    Notable {
        /// Its place.
        offset: u64,
    },
    /// The inboxes know everything notable up to here.
    Announced {
        /// The place.
        offset: u64,
    },
    /// Events of a producer are in the log, up to this number.
    Produced {
        /// The producer.
        producer: Arc<str>,
        /// The number of its last event.
        seq: u64,
        /// The epoch of its place.
        epoch: Arc<str>,
        /// The offset of its last event.
        offset: u64,
    },
    /// In an inbox: the line about this place of a thread was written.
    Announcement {
        /// The thread.
        stream: StreamKey,
        /// The place in it.
        offset: u64,
    },
    /// Events up to here were forgotten, and with them what is over.
    Trimmed {
        /// The place.
        through: u64,
    },
}

/// Makes a send, a cancel or an approval happen once, however often it comes (SND-1, SND-2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// The user who sent it.
    pub subject: Arc<str>,
    /// The id that the page chose.
    pub id: Arc<str>,
    /// Fingerprint of the body, in hexadecimal: two bodies under one id are a conflict.
    pub hash: Arc<str>,
}

/// What a run belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Origin {
    /// The run that it is a part of.
    pub parent: Option<Arc<str>>,
    /// The user whose message it answers, or its parent answers.
    pub subject: Option<Arc<str>>,
    /// The id of that message, if it answers one itself.
    pub send_id: Option<Arc<str>>,
    /// For how long it may be silent, if its agent is in another process than the bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

/// What an answer to an approval is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terms {
    /// The place of the question.
    pub offset: u64,
    /// Whether the question has a `schema`.
    pub has_schema: bool,
    /// Whether its arguments may be edited.
    pub is_editable: bool,
    /// Says which arguments were shown.
    pub args_hash: Option<Arc<str>>,
    /// When it expires, in milliseconds since the Unix epoch.
    pub expires_at_ms: Option<u64>,
}

/// The answer to an approval that counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resolution {
    /// `approved`, `denied` or `expired`.
    pub decision: Arc<str>,
    /// The user who decided; `None` when it was no user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
}

/// How an append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Status {
    /// The events are in the log.
    Accepted,
    /// The run was over.
    AlreadyFinished,
    /// There was no such run.
    UnknownRun,
    /// The approval was answered.
    AlreadyResolved,
    /// The approval was not answered before its run was over.
    RunOver,
    /// The user did not send such a message, or it is forgotten.
    UnknownSend,
    /// A run claimed the message, or it was passed by.
    AlreadyClaimed,
    /// The message was taken back before.
    Withdrawn,
    /// The message has another text than the run answers. Never recorded.
    Outdated,
    /// Several runs are open, and the message names none. Never recorded.
    AmbiguousRun,
    /// The user may not act on what belongs to another one. Never recorded.
    Forbidden,
    /// The approval was not answered in time. No answer: what is written says `AlreadyResolved`.
    Expired,
    /// There was no such approval.
    UnknownApproval,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(events: &[&str], facts: Vec<Fact>) -> Record {
        let events = events.iter().map(|event| Arc::from(*event)).collect();
        Record { seq: 3, first: 5, events, facts, at_ms: 7, is_open: true }
    }

    #[test]
    fn a_record_is_the_same_after_json() {
        let key = IdempotencyKey { subject: "ada".into(), id: "s1".into(), hash: "00ff".into() };
        let facts = vec![
            Fact::Answered {
                key,
                status: Status::Accepted,
                epoch: "e".into(),
                offset: 5,
                resolution: Some(Resolution { decision: "denied".into(), by: Some("ada".into()) }),
                is_message: false,
            },
            Fact::ApprovalResolved { run: "r".into(), approval: "a".into(), offset: 4, resolution: None },
            Fact::Announcement { stream: StreamKey::new("a/b", "t").unwrap(), offset: 9 },
        ];
        for events in [&[][..], &[r#"{"type":"x","n":1e400,"s":"a,b"}"#], &[r#"{"a":1}"#, r#"{"b":[2,3]}"#]] {
            let record = record(events, facts.clone());
            let text = record.to_json();
            assert_eq!(Record::from_json(&text).unwrap(), record, "{text}");
            assert!(!text.contains('\n'), "{text}");
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
            assert_eq!(split(&join(&record.events)).collect::<Vec<_>>(), events);
        }
    }

    #[test]
    fn a_text_of_a_newer_version_is_an_error() {
        let text =
            record(&[], Vec::new()).to_json().replace("\"facts\":[]", "\"facts\":[{\"is\":\"later\"}]");
        assert!(Record::from_json(&text).is_err());
    }
}

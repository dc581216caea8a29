//! The frames of agentwire.v1 as far as a page that reads needs them.

use std::borrow::Cow;

use serde::Deserialize;

/// Any frame of a server. What it does not name is ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Frame<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    pub(crate) ch: Option<u32>,
    pub(crate) first: Option<u64>,
    pub(crate) count: Option<u64>,
    /// Of `events`.
    #[serde(borrow, default)]
    pub(crate) events: Vec<Event<'a>>,
    /// Of `deltas`.
    #[serde(borrow, default)]
    pub(crate) texts: Vec<&'a str>,
    /// Of `subscribed`.
    pub(crate) next: Option<u64>,
    /// Of `ping`.
    pub(crate) n: Option<u64>,
    /// Of `error` and `unsubscribed`.
    #[serde(borrow)]
    pub(crate) code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) message: Option<Cow<'a, str>>,
}

/// An event of the load. Its text has no escapes.
#[derive(Debug, Deserialize)]
pub(crate) struct Event<'a> {
    pub(crate) text: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_deltas_are_read() {
        let events = r#"{"type":"events","ch":3,"first":1,"count":1,"events":[{"type":"message_delta","time":5,"text":"1 2"}]}"#;
        let frame: Frame<'_> = serde_json::from_str(events).unwrap();
        assert_eq!((frame.kind, frame.ch, frame.events[0].text), ("events", Some(3), "1 2"));
        let deltas = r#"{"type":"deltas","ch":3,"first":1,"count":2,"head":{"type":"message_delta"},"times":[5,6],"texts":["1 2","2 2"]}"#;
        let frame: Frame<'_> = serde_json::from_str(deltas).unwrap();
        assert_eq!((frame.first, frame.count, frame.texts), (Some(1), Some(2), vec!["1 2", "2 2"]));
        let error = r#"{"type":"error","code":"bad_frame","message":"\"x\" is none","retryable":false}"#;
        assert_eq!(serde_json::from_str::<Frame<'_>>(error).unwrap().message.unwrap(), "\"x\" is none");
    }
}

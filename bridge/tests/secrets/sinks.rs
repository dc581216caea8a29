//! Every place where a token of a page, or the secret, must not get to: what was written there, and how a test writes there on
//! purpose, so that a search which finds nothing is known to look. A new sink is one entry of the list.

use std::fs;

use agentwire_bridge::Identity;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::json;
use tempfile::TempDir;

use crate::{Marks, Page, Server, hearing};

/// What one test has heard.
pub(crate) struct Watched {
    pub(crate) marks: Marks,
    /// Holds the log.
    pub(crate) folder: TempDir,
    pub(crate) frames: Vec<String>,
    pub(crate) closes: Vec<String>,
    /// Heads and bodies.
    pub(crate) answers: Vec<String>,
    /// What values write of themselves for a developer.
    pub(crate) values: Vec<String>,
}

pub(crate) struct Sink {
    pub(crate) name: &'static str,
    /// All that was written there.
    read: fn(&Watched) -> Vec<u8>,
    /// Writes a token there, as a faulty bridge would.
    pub(crate) plant: for<'a> fn(&'a mut Watched, &'a Server, &'a mut Page, &'a str) -> BoxFuture<'a, ()>,
}

pub(crate) const SINKS: &[Sink] = &[
    Sink {
        name: "tracing",
        read: |_| hearing::traced().into(),
        plant: |_, _, _, token| async move { tracing::trace!(token, "a line") }.boxed(),
    },
    Sink {
        name: "spans of tracing",
        read: |_| hearing::traced().into(),
        plant: |_, _, _, token| async move { drop(tracing::trace_span!("a span", token)) }.boxed(),
    },
    Sink {
        name: "log of the libraries",
        read: |_| hearing::logged().into(),
        plant: |_, _, _, token| async move { log::debug!("a line: {token}") }.boxed(),
    },
    Sink {
        name: "frames",
        read: |watched| watched.frames.concat().into(),
        plant: |watched, server, page, token| {
            async move {
                publish(server, token).await;
                page.until(watched, "events").await.unwrap();
            }
            .boxed()
        },
    },
    Sink {
        name: "close reasons",
        read: |watched| watched.closes.concat().into(),
        plant: |watched, _, _, token| async move { watched.closes.push(token.to_owned()) }.boxed(),
    },
    Sink {
        name: "answers over HTTP",
        read: |watched| watched.answers.concat().into(),
        plant: |watched, server, _, token| {
            async move {
                publish(server, token).await;
                let reader = watched.marks.token("ada", 600);
                let bearer = format!("Authorization: Bearer {reader}\r\n");
                server.request(watched, "/v1/threads/t/events", &bearer).await;
            }
            .boxed()
        },
    },
    Sink {
        name: "files of the log",
        read: |watched| {
            let files = fs::read_dir(watched.folder.path()).unwrap();
            files.flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
        },
        plant: |_, server, _, token| publish(server, token).boxed(),
    },
    Sink {
        name: "what values write of themselves",
        read: |watched| watched.values.concat().into(),
        plant: |watched, _, _, token| {
            async move {
                let identity = Identity { subject: token.to_owned(), expires_at_ms: None };
                watched.values.push(format!("{identity:?}"));
            }
            .boxed()
        },
    },
];

async fn publish(server: &Server, token: &str) {
    server
        .bridge
        .emitter("ada", "t")
        .publish(json!({"type": "note", "time": 1, "text": token}))
        .await
        .unwrap();
}

impl Watched {
    pub(crate) fn new(test: &str) -> Self {
        hearing::begin();
        Self {
            marks: Marks::new(test),
            folder: tempfile::tempdir().unwrap(),
            frames: Vec::new(),
            closes: Vec::new(),
            answers: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The names of the sinks that hold a token or the secret, in one of their forms.
    pub(crate) fn leaks(&self) -> Vec<&'static str> {
        let forms = self.marks.forms();
        let holds =
            |written: &[u8], form: &str| written.windows(form.len()).any(|part| part == form.as_bytes());
        SINKS
            .iter()
            .filter(|sink| {
                let written = (sink.read)(self);
                forms.iter().any(|form| holds(&written, form))
            })
            .map(|sink| sink.name)
            .collect()
    }
}

//! A second server with a log that has a past, for attacks on files and on single streams.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::attack::{Stage, send};
use super::honest::Honest;
use super::stand::{Order, Stand};

/// Whose streams they are.
pub(super) const USER: &str = "ada";

/// The healthy stream, and the one that is damaged.
pub(super) const STREAM: &str = "notes";

/// Events of each stream.
pub(super) const EVENTS: u64 = 120;

/// Events that are written at once.
const AT_ONCE: usize = 4;

/// What a stream says: the content of each offset; `None` for one that is void or in a gap.
pub(super) type Contents = BTreeMap<u64, Option<String>>;

impl Stage {
    /// How a second server is started, with a folder of its own.
    pub(super) fn second(&self, name: &str) -> Result<Order> {
        let mut order = self.order.clone();
        order.folder = order.folder.join(name);
        fs::create_dir_all(&order.folder).context("a folder can't be made")?;
        Ok(order)
    }

    /// The same stage with another server.
    pub(super) fn at(&self, stand: &Stand) -> Self {
        Self { address: stand.address, pid: stand.pid(), ..self.clone() }
    }

    /// Starts a second server, fills two streams with events that say their offset, and stops it.
    pub(super) async fn past(&self, name: &str, is_killed: bool) -> Result<Order> {
        let order = self.second(name)?;
        let stand = order.start()?;
        let stage = self.at(&stand);
        let mut page = stage.page(USER).await?;
        for stream in [STREAM, "healthy"] {
            // A few at a time: what waits together becomes one record, and there have to be many.
            for first in (1..=EVENTS).step_by(AT_ONCE) {
                for offset in first..first + AT_ONCE as u64 {
                    let mut message = send(&format!("{stream}-{offset}"), stream, &said(offset));
                    message["message"]["type"] = json!("note");
                    page.json(&message).await?;
                }
                for _ in 0..AT_ONCE {
                    let receipt = page.until("receipt").await?;
                    ensure!(receipt["status"] == "accepted", "the log can't be filled: {receipt}");
                }
            }
        }
        if is_killed {
            drop(stand)
        } else {
            stand.stop()?
        }
        Ok(order)
    }

    /// What a stream says on a socket, from its start.
    pub(super) async fn contents(&self, stream: &str) -> Result<Contents> {
        let mut page = self.page_with(USER, json!([{ "name": stream }])).await?;
        let mut contents = Contents::new();
        let subscribed = page.either("subscribed", "unsubscribed").await?;
        if subscribed["type"] == "unsubscribed" {
            ensure!(subscribed["reason"] == "unavailable", "got {subscribed}");
            return Ok(contents);
        }
        let head = subscribed["head"].as_u64().unwrap_or(0);
        let mut next = subscribed["next"].as_u64().unwrap_or(1);
        for missing in 1..next {
            contents.insert(missing, None);
        }
        while next <= head {
            let frame = match page.either("events", "gap").await {
                Ok(frame) => frame,
                // A socket that ends has claimed nothing.
                Err(error) if format!("{error}").contains("closed with") => return Ok(contents),
                Err(error) => return Err(error),
            };
            if frame["type"] == "gap" {
                let to = frame["to"].as_u64().context("a gap without an end")?;
                ensure!(frame["from"].as_u64() == Some(next), "a gap in the wrong place: {frame}");
                for offset in next..=to {
                    contents.insert(offset, None);
                }
                next = to + 1;
                continue;
            }
            ensure!(
                frame["first"].as_u64() == Some(next),
                "events begin at {} instead of {next}",
                frame["first"]
            );
            for event in frame["events"].as_array().into_iter().flatten() {
                contents.insert(next, content(event));
                next += 1;
            }
        }
        Ok(contents)
    }

    /// What a stream says over HTTP, from its start.
    pub(super) async fn contents_of_http(&self, stream: &str) -> Result<Contents> {
        let mut contents = Contents::new();
        let mut next = 1;
        loop {
            let path = format!("/v1/threads/{stream}/events?from={next}&limit=1000");
            let answer = self.get(&path, USER).await?;
            if answer.status == 503 {
                return Ok(contents);
            }
            ensure!(answer.status == 200, "{path} got {}", answer.status);
            let page: Value = serde_json::from_str(&answer.body).context("an answer is not JSON")?;
            let first = page["first"].as_u64().context("an answer without a first offset")?;
            let Some(events) = page["events"].as_array().filter(|events| !events.is_empty()) else {
                return Ok(contents);
            };
            for (offset, event) in (first..).zip(events) {
                contents.insert(offset, content(event));
            }
            next = first + events.len() as u64;
        }
    }

    /// Requires that a stream says nothing else than it should, whichever way it is read: at each offset its own
    /// content, or that it is lost. Returns how many offsets have their content.
    pub(super) async fn says_no_wrong(&self, stream: &str) -> Result<usize> {
        let mut least = usize::MAX;
        for (contents, way) in
            [(self.contents(stream).await?, "the socket"), (self.contents_of_http(stream).await?, "HTTP")]
        {
            for (offset, content) in &contents {
                if let Some(content) = content
                    && *content != said(*offset)
                {
                    bail!("offset {offset} of {stream} says {content:?} over {way}");
                }
            }
            least = least.min(contents.values().flatten().count());
        }
        Ok(least)
    }
}

/// What the event at an offset says.
pub(super) fn said(offset: u64) -> String {
    format!("note {offset}")
}

fn content(event: &Value) -> Option<String> {
    event["content"].as_str().map(str::to_owned)
}

/// Lets an honest user work on a second server while `attack` runs, and requires that nothing of it is lost or late.
pub(super) async fn beside<T>(address: SocketAddr, attack: impl Future<Output = Result<T>>) -> Result<T> {
    let honest = tokio::task::spawn_blocking(move || Honest::start(address)).await??;
    let attacked = attack.await;
    let tally = tokio::task::spawn_blocking(move || honest.stop()).await?;
    let troubles = tally.troubles.join(", ");
    ensure!(
        tally.lost + tally.drops + tally.put_off == 0 && troubles.is_empty(),
        "beside it, {} messages are lost, {} put off, {} connections lost: {troubles}",
        tally.lost,
        tally.put_off,
        tally.drops
    );
    attacked
}

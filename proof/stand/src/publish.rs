//! Publishers in the process of the bridge, started by `POST /load/publish`. The answer comes when they are done.

use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{Bridge, StreamKey};
use agentwire_crowd::stamp::{self, THREAD};
use anyhow::{Context as _, Result, ensure};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What to publish.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Plan {
    /// Streams, one per user; the beginnings of their intervals are spread evenly.
    streams: u32,
    /// Events of each stream.
    events: u64,
    /// Records of each stream in a second; without it, as fast as the log takes them.
    per_second: Option<f64>,
    /// Events of one record.
    #[serde(default = "one")]
    batch: u64,
    /// Bytes of the text of an event.
    bytes: usize,
}

const fn one() -> u64 {
    1
}

/// The route.
pub(crate) fn router(bridge: Bridge) -> Router {
    Router::new().route("/load/publish", post(publish)).with_state(bridge)
}

async fn publish(
    State(bridge): State<Bridge>,
    Json(plan): Json<Plan>,
) -> Result<Json<Value>, (StatusCode, String)> {
    match run(&bridge, plan).await {
        Ok(published) => Ok(Json(json!({ "published": published }))),
        Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))),
    }
}

async fn run(bridge: &Bridge, plan: Plan) -> Result<u64> {
    let interval = match plan.per_second {
        Some(rate) => Duration::try_from_secs_f64(1.0 / rate).context("`perSecond` is above 0")?,
        None => Duration::ZERO,
    };
    ensure!(plan.batch > 0, "`batch` is above 0");
    let begin = Instant::now();
    let plan = Arc::new(plan);
    let mut streams = JoinSet::new();
    for stream in 0..plan.streams {
        let phase = interval.mul_f64(f64::from(stream) / f64::from(plan.streams));
        streams.spawn(feed(bridge.clone(), stream, Arc::clone(&plan), begin + phase, interval));
    }
    let mut published = 0;
    while let Some(fed) = streams.join_next().await {
        published += fed.context("a publisher panicked")??;
    }
    Ok(published)
}

/// Publishes the events of one stream. One that is late catches up.
async fn feed(
    bridge: Bridge,
    stream: u32,
    plan: Arc<Plan>,
    mut due: Instant,
    interval: Duration,
) -> Result<u64> {
    let user = stamp::user(stream);
    let key = StreamKey::new(&user, THREAD)?;
    let emitter = bridge.emitter(&user, THREAD);
    let head = bridge.log().head(&key).await?.offset;
    let end = head + plan.events;
    let mut next = head + 1;
    while next <= end {
        sleep_until(due).await;
        due += interval;
        let after = (next + plan.batch).min(end + 1);
        let events = (next..after).map(|n| event(n, plan.bytes)).collect();
        emitter.publish_all(events).await?;
        next = after;
    }
    Ok(plan.events)
}

/// A token of an agent.
fn event(n: u64, bytes: usize) -> Value {
    json!({
        "type": "message_delta",
        "runId": "run-7f3a90c1",
        "messageId": "message-0b7c2d44",
        "text": stamp::write(n, bytes),
    })
}

//! A stream of events: one per line, for as long as the connection lives.

use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{Batch, BatchError, LongBody, Producer, PublishError, Published, StreamKey};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::Value;

use super::lines::Lines;
use super::publish::{MAX_EVENTS, answer, lease, producer_of};
use super::refused::Refused;
use super::strict::Strict;
use super::{access, body};
use crate::config::KeyRight;
use crate::state::Shared;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Options {
    producer: String,
    seq: u64,
    lease_ms: Option<u64>,
}

pub(super) async fn publish(
    State(shared): State<Arc<Shared>>,
    Path(thread): Path<String>,
    request: Request,
) -> Result<Json<Value>, Refused> {
    let (_, stream) = access::thread(&shared, request.headers(), KeyRight::Publish, &thread)?;
    body::check_type(request.headers(), "application/x-ndjson")?;
    let options: Options = body::query(request.uri())?;
    let producer = producer_of(options.producer, options.seq)?;
    if producer.seq == 0 {
        return Err(Refused::bad_request("`seq` counts from 1"));
    }
    if let Some(long) = request.extensions().get::<LongBody>() {
        long.allow();
    }
    let lease = lease(&shared, options.lease_ms)?;
    let mut writing = Writing {
        shared: &shared,
        stream,
        producer: producer.id,
        next: producer.seq,
        lease,
        line: 0,
        runs: Vec::new(),
        done: None,
    };
    let mut request_body = request.into_body();
    let mut lines = Lines::default();
    loop {
        let part = tokio::select! {
            biased;
            () = shared.closing.cancelled() => {
                return Err(Refused::unavailable("the server stops; go on from the last number of the producer"));
            }
            part = request_body.frame() => part,
        };
        match part {
            None => break,
            Some(Ok(frame)) => {
                let Ok(part) = frame.into_data() else { continue };
                lines.push(&part);
                writing.write(lines.take()).await?;
                if lines.pending() > shared.max_body_bytes {
                    let message = format!("a line has at most {} bytes", shared.max_body_bytes);
                    return Err(Refused::too_large(message).with("index", writing.line));
                }
            }
            Some(Err(_)) => {
                let message = "the stream did not go on in time, or its connection broke";
                return Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "timeout", message));
            }
        }
    }
    writing.write(vec![lines.take_rest()]).await?;
    writing
        .done
        .map(|done| Json(answer(&done)))
        .ok_or_else(|| Refused::bad_request("the stream has no event"))
}

/// What was written of a stream.
struct Writing<'a> {
    shared: &'a Shared,
    stream: StreamKey,
    producer: String,
    /// The number of the next event.
    next: u64,
    lease: Duration,
    /// The number of the next line, from 0.
    line: usize,
    /// Runs that the stream has written to, the newest last.
    runs: Vec<String>,
    done: Option<Published>,
}

/// Runs of a stream whose leases its empty lines renew.
const MAX_RUNS: usize = 64;

impl Writing<'_> {
    /// Writes the events of lines.
    async fn write(&mut self, lines: Vec<Vec<u8>>) -> Result<(), Refused> {
        let mut events = Vec::new();
        // An event and the line that it came in.
        let mut places = Vec::new();
        let mut is_sign = false;
        let mut refused = None;
        for line in lines {
            let at = self.line;
            self.line += 1;
            if line.iter().all(u8::is_ascii_whitespace) {
                is_sign = true;
                continue;
            }
            match read(&line) {
                Ok(event) => {
                    self.note_run(&event);
                    events.push(event);
                    places.push(at);
                }
                Err(error) => {
                    refused = Some(error.with("index", at));
                    break;
                }
            }
        }
        let mut places = places.chunks(MAX_EVENTS);
        for events in events.chunks(MAX_EVENTS) {
            self.publish(events, places.next().unwrap_or_default()).await?;
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        if is_sign {
            for run in &self.runs {
                self.shared.bridge.heartbeat(&self.stream, run).await?;
            }
        }
        Ok(())
    }

    /// Writes events that came together. If one of them is refused, those before it are written.
    async fn publish(&mut self, events: &[Value], places: &[usize]) -> Result<(), Refused> {
        let at = |error: BatchError, place: usize| Refused::from(error).with("index", place);
        match self.append(events).await {
            Ok(()) => Ok(()),
            Err(error @ BatchError::Event { index, .. }) => {
                if index > 0 {
                    Box::pin(self.publish(&events[..index], &places[..index])).await?;
                }
                Err(at(error, places[index]))
            }
            Err(error @ BatchError::Publish(PublishError::Log(_))) => Err(at(error, places[0])),
            Err(_) if events.len() > 1 => {
                for (event, place) in events.iter().zip(places) {
                    self.append(std::slice::from_ref(event)).await.map_err(|error| at(error, *place))?;
                }
                Ok(())
            }
            Err(error) => Err(at(error, places[0])),
        }
    }

    async fn append(&mut self, events: &[Value]) -> Result<(), BatchError> {
        let producer = Producer { id: self.producer.clone(), seq: self.next };
        let batch =
            Batch { producer: Some(producer), lease: Some(self.lease), ..Batch::new(events.to_vec()) };
        let published = self.shared.bridge.publish(&self.stream, batch).await?;
        self.next += events.len() as u64;
        let (applied, repeated) = self.done.as_ref().map_or((0, 0), |done| (done.applied, done.repeated));
        self.done = Some(Published {
            applied: applied + published.applied,
            repeated: repeated + published.repeated,
            ..published
        });
        Ok(())
    }

    fn note_run(&mut self, event: &Value) {
        if let Some(run) = event.get("runId").and_then(Value::as_str)
            && !self.runs.iter().any(|known| known == run)
        {
            if self.runs.len() >= MAX_RUNS {
                self.runs.remove(0);
            }
            self.runs.push(run.to_owned());
        }
    }
}

fn read(line: &[u8]) -> Result<Value, Refused> {
    let text = std::str::from_utf8(line).map_err(|_| Refused::bad_request("a line is not UTF-8"))?;
    let Strict(event) = serde_json::from_str(text)
        .map_err(|error| Refused::bad_request(format!("a line is not one JSON value: {error}")))?;
    Ok(event)
}

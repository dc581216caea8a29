//! Batches of events, and how far their producers are.

use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{Batch, Claim, Idempotency, Producer, Published};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::refused::Refused;
use super::strict::Strict;
use super::{access, body};
use crate::config::KeyRight;
use crate::state::Shared;

/// Events of one batch.
pub(super) const MAX_EVENTS: usize = 1_000;

/// The longest id of a producer, and the longest idempotency key, in bytes.
const MAX_ID_BYTES: usize = 128;

/// The shortest lease.
const MIN_LEASE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BatchBody {
    events: Vec<Strict>,
    producer: Option<ProducerBody>,
    lease_ms: Option<u64>,
    claim: Option<ClaimBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProducerBody {
    id: String,
    seq: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ClaimBody {
    send_id: String,
    offset: u64,
    text: u64,
}

pub(super) async fn publish(
    State(shared): State<Arc<Shared>>,
    Path(thread): Path<String>,
    request: Request,
) -> Result<Json<Value>, Refused> {
    let (key, stream) = access::thread(&shared, request.headers(), KeyRight::Publish, &thread)?;
    let idempotency = idempotency(request.headers(), key.name())?;
    let body: BatchBody = body::read(request, shared.max_body_bytes).await?;
    if !(1..=MAX_EVENTS).contains(&body.events.len()) {
        return Err(Refused::bad_request(format!("`events` has 1 to {MAX_EVENTS} events")));
    }
    if idempotency.is_some() && body.producer.is_some() {
        return Err(Refused::bad_request("use a `producer` or an `Idempotency-Key`, not both"));
    }
    let producer = body.producer.map(|ProducerBody { id, seq }| producer_of(id, seq)).transpose()?;
    let batch = Batch {
        events: body.events.into_iter().map(|Strict(event)| event).collect(),
        producer,
        idempotency,
        lease: Some(lease(&shared, body.lease_ms)?),
        claim: body.claim.map(|ClaimBody { send_id, offset, text }| Claim { send_id, offset, text }),
    };
    let published = shared.bridge.publish(&stream, batch).await?;
    Ok(Json(answer(&published)))
}

/// How far a producer is.
pub(super) async fn producer(
    State(shared): State<Arc<Shared>>,
    Path((thread, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refused> {
    let (_, stream) = access::thread(&shared, &headers, KeyRight::Publish, &thread)?;
    let Some((seq, position)) = shared.bridge.produced(&stream, &id).await? else {
        return Err(Refused::not_found("no event of this producer is in the thread, or it is forgotten"));
    };
    Ok(Json(json!({ "id": id, "seq": seq, "epoch": &*position.epoch, "offset": position.offset })))
}

pub(super) fn producer_of(id: String, seq: u64) -> Result<Producer, Refused> {
    if !(1..=MAX_ID_BYTES).contains(&id.len()) {
        return Err(Refused::bad_request(format!("the id of a producer has 1 to {MAX_ID_BYTES} bytes")));
    }
    Ok(Producer { id, seq })
}

/// The lease of the runs that begin in a batch.
pub(super) fn lease(shared: &Shared, lease_ms: Option<u64>) -> Result<Duration, Refused> {
    let Some(lease_ms) = lease_ms else { return Ok(shared.lease) };
    let lease = Duration::from_millis(lease_ms);
    if (MIN_LEASE..=shared.max_lease).contains(&lease) {
        return Ok(lease);
    }
    let max_ms = shared.max_lease.as_millis();
    Err(Refused::bad_request(format!(
        "`leaseMs` is {} to {max_ms} (`runs.max_lease_ms`)",
        MIN_LEASE.as_millis()
    )))
}

fn idempotency(headers: &HeaderMap, service: &str) -> Result<Option<Idempotency>, Refused> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=MAX_ID_BYTES).contains(&key.len()) => {
            Ok(Some(Idempotency { service: service.to_owned(), key: key.to_owned() }))
        }
        _ => {
            Err(Refused::bad_request(format!("`Idempotency-Key` has 1 to {MAX_ID_BYTES} visible characters")))
        }
    }
}

/// What became of a batch.
pub(super) fn answer(published: &Published) -> Value {
    let Published { position, seq, applied, repeated, cancelled } = published;
    json!({
        "epoch": &*position.epoch, "offset": position.offset, "seq": seq,
        "applied": applied, "repeated": repeated, "cancelled": cancelled,
    })
}

//! Answers to approvals.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Session;
use super::receipts::unavailable;
use crate::auth::Access;
use crate::context::Context;
use crate::event::Event;
use crate::fingerprint::fingerprint;
use crate::ledger::draft::{Append, Precondition};
use crate::live::Decision;
use crate::log::{LogError, Status};
use crate::question::{self, Given, needs_schema};
use crate::stream::StreamKey;
use crate::wire::Send;
use crate::wire::encode::Rejection;

impl Session {
    pub(super) async fn approve(&mut self, send: Send, run: Arc<str>, approval: Arc<str>, given: Given) {
        let Some((place, grant)) = self.writable(&send, Access::Approve).await else {
            return;
        };
        let key = grant.stream;
        match unfit(&self.context, &key, (&run, &approval), &given).await {
            Ok(None) => {}
            Ok(Some(why)) => return self.reject(&place, invalid_answer(&why)),
            Err(error) => return self.reject(&place, unavailable(&error)),
        }
        let (event, hash) = resolved(&run, &approval, given, &self.subject);
        let event = match Event::new(event, self.context.limits.max_frame_bytes) {
            Ok(event) => event,
            Err(error) => return self.reject(&place, invalid_answer(&error.to_string())),
        };
        let append = Append {
            is_expired: self.is_expired(&send),
            key: Some(self.idempotency_key(&send, hash)),
            precondition: Precondition::ApprovalOpen { run, approval },
            ..Append::events(key, vec![event])
        };
        self.submit(place, append, status_of_approve).await;
    }
}

const fn invalid_answer(why: &str) -> Rejection<'_> {
    Rejection::final_one("invalid_answer", why, "Answer again with a new id; the question is still open.")
}

/// Why an answer does not fit its question. One that is not open is not looked at: its receipt says so.
async fn unfit(
    context: &Context,
    key: &StreamKey,
    (run, approval): (&Arc<str>, &Arc<str>),
    given: &Given,
) -> Result<Option<String>, LogError> {
    let max = context.limits.max_answer_bytes;
    let bytes = given.bytes();
    if bytes > max {
        return Ok(Some(format!("the answer has {bytes} bytes of JSON, but at most {max} are taken")));
    }
    let Some(terms) = context.journal.terms(key, run, approval).await? else { return Ok(None) };
    let mut schema = None;
    if needs_schema(given, &terms) {
        let page = context.journal.read(key, terms.offset, 1, usize::MAX).await?;
        let body = page.bodies.first().filter(|_| page.first == terms.offset);
        schema =
            body.and_then(|body| serde_json::from_str::<Map<String, Value>>(body).ok()?.remove("schema"));
        if schema.is_none() {
            return Ok(Some("the question was removed, so it can only be denied".to_owned()));
        }
    }
    Ok(question::check(given, &terms, schema.as_ref()).err())
}

/// The event of an answer, and the fingerprint of the answer.
fn resolved(run: &str, approval: &str, given: Given, subject: &str) -> (Value, Arc<str>) {
    let decision = if given.is_approved { Decision::Approved } else { Decision::Denied };
    let mut event = json!({ "runId": run, "approvalId": approval, "decision": decision.as_str() });
    let fields = [
        ("payload", given.payload),
        ("editedArgs", given.edited_args),
        ("reason", given.reason.map(Value::from)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            event[name] = value;
        }
    }
    let hash = fingerprint("approve", &json!([event, given.args_hash]));
    event["type"] = "approval_resolved".into();
    event["user"] = subject.into();
    (event, hash)
}

fn status_of_approve(status: Status) -> &'static str {
    match status {
        Status::AlreadyResolved => "already_resolved",
        Status::RunOver => "run_over",
        Status::UnknownApproval => "unknown_approval",
        _ => "accepted",
    }
}

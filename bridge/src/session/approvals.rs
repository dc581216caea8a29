//! Answers to approvals.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Session;
use super::receipts::unavailable;
use super::requests::{Answer, TooLong};
use crate::auth::Access;
use crate::bounds::users::User;
use crate::context::Context;
use crate::event::Event;
use crate::fingerprint::fingerprint;
use crate::ledger::draft::{Append, Precondition};
use crate::live::Decision;
use crate::log::{LogError, Status, Terms};
use crate::question::{self, Given, needs_schema};
use crate::stream::StreamKey;
use crate::wire::Send;
use crate::wire::encode::Rejection;

impl Session {
    pub(super) async fn approve(
        &mut self,
        send: Send,
        run: Arc<str>,
        approval: Arc<str>,
        answer: Result<Answer, TooLong>,
    ) {
        let Some((place, grant)) = self.writable(&send, Access::Approve).await else {
            return;
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(TooLong(bytes)) => {
                let max = self.context.limits.max_answer_bytes;
                let why = format!("the answer has {bytes} bytes of JSON, but at most {max} are taken");
                return self.reject(&place, invalid_answer(&why));
            }
        };
        let key = grant.stream;
        let resolved =
            match resolve(&self.context, &self.user, &self.subject, &key, (&run, &approval), answer).await {
                Ok(resolved) => resolved,
                Err(error) => return self.reject(&place, unavailable(&error)),
            };
        let (event, hash) = match resolved {
            Ok(resolved) => resolved,
            Err(why) => return self.reject(&place, invalid_answer(&why)),
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

/// The event of an answer and its fingerprint, or why it does not fit its question. A question that is not open is not
/// looked at: the receipt says so.
async fn resolve(
    context: &Context,
    user: &User,
    subject: &Arc<str>,
    key: &StreamKey,
    (run, approval): (&Arc<str>, &Arc<str>),
    Answer { given, bytes }: Answer,
) -> Result<Result<(Event, Arc<str>), String>, LogError> {
    let limits = &context.limits;
    let terms = context.journal.terms(key, run, approval).await?;
    let question = match &terms {
        Some(terms) if needs_schema(&given, terms) => {
            let page = context.journal.read(key, terms.offset, 1, usize::MAX).await?;
            page.bodies.into_iter().next().filter(|_| page.first == terms.offset)
        }
        _ => None,
    };
    let (run, approval, subject) = (Arc::clone(run), Arc::clone(approval), Arc::clone(subject));
    let max_frame_bytes = limits.max_frame_bytes;
    let work = bytes + question.as_ref().map_or(0, |question| question.len());
    let check = move || {
        if let Some(terms) = &terms {
            fits(&given, terms, question.as_deref())?;
        }
        let (event, hash) = resolution(&run, &approval, given, &subject);
        let event = Event::new(event, max_frame_bytes).map_err(|error| error.to_string())?;
        Ok((event, hash))
    };
    Ok(context.heavy.run(user, work, check).await)
}

/// Whether an answer fits its question. `question` is the event, if the answer needs its schema.
fn fits(given: &Given, terms: &Terms, question: Option<&str>) -> Result<(), String> {
    let mut schema = None;
    if needs_schema(given, terms) {
        let fields = question.and_then(|body| serde_json::from_str::<Map<String, Value>>(body).ok());
        schema = fields.and_then(|mut fields| fields.remove("schema"));
        if schema.is_none() {
            return Err("the question was removed, so it can only be denied".to_owned());
        }
    }
    question::check(given, terms, schema.as_ref())
}

/// The event of an answer, and the fingerprint of the answer.
fn resolution(run: &str, approval: &str, given: Given, subject: &str) -> (Value, Arc<str>) {
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

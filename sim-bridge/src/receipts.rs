//! Receipts: each says what the log says.

use agentwire_sim::oracle::{Judgement, Violation};
use serde_json::Value;

use crate::audit::{Audit, require};
use crate::doors;
use crate::store::{Kind, Part, Store};
use crate::turns::{Approval, State, Turns};

/// Something that a user asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The thread.
    pub name: String,
    /// What.
    pub what: What,
}

/// What a user asks for.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are those of the frame")]
pub enum What {
    CancelRun(String),
    CancelMessage(String),
    Withdraw(String),
    Edit(String),
    Answer { run: String, approval: String, decision: String },
}

/// Judges a receipt when it is sent.
pub(crate) fn receipt(audit: &mut Audit, store: &Store, user: &str, frame: &Value) -> Judgement {
    audit.receipts += 1;
    let id = frame["id"].as_str().unwrap_or_default();
    let status = frame["status"].as_str().unwrap_or_default();
    if status == "rejected" {
        require!(frame["error"]["code"] != "conflict", "SND-2", "{frame}: nobody used an id twice");
        return Ok(());
    }
    if let Some(asked) = audit.asked.get(id) {
        return receipt_of_act(audit, store, user, asked, frame);
    }
    let Some(name) = audit.sends.get(id) else {
        return Err(Violation { rule: "SND-1", text: format!("{frame}: nobody sent it") });
    };
    let is_it = |kind: &Kind| matches!(kind, Kind::Message { send, .. } if send == id);
    require!(is_at(store, name, frame, is_it), "SND-3", "{frame}: the message is not there");
    Ok(())
}

/// Whether such an event is where a receipt says.
fn is_at(store: &Store, name: &str, frame: &Value, is_it: impl Fn(&Kind) -> bool) -> bool {
    let position = &frame["position"];
    let (epoch, offset) = (position["epoch"].as_str().unwrap_or_default(), &position["offset"]);
    let at = offset.as_u64().unwrap_or(0) as usize;
    let is_there = store.written(&doors::key_of(name), epoch, |written| {
        at.checked_sub(1).and_then(|at| written.get(at)).is_some_and(|event| is_it(&event.kind))
    });
    is_there == Some(true)
}

/// A receipt says what the log says: now, and for ever.
fn receipt_of_act(audit: &Audit, store: &Store, user: &str, asked: &Asked, frame: &Value) -> Judgement {
    let Asked { name, what } = asked;
    let turns = Turns::read(store, name, &audit.named);
    let status = frame["status"].as_str().unwrap_or_default();
    let state = |send: &String| turns.messages.get(send).map(|message| message.state);
    let is_true = match (what, status) {
        (What::CancelRun(run), "cancelled") => turns.runs.get(run).is_some_and(|run| run.is_cancelled),
        (What::CancelRun(run), "already_finished") => turns.runs.get(run).is_some_and(|run| !run.is_open()),
        (What::CancelMessage(send), "cancelled") => {
            let mut runs = turns.runs.values().filter(|run| run.send.as_ref() == Some(send));
            state(send) == Some(State::Withdrawn) || runs.any(|run| run.is_cancelled)
        }
        (What::CancelMessage(send), "already_finished") => state(send) != Some(State::Waits),
        (What::Withdraw(send), "withdrawn") | (What::Edit(send), "withdrawn") => {
            state(send) == Some(State::Withdrawn)
        }
        (What::Withdraw(send) | What::Edit(send), "already_claimed") => {
            matches!(state(send), Some(State::Claimed | State::Passed))
        }
        (What::Edit(send), "accepted") => {
            is_at(store, name, frame, |kind| matches!(kind, Kind::Edited { send: of, .. } if of == send))
        }
        (What::Answer { run, approval, decision }, "accepted") => {
            let is_it = |kind: &Kind| match kind {
                Kind::Run { run: of, part: Part::Resolved { approval: one, .. }, .. } => {
                    of == run && one == approval
                }
                _ => false,
            };
            frame["decision"] == **decision && frame["by"] == *user && is_at(store, name, frame, is_it)
        }
        (What::Answer { .. }, "already_resolved") => true,
        (What::Answer { run, approval, .. }, "run_over") => {
            let is_undecided = |one: &Approval| one.decision.is_none();
            let key = (run.clone(), approval.clone());
            turns.approvals.get(&key).is_none_or(is_undecided)
                && turns.runs.get(run).is_none_or(|run| !run.is_open())
        }
        // Nothing is known of it: it was trimmed, or went with a part of the log.
        (_, "unknown_run" | "unknown_send" | "unknown_approval") => true,
        _ => false,
    };
    require!(is_true, "SND-11", "{user} asked for {asked:?}, {frame}: the log says otherwise");
    if let What::Answer { run, approval, .. } = what
        && matches!(status, "accepted" | "already_resolved")
    {
        let recorded =
            turns.approvals.get(&(run.clone(), approval.clone())).and_then(|one| one.decision.as_ref());
        let said = recorded.map(|(decision, by)| (Value::from(&**decision), Value::from(by.as_deref())));
        let given = (frame["decision"].clone(), frame["by"].clone());
        require!(said.as_ref() == Some(&given), "SND-8", "{frame}: {recorded:?} is recorded");
    }
    Ok(())
}

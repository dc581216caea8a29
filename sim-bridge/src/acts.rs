//! What users do to runs, to messages and to questions: their pages send it, and send it again until it settles.

use agentwire::proto::SendKind;
use agentwire_sim::oracle::{Judgement, Violation};
use serde_json::{Value, json};

use crate::doors;
use crate::page::{Mode, text};
use crate::plan::{Fault, Step};
use crate::receipts::{Asked, What};
use crate::turns::Turns;
use crate::world::World;

/// The last things of a thread that a user does something to.
const RECENT: usize = 8;

/// One of several, chosen by a number.
pub(crate) fn nth<T>(all: impl Iterator<Item = T>, n: u64) -> Option<T> {
    let mut all: Vec<T> = all.collect();
    (!all.is_empty()).then(|| all.swap_remove(n as usize % all.len()))
}

impl World {
    /// What became of everything in a thread.
    pub(crate) fn turns(&self, name: &str) -> Turns {
        Turns::read(&self.store, name, &self.audit.named)
    }

    /// A page sends a message.
    pub(crate) fn send(&mut self, index: usize, name: &str, mode: &Mode) -> Judgement {
        let input = self.pages[index].message(&mut self.rng, name, mode);
        if let Mode::Steer(Some(run)) = mode {
            self.audit.named.insert(self.pages[index].last_id(), run.clone());
        }
        self.input(index, input)
    }

    /// The user of a page does something to what is there. Returns whether there is anything.
    pub(crate) fn act(&mut self, index: usize, name: &str, step: &Step) -> Result<bool, Violation> {
        let turns = self.turns(name);
        let all = turns.runs_in_order();
        let mut runs: Vec<_> = all.iter().filter(|(_, run)| run.is_open()).map(|(id, _)| *id).collect();
        let ended = all.iter().rev().find(|(_, run)| !run.is_open()).map(|(id, _)| *id);
        let (kind, what, body) = match step.fault {
            Fault::Interrupt => {
                self.send(index, name, &Mode::Interrupt)?;
                return Ok(true);
            }
            Fault::Steer => {
                // One that is over is named, too.
                runs.extend(ended.filter(|_| step.a.is_multiple_of(5)));
                let named = nth(runs.into_iter(), step.b).filter(|_| step.a.is_multiple_of(2)).cloned();
                self.send(index, name, &Mode::Steer(named))?;
                return Ok(true);
            }
            Fault::CancelRun => {
                let Some(run) = nth(runs.into_iter(), step.b).or(ended).cloned() else { return Ok(false) };
                let body = json!({ "runId": run });
                (SendKind::Cancel, What::CancelRun(run), body)
            }
            Fault::Answer => {
                let Some((what, body)) = self.answer(name, &turns, step) else { return Ok(false) };
                (SendKind::Approve, what, body)
            }
            _ => {
                // One that is still on its way, or one of the last that came.
                let own = step.b.is_multiple_of(4).then(|| self.pages[index].last_id());
                let mut recent: Vec<_> = turns.messages.iter().map(|(id, one)| (one.offset, id)).collect();
                recent.sort_unstable();
                let recent = recent.into_iter().rev().take(RECENT).map(|(_, id)| id.clone());
                let Some(send) = own.or_else(|| nth(recent, step.b)) else { return Ok(false) };
                let mut body = json!({ "sendId": send });
                match step.fault {
                    Fault::CancelMessage => (SendKind::Cancel, What::CancelMessage(send), body),
                    Fault::TakeBack => (SendKind::Withdraw, What::Withdraw(send), body),
                    _ => {
                        let id = self.pages[index].last_id();
                        body["message"] = text(&mut self.rng, &format!("after-{id}"));
                        (SendKind::Edit, What::Edit(send), body)
                    }
                }
            }
        };
        let page = &mut self.pages[index];
        let id = page.next_id();
        let input = page.driver.send(kind, &id, name, body);
        self.audit.asked.insert(id, Asked { name: name.to_owned(), what });
        self.input(index, input)?;
        Ok(true)
    }

    /// An answer to a question that is open, or to one that was: most fit.
    fn answer(&self, name: &str, turns: &Turns, step: &Step) -> Option<(What, Value)> {
        let mut asked: Vec<_> = turns.approvals.iter().collect();
        asked.sort_unstable_by_key(|(_, one)| one.offset);
        let is_open = |one: &&(&(String, String), &_)| turns.is_asked(one.0);
        let open = nth(asked.iter().filter(is_open), step.b);
        let ((run, approval), question) = *open.or_else(|| asked.last())?;
        let is_approved = !step.b.is_multiple_of(3);
        let decision = if is_approved { "approved" } else { "denied" };
        let mut body = json!({ "runId": run, "approvalId": approval, "decision": decision });
        let event = self.store.event(&doors::key_of(name), question.offset).unwrap_or_default();
        if is_approved && !step.a.is_multiple_of(7) {
            if event["editable"] == true {
                body["editedArgs"] = json!({ "path": "drafts/" });
            } else if event["schema"].is_object() {
                body["payload"] = json!({ "path": "drafts/" });
            }
            if event["argsHash"].is_string() {
                body["argsHash"] = event["argsHash"].clone();
            }
        }
        let (run, approval, decision) = (run.clone(), approval.clone(), decision.to_owned());
        Some((What::Answer { run, approval, decision }, body))
    }
}

//! What a page does to runs and to messages that wait: cancel, withdraw, edit.

use std::sync::Arc;

use serde_json::Value;

use super::Session;
use super::requests::Checked;
use crate::auth::{Access, Grant};
use crate::fingerprint::fingerprint;
use crate::ledger::draft::Append;
use crate::ledger::draft::acts::{Act, Actor};
use crate::log::Status;
use crate::wire::{Cancelled, Send};

impl Session {
    pub(super) async fn cancel(&mut self, send: Send, what: Cancelled) {
        let (act, hash) = match what {
            Cancelled::Run(run) => {
                (Act::Cancel(Arc::clone(&run)), fingerprint("cancel", &Value::from(&*run)))
            }
            Cancelled::Send(id) => {
                (Act::CancelSend(Arc::clone(&id)), fingerprint("cancelSend", &Value::from(&*id)))
            }
        };
        self.act(send, act, hash, status_of_cancel).await;
    }

    pub(super) async fn withdraw(&mut self, send: Send, message_id: Arc<str>) {
        let hash = fingerprint("withdraw", &Value::from(&*message_id));
        self.act(send, Act::Withdraw(message_id), hash, status_of_withdraw).await;
    }

    pub(super) async fn edit(&mut self, send: Send, message_id: Arc<str>, checked: Checked) {
        let Some((place, grant)) = self.writable(&send, Access::Write).await else {
            return;
        };
        let event = match checked.event {
            Ok(event) => event,
            Err(unfit) => return self.reject(&place, unfit.rejection()),
        };
        let append = Append {
            is_expired: self.is_expired(&send),
            key: Some(self.idempotency_key(&send, checked.hash)),
            act: Some((Act::Edit(message_id), self.actor(&grant))),
            ..Append::events(grant.stream, vec![event])
        };
        self.submit(place, append, status_of_edit).await;
    }

    async fn act(&mut self, send: Send, act: Act, hash: Arc<str>, status: fn(Status) -> &'static str) {
        let Some((place, grant)) = self.writable(&send, Access::Write).await else {
            return;
        };
        let append = Append {
            is_expired: self.is_expired(&send),
            key: Some(self.idempotency_key(&send, hash)),
            act: Some((act, self.actor(&grant))),
            ..Append::events(grant.stream, Vec::new())
        };
        self.submit(place, append, status).await;
    }

    fn actor(&self, grant: &Grant) -> Actor {
        Actor { subject: Arc::clone(&self.subject), manages: grant.manage }
    }
}

fn status_of_cancel(status: Status) -> &'static str {
    match status {
        Status::AlreadyFinished => "already_finished",
        Status::UnknownRun => "unknown_run",
        Status::UnknownSend => "unknown_send",
        _ => "cancelled",
    }
}

fn status_of_withdraw(status: Status) -> &'static str {
    match status {
        Status::AlreadyClaimed => "already_claimed",
        Status::UnknownSend => "unknown_send",
        _ => "withdrawn",
    }
}

fn status_of_edit(status: Status) -> &'static str {
    match status {
        Status::AlreadyClaimed => "already_claimed",
        Status::UnknownSend => "unknown_send",
        Status::Withdrawn => "withdrawn",
        _ => "accepted",
    }
}

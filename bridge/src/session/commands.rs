//! What a page asks for.

use std::sync::Arc;

use super::requests::{self, Request};
use super::{End, Session};
use crate::auth::{AuthError, Refusal};
use crate::measures;
use crate::socket::Text;
use crate::wire::encode::ServerFrame;
use crate::wire::{ClientFrame, Malformed};

/// Replay requests that may be open on one socket (RPL-2).
const MAX_REPLAYS: usize = 8;

impl Session {
    pub(super) async fn on_text(&mut self, mut text: Text) -> Result<(), End> {
        // What a large frame asks for may wait for rights or for the log.
        let _room = text.take_room();
        let (subject, limits) = (Arc::clone(&self.subject), &self.context.limits);
        let (max_frame_bytes, max_answer_bytes) = (limits.max_frame_bytes, limits.max_answer_bytes);
        let bytes = text.as_str().len();
        let read = move || requests::read(text.as_str(), &subject, max_frame_bytes, max_answer_bytes);
        let Some(request) = self.context.heavy.run(&self.user, bytes, read).await? else {
            self.ignored += 1;
            tracing::debug!(
                session = self.name,
                ignored = self.ignored,
                "a frame of an unknown type was ignored"
            );
            return Ok(());
        };
        // A task is as large as its largest state, for each socket there is. What waits for rights or for the log is
        // rare, and has its state outside of it.
        match request {
            Request::Other(ClientFrame::Ack { offsets }) => Ok(self.ack(&offsets)?),
            Request::Other(ClientFrame::Ping { n }) => {
                self.control.push_back(ServerFrame::Pong { n }.encode());
                Ok(())
            }
            request => Box::pin(self.on_request(request)).await,
        }
    }

    async fn on_request(&mut self, request: Request) -> Result<(), End> {
        match request {
            Request::Send(send, mode, checked) => self.send(send, mode, checked).await,
            Request::Edit(send, message_id, checked) => self.edit(send, message_id, checked).await,
            Request::Approve(send, run, approval, answer) => {
                self.approve(send, run, approval, answer).await;
            }
            Request::Signal(stream, Some(signal)) => self.signal(&stream, signal).await,
            // An object that was read can be written.
            Request::Signal(_, None) => {}
            Request::Other(frame) => return self.on_frame(frame).await,
        }
        Ok(())
    }

    async fn on_frame(&mut self, frame: ClientFrame) -> Result<(), End> {
        match frame {
            ClientFrame::Cancel { send, what } => self.cancel(send, what).await,
            ClientFrame::Hello(_) => {
                return Err(Malformed::Contradiction("`hello` comes once, as the first frame").into());
            }
            ClientFrame::History { req } => self.error(
                "unsupported",
                "this server offers no history",
                false,
                "Subscribe from the start instead.",
                Some(req),
            ),
            ClientFrame::Refresh { token } => self.refresh(&token.0).await,
            ClientFrame::Replay { req, ch, from, to } => self.replay(req, ch, from, to),
            ClientFrame::Subscribe { streams } => self.subscribe(streams).await?,
            ClientFrame::Unsubscribe { ch } => self.unsubscribe(ch),
            ClientFrame::Withdraw { send, message_id } => self.withdraw(send, message_id).await,
            // Done already, or read as requests of their own.
            ClientFrame::Ack { .. }
            | ClientFrame::Ping { .. }
            | ClientFrame::Approve { .. }
            | ClientFrame::Edit { .. }
            | ClientFrame::Send { .. }
            | ClientFrame::Signal { .. }
            | ClientFrame::Pong => {}
        }
        Ok(())
    }

    pub(super) fn error(
        &mut self,
        code: &str,
        message: &str,
        retryable: bool,
        remediation: &str,
        req: Option<u64>,
    ) {
        let remediation = Some(remediation);
        self.control.push_back(ServerFrame::Error { code, message, retryable, remediation, req }.encode());
    }

    fn ack(&mut self, offsets: &[(u32, u64)]) -> Result<(), Malformed> {
        for (ch, offset) in offsets {
            if let Some(stream) = self.subscriptions.iter_mut().find(|stream| stream.ch == *ch) {
                stream.ack(*offset)?;
            }
        }
        Ok(())
    }

    fn unsubscribe(&mut self, ch: u32) {
        if let Some(at) = self.subscriptions.iter().position(|stream| stream.ch == ch) {
            let stream = self.subscriptions.remove(at);
            let frame = ServerFrame::Unsubscribed { ch: Some(ch), name: &stream.name, reason: "requested" };
            self.control.push_back(frame.encode());
        }
    }

    fn replay(&mut self, req: u64, ch: u32, from: u64, to: u64) {
        let open: usize = self.subscriptions.iter().map(|stream| stream.open_replays()).sum();
        let remediation = "Wait for a replayEnd, and ask for at most `window.events` offsets.";
        if open >= MAX_REPLAYS {
            let message = format!("{open} replay requests are open");
            return self.error("too_many_requests", &message, true, remediation, Some(req));
        }
        if to - from >= self.window.events as u64 {
            let message =
                format!("{} offsets are more than the window of {}", to - from + 1, self.window.events);
            return self.error("too_many_requests", &message, true, remediation, Some(req));
        }
        match self.subscriptions.iter_mut().find(|stream| stream.ch == ch) {
            Some(stream) => {
                measures::replayed(to + 1 - from);
                stream.replay(req, from, to);
            }
            // The subscription ended meanwhile: there is nothing to bring, and nothing was trimmed.
            None => self.control.push_back(ServerFrame::ReplayEnd { req, to: from - 1, oldest: 1 }.encode()),
        }
    }

    async fn refresh(&mut self, token: &str) {
        let message = match self.context.gate.identify(token).await {
            Ok(identity) if identity.subject == *self.subject => {
                // The rights may have changed with the token, or since the last one.
                let (ended, is_complete) = self.check_rights().await;
                if is_complete {
                    let token_expires_in_ms = self.expire_at(identity.expires_at_ms);
                    self.control.push_back(ServerFrame::Refreshed { token_expires_in_ms }.encode());
                } else {
                    let remediation = "Refresh again later; this connection goes on with the old token.";
                    let message = Refusal::Unavailable.to_string();
                    self.error("unavailable", &message, true, remediation, None);
                }
                for (ch, reason) in ended {
                    self.end_subscription(ch, reason);
                }
                return;
            }
            Ok(_) => "the token names another user".to_owned(),
            Err(error @ AuthError::Unavailable(_)) => {
                // Nothing is wrong with the token.
                let remediation = "Refresh again later; this connection goes on with the old token.";
                return self.error("unavailable", &error.to_string(), true, remediation, None);
            }
            Err(error) => error.to_string(),
        };
        let remediation = "Get a new token for the same user; this connection goes on with the old one.";
        self.error("token_invalid", &message, true, remediation, None);
    }
}

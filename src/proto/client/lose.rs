//! Losing the connection, waiting for the next attempt, and the end.

use super::{Client, Link};
use crate::proto::{
    close_code::CloseCode,
    config::MAX_TOKEN_REFUSALS,
    instant::Instant,
    output::{ClientError, Output},
    text::Text,
    timer::Timer,
};

impl Client {
    pub(super) fn on_socket_closed(&mut self, code: CloseCode) {
        if code.needs_token() {
            self.token_refusals += 1;
            if self.token_refusals >= MAX_TOKEN_REFUSALS {
                self.fail(Text::TOKEN_REJECTED);
                return;
            }
        }
        if code.is_retryable() {
            self.lose(code.reason());
        } else {
            self.fail(code.reason());
        }
    }

    /// Ends the socket from our side, and connects again.
    pub(super) fn drop_socket(&mut self, code: CloseCode) {
        if let Some(socket) = self.link.socket() {
            self.fx.push(Output::CloseSocket { socket, code });
            self.lose(code.reason());
        }
    }

    pub(super) fn bad_server_frame(&mut self, error: ClientError) {
        self.fx.stats.malformed_frames += 1;
        self.fx.error(error);
        self.drop_socket(CloseCode::BAD_SERVER_FRAME);
    }

    pub(super) fn lose(&mut self, reason: Text) {
        self.unlink();
        self.wait_to_reconnect(reason);
    }

    pub(super) fn wait_to_reconnect(&mut self, reason: Text) {
        self.timers.clear();
        if let Some(reason) = self.named_wait() {
            self.go(Link::Offline, reason, None);
            return;
        }
        let delay = self.backoff.next_delay(&mut self.rng);
        let at = self.now + delay;
        self.wait_until(self.not_before.map_or(at, |floor| floor.max(at)), reason);
    }

    pub(super) fn wait_until(&mut self, at: Instant, reason: Text) {
        self.timers.set(Timer::Reconnect, at);
        self.go(Link::Waiting, reason, Some(at.since(self.now)));
    }

    /// Takes everything off the socket that is gone.
    pub(super) fn unlink(&mut self) {
        if let Link::Opening { token, .. } = self.link {
            self.fx.release(token);
        }
        self.streams.on_link_down(&mut self.fx);
        self.outbox.on_link_down();
    }

    pub(super) fn on_online(&mut self, online: bool) {
        self.online = online;
        match self.link {
            Link::Offline if online => self.attempt(Text::ONLINE),
            Link::Waiting if !online => {
                self.timers.stop(Timer::Reconnect);
                self.go(Link::Offline, Text::OFFLINE, None);
            }
            // A wait that knew of the network goes on: the hint is no news. An open socket is not given up for one: the
            // heartbeat decides.
            Link::Closed
            | Link::Failed
            | Link::Greeting { .. }
            | Link::Idle
            | Link::Live(_)
            | Link::Offline
            | Link::Opening { .. }
            | Link::Token
            | Link::Waiting => {}
        }
    }

    /// A page in the back/forward cache runs nothing and must hold no socket, or the browser does not keep it; nothing may be
    /// delivered to a page that is on its way out, because nobody would know.
    pub(super) fn on_away(&mut self, away: bool) {
        self.away = away;
        if away && let Some(socket) = self.link.socket() {
            self.fx.push(Output::CloseSocket { socket, code: CloseCode::PAGE_LEFT });
            self.unlink();
            self.timers.clear();
            self.go(Link::Offline, CloseCode::PAGE_LEFT.reason(), None);
        } else if away && matches!(self.link, Link::Waiting | Link::Token) {
            self.timers.clear();
            self.go(Link::Offline, CloseCode::PAGE_LEFT.reason(), None);
        } else if !away && matches!(self.link, Link::Offline) {
            self.attempt(Text::PAGE_BACK);
        }
    }

    /// Says what the client waits for when no attempt can succeed.
    pub(super) const fn named_wait(&self) -> Option<Text> {
        if self.away {
            Some(CloseCode::PAGE_LEFT.reason())
        } else if self.online {
            None
        } else {
            Some(Text::OFFLINE)
        }
    }

    // --- Ending ---

    pub(super) fn close(&mut self) {
        if self.is_terminal() {
            return;
        }
        if let Some(socket) = self.link.socket() {
            self.fx.push(Output::CloseSocket { socket, code: CloseCode::NORMAL });
        }
        self.end(Link::Closed, Text::CLOSED);
    }

    pub(super) fn fail(&mut self, reason: Text) {
        self.end(Link::Failed, reason);
    }

    pub(super) fn end(&mut self, link: Link, reason: Text) {
        self.unlink();
        self.timers.clear();
        self.outbox.settle_all(reason, &mut self.fx);
        self.go(link, reason, None);
    }

    /// Frames only note when they came, so that a busy stream does not arm a timer per frame.
    pub(super) fn check_heartbeat(&mut self) {
        let Link::Live(session) = &self.link else { return };
        let heartbeat_timeout = session.heartbeat_timeout;
        let deadline = session.last_heard + heartbeat_timeout;
        if deadline <= self.now {
            self.drop_socket(CloseCode::HEARTBEAT_TIMEOUT);
        } else {
            self.timers.set(Timer::Heartbeat, deadline);
        }
    }
}

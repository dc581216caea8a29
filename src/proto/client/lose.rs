//! Losing the connection, waiting for the next attempt, and the end.

use super::{Client, Link};
use crate::proto::{
    close_code::CloseCode,
    config::{MAX_REJECTIONS, MAX_TOKEN_REFUSALS, OFFLINE_DELAY},
    instant::Instant,
    output::{ClientError, Output},
    text::Text,
    timer::Timer,
};

impl Client {
    pub(super) fn on_socket_closed(&mut self, code: CloseCode) {
        self.end_calm();
        if code.needs_token() {
            self.token_refusals += 1;
            if self.token_refusals >= MAX_TOKEN_REFUSALS {
                self.fail(Text::TOKEN_REJECTED);
                return;
            }
        }
        // Before anything is given up: one send may be what the server objects to, and settles by it.
        let explained = code.is_retryable() && self.outbox.on_socket_lost(code, self.now, &mut self.fx);
        if code.is_rejection() {
            self.rejections += u32::from(!explained);
            if self.rejections >= MAX_REJECTIONS {
                self.fail(code.reason());
                return;
            }
            // The same frames lead to the same end: the next attempt can wait.
            self.backoff.exhaust();
            self.moves_at = None;
            self.fx.error(ClientError::Rejected(code.reason()));
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
            self.end_calm();
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
        let is_woken = matches!(&self.link, Link::Live(session) if session.woken);
        self.unlink();
        if is_woken {
            // The page has just woken up, and somebody may look at it.
            self.timers.clear();
            self.hint(reason);
            return;
        }
        if let Some(at) = self.moves_at.take() {
            // The server chose the time: the backoff has nothing to add.
            self.timers.clear();
            self.wait_until(at.max(self.now), reason);
            return;
        }
        self.wait_to_reconnect(reason);
    }

    pub(super) fn wait_to_reconnect(&mut self, reason: Text) {
        self.timers.clear();
        if self.away {
            self.go(Link::Offline, CloseCode::PAGE_LEFT.reason(), None);
            return;
        }
        if self.is_unreachable() {
            self.wait_offline();
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

    /// Waits for the network, and tries now and then: the browser may be wrong.
    pub(super) fn wait_offline(&mut self) {
        let (least, drawn) = OFFLINE_DELAY;
        let delay = least + self.rng.up_to(drawn);
        self.timers.set(Timer::Reconnect, self.now + delay);
        self.go(Link::Offline, Text::OFFLINE, Some(delay));
    }

    /// Tells whether the browser says that there is no network, and the server needs one.
    pub(super) const fn is_unreachable(&self) -> bool {
        !self.online && !self.config.is_local
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
        if self.is_unreachable() && matches!(self.link, Link::Waiting) {
            self.wait_offline();
        } else if online || matches!(self.link, Link::Live(_)) {
            // An open socket is not given up for a hint: it is asked.
            self.look_again(Text::ONLINE);
        }
    }

    /// The page woke up, time has passed unnoticed, or there is a network: a connection is asked whether it is alive, and a wait
    /// ends.
    pub(super) fn look_again(&mut self, reason: Text) {
        match self.link {
            Link::Offline | Link::Waiting if !self.away => self.hint(reason),
            Link::Live(_) => self.probe_awake(),
            Link::Closed
            | Link::Failed
            | Link::Greeting { .. }
            | Link::Idle
            | Link::Offline
            | Link::Opening { .. }
            | Link::Token
            | Link::Waiting => {}
        }
    }

    /// Makes an attempt because something outside has changed. The steps of the backoff begin anew; what the server asked for still
    /// holds, and so does the bucket (I14).
    pub(super) fn hint(&mut self, reason: Text) {
        self.backoff.restart();
        self.attempt(reason);
    }

    /// A page in the back/forward cache runs nothing and must hold no socket, or the browser does not keep it; nothing may be
    /// delivered to a page that is on its way out, because nobody would know.
    pub(super) fn on_away(&mut self, away: bool) {
        if std::mem::replace(&mut self.away, away) == away {
            return;
        }
        if away && let Some(socket) = self.link.socket() {
            self.end_calm();
            self.fx.push(Output::CloseSocket { socket, code: CloseCode::PAGE_LEFT });
            self.unlink();
            self.timers.clear();
            self.go(Link::Offline, CloseCode::PAGE_LEFT.reason(), None);
        } else if away && matches!(self.link, Link::Waiting | Link::Token | Link::Offline) {
            self.timers.clear();
            self.go(Link::Offline, CloseCode::PAGE_LEFT.reason(), None);
        } else if !away && matches!(self.link, Link::Offline) {
            self.try_now(Text::PAGE_BACK);
        }
    }

    // --- Ending ---

    pub(super) fn close(&mut self) {
        if matches!(self.link, Link::Closed) {
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
        self.moves_at = None;
        // The host hears first that the client has ended: what it keeps of the sends is then its own decision.
        self.go(link, reason, None);
        self.outbox.settle_all(reason, &mut self.fx);
    }
}

//! From an attempt to the hello: a token, a socket, the first frame.

use super::{Client, Link};
use crate::proto::{
    close_code::CloseCode,
    config::{MAX_HELLO_REQUESTS, RECEIPT_TIMEOUT, RECONNECT_DELAY, REFRESH_RETRY, WELCOME_TIMEOUT},
    ids::{Slot, SocketId},
    instant::Duration,
    output::{ClientError, Output},
    text::Text,
    timer::Timer,
    wire::ClientFrame,
};

impl Client {
    pub(super) fn adopt(&mut self, socket: SocketId, token: Slot) {
        self.next_socket = self.next_socket.max(socket.0 + 1);
        if !matches!(self.link, Link::Idle) {
            self.fx.release(token);
            self.fx.push(Output::CloseSocket { socket, code: CloseCode::NORMAL });
            return;
        }
        // The first of a client: the bucket is full.
        let _ = self.bucket.take(self.now, self.attempt_interval());
        self.fx.stats.attempts += 1;
        self.timers.set(Timer::Connect, self.now + self.config.connect_timeout);
        self.go(Link::Opening { socket, token }, Text::CONNECT, None);
    }

    /// Makes an attempt, or waits for the network if the browser says that there is none.
    pub(super) fn try_now(&mut self, reason: Text) {
        if self.away {
            self.go(Link::Offline, CloseCode::PAGE_LEFT.reason(), None);
        } else if self.is_unreachable() {
            self.wait_offline();
        } else {
            self.attempt(reason);
        }
    }

    /// Makes an attempt, as soon as the server and the bucket allow one.
    pub(super) fn attempt(&mut self, reason: Text) {
        if let Some(floor) = self.not_before.filter(|&floor| floor > self.now) {
            // Neither a hint of the browser nor the page's return outweighs what the server asked for.
            self.wait_until(floor, reason);
        } else if let Err(at) = self.bucket.take(self.now, self.attempt_interval()) {
            self.wait_until(at, reason);
        } else {
            self.attempt_now(reason);
        }
    }

    /// The application asks for an attempt: it is not counted, but neither is it made more often than the delay allows.
    pub(super) fn reconnect(&mut self) {
        match self.link {
            Link::Waiting | Link::Offline | Link::Failed if !self.away => {}
            _ => return,
        }
        (self.token_refusals, self.rejections) = (0, 0);
        self.backoff.restart();
        let from = self.not_before.unwrap_or_default().max(self.reconnect_from);
        if from > self.now {
            // An attempt that comes before stays where it is.
            if self.timers.get(Timer::Reconnect).is_none_or(|at| at > from) {
                self.wait_until(from, Text::RECONNECT);
            }
            return;
        }
        self.reconnect_from = self.now + RECONNECT_DELAY;
        self.attempt_now(Text::RECONNECT);
    }

    /// The application chose the delay of the present wait; what the server asked for still holds.
    pub(super) fn retry_in(&mut self, delay: Duration) {
        if matches!(self.link, Link::Waiting) {
            let at = self.now + delay;
            self.wait_until(self.not_before.map_or(at, |floor| floor.max(at)), Text::RETRY);
        }
    }

    /// How long the bucket takes to allow one more attempt (I14).
    fn attempt_interval(&self) -> Duration {
        self.backoff.max() / 2
    }

    /// Makes an attempt: a token first, so that each socket has a fresh one.
    fn attempt_now(&mut self, reason: Text) {
        self.moves_at = None;
        self.fx.stats.attempts += 1;
        self.timers.stop(Timer::Reconnect);
        self.timers.set(Timer::Token, self.now + self.config.token_timeout);
        self.go(Link::Token, reason, None);
        self.ask_token();
    }

    pub(super) fn ask_token(&mut self) {
        if !self.token_asked {
            self.token_asked = true;
            self.fx.push(Output::RequestToken);
        }
    }

    pub(super) fn on_token(&mut self, token: Slot) {
        self.token_asked = false;
        match self.link {
            Link::Token => {
                let socket = SocketId(self.next_socket);
                self.next_socket += 1;
                self.timers.stop(Timer::Token);
                self.timers.set(Timer::Connect, self.now + self.config.connect_timeout);
                self.link = Link::Opening { socket, token };
                self.fx.push(Output::OpenSocket(socket));
            }
            Link::Live(ref mut session) => {
                session.refreshing = true;
                let socket = session.socket;
                self.send(socket, ClientFrame::Refresh { token });
                self.fx.release(token);
                // A refresh that is not answered is made again.
                self.timers.set(Timer::Refresh, self.now + RECEIPT_TIMEOUT);
            }
            Link::Closed
            | Link::Failed
            | Link::Greeting { .. }
            | Link::Idle
            | Link::Offline
            | Link::Opening { .. }
            | Link::Waiting => self.fx.release(token),
        }
    }

    pub(super) fn on_token_failed(&mut self, retryable: bool) {
        self.token_asked = false;
        match self.link {
            Link::Token if retryable => {
                self.fx.error(ClientError::Token(Text::TOKEN_FAILED));
                self.wait_to_reconnect(Text::TOKEN_FAILED);
            }
            Link::Token => self.fail(Text::TOKEN_FAILED),
            Link::Live(_) => {
                self.fx.error(ClientError::Token(Text::TOKEN_FAILED));
                if retryable {
                    self.timers.set(Timer::Refresh, self.now + REFRESH_RETRY);
                } else {
                    // The socket lasts as long as its token.
                    self.timers.stop(Timer::Refresh);
                }
            }
            Link::Closed
            | Link::Failed
            | Link::Greeting { .. }
            | Link::Idle
            | Link::Offline
            | Link::Opening { .. }
            | Link::Waiting => {}
        }
    }

    pub(super) fn on_socket_opened(&mut self, socket: SocketId, subprotocol: bool) {
        if !self.is_current(socket, None) {
            return;
        }
        let Link::Opening { token, .. } = self.link else {
            // It was open already.
            self.fx.stats.stale_events += 1;
            return;
        };
        if !subprotocol {
            self.fx.push(Output::CloseSocket { socket, code: CloseCode::NORMAL });
            self.fail(Text::UNSUPPORTED_PROTOCOL);
            return;
        }
        // The others are asked for after the welcome.
        let streams = self.requests(MAX_HELLO_REQUESTS);
        let hello = ClientFrame::Hello {
            token,
            window_events: self.config.window_events,
            window_bytes: self.config.window_bytes,
            window_total_bytes: self.config.window_total_bytes,
            streams,
        };
        self.send(socket, hello);
        self.fx.release(token);
        self.timers.stop(Timer::Connect);
        self.timers.set(Timer::Welcome, self.now + WELCOME_TIMEOUT);
        self.greeted_at = self.now;
        self.link = Link::Greeting { socket };
    }
}

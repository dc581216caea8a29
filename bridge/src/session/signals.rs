//! Signals: worth showing now or never.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::subscription::Subscription;
use super::{Session, millis};
use crate::auth::{Access, Refusal};
use crate::hub::Signal;
use crate::wire::encode::ServerFrame;

/// Largest signal, in bytes.
const MAX_SIGNAL_BYTES: usize = 4_096;

impl Session {
    pub(super) async fn signal(&mut self, stream: &str, signal: Box<RawValue>) {
        let key = match self.context.gate.open(&self.subject, stream, Access::Write).await {
            Ok(key) => key,
            // It may be lost (SIG-1), and is not worth waiting for.
            Err(Refusal::Unavailable) => return,
            Err(Refusal::Forbidden | Refusal::UnknownStream) => {
                let message = "this user may not signal to the stream";
                return self.error("forbidden", message, false, "Ask for access.", None);
            }
        };
        let bytes = signal.get().len();
        let signal = Signal { key, from: Arc::clone(&self.subject), signal: signal.into() };
        let frame_bytes = self.signal_frame(stream, &signal).len();
        let max_frame_bytes = self.context.limits.max_frame_bytes;
        if bytes > MAX_SIGNAL_BYTES || frame_bytes > max_frame_bytes {
            let message = format!(
                "the signal has {bytes} bytes and its frame {frame_bytes}; \
                 at most {MAX_SIGNAL_BYTES} are passed on, in a frame of at most {max_frame_bytes}"
            );
            return self.error("message_too_large", &message, false, "Send it as a message.", None);
        }
        self.context.hub.signal(self.id, &signal);
    }

    /// A signal of another socket.
    pub(super) fn on_signal(&mut self, signal: &Signal) {
        let hears = |stream: &&Subscription| stream.key == signal.key && stream.ended().is_none();
        for stream in self.subscriptions.iter().filter(hears) {
            let frame = self.signal_frame(&stream.name, signal);
            // The stream can have a longer name here than where the signal came from. A signal may be lost (SIG-1).
            if frame.len() <= self.context.limits.max_frame_bytes {
                self.control.push_back(frame);
            }
        }
    }

    /// The frame by which a signal is passed on.
    fn signal_frame(&self, stream: &str, signal: &Signal) -> String {
        let expires_in_ms = millis(self.context.limits.signal_expiry);
        ServerFrame::Signal { stream, from: &signal.from, signal: &signal.signal, expires_in_ms }.encode()
    }
}

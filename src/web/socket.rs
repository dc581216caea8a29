//! A browser WebSocket and its handlers.

use js_sys::JsString;
use wasm_bindgen::prelude::{Closure, JsCast, JsValue, wasm_bindgen};
use web_sys::{CloseEvent, WebSocket};

use crate::proto::{CloseCode, SocketId};

/// The subprotocol of version 1 (GEN-1).
const SUBPROTOCOL: &str = "agentwire.v1";

#[wasm_bindgen]
extern "C" {
    /// The part of `WebSocket` that web-sys offers for Rust strings only.
    type TextSocket;
    #[wasm_bindgen(method, structural, catch)]
    fn send(this: &TextSocket, text: &JsString) -> Result<(), JsValue>;
}

/// A socket with its handlers; dropping it takes them off, so that nothing of it is heard again. The host reads its messages.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) id: SocketId,
    pub(super) web: WebSocket,
    _open: Closure<dyn Fn()>,
    _close: Closure<dyn Fn(CloseEvent)>,
}

/// What a socket does.
pub(super) enum Heard {
    /// It opened, with our subprotocol or without (GEN-1).
    Opened { subprotocol: bool },
    /// It closed, or never opened.
    Closed(CloseCode),
}

impl Socket {
    /// Opens a socket.
    pub(super) fn open(
        id: SocketId,
        url: &str,
        hear: impl Fn(Heard) + Clone + 'static,
    ) -> Result<Self, JsValue> {
        Ok(Self::attach(id, WebSocket::new_with_str(url, SUBPROTOCOL)?, hear))
    }

    /// Takes over a socket that was opened elsewhere.
    pub(super) fn attach(id: SocketId, web: WebSocket, hear: impl Fn(Heard) + Clone + 'static) -> Self {
        let on_open = {
            let (hear, web) = (hear.clone(), web.clone());
            Closure::new(move || hear(opened(&web)))
        };
        let on_close = Closure::new(move |event: CloseEvent| hear(Heard::Closed(CloseCode(event.code()))));
        web.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        web.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Self { id, web, _open: on_open, _close: on_close }
    }

    /// Returns what an adopted socket did before its handlers were on.
    pub(super) fn missed(&self) -> Option<Heard> {
        match self.web.ready_state() {
            WebSocket::CONNECTING => None,
            WebSocket::OPEN => Some(opened(&self.web)),
            _ => Some(Heard::Closed(CloseCode::ABNORMAL)),
        }
    }

    /// Closes it with a code, if a page may send that code; the reason is the code's name and no secret.
    pub(super) fn close(&self, code: CloseCode) {
        let closed = match code.0 {
            1000 | 3000..=4999 => self.web.close_with_code_and_reason(code.0, code.reason()),
            _ => self.web.close(),
        };
        // It fails for codes outside these ranges only.
        debug_assert!(closed.is_ok());
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.web.set_onopen(None);
        self.web.set_onmessage(None);
        self.web.set_onclose(None);
    }
}

pub(super) fn send(web: &WebSocket, text: &JsString) -> Result<(), JsValue> {
    web.unchecked_ref::<TextSocket>().send(text)
}

fn opened(web: &WebSocket) -> Heard {
    Heard::Opened { subprotocol: web.protocol() == SUBPROTOCOL }
}

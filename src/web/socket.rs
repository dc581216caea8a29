//! A browser WebSocket and its handlers.

use wasm_bindgen::prelude::{Closure, JsCast, JsValue, wasm_bindgen};
use web_sys::CloseEvent;
pub(super) use web_sys::WebSocket;

use super::host::Host;
use crate::proto::{CloseCode, SocketId, Text};

#[wasm_bindgen]
extern "C" {
    /// The parts of `WebSocket` that web-sys offers for Rust strings only: no text enters wasm.
    #[wasm_bindgen(js_name = WebSocket)]
    type TextSocket;
    // It throws only while the socket is being opened, when nothing is sent.
    #[wasm_bindgen(method, structural)]
    fn send(this: &TextSocket, text: &JsValue);
    // It throws only for codes that a page may not send.
    #[wasm_bindgen(method, structural)]
    fn close(this: &TextSocket, code: u16, reason: &JsValue);
    #[wasm_bindgen(method, structural, js_name = close)]
    fn close_without_code(this: &TextSocket);
    #[wasm_bindgen(method, getter, structural)]
    fn protocol(this: &TextSocket) -> JsValue;
}

/// A socket with its handlers; dropping it takes them off, so that nothing of it is heard again. The host reads its messages.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) id: SocketId,
    pub(super) web: WebSocket,
    _open: Closure<dyn Fn(JsValue)>,
    _close: Closure<dyn Fn(JsValue)>,
}

/// What a socket does.
pub(super) enum Heard {
    /// It opened, with our subprotocol or without (GEN-1).
    Opened { subprotocol: bool },
    /// It closed, or never opened.
    Closed(CloseCode),
}

impl Socket {
    /// Takes over a socket that was opened elsewhere.
    pub(super) fn attach(
        id: SocketId,
        web: WebSocket,
        host: &Host,
        hear: impl Fn(Heard) + Clone + 'static,
    ) -> Self {
        let on_open = {
            let (hear, web, host) = (hear.clone(), web.clone(), host.clone());
            Closure::new(move |_| hear(opened(&web, &host)))
        };
        let on_close = Closure::new(move |event: JsValue| {
            hear(Heard::Closed(CloseCode(event.unchecked_ref::<CloseEvent>().code())));
        });
        web.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        web.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Self { id, web, _open: on_open, _close: on_close }
    }

    /// Returns what an adopted socket did before its handlers were on.
    pub(super) fn missed(&self, host: &Host) -> Option<Heard> {
        match self.web.ready_state() {
            WebSocket::CONNECTING => None,
            WebSocket::OPEN => Some(opened(&self.web, host)),
            _ => Some(Heard::Closed(CloseCode::ABNORMAL)),
        }
    }

    /// Closes it with a code, if a page may send that code; the reason is the code's name and no secret.
    pub(super) fn close(&self, code: CloseCode, host: &Host) {
        let web = self.web.unchecked_ref::<TextSocket>();
        match code.0 {
            1000 | 3000..=4999 => web.close(code.0, &host.text(code.reason().0)),
            _ => web.close_without_code(),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.web.set_onopen(None);
        self.web.set_onmessage(None);
        self.web.set_onclose(None);
    }
}

/// Sends a text on an open socket.
pub(super) fn send(web: &WebSocket, text: &JsValue) {
    web.unchecked_ref::<TextSocket>().send(text);
}

fn opened(web: &WebSocket, host: &Host) -> Heard {
    Heard::Opened {
        subprotocol: web.unchecked_ref::<TextSocket>().protocol() == host.text(Text::SUBPROTOCOL.0),
    }
}

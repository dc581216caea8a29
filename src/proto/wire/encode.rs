//! Writes a frame of the page.

use super::{ClientFrame, Open, StreamRequest, Writer};
use crate::proto::ids::Slot;

/// Writes one frame; `slot` gives the token or body that a slot holds.
///
/// Returns `None` when a slot is empty, which only a driver that released it too early can cause.
pub fn encode<W: Writer>(frame: &ClientFrame, slot: impl Fn(Slot) -> Option<W>) -> Option<W> {
    let mut out = W::object();
    let kind = |out: &mut W, name: &str| out.set("type", W::from_text(name));
    match frame {
        ClientFrame::Ack { offsets } => {
            kind(&mut out, "ack");
            let mut object = W::object();
            let mut digits = [0; 10];
            for &(ch, offset) in offsets {
                object.set(decimal(ch, &mut digits), number(offset));
            }
            out.set("offsets", object);
        }
        ClientFrame::Approve { id, stream, body } => keyed(&mut out, "approve", id, stream, &slot(*body)?),
        ClientFrame::Cancel { id, stream, body } => keyed(&mut out, "cancel", id, stream, &slot(*body)?),
        ClientFrame::Hello { token, version, window_events, window_bytes, window_total_bytes, streams } => {
            kind(&mut out, "hello");
            out.set("token", slot(*token)?);
            let mut client = W::object();
            client.set("name", W::from_text("agentwire-js"));
            client.set("version", W::from_text(version));
            out.set("client", client);
            let mut features = W::list();
            features.push(W::from_text("deltas"));
            out.set("features", features);
            let mut window = W::object();
            window.set("events", number(u64::from(*window_events)));
            window.set("bytes", number(u64::from(*window_bytes)));
            window.set("totalBytes", number(u64::from(*window_total_bytes)));
            out.set("window", window);
            out.set("streams", requests(streams));
        }
        ClientFrame::Ping { n } => {
            kind(&mut out, "ping");
            out.set("n", number(*n));
        }
        ClientFrame::Pong { n } => {
            kind(&mut out, "pong");
            out.set("n", number(*n));
        }
        ClientFrame::Refresh { token } => {
            kind(&mut out, "refresh");
            out.set("token", slot(*token)?);
        }
        ClientFrame::Replay { req, ch, from, to } => {
            kind(&mut out, "replay");
            out.set("req", number(*req));
            out.set("ch", number(u64::from(*ch)));
            out.set("from", number(*from));
            out.set("to", number(*to));
        }
        ClientFrame::Send { id, stream, body } => keyed(&mut out, "send", id, stream, &slot(*body)?),
        ClientFrame::Signal { stream, signal } => {
            kind(&mut out, "signal");
            out.set("stream", W::from_text(stream));
            out.set("signal", slot(*signal)?);
        }
        ClientFrame::Subscribe { streams } => {
            kind(&mut out, "subscribe");
            out.set("streams", requests(streams));
        }
        ClientFrame::Unsubscribe { ch } => {
            kind(&mut out, "unsubscribe");
            out.set("ch", number(u64::from(*ch)));
        }
    }
    Some(out)
}

/// Writes a frame that has an id and settles by a receipt; `body` brings the rest and cannot replace the key.
fn keyed<W: Writer>(out: &mut W, kind: &str, id: &str, stream: &str, body: &W) {
    out.set("type", W::from_text(kind));
    out.set("id", W::from_text(id));
    out.set("stream", W::from_text(stream));
    out.merge(body);
}

fn requests<W: Writer>(streams: &[StreamRequest]) -> W {
    let mut list = W::list();
    for request in streams {
        let mut item = W::object();
        item.set("name", W::from_text(&request.name));
        if let Some((epoch, offset)) = &request.position {
            let mut position = W::object();
            position.set("epoch", W::from_text(epoch));
            position.set("offset", number(*offset));
            item.set("position", position);
        }
        if let Some(seen) = request.seen {
            item.set("seen", number(seen));
        }
        let mut open = W::object();
        match request.open {
            Open::Start => open.set("from", W::from_text("start")),
            Open::Live => open.set("from", W::from_text("live")),
            Open::Last(n) => open.set("last", number(u64::from(n))),
        }
        item.set("open", open);
        list.push(item);
    }
    list
}

/// Offsets stay below 2^53 (GEN-5), where an `f64` is exact.
#[allow(clippy::cast_precision_loss, reason = "below 2^53")]
fn number<W: Writer>(number: u64) -> W {
    W::from_number(number as f64)
}

/// Writes a number as text; the formatting machinery would be the largest part of the module.
fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &str {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    std::str::from_utf8(&digits[start..]).unwrap_or("0")
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 1, 9, 10, 4_294_967_295, 2_147_483_647] {
            assert_eq!(super::decimal(number, &mut [0; 10]), number.to_string());
        }
    }
}

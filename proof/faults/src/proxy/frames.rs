//! Finds the WebSocket frames in the bytes that a server sends.

/// First bytes of the text frames that carry events (EVT-2 makes the order of keys normative).
const EVENT_PREFIXES: [&[u8]; 2] = [b"{\"type\":\"events\"", b"{\"type\":\"deltas\""];

/// Length of each of [`EVENT_PREFIXES`].
const PREFIX: usize = 16;

const END_OF_HTTP: &[u8] = b"\r\n\r\n";

/// Where at a frame of events a connection is broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spot {
    /// So far into it, from 0 to 1, behind the bytes that name its type.
    Inside(f64),
    /// When the whole of it went through.
    Behind,
}

/// Walks over what one server sends on one connection: the HTTP answer, then frames (RFC 6455, section 5.2; a server
/// does not mask).
#[derive(Debug, Default)]
pub(super) struct Frames {
    at: At,
}

#[derive(Debug)]
enum At {
    /// In the HTTP answer; `matched` bytes of its end were seen.
    Http { matched: usize },
    /// In the header of a frame.
    Header { bytes: [u8; 10], have: usize },
    /// In the payload of a frame.
    Payload { text: bool, length: u64, done: u64, prefix: [u8; PREFIX] },
}

impl Default for At {
    fn default() -> Self {
        Self::Http { matched: 0 }
    }
}

impl Frames {
    /// Walks over `bytes`. With a `spot`, returns how many of them to forward so that the connection ends there, if the
    /// spot of a frame of events is among them.
    pub(super) fn advance(&mut self, bytes: &[u8], spot: Option<Spot>) -> Option<usize> {
        let mut index = 0;
        while index < bytes.len() {
            match &mut self.at {
                At::Http { matched } => {
                    let byte = bytes[index];
                    index += 1;
                    *matched = match (byte == END_OF_HTTP[*matched], byte) {
                        (true, _) => *matched + 1,
                        (false, b'\r') => 1,
                        (false, _) => 0,
                    };
                    if *matched == END_OF_HTTP.len() {
                        self.at = At::Header { bytes: [0; 10], have: 0 };
                    }
                }
                At::Header { bytes: header, have } => {
                    header[*have] = bytes[index];
                    *have += 1;
                    index += 1;
                    if let Some(payload) = payload(header, *have) {
                        self.at = payload;
                    }
                }
                At::Payload { text, length, done, prefix } => {
                    let left = usize::try_from(*length - *done).unwrap_or(usize::MAX);
                    let step = left.min(bytes.len() - index);
                    if *done < PREFIX as u64 {
                        let from = *done as usize;
                        let count = step.min(PREFIX - from);
                        prefix[from..from + count].copy_from_slice(&bytes[index..index + count]);
                    }
                    let before = *done;
                    *done += step as u64;
                    let carries_events = *text
                        && *length > PREFIX as u64
                        && *done >= PREFIX as u64
                        && EVENT_PREFIXES.contains(&prefix.as_slice());
                    if let Some(Spot::Inside(place)) = spot
                        && carries_events
                    {
                        let room = *length - 1 - PREFIX as u64;
                        let target = PREFIX as u64 + (room as f64 * place.clamp(0.0, 1.0)) as u64;
                        if before < target.max(1) && target <= *done && target < *length {
                            return Some(index + (target - before) as usize);
                        }
                    }
                    index += step;
                    if *done == *length {
                        self.at = At::Header { bytes: [0; 10], have: 0 };
                        if carries_events && spot == Some(Spot::Behind) {
                            return Some(index);
                        }
                    }
                }
            }
        }
        None
    }
}

/// Returns the state after a whole header, or nothing while it is not whole.
fn payload(header: &[u8; 10], have: usize) -> Option<At> {
    if have < 2 {
        return None;
    }
    let (size, length) = match header[1] & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes([header[2], header[3]]))),
        127 => {
            let [_, _, length @ ..] = *header;
            (10, u64::from_be_bytes(length))
        }
        length => (2, u64::from(length)),
    };
    if have < size {
        return None;
    }
    if length == 0 {
        return Some(At::Header { bytes: [0; 10], have: 0 });
    }
    Some(At::Payload { text: header[0] & 0x0f == 1, length, done: 0, prefix: [0; PREFIX] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &str) -> Vec<u8> {
        let mut bytes = vec![0x81];
        match payload.len() {
            length @ 0..126 => bytes.push(length as u8),
            length @ 126..65536 => {
                bytes.push(126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(payload.as_bytes());
        bytes
    }

    fn events(length: usize) -> String {
        let mut text = r#"{"type":"events","#.to_owned();
        text.push_str(&"x".repeat(length - text.len()));
        text
    }

    /// Feeds `bytes` in pieces of `piece` and returns where in the whole the cut fell.
    fn cut_at(bytes: &[u8], piece: usize, spot: Spot) -> Option<usize> {
        let mut frames = Frames::default();
        let mut before = 0;
        for chunk in bytes.chunks(piece) {
            if let Some(end) = frames.advance(chunk, Some(spot)) {
                return Some(before + end);
            }
            before += chunk.len();
        }
        None
    }

    #[test]
    fn a_cut_falls_inside_the_first_frame_of_events_whatever_the_pieces() {
        for length in [40, 125, 126, 300, 70_000] {
            let mut stream = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n".to_vec();
            stream.extend(frame(r#"{"type":"welcome","session":"s","heartbeatMs":15000}"#));
            stream.extend(frame(""));
            let start = stream.len();
            stream.extend(frame(&events(length)));
            let end = stream.len();
            stream.extend(frame(&events(length)));
            for piece in [1, 7, 64, 16 * 1024] {
                for place in [0.0, 0.5, 1.0] {
                    let at = cut_at(&stream, piece, Spot::Inside(place)).expect("a frame of events is there");
                    assert!(start < at && at < end, "{length} {piece} {place}: {at} not in {start}..{end}");
                }
                assert_eq!(cut_at(&stream, piece, Spot::Behind), Some(end), "{length} {piece}");
            }
        }
    }

    #[test]
    fn frames_without_events_are_never_cut() {
        let mut stream = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        for _ in 0..20 {
            stream.extend(frame(r#"{"type":"heartbeat","heads":{"1":4},"more":"events"}"#));
        }
        assert_eq!(cut_at(&stream, 5, Spot::Inside(0.5)), None);
        assert_eq!(cut_at(&stream, 5, Spot::Behind), None);
    }

    #[test]
    fn a_place_that_has_passed_waits_for_the_next_frame() {
        let mut frames = Frames::default();
        let stream = [b"\r\n\r\n".to_vec(), frame(&events(100)), frame(&events(100))].concat();
        let (first, rest) = stream.split_at(90);
        assert_eq!(frames.advance(first, None), None);
        let at = frames.advance(rest, Some(Spot::Inside(0.1))).expect("the second frame holds the place")
            + first.len();
        assert!(at > 4 + 102 + 2, "{at} lies in the first frame");
    }
}

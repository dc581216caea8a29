//! The handshake of a WebSocket (RFC 6455, section 4.2).

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::upgrade::OnUpgrade;
use sha1_smol::Sha1;

use crate::wire::SUBPROTOCOL;

/// What RFC 6455 has a server append to the key of a client.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a request is no handshake of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It asks for no WebSocket.
    NoUpgrade,
    /// It is not as RFC 6455 says.
    Malformed,
    /// It does not offer the subprotocol.
    Subprotocol,
}

/// Answers a handshake. The connection comes when the answer was sent.
pub(crate) fn accept(request: &mut Request) -> Result<(OnUpgrade, Response<Body>), Refused> {
    let headers = request.headers();
    let asks = has_token(headers, &header::CONNECTION, "upgrade")
        && has_token(headers, &header::UPGRADE, "websocket");
    if !asks || request.version() < Version::HTTP_11 {
        return Err(Refused::NoUpgrade);
    }
    let is_13 = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key)).ok_or(Refused::Malformed)?;
    if !is_13 {
        return Err(Refused::Malformed);
    }
    if !has_token(headers, &header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(Refused::Subprotocol);
    }
    let accept = accept_key(key.as_bytes());
    let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or(Refused::NoUpgrade)?;
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(Body::empty())
        .map_err(|_| Refused::Malformed)?;
    Ok((upgrade, response))
}

/// A key is the base64 of 16 bytes.
fn is_key(key: &HeaderValue) -> bool {
    BASE64_STANDARD.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16)
}

fn accept_key(key: &[u8]) -> String {
    let mut hash = Sha1::from(key);
    hash.update(GUID.as_bytes());
    BASE64_STANDARD.encode(hash.digest().bytes())
}

/// Whether a header, which may come several times, lists a word in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_accepted_as_the_rfc_says() {
        assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    fn request(change: impl FnOnce(&mut HeaderMap)) -> Request {
        let mut request = Request::new(Body::empty());
        let headers = request.headers_mut();
        for (name, value) in [
            (header::CONNECTION, "keep-alive, Upgrade"),
            (header::UPGRADE, "WebSocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
            (header::SEC_WEBSOCKET_PROTOCOL, "other, agentwire.v1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        change(headers);
        request
    }

    #[test]
    fn what_is_no_handshake_of_this_protocol_is_refused() {
        let refused = |change: fn(&mut HeaderMap)| accept(&mut request(change)).err().unwrap();
        assert_eq!(refused(|headers| drop(headers.remove(header::UPGRADE))), Refused::NoUpgrade);
        assert_eq!(refused(|headers| drop(headers.remove(header::CONNECTION))), Refused::NoUpgrade);
        for key in ["", "short", "dGhlIHNhbXBsZSBub25jZQ"] {
            let mut request = request(|headers| {
                headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static(key));
            });
            assert_eq!(accept(&mut request).err(), Some(Refused::Malformed), "{key:?}");
        }
        let other = |headers: &mut HeaderMap| {
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("8"));
        };
        assert_eq!(refused(other), Refused::Malformed);
        assert_eq!(
            refused(|headers| drop(headers.remove(header::SEC_WEBSOCKET_PROTOCOL))),
            Refused::Subprotocol
        );
        // All of it is right, but the server in front of the router gives no connection away.
        assert_eq!(refused(|_| ()), Refused::NoUpgrade);
    }
}

//! Where a request comes from: in a span around it, so that each of its log lines says so.

use std::net::IpAddr;
use std::sync::Arc;

use agentwire_bridge::Peer;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;
use tracing::Instrument;

use crate::state::Shared;

/// Answers a request inside of a span with the address of its client.
pub(super) async fn traced(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| peer.ip());
    let span = match peer {
        Some(peer) => {
            tracing::info_span!("request", client = %client(peer, request.headers(), &shared.trusted_proxies))
        }
        None => tracing::Span::none(),
    };
    next.run(request).instrument(span).await
}

/// The address that the nearest proxy that is not trusted was called from, or the peer itself.
///
/// `X-Forwarded-For` is read from its end: what stands before the address that a trusted proxy has seen, a client can write
/// itself.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let mut addresses: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut client = peer.to_canonical();
    while is_trusted(&client)
        && let Some(before) = addresses.pop().and_then(|address| address.parse::<IpAddr>().ok())
    {
        client = before.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(of("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(of("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("127.0.0.1", &["192.0.2.7, 198.51.100.1, 10.1.2.3"]), "198.51.100.1");
        assert_eq!(of("127.0.0.1", &["192.0.2.7", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(of("::ffff:127.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(of("127.0.0.1", &["198.51.100.1, nobody"]), "127.0.0.1");
        assert_eq!(of("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(of("10.0.0.1", &["10.0.0.2"]), "10.0.0.2");
    }
}

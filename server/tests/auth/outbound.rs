//! Calls to others.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::time::Duration;

use agentwire_server::outbound::{Answer, Outbound, OutboundError};
use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;
use reqwest::header::{HeaderMap, HeaderValue};
use url::Url;

use super::site::{Site, answer};

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

async fn echo() -> Site {
    Site::start(|request| {
        Box::pin(async {
            let name = request.headers().get("x-name").cloned().unwrap_or(HeaderValue::from_static(""));
            let body = axum::body::to_bytes(request.into_body(), 1_000).await.unwrap();
            Response::builder()
                .status(429)
                .header("retry-after", "7")
                .header("x-name", name)
                .body(Body::from(body))
                .unwrap()
        })
    })
    .await
}

#[tokio::test]
async fn addresses_of_this_machine_are_refused_unless_they_are_allowed() {
    let site = echo().await;
    let port = site.address.port();
    let client = Outbound::new(false).unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "0.0.0.0",
        "[::]",
        "169.254.169.254",
    ] {
        for scheme in ["http", "https"] {
            let called = client.get(&url(&format!("{scheme}://{host}:{port}/secret"))).await;
            let refused = matches!(called, Err(OutboundError::Private(_) | OutboundError::Resolve(_)));
            assert!(refused, "{scheme}://{host}: {called:?}");
            let text = called.unwrap_err().to_string();
            assert!(!text.contains("/secret"), "{text}");
        }
    }
    assert_eq!(site.requests(), 0);
    let client = Outbound::new(true).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(client.get(&url(&format!("http://{host}:{port}/"))).await.unwrap().status, 429);
    }
    // Where clouds have their metadata, and what is no address of a server.
    for host in ["169.254.169.254", "[fd00:ec2::254]", "0.0.0.0", "224.0.0.1"] {
        let called = client.get(&url(&format!("http://{host}:{port}/"))).await;
        assert!(matches!(called, Err(OutboundError::Private(_))), "{host}: {called:?}");
    }
}

#[tokio::test]
async fn a_post_has_its_headers_and_its_answer_is_whole() {
    let site = echo().await;
    let mut headers = HeaderMap::new();
    headers.insert("x-name", HeaderValue::from_static("one"));
    let client = Outbound::new(true).unwrap();
    let called = client.post(&url(&site.url("/")), headers, b"body".to_vec()).await.unwrap();
    assert_eq!(
        called,
        Answer { status: 429, retry_after: Some(Duration::from_secs(7)), body: b"body".to_vec() }
    );
}

#[tokio::test]
async fn answers_are_bounded_in_size_and_time_and_redirects_are_not_followed() {
    let elsewhere = echo().await;
    let place = elsewhere.url("/");
    let site = Site::start(move |request| {
        let pending = stream::pending::<Result<Bytes, std::io::Error>>();
        match request.uri().path() {
            "/large" => answer(200, "x".repeat(1_001)),
            "/chunks" => {
                let chunks = std::iter::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(100)));
                answer(200, Body::from_stream(stream::iter(chunks)))
            }
            "/fits" => answer(200, "x".repeat(1_000)),
            "/slow" => answer(200, Body::from_stream(pending)),
            "/never" => Box::pin(std::future::pending()),
            _ => {
                let response = Response::builder().status(307).header("location", &place);
                Box::pin(std::future::ready(response.body(Body::empty()).unwrap()))
            }
        }
    })
    .await;
    let client = Outbound::new(true).unwrap().at_most(1_000).within(Duration::from_millis(300));
    let call = async |path: &str| client.get(&url(&site.url(path))).await;
    assert_eq!(call("/large").await, Err(OutboundError::TooLarge(1_000)));
    assert_eq!(call("/chunks").await, Err(OutboundError::TooLarge(1_000)));
    assert_eq!(call("/slow").await, Err(OutboundError::Timeout(Duration::from_millis(300))));
    assert_eq!(call("/never").await, Err(OutboundError::Timeout(Duration::from_millis(300))));
    assert_eq!(call("/fits").await.unwrap().body.len(), 1_000);
    assert_eq!(call("/redirect").await.unwrap().status, 307);
    assert_eq!(elsewhere.requests(), 0);
}

#[tokio::test]
async fn what_cannot_be_called_is_an_error_without_the_url() {
    let client = Outbound::new(true).unwrap().within(Duration::from_secs(2));
    for text in ["ftp://127.0.0.1/", "file:///etc/passwd", "data:,hello"] {
        assert!(matches!(client.get(&url(text)).await, Err(OutboundError::Url(_))), "{text}");
    }
    // Nobody listens there: the port was just closed.
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let error = client.get(&url(&format!("http://{closed}/path?token=secret"))).await.unwrap_err();
    assert!(matches!(error, OutboundError::Connection(_)), "{error:?}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

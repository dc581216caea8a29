//! Opening, keeping and closing a connection.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use agentwire_bridge::{
    AuthError, Authenticator, Authorizer, Grant, Hs256, Identity, Limits, Refusal, StreamKey,
};
use futures_util::future::BoxFuture;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Barrier, Semaphore, mpsc};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{Page, SECRET, Server, hello, hello_with, token, token_of, token_until, within};

#[expect(clippy::disallowed_methods, reason = "tokens expire by the wall clock")]
pub(crate) fn now() -> Duration {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn in_seconds(seconds: i64) -> u64 {
    now().as_secs().checked_add_signed(seconds).unwrap()
}

// PROTOCOL: GEN-1
#[tokio::test]
async fn a_socket_without_the_subprotocol_is_refused() {
    let server = Server::start().await;
    let error = tokio_tungstenite::connect_async(format!("ws://{}/ws", server.address)).await.unwrap_err();
    assert!(error.to_string().contains("400"), "{error}");
}

// PROTOCOL: HEL-3, HEL-4, HEL-5
#[tokio::test]
async fn the_welcome_comes_first_and_streams_in_their_order() {
    let server = Server::start().await;
    let mut page = Page::connect(&server).await;
    page.send(hello(&token("ada"), json!([{"name": "b"}, {"name": "a"}, {"name": "inbox"}]))).await;
    let welcome = page.next().await;
    assert_eq!(welcome["type"], "welcome");
    assert_eq!(welcome["subject"], "ada");
    assert_eq!(welcome["heartbeatMs"], 15_000);
    assert_eq!(welcome["maxFrameBytes"], 1_048_576);
    assert_eq!(welcome["maxStreams"], 64);
    assert_eq!(welcome["sendHorizonMs"], 86_400_000);
    assert!(welcome["tokenExpiresInMs"].as_u64().unwrap() > 1_000_000);
    for (ch, name) in [(1, "b"), (2, "a"), (3, "inbox")] {
        let frame = page.next().await;
        assert_eq!(
            (&frame["type"], &frame["name"], &frame["ch"]),
            (&json!("subscribed"), &json!(name), &json!(ch))
        );
    }
}

/// A token with an extension that must be understood.
fn critical(claims: &Value) -> String {
    let header = Header { crit: Some(vec!["exp".to_owned()]), ..Header::default() };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

// PROTOCOL: HEL-3, CLS-2, GEN-9
#[tokio::test]
async fn each_bad_token_has_its_own_code() {
    let server =
        Server::with(|builder| builder.authenticator(Hs256::new(SECRET).unwrap().audience("chat"))).await;
    let good = json!({"sub": "ada", "aud": "chat", "exp": in_seconds(60)});
    for (token, code, close) in [
        ("not a token".to_owned(), "token_invalid", 4450),
        (token_of(&good, "another secret"), "token_invalid", 4450),
        (token_of(&json!({"sub": "ada", "aud": "mail"}), SECRET), "token_invalid", 4450),
        (token_of(&json!({"sub": "ada"}), SECRET), "token_invalid", 4450),
        (token_of(&json!({"aud": "chat"}), SECRET), "token_invalid", 4450),
        (
            token_of(&json!({"sub": "ada", "aud": "chat", "exp": in_seconds(-5)}), SECRET),
            "token_expired",
            4451,
        ),
        // Faults D20.
        (critical(&good), "token_invalid", 4450),
    ] {
        let mut page = Page::connect(&server).await;
        page.send(hello(&token, json!([]))).await;
        let (frames, closed) = page.until_close().await;
        assert_eq!((frames[0]["code"].as_str(), closed), (Some(code), close), "{frames:?}");
        assert!(!frames[0].to_string().contains(&token));
    }
    let mut page = Page::connect(&server).await;
    page.send(hello(&token_of(&good, SECRET), json!([]))).await;
    assert_eq!(page.next().await["type"], "welcome");
}

struct Gate;

impl Authenticator for Gate {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>> {
        let answer = match token {
            "closed" => Err(AuthError::Forbidden),
            "down" => Err(AuthError::Unavailable("no keys".to_owned())),
            "hangs" => return Box::pin(std::future::pending()),
            "old" => Ok(Identity { subject: "ada".to_owned(), expires_at_ms: Some(1) }),
            _ => Ok(Identity { subject: token.to_owned(), expires_at_ms: None }),
        };
        Box::pin(std::future::ready(answer))
    }
}

/// Limits under which one that hangs is given up soon.
fn impatient() -> Limits {
    Limits { auth_timeout: Duration::from_millis(20), ..Limits::default() }
}

// PROTOCOL: HEL-4, CLS-2
#[tokio::test]
async fn other_authenticators_can_forbid_and_fail() {
    let server = Server::with(|builder| builder.authenticator(Gate).limits(impatient())).await;
    for (token, code, close) in [
        ("closed", "forbidden", 4403),
        ("down", "unavailable", 4456),
        ("hangs", "unavailable", 4456),
        ("old", "token_expired", 4451),
    ] {
        let mut page = Page::connect(&server).await;
        page.send(hello(token, json!([]))).await;
        assert_eq!(page.ends_with().await, (code.to_owned(), close));
    }
    let mut page = Page::connect(&server).await;
    page.send(hello("ada", json!([]))).await;
    assert!(page.next().await.get("tokenExpiresInMs").is_none());
}

// PROTOCOL: TOK-1, ERR-2
#[tokio::test]
async fn a_token_that_cannot_be_checked_is_not_called_invalid() {
    let server = Server::with(|builder| builder.authenticator(Gate).limits(impatient())).await;
    let mut page = Page::open_with(&server, hello("ada", json!([]))).await;
    for (token, code) in [
        ("down", "unavailable"),
        ("hangs", "unavailable"),
        ("old", "token_invalid"),
        ("bob", "token_invalid"),
    ] {
        page.send(json!({"type": "refresh", "token": token})).await;
        let error = page.next().await;
        assert_eq!((&error["code"], &error["retryable"]), (&json!(code), &json!(true)), "{token}");
    }
    // The connection goes on with the token it had.
    page.nothing_before_pong(1).await;
    let answer = crate::http::get(&server, "/v1/threads/t/events", Some("old")).await;
    assert_eq!((answer.0, &answer.1["code"]), (401, &json!("token_expired")));
    let answer = crate::http::get(&server, "/v1/threads/t/events", Some("hangs")).await;
    assert_eq!((answer.0, &answer.1["code"]), (503, &json!("unavailable")));
}

/// Does not find out about streams whose names begin with `slow`.
struct Slow;

impl Authorizer for Slow {
    fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        Box::pin(async move {
            if name.starts_with("slow") {
                std::future::pending::<()>().await;
            }
            StreamKey::new(subject, name).map(Grant::all).map_err(|_| Refusal::UnknownStream)
        })
    }
}

// PROTOCOL: SND-9, ERR-2
#[tokio::test]
async fn an_authorizer_that_hangs_stops_nothing_else() {
    let server = Server::with(|builder| builder.authorizer(Slow).limits(impatient())).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let send = |id: &str, stream: &str| json!({"type": "send", "id": id, "stream": stream, "message": {"type": "form"}});
    page.send(send("s1", "slow")).await;
    let receipt = page.next().await;
    assert_eq!(
        (&receipt["error"]["code"], &receipt["error"]["retryable"]),
        (&json!("unavailable"), &json!(true))
    );
    page.send(json!({"type": "signal", "stream": "slow", "signal": {"type": "typing"}})).await;
    page.nothing_before_pong(1).await;
    page.send(send("s2", "t")).await;
    assert_eq!(page.next().await["status"], "accepted");
    let answer = crate::http::get(&server, "/v1/threads/slow/events", Some(&token("ada"))).await;
    assert_eq!((answer.0, &answer.1["code"]), (503, &json!("unavailable")));
    // Nor does it cost the other streams of the socket anything.
    page.send(json!({"type": "subscribe", "streams": [{"name": "slow"}, {"name": "t"}]})).await;
    let refused = json!({"type": "unsubscribed", "name": "slow", "reason": "unavailable"});
    assert_eq!(page.next().await, refused);
    page.events(1, 1, 1).await;
}

/// Answers when three streams are asked for.
struct Together(Barrier);

impl Authorizer for Together {
    fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        Box::pin(async move {
            self.0.wait().await;
            StreamKey::new(subject, name).map(Grant::all).map_err(|_| Refusal::UnknownStream)
        })
    }
}

// PROTOCOL: HEL-5
#[tokio::test]
async fn streams_of_one_frame_are_checked_at_once_and_answered_in_their_order() {
    let server = Server::with(|builder| builder.authorizer(Together(Barrier::new(3)))).await;
    let streams = json!([{"name": "c"}, {"name": "a"}, {"name": "b"}]);
    let mut page = Page::open(&server, "ada", streams).await;
    for name in ["c", "a", "b"] {
        assert_eq!(page.next().await["name"], name);
    }
}

// PROTOCOL: HEL-1
#[tokio::test]
async fn hello_has_to_come_first_and_in_time() {
    let limits = Limits { hello_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    for first in [json!({"type": "ping", "n": 1}), json!({"type": "later"})] {
        let mut page = Page::connect(&server).await;
        page.send(first).await;
        assert_eq!(page.ends_with().await, ("hello_expected".to_owned(), 4400));
    }
    let mut page = Page::connect(&server).await;
    assert_eq!(page.until_close().await, (Vec::new(), 4452));
}

// PROTOCOL: GEN-2, GEN-4, GEN-8, HEL-1, SUB-2, FLO-3
#[tokio::test]
async fn malformed_frames_end_the_connection() {
    let server = Server::start().await;
    for text in [
        "nope".to_owned(),
        "[]".to_owned(),
        r#"{"type":7}"#.to_owned(),
        r#"{"type":"ping"}"#.to_owned(),
        r#"{"type":"ping","n":1e400}"#.to_owned(),
        format!(r#"{{"type":"later","x":{}{}}}"#, "[".repeat(100), "]".repeat(100)),
        r#"{"type":"subscribe","streams":[{"name":"t"}]}"#.to_owned(),
        r#"{"type":"ack","offsets":{"1":1}}"#.to_owned(),
        hello(&token("ada"), json!([])).to_string(),
    ] {
        let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
        page.until("caughtUp").await;
        page.send_text(&text).await;
        assert_eq!(page.ends_with().await, ("bad_frame".to_owned(), 4400), "{text}");
    }
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send_raw(Message::binary(b"{}".to_vec())).await;
    assert_eq!(page.ends_with().await, ("bad_frame".to_owned(), 4400));
    let mut page = Page::connect(&server).await;
    page.send_text("{").await;
    assert_eq!(page.ends_with().await, ("bad_frame".to_owned(), 4400));
}

/// The frames that all parts of the project read alike, on a real socket.
// PROTOCOL: GEN-2, GEN-3, GEN-4, GEN-5, GEN-6, GEN-8
#[tokio::test]
async fn vectors_of_the_protocol_hold_on_a_socket() {
    let text = include_str!("../../../tests/vectors/protocol.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    let server = Server::start().await;
    let vectors = vectors["client_frames"].as_array().unwrap();
    assert!(vectors.len() > 50);
    for vector in vectors {
        let text = vector["text"].as_str().unwrap();
        if text.starts_with(r#"{"type":"hello""#) {
            let mut page = Page::connect(&server).await;
            page.send_text(text).await;
            // The token of the vectors is not one of ours: a hello that is read ends there.
            let expected = if vector["error"].is_null() { "token_invalid" } else { "bad_frame" };
            assert_eq!(page.ends_with().await.0, expected, "{}", vector["name"]);
            continue;
        }
        let mut page = Page::open(&server, "ada", json!([])).await;
        page.send_text(text).await;
        if vector["error"].is_null() {
            page.send(json!({"type": "ping", "n": 77})).await;
            while page.next().await != json!({"type": "pong", "n": 77}) {}
        } else {
            let expected = (vector["error"].as_str().unwrap().to_owned(), 4400);
            assert_eq!(page.ends_with().await, expected, "{}", vector["name"]);
        }
    }
}

// PROTOCOL: GEN-3
#[tokio::test]
async fn unknown_frames_and_fields_are_ignored() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send_text(r#"{"type":"later","n":1e400}"#).await;
    page.send(json!({"type": "unsubscribe", "ch": 9, "more": true})).await;
    page.send(json!({"type": "ack", "offsets": {"9": 7}})).await;
    page.nothing_before_pong(1).await;
}

// PROTOCOL: GEN-7
#[tokio::test]
async fn frames_have_a_size() {
    let limits = Limits { max_frame_bytes: 100_000, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let padded = |bytes: usize| {
        let empty = r#"{"type":"later","x":""}"#.len();
        format!(r#"{{"type":"later","x":"{}"}}"#, "x".repeat(bytes - empty))
    };
    // The transport itself refuses what is not even read.
    let mut page = Page::connect(&server).await;
    page.send_text(&padded(65_537)).await;
    assert_eq!(page.until_close().await.1, 1009);
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send_text(&padded(100_000)).await;
    page.nothing_before_pong(1).await;
    page.send_text(&padded(100_001)).await;
    assert_eq!(page.until_close().await.1, 4402);
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send_text(&padded(200_001)).await;
    assert_eq!(page.until_close().await.1, 1009);
}

// PROTOCOL: TOK-1, TOK-2, TOK-3
#[tokio::test]
async fn tokens_are_refreshed_or_expire() {
    let server = Server::start().await;
    let mut page = Page::open_with(&server, hello(&token_until("ada", in_seconds(2)), json!([]))).await;
    for refused in [token("bob"), "nonsense".to_owned(), token_until("ada", in_seconds(-9))] {
        page.send(json!({"type": "refresh", "token": refused})).await;
        let error = page.next().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("token_invalid")));
    }
    page.send(json!({"type": "refresh", "token": token_until("ada", in_seconds(60))})).await;
    let refreshed = page.next().await;
    assert_eq!(refreshed["type"], "refreshed");
    assert!((55_000..=60_000).contains(&refreshed["tokenExpiresInMs"].as_u64().unwrap()));
    // The new expiry counts: it is over at once.
    page.send(json!({"type": "refresh", "token": token_until("ada", in_seconds(1))})).await;
    page.until("refreshed").await;
    assert_eq!(page.ends_with().await, ("token_expired".to_owned(), 4451));
}

// PROTOCOL: HBT-1, HBT-3
#[tokio::test]
async fn heartbeats_name_the_heads() {
    let limits = Limits { heartbeat: Duration::from_millis(100), ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    server.publish("a", 3).await;
    // A window of one event holds the rest back; the heartbeat tells of it all the same.
    let streams = json!([{"name": "a"}, {"name": "b"}]);
    let mut page = Page::open_with(&server, hello_with(&token("ada"), streams, 1, 1_024)).await;
    assert_eq!(page.until("heartbeat").await["heads"], json!({"1": 3, "2": 0}));
    server.publish("b", 1).await;
    while page.until("heartbeat").await["heads"] != json!({"1": 3, "2": 1}) {}
    page.send(json!({"type": "ping", "n": 41})).await;
    assert_eq!(page.until("pong").await, json!({"type": "pong", "n": 41}));
}

// PROTOCOL: HBT-1, GEN-7
#[tokio::test]
async fn heads_that_do_not_fit_into_one_frame_come_in_several() {
    const STREAMS: usize = 600;
    let heartbeat = Duration::from_millis(100);
    let limits = Limits { heartbeat, max_frame_bytes: 4_096, max_streams: STREAMS, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let names: Vec<Value> = (0..STREAMS).map(|n| json!({"name": n.to_string()})).collect();
    for some in names.chunks(200) {
        page.send(json!({"type": "subscribe", "streams": some})).await;
    }
    let mut named = std::collections::BTreeSet::new();
    while named.len() < STREAMS {
        let text = page.next_text().await;
        assert!(text.len() <= 4_096, "{} bytes", text.len());
        let frame: Value = serde_json::from_str(&text).unwrap();
        if let Some(heads) = frame["heads"].as_object() {
            assert!(heads.values().all(|head| head == 0));
            // Each stream once per heartbeat: a piece that names one again begins the next.
            if heads.keys().any(|ch| named.contains(ch)) {
                named.clear();
            }
            named.extend(heads.keys().cloned());
        }
    }
}

// PROTOCOL: NTC-2, CLS-2
#[tokio::test]
async fn a_shutdown_says_goaway_and_answers_what_is_under_way() {
    let limits = Limits { goaway_spread: Duration::from_millis(1_234), ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let message = json!({"type": "user_message", "content": "hi"});
    page.send(json!({"type": "send", "id": "s1", "stream": "t", "message": message})).await;
    page.nothing_or_receipt().await;
    let bridge = server.bridge.clone();
    let stopping = tokio::spawn(async move { bridge.shutdown().await });
    let (frames, code) = page.until_close().await;
    let goaway = frames.iter().find(|frame| frame["type"] == "goaway").unwrap();
    assert_eq!((&goaway["reconnectAfterMs"], &goaway["spreadMs"]), (&json!(1_000), &json!(1_234)));
    assert_eq!(code, 4453);
    drop(page);
    stopping.await.unwrap();
    // Another server may go on with the routes.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut other = server;
    other.address = listener.local_addr().unwrap();
    let router = other.bridge.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut late = Page::connect(&other).await;
    assert_eq!(late.until_close().await.1, 4453);
}

impl Page {
    /// Waits until the server reads this socket.
    async fn until_read(&mut self) {
        self.send_raw(Message::Ping(b"read".to_vec().into())).await;
        assert!(self.is_ponged().await);
    }

    /// Takes the receipt of the only send.
    async fn nothing_or_receipt(&mut self) {
        assert_eq!(self.next().await["status"], "accepted");
    }
}

// PROTOCOL: CLS-2
#[tokio::test]
async fn a_connection_beyond_the_limit_is_overloaded() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let _first = Page::open(&server, "ada", json!([])).await;
    let mut second = Page::connect(&server).await;
    second.send(hello(&token("bob"), json!([]))).await;
    assert_eq!(second.ends_with().await, ("overloaded".to_owned(), 4455));
}

// PROTOCOL: CLS-2, HEL-1
#[tokio::test]
async fn silent_sockets_keep_nobody_out() {
    let limits = Limits { max_connections: 2, max_opening: 2, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let mut silent = Page::connect(&server).await;
    silent.until_read().await;
    let mut ada = Page::open(&server, "ada", json!([])).await;
    let mut other = Page::connect(&server).await;
    other.until_read().await;
    // Their own bound is reached: the first one has had the longest time to speak.
    let mut bob = Page::open(&server, "bob", json!([])).await;
    assert_eq!(silent.ends_with().await, ("overloaded".to_owned(), 4455));
    ada.nothing_before_pong(1).await;
    bob.nothing_before_pong(1).await;
    // The rest has its time as before.
    other.send(hello(&token("eve"), json!([]))).await;
    assert_eq!(other.ends_with().await, ("overloaded".to_owned(), 4455));
}

/// Says that it was asked whom a token names, and answers when it may.
struct Held(mpsc::UnboundedSender<()>, Arc<Semaphore>);

impl Authenticator for Held {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, AuthError>> {
        Box::pin(async move {
            self.0.send(()).unwrap();
            self.1.acquire().await.unwrap().forget();
            Hs256::new(SECRET).unwrap().authenticate(token).await
        })
    }
}

// PROTOCOL: CLS-2, HEL-1
#[tokio::test]
async fn a_socket_that_has_said_hello_keeps_its_place() {
    let (asked, mut asks) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let limits = Limits { max_opening: 1, auth_timeout: Duration::from_secs(60), ..Limits::default() };
    let held = Held(asked, Arc::clone(&gate));
    let server = Server::with(|builder| builder.limits(limits).authenticator(held)).await;
    let mut ada = Page::connect(&server).await;
    ada.send(hello(&token("ada"), json!([]))).await;
    within(asks.recv()).await.unwrap();
    let mut late = Page::connect(&server).await;
    assert_eq!(late.ends_with().await, ("overloaded".to_owned(), 4455));
    gate.add_permits(1);
    assert_eq!(ada.next().await["type"], "welcome");
}

// PROTOCOL: CLS-2
#[tokio::test]
async fn one_user_does_not_take_every_place() {
    let limits = Limits { max_connections_per_user: 1, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let mut first = Page::open(&server, "ada", json!([])).await;
    let mut second = Page::connect(&server).await;
    second.send(hello(&token("ada"), json!([]))).await;
    assert_eq!(second.ends_with().await, ("overloaded".to_owned(), 4455));
    Page::open(&server, "bob", json!([])).await;
    first.nothing_before_pong(1).await;
}

#[tokio::test]
async fn a_socket_whose_page_vanished_loses_its_place_and_a_quiet_one_does_not() {
    // PROTOCOL: HBT-4
    let limits = Limits {
        heartbeat: Duration::from_millis(100),
        idle_timeout: Some(Duration::from_secs(1)),
        max_connections_per_user: 1,
        ..Limits::default()
    };
    let server = Server::with(|builder| builder.limits(limits)).await;
    // Sends nothing after its hello; its transport answers pings.
    let mut quiet = Page::open(&server, "bob", json!([])).await;
    let vanished = Page::open(&server, "ada", json!([])).await;
    {
        let dropped = vanished.until_dropped();
        tokio::pin!(dropped);
        loop {
            tokio::select! {
                () = &mut dropped => break,
                _ = quiet.next_text() => {}
            }
        }
    }
    Page::open(&server, "ada", json!([])).await;
    quiet.nothing_before_pong(1).await;
}

// PROTOCOL: CLS-2
#[tokio::test]
async fn a_close_of_the_page_is_answered() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    page.until("caughtUp").await;
    let code = CloseCode::from(4485);
    page.send_raw(Message::Close(Some(CloseFrame { code, reason: "page_left".into() }))).await;
    assert_eq!(page.until_close().await.1, 4485);
}

// PROTOCOL: HIS-4
#[tokio::test]
async fn history_is_not_offered() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(json!({"type": "history", "req": 9, "stream": "t", "limit": 50})).await;
    let error = page.next().await;
    assert_eq!((&error["code"], &error["req"]), (&json!("unsupported"), &json!(9)));
}

// PROTOCOL: NTC-2, HEL-3; D1
#[tokio::test]
async fn a_shutdown_tells_pages_in_every_state_when_to_come_back() {
    let limits = Limits {
        goaway_reconnect_after: Duration::from_secs(3),
        goaway_spread: Duration::from_secs(7),
        auth_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Server::with(|builder| builder.authorizer(Slow).limits(limits)).await;
    let silent = Page::connect(&server).await;
    // Its hello is answered, and its stream is still looked up.
    let greeted = Page::open(&server, "ada", json!([{"name": "slow"}])).await;
    let mut live = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    live.until("caughtUp").await;
    let bridge = server.bridge.clone();
    let stopped = tokio::spawn(async move { bridge.shutdown().await });
    for page in [silent, greeted, live] {
        let mut page = page;
        let (frames, code) = page.until_close().await;
        let goaway = frames.last().unwrap();
        let times = (&goaway["type"], &goaway["reconnectAfterMs"], &goaway["spreadMs"]);
        assert_eq!((times, code), ((&json!("goaway"), &json!(3_000), &json!(7_000)), 4453));
    }
    stopped.await.unwrap();
}

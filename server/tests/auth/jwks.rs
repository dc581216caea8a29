//! Key sets that change, at a URL and in a file.

use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::AuthError;
use agentwire_server::auth::Auth;
use agentwire_server::auth::jwks::{Jwks, JwksSource, JwksTimes};
use agentwire_server::config::Endpoint;
use agentwire_server::outbound::Outbound;
use axum::body::{Body, Bytes};
use futures_util::stream;
use jsonwebtoken::{Algorithm, EncodingKey};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::site::{Site, answer};
use super::support::{SECRET, auth, claims, config, ed_set, identify, jwk, refused, signing, token};

/// A site with a key set that a test replaces; `None` is an error of the site.
async fn site(set: Value) -> (Site, Arc<Mutex<Option<Value>>>) {
    let set = Arc::new(Mutex::new(Some(set)));
    let current = Arc::clone(&set);
    let site = Site::start(move |_| match &*current.lock() {
        Some(set) => answer(200, set.to_string()),
        None => answer(500, ""),
    });
    (site.await, set)
}

fn section(site: &Site) -> String {
    format!("[auth]\njwks_url = {:?}\nallow_private = true\n", site.url("/keys"))
}

/// A token of ada that a key of Ed25519 has signed.
fn ed_token(id: &str, key: &EncodingKey) -> String {
    token(Algorithm::EdDSA, Some(id), key, &claims(json!({})))
}

/// Moves the time of the runtime.
async fn pass(time: Duration) {
    // Tasks that were just started begin to wait now, and not after the time that passes.
    tokio::task::yield_now().await;
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn keys_of_each_type_are_taken_by_their_id() {
    let algorithms = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    let keys = algorithms.map(|algorithm| jwk(algorithm, &format!("{algorithm:?}"), &signing(algorithm)));
    let (site, _) = site(json!({ "keys": keys })).await;
    let auth = auth(&section(&site)).await;
    for algorithm in algorithms {
        let sign = |id: Option<&str>| token(algorithm, id, &signing(algorithm), &claims(json!({})));
        assert_eq!(identify(&auth, &sign(Some(&format!("{algorithm:?}")))).await.unwrap().subject, "ada");
        assert_eq!(identify(&auth, &sign(None)).await.unwrap().subject, "ada");
        // The id of another key.
        let other = if algorithm == Algorithm::RS256 { "ES256" } else { "RS256" };
        refused(&auth, &sign(Some(other))).await;
    }
    assert_eq!(site.requests(), 1);
}

#[tokio::test]
async fn what_cannot_verify_is_left_out() {
    let secret = json!({ "kty": "oct", "kid": "s", "alg": "HS256", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA" });
    let mut encrypts = jwk(Algorithm::RS256, "enc", &signing(Algorithm::RS256));
    encrypts["use"] = json!("enc");
    let mut other_algorithm = jwk(Algorithm::RS256, "ps", &signing(Algorithm::RS256));
    other_algorithm["alg"] = json!("PS256");
    let good = jwk(Algorithm::EdDSA, "good", &signing(Algorithm::EdDSA));
    let keys = [secret, encrypts, other_algorithm, json!({ "kty": "new" }), json!(5), good];
    let (site, _) = site(json!({ "keys": keys })).await;
    let auth = auth(&section(&site)).await;
    assert!(identify(&auth, &ed_token("good", &signing(Algorithm::EdDSA))).await.is_ok());
    let secret = EncodingKey::from_secret(b"secret-secret-secret-secret-secret");
    refused(&auth, &token(Algorithm::HS256, Some("s"), &secret, &claims(json!({})))).await;
    let rsa = signing(Algorithm::RS256);
    assert!(identify(&auth, &token(Algorithm::RS256, None, &rsa, &claims(json!({})))).await.is_err());
}

#[tokio::test]
async fn a_new_key_is_found_when_a_token_names_it() {
    let (first, first_key) = ed_set("first", "ed.pem");
    let (second, second_key) = ed_set("second", "ed-2.pem");
    let (site, set) = site(first).await;
    let auth = auth(&section(&site)).await;
    assert!(identify(&auth, &ed_token("first", &first_key)).await.is_ok());
    *set.lock() = Some(second);
    // The set was fetched less than a minute ago.
    let new = ed_token("second", &second_key);
    assert!(matches!(identify(&auth, &new).await, Err(AuthError::Unavailable(_))));
    assert_eq!(site.requests(), 1);
    pass(Duration::from_secs(61)).await;
    assert!(identify(&auth, &new).await.is_ok());
    assert_eq!(site.requests(), 2);
    // The old key is gone, and its tokens lead to no fetch within the next minute.
    assert!(identify(&auth, &ed_token("first", &first_key)).await.is_err());
    assert_eq!(site.requests(), 2);
}

#[tokio::test]
async fn a_storm_of_unknown_ids_is_one_fetch_a_minute() {
    let (set, key) = ed_set("known", "ed.pem");
    let (site, _) = site(set).await;
    let auth = auth(&section(&site)).await;
    for minute in 1..=3 {
        pass(Duration::from_secs(61)).await;
        let ids = (0..200).map(|id| ed_token(&format!("unknown-{minute}-{id}"), &key));
        let tokens: Vec<_> = ids.collect();
        let asked = tokens.iter().map(|token| identify(&auth, token));
        let known = ed_token("known", &key);
        let (answers, known) = tokio::join!(futures_util::future::join_all(asked), identify(&auth, &known));
        assert!(answers.iter().all(Result::is_err) && known.is_ok());
        assert_eq!(site.requests(), 1 + minute, "minute {minute}");
    }
}

#[tokio::test]
async fn a_fetch_goes_on_when_the_page_that_waited_for_it_has_left() {
    let (first, _) = ed_set("first", "ed.pem");
    let (second, second_key) = ed_set("second", "ed-2.pem");
    let sets = Arc::new(Mutex::new(vec![second, first]));
    let (release, released) = watch::channel(true);
    let mut site = Site::start(move |_| {
        let (set, mut released) = (sets.lock().pop(), released.clone());
        Box::pin(async move {
            released.wait_for(|released| *released).await.unwrap();
            answer(200, set.unwrap().to_string()).await
        })
    })
    .await;
    let auth = auth(&section(&site)).await;
    pass(Duration::from_secs(61)).await;
    release.send_replace(false);
    let token = ed_token("second", &second_key);
    tokio::select! {
        answer = identify(&auth, &token) => panic!("{answer:?}"),
        () = site.has(2) => {}
    }
    release.send_replace(true);
    assert!(identify(&auth, &token).await.is_ok());
    assert_eq!(site.requests(), 2);
}

#[tokio::test]
async fn a_set_is_fetched_again_before_it_is_too_old() {
    let (first, _) = ed_set("first", "ed.pem");
    let (second, second_key) = ed_set("second", "ed-2.pem");
    let (mut site, set) = site(first).await;
    let auth = auth(&(section(&site) + "jwks_refresh_ms = 20000")).await;
    *set.lock() = Some(second);
    pass(Duration::from_secs(21)).await;
    site.has(2).await;
    // An unknown id waits for the fetch that is under way, and needs none of its own.
    assert!(identify(&auth, &ed_token("second", &second_key)).await.is_ok());
    assert_eq!(site.requests(), 2);
    drop(auth);
}

#[tokio::test]
async fn without_a_set_tokens_are_unavailable_and_the_last_good_set_is_kept() {
    let (good, key) = ed_set("one", "ed.pem");
    let (mut site, set) = site(json!({})).await;
    *set.lock() = None;
    let text = section(&site) + &format!("secrets = [{SECRET:?}]");
    let auth = auth(&text).await;
    let token_of_set = ed_token("one", &key);
    assert!(matches!(identify(&auth, &token_of_set).await, Err(AuthError::Unavailable(_))));
    let other = token(Algorithm::HS256, None, &signing(Algorithm::HS256), &claims(json!({})));
    assert!(identify(&auth, &other).await.is_ok(), "secrets do not need the set");
    // It is tried again after a second.
    *set.lock() = Some(good);
    let seen = site.requests();
    pass(Duration::from_secs(2)).await;
    site.has(seen + 1).await;
    assert!(identify(&auth, &token_of_set).await.is_ok());
    for bad in [None, Some(json!({})), Some(json!({ "keys": [] })), Some(json!("no set"))] {
        *set.lock() = bad.clone();
        auth.reload(&config(&text)).await.unwrap();
        assert!(identify(&auth, &token_of_set).await.is_ok(), "after {bad:?}");
    }
}

#[tokio::test]
async fn sets_that_are_too_large_too_slow_or_elsewhere_are_refused() {
    let (set, _) = ed_set("one", "ed.pem");
    let elsewhere = Site::start({
        let set = set.to_string();
        move |_| answer(200, set.clone())
    })
    .await;
    let place = elsewhere.url("/keys");
    let site = Site::start(move |request| {
        let mut large = set.clone();
        large["more"] = json!("x".repeat(262_144));
        let slow = stream::pending::<Result<Bytes, std::io::Error>>();
        match request.uri().path() {
            "/large" => answer(200, large.to_string()),
            // Without a length.
            "/chunks" => {
                answer(200, Body::from_stream(stream::iter([Ok::<_, std::io::Error>(large.to_string())])))
            }
            "/slow" => answer(200, Body::from_stream(slow)),
            "/redirect" => {
                let response = axum::response::Response::builder().status(302).header("location", &place);
                Box::pin(std::future::ready(response.body(Body::empty()).unwrap()))
            }
            _ => answer(200, set.to_string()),
        }
    })
    .await;
    let times =
        JwksTimes { timeout: Duration::from_millis(300), ..JwksTimes::of_url(Duration::from_secs(300)) };
    let client = Outbound::new(true).unwrap();
    for (path, is_read) in
        [("/large", false), ("/chunks", false), ("/slow", false), ("/redirect", false), ("/", true)]
    {
        let url = Endpoint::from(site.url(path).parse::<url::Url>().unwrap());
        let jwks = Jwks::start(JwksSource::Url(url, client.clone()), times).await;
        assert_eq!(jwks.refresh().await, is_read, "{path}");
    }
    assert_eq!(elsewhere.requests(), 0, "a redirect was followed");
}

#[tokio::test]
async fn a_set_on_this_machine_needs_to_be_allowed() {
    let (set, key) = ed_set("one", "ed.pem");
    let (site, _) = site(set).await;
    let url = site.url("/keys");
    for url in [url.replace("127.0.0.1", "localhost"), url] {
        let auth = auth(&format!("[auth]\njwks_url = {url:?}\n")).await;
        assert!(matches!(identify(&auth, &ed_token("one", &key)).await, Err(AuthError::Unavailable(_))));
    }
    assert_eq!(site.requests(), 0);
}

#[tokio::test]
async fn a_file_is_read_again_when_a_token_names_a_new_key_and_at_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (first, first_key) = ed_set("first", "ed.pem");
    let (second, second_key) = ed_set("second", "ed-2.pem");
    std::fs::write(&path, first.to_string()).unwrap();
    let text = format!("[auth]\njwks_file = {path:?}\n");
    let auth: Arc<Auth> = auth(&text).await;
    assert!(identify(&auth, &ed_token("first", &first_key)).await.is_ok());
    std::fs::write(&path, second.to_string()).unwrap();
    pass(Duration::from_secs(2)).await;
    assert!(identify(&auth, &ed_token("second", &second_key)).await.is_ok());
    std::fs::write(&path, first.to_string()).unwrap();
    auth.reload(&config(&text)).await.unwrap();
    assert!(identify(&auth, &ed_token("first", &first_key)).await.is_ok());
    let problems = {
        std::fs::write(&path, "{}").unwrap();
        auth.reload(&config(&text)).await.unwrap_err().to_string()
    };
    assert!(problems.contains("auth.jwks_file: is no JSON Web Key Set"), "{problems}");
    assert!(identify(&auth, &ed_token("first", &first_key)).await.is_ok());
}

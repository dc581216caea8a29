//! Who may use which thread.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use agentwire_bridge::{Authorizer, Grant, Notified, Refusal, StreamKey};
use agentwire_server::auth::Auth;
use agentwire_server::auth::rights::{Access, Membership};
use agentwire_server::outbound::SigningKeys;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::site::{Site, answer};
use super::support::{Nobody, auth, config, with_secret};

const ASK_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn stream(text: &str) -> StreamKey {
    StreamKey::from_text(text).unwrap()
}

async fn open(auth: &Auth, user: &str, thread: &str) -> Result<Grant, Refusal> {
    auth.rights().open(user, thread).await
}

#[tokio::test]
async fn users_have_threads_of_their_own_by_default() {
    let auth = auth(&with_secret("")).await;
    assert_eq!(open(&auth, "ada", "plan").await, Ok(Grant::all(stream("ada/plan"))));
    assert_eq!(open(&auth, "ada", "bob/plan").await, Ok(Grant::all(stream("ada/bob%2Fplan"))));
    let notified = auth.rights().notified(&stream("ada/plan")).await.unwrap();
    assert_eq!(notified, [Notified { inbox: stream("ada/inbox"), thread: "plan".to_owned() }]);
}

/// `team-7/plan` has ada, who may do all but claim, and bob, who may read.
struct Team;

impl Membership for Team {
    fn access<'a>(
        &'a self,
        thread: &'a str,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Option<Access>, Refusal>> {
        Box::pin(async move {
            let all = Access { read: true, write: true, approve: true, manage: true, claim: false };
            match (thread, user) {
                ("team-7/plan" | "bob/inbox", "ada") => Ok(Some(all)),
                ("team-7/plan", "bob") => Ok(Some(Access { read: true, ..Access::default() })),
                ("broken", _) => Err(Refusal::Unavailable),
                _ => Ok(None),
            }
        })
    }

    fn readers<'a>(&'a self, thread: &'a str) -> BoxFuture<'a, Result<Vec<String>, Refusal>> {
        Box::pin(async move {
            match thread {
                "team-7/plan" => Ok(vec!["ada".to_owned(), "bob".to_owned()]),
                _ => Ok(Vec::new()),
            }
        })
    }
}

#[tokio::test]
async fn members_have_the_rights_that_were_put() {
    let config_text = with_secret("[rights]\nmode = \"members\"");
    let auth = Auth::start(&config(&config_text), Arc::new(Team)).await.unwrap();
    let plan = stream("team-7/plan");
    assert_eq!(
        open(&auth, "ada", "team-7/plan").await,
        Ok(Grant { claim: false, ..Grant::all(plan.clone()) })
    );
    assert_eq!(open(&auth, "bob", "team-7/plan").await, Ok(Grant::read_only(plan.clone())));
    assert_eq!(open(&auth, "eve", "team-7/plan").await, Err(Refusal::UnknownStream));
    assert_eq!(open(&auth, "ada", "plan").await, Err(Refusal::UnknownStream));
    assert_eq!(open(&auth, "ada", "broken").await, Err(Refusal::Unavailable));
    assert_eq!(open(&auth, "eve", "inbox").await, Ok(Grant::read_only(stream("eve/inbox"))));
    let notified = auth.rights().notified(&plan).await.unwrap();
    let expected = ["ada/inbox", "bob/inbox"]
        .map(|inbox| Notified { inbox: stream(inbox), thread: "team-7/plan".to_owned() });
    assert_eq!(notified, expected);
    assert_eq!(auth.rights().notified(&stream("ada/plan")).await, Ok(Vec::new()));
    // The rights that the bridge has follow a reload.
    let rights = auth.rights();
    auth.reload(&config(&with_secret(""))).await.unwrap();
    assert_eq!(rights.open("eve", "team-7/plan").await, Ok(Grant::all(stream("eve/team-7%2Fplan"))));
}

/// The headers and the body of a question.
type Question = (axum::http::HeaderMap, Vec<u8>);

/// A backend that answers with a status and a body, and keeps the last question.
struct Backend {
    site: Site,
    status: Arc<AtomicU16>,
    question: Arc<Mutex<Option<Question>>>,
}

impl Backend {
    async fn start(body: Value) -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let question = Arc::new(Mutex::new(None));
        let (current, asked) = (Arc::clone(&status), Arc::clone(&question));
        let site = Site::start(move |request| {
            let (current, asked, body) = (Arc::clone(&current), Arc::clone(&asked), body.to_string());
            Box::pin(async move {
                let (parts, sent) = request.into_parts();
                let sent = axum::body::to_bytes(sent, 10_000).await.unwrap();
                *asked.lock() = Some((parts.headers, sent.to_vec()));
                answer(current.load(Ordering::SeqCst), body).await
            })
        });
        Self { site: site.await, status, question }
    }

    async fn auth(&self, more: &str) -> Arc<Auth> {
        let text = format!(
            "[rights]\nmode = \"ask\"\nask_url = {:?}\nallow_private = true\nask_secrets = [{ASK_SECRET:?}]\n{more}",
            self.site.url("/rights")
        );
        Auth::start(&config(&with_secret(&text)), Arc::new(Nobody)).await.unwrap()
    }
}

#[tokio::test]
async fn the_backend_is_asked_with_a_signature_and_decides() {
    let backend = Backend::start(json!({ "key": "team-7/plan", "read": true, "write": true })).await;
    let auth = backend.auth("").await;
    let expected = Grant { write: true, ..Grant::read_only(stream("team-7/plan")) };
    assert_eq!(open(&auth, "ada", "plan").await, Ok(expected));
    let (headers, body) = backend.question.lock().take().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({ "user": "ada", "thread": "plan" }));
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let keys = SigningKeys::new([ASK_SECRET]).unwrap();
    let signature = keys.sign(&header("webhook-id"), header("webhook-timestamp").parse().unwrap(), &body);
    assert_eq!(header("webhook-signature"), signature);
    assert_eq!(header("content-type"), "application/json");
    // The inbox is nobody else's business.
    assert_eq!(open(&auth, "ada", "inbox").await, Ok(Grant::read_only(stream("ada/inbox"))));
    assert_eq!(backend.site.requests(), 1);
    assert_eq!(auth.rights().notified(&stream("team-7/plan")).await, Ok(Vec::new()));
}

#[tokio::test]
async fn without_a_key_the_thread_is_called_as_pages_call_it_and_rights_are_none_by_default() {
    let backend = Backend::start(json!({ "wirte": true })).await;
    let auth = backend.auth("").await;
    let none = Grant { read: false, ..Grant::read_only(stream("plan")) };
    assert_eq!(open(&auth, "ada", "plan").await, Ok(none));
}

#[tokio::test]
async fn an_answer_is_kept_until_it_is_forgotten() {
    let backend = Backend::start(json!({ "read": true })).await;
    let auth = backend.auth("").await;
    let asked = (0..20).map(|_| open(&auth, "ada", "plan"));
    assert!(join_all(asked).await.iter().all(Result::is_ok));
    assert_eq!(backend.site.requests(), 1, "those that ask the same share an answer");
    backend.status.store(403, Ordering::SeqCst);
    assert!(open(&auth, "ada", "plan").await.is_ok());
    assert_eq!(open(&auth, "ada", "other").await, Err(Refusal::Forbidden));
    assert_eq!(open(&auth, "ada", "other").await, Err(Refusal::Forbidden));
    assert_eq!(backend.site.requests(), 2, "a refusal is kept, too");
    auth.revoke("bob");
    assert!(open(&auth, "ada", "plan").await.is_ok());
    auth.revoke("ada");
    assert_eq!(open(&auth, "ada", "plan").await, Err(Refusal::Forbidden));
    let without = backend.auth("ask_cache_ms = 0").await;
    let before = backend.site.requests();
    for _ in 0..2 {
        assert_eq!(open(&without, "ada", "plan").await, Err(Refusal::Forbidden));
    }
    assert_eq!(backend.site.requests(), before + 2);
}

#[tokio::test]
async fn a_backend_that_does_not_answer_decides_nothing() {
    let backend = Backend::start(json!({ "read": true })).await;
    let auth = backend.auth("").await;
    for status in [500, 503, 401, 302, 204, 429] {
        backend.status.store(status, Ordering::SeqCst);
        assert_eq!(open(&auth, "ada", "plan").await, Err(Refusal::Unavailable), "{status}");
    }
    backend.status.store(404, Ordering::SeqCst);
    assert_eq!(open(&auth, "ada", "gone").await, Err(Refusal::UnknownStream));
    backend.status.store(200, Ordering::SeqCst);
    assert!(open(&auth, "ada", "plan").await.is_ok(), "that it could not be asked is not kept");
    for body in [json!(null), json!([true]), json!({ "read": "yes" }), json!({ "key": "", "read": true })] {
        let odd = Backend::start(body.clone()).await;
        assert_eq!(open(&*odd.auth("").await, "ada", "plan").await, Err(Refusal::Unavailable), "{body}");
    }
    let silent = Site::start(|_| Box::pin(std::future::pending())).await;
    let text = format!(
        "[rights]\nmode = \"ask\"\nask_url = {:?}\nallow_private = true\nask_secrets = [{ASK_SECRET:?}]\nask_timeout_ms = 200",
        silent.url("/")
    );
    let auth = Auth::start(&config(&with_secret(&text)), Arc::new(Nobody)).await.unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(5), open(&auth, "ada", "plan"));
    assert_eq!(asked.await.unwrap(), Err(Refusal::Unavailable));
}

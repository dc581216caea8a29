//! Rights that are withdrawn from a page that has a subscription.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use agentwire_bridge::{
    Authorizer, Bridge, Decision, Grant, Limits, Notified, Refusal, SqliteLog, StreamKey,
};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use crate::support::{Page, Server, hello_with, note, token, within};

/// Rooms that everybody shares, apart from those that are closed to a user.
#[derive(Clone, Default)]
struct Rooms {
    closed: Arc<Mutex<HashMap<(String, String), Refusal>>>,
    slow: Option<(mpsc::UnboundedSender<()>, Arc<Semaphore>)>,
}

impl Rooms {
    fn close(&self, user: &str, room: &str, refusal: Refusal) {
        self.closed.lock().unwrap().insert((user.to_owned(), room.to_owned()), refusal);
    }
}

impl Authorizer for Rooms {
    fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        Box::pin(async move {
            let refusal = self.closed.lock().unwrap().get(&(subject.to_owned(), name.to_owned())).copied();
            if let Some((asked, gate)) = &self.slow {
                // What it found out can be old when it says so.
                asked.send(()).unwrap();
                gate.acquire().await.unwrap().forget();
            }
            refusal.map_or_else(|| Ok(Grant::all(room(name))), Err)
        })
    }
}

fn room(name: &str) -> StreamKey {
    StreamKey::new("everybody", name).unwrap()
}

async fn publish(server: &Server, name: &str, n: u64) {
    server.bridge.emitter("everybody", name).publish(note(n)).await.unwrap();
}

fn unsubscribed(ch: u64, name: &str, reason: &str) -> Value {
    json!({"type": "unsubscribed", "ch": ch, "name": name, "reason": reason})
}

/// Stream `a` is refused to a page that asked for it, and nothing of it follows.
async fn is_refused(server: &Server, page: &mut Page) {
    let refused = json!({"type": "unsubscribed", "name": "a", "reason": "forbidden"});
    assert_eq!(page.next().await, refused);
    publish(server, "a", 1).await;
    page.nothing_before_pong(1).await;
}

async fn caught_up(server: &Server, user: &str, names: &[&str]) -> Page {
    let streams: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
    let mut page = Page::open(server, user, streams.into()).await;
    for _ in names {
        page.until("caughtUp").await;
    }
    page
}

// PROTOCOL: SUB-11, TOK-1
#[tokio::test]
async fn a_refresh_ends_what_may_no_longer_be_read() {
    let rooms = Rooms::default();
    let server = Server::with(|builder| builder.authorizer(rooms.clone())).await;
    let mut page = caught_up(&server, "ada", &["a", "b", "c"]).await;
    rooms.close("ada", "a", Refusal::Forbidden);
    rooms.close("ada", "c", Refusal::UnknownStream);
    page.send(json!({"type": "refresh", "token": token("ada")})).await;
    assert_eq!(page.next().await["type"], "refreshed");
    assert_eq!(page.next().await, unsubscribed(1, "a", "forbidden"));
    assert_eq!(page.next().await, unsubscribed(3, "c", "unknown_stream"));
    for name in ["a", "b", "c"] {
        publish(&server, name, 1).await;
    }
    assert_eq!(page.events(2, 1, 1).await, [note(1)]);
    page.nothing_before_pong(1).await;
    // It is as if it had never been: a replay has nothing to bring.
    page.send(json!({"type": "replay", "req": 1, "ch": 1, "from": 1, "to": 1})).await;
    assert_eq!(page.next().await["type"], "replayEnd");
}

// PROTOCOL: TOK-1, SUB-11
#[tokio::test]
async fn a_refresh_whose_rights_cannot_be_checked_counts_for_nothing() {
    let rooms = Rooms::default();
    let server = Server::with(|builder| builder.authorizer(rooms.clone())).await;
    let mut page = caught_up(&server, "ada", &["a", "b"]).await;
    rooms.close("ada", "a", Refusal::Forbidden);
    rooms.close("ada", "b", Refusal::Unavailable);
    page.send(json!({"type": "refresh", "token": token("ada")})).await;
    let error = page.next().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("unavailable")));
    // What is known to be withdrawn is; the rest goes on with the old token.
    assert_eq!(page.next().await, unsubscribed(1, "a", "forbidden"));
    publish(&server, "b", 1).await;
    assert_eq!(page.events(2, 1, 1).await, [note(1)]);
}

// PROTOCOL: SUB-11
#[tokio::test]
async fn a_revoked_stream_ends_at_once_on_every_socket_of_its_user() {
    let rooms = Rooms::default();
    let server = Server::with(|builder| builder.authorizer(rooms.clone())).await;
    for n in 1..=3 {
        publish(&server, "a", n).await;
    }
    let mut first = caught_up(&server, "ada", &["a", "b"]).await;
    // The rest waits for an `ack`.
    let hello = hello_with(&token("ada"), json!([{"name": "a"}]), 1, 65_536);
    let mut second = Page::open_with(&server, hello).await;
    assert_eq!(second.until("events").await["count"], 1);
    let mut bob = caught_up(&server, "bob", &["a"]).await;
    rooms.close("ada", "a", Refusal::Forbidden);
    assert_eq!(server.bridge.revoke("ada", &room("a")), 2);
    assert_eq!(first.next().await, unsubscribed(1, "a", "forbidden"));
    publish(&server, "a", 4).await;
    second.ack(1, 1).await;
    assert_eq!(second.next().await, unsubscribed(1, "a", "forbidden"));
    for page in [&mut first, &mut second] {
        page.nothing_before_pong(1).await;
    }
    assert_eq!(server.bridge.revoke("ada", &room("a")), 0);
    let frame = bob.next().await;
    assert_eq!((&frame["first"], &frame["events"]), (&json!(4), &json!([note(4)])));
    bob.send(json!({"type": "signal", "stream": "a", "signal": {"type": "typing"}})).await;
    bob.nothing_before_pong(1).await;
    // The other stream goes on, and what was withdrawn is refused.
    publish(&server, "b", 1).await;
    assert_eq!(first.events(2, 1, 1).await, [note(1)]);
    first.send(json!({"type": "subscribe", "streams": [{"name": "a"}]})).await;
    let refused = json!({"type": "unsubscribed", "name": "a", "reason": "forbidden"});
    assert_eq!(first.next().await, refused);
}

// PROTOCOL: SUB-11
#[tokio::test]
async fn a_right_that_is_withdrawn_while_it_is_checked_opens_nothing() {
    let (asked, mut asks) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let rooms = Rooms { slow: Some((asked, Arc::clone(&gate))), ..Rooms::default() };
    let server = Server::with(|builder| builder.authorizer(rooms.clone())).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "a"}])).await;
    within(asks.recv()).await.unwrap();
    // It has found a right and did not say so yet.
    rooms.close("ada", "a", Refusal::Forbidden);
    assert_eq!(server.bridge.revoke("ada", &room("a")), 0);
    gate.add_permits(10);
    is_refused(&server, &mut page).await;
}

// PROTOCOL: SUB-2
#[tokio::test]
async fn rights_beyond_the_bound_of_streams_are_not_checked() {
    let (asked, mut asks) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(1_000));
    let rooms = Rooms { slow: Some((asked, gate)), ..Rooms::default() };
    let limits = Limits { max_streams: 3, ..Limits::default() };
    let server = Server::with(|builder| builder.authorizer(rooms.clone()).limits(limits)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let answers = async |page: &mut Page, names: &[&str]| {
        let streams: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        page.send(json!({"type": "subscribe", "streams": streams})).await;
        let mut answers = Vec::new();
        for name in names {
            let frame = loop {
                let frame = page.next().await;
                if frame["type"] != "caughtUp" {
                    break frame;
                }
            };
            assert_eq!(frame["name"], *name);
            answers.push(frame["reason"].as_str().unwrap_or("subscribed").to_owned());
        }
        answers
    };
    let mut asked = || {
        let mut count = 0;
        while asks.try_recv().is_ok() {
            count += 1;
        }
        count
    };
    // One that is refused takes no place of the others.
    rooms.close("ada", "a", Refusal::Forbidden);
    let (one, full) = ("subscribed", "too_many_streams");
    assert_eq!(answers(&mut page, &["a", "b", "c"]).await, ["forbidden", one, one]);
    assert_eq!(asked(), 3);
    assert_eq!(answers(&mut page, &["d", "e", "f"]).await, [one, full, full]);
    assert_eq!(asked(), 1);
    assert_eq!(answers(&mut page, &["e", "f"]).await, [full, full]);
    assert_eq!(asked(), 0);
    // Nor are there more checks of what is refused than that.
    let mut page = Page::open(&server, "ada", json!([])).await;
    for name in ["u", "v", "w", "x", "y", "z"] {
        rooms.close("ada", name, Refusal::UnknownStream);
    }
    let unknown = "unknown_stream";
    let expected = [unknown, unknown, unknown, full, full, full];
    assert_eq!(answers(&mut page, &["u", "v", "w", "x", "y", "z"]).await, expected);
    assert_eq!(asked(), 3);
}

/// Withdraws the right of somebody else to something else while a right is checked.
struct Revoking(Arc<OnceLock<Bridge>>, Arc<AtomicUsize>);

impl Authorizer for Revoking {
    fn open<'a>(&'a self, _: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        Box::pin(async move {
            // Not for ever, so that the test ends in any case.
            if self.1.fetch_add(1, Ordering::SeqCst) < 100 {
                self.0.get().unwrap().revoke("eve", &room("other"));
            }
            Ok(Grant::all(room(name)))
        })
    }
}

// PROTOCOL: SUB-11
#[tokio::test]
async fn withdrawing_rights_of_others_does_not_hold_up_a_subscription() {
    let (bridge, checks) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
    let authorizer = Revoking(Arc::clone(&bridge), Arc::clone(&checks));
    let server = Server::with(|builder| builder.authorizer(authorizer)).await;
    bridge.set(server.bridge.clone()).ok().unwrap();
    caught_up(&server, "ada", &["a"]).await;
    assert_eq!(checks.load(Ordering::SeqCst), 2);
}

// PROTOCOL: SUB-11
#[tokio::test]
async fn a_right_that_is_withdrawn_while_it_is_checked_again_opens_nothing() {
    let (asked, mut asks) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let rooms = Rooms { slow: Some((asked, Arc::clone(&gate))), ..Rooms::default() };
    let server = Server::with(|builder| builder.authorizer(rooms.clone())).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "a"}])).await;
    within(asks.recv()).await.unwrap();
    assert_eq!(server.bridge.revoke("eve", &room("other")), 0);
    gate.add_permits(1);
    // The second check has found a right and did not say so yet; the watch is in place.
    within(asks.recv()).await.unwrap();
    rooms.close("ada", "a", Refusal::Forbidden);
    assert_eq!(server.bridge.revoke("ada", &room("a")), 1);
    gate.add_permits(1);
    is_refused(&server, &mut page).await;
}

/// A thread of three: an owner, somebody who answers questions, and a guest who reads. Each has a name of their own for it.
struct Team;

const TEAM: [(&str, &str); 3] = [("ada", "plan"), ("bob", "ada's plan"), ("eve", "shared/plan")];

impl Team {
    fn key() -> StreamKey {
        StreamKey::from_text("team-7/plan").unwrap()
    }
}

impl Authorizer for Team {
    fn open<'a>(&'a self, subject: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        Box::pin(async move {
            if name == "inbox" {
                return Ok(Grant::read_only(StreamKey::new(subject, name).unwrap()));
            }
            let all = Grant::all(Self::key());
            match TEAM.iter().find(|member| **member == (subject, name)).map(|member| member.0) {
                Some("ada") => Ok(all),
                Some("bob") => Ok(Grant { write: false, ..all }),
                Some("eve") => Ok(Grant::read_only(all.stream)),
                _ => Err(Refusal::UnknownStream),
            }
        })
    }

    fn notified<'a>(&'a self, stream: &'a StreamKey) -> BoxFuture<'a, Result<Vec<Notified>, Refusal>> {
        let members = TEAM.iter().filter(|_| *stream == Self::key());
        let notified = members.map(|(user, name)| Notified {
            inbox: StreamKey::new(user, "inbox").unwrap(),
            thread: (*name).to_owned(),
        });
        Box::pin(std::future::ready(Ok(notified.collect())))
    }
}

// PROTOCOL: SUB-11, SND-8, SND-9, SIG-1
#[tokio::test]
async fn three_members_share_a_thread_each_with_their_own_rights() {
    let server = Server::with(|builder| builder.authorizer(Team)).await;
    let mut pages = Vec::new();
    for (user, name) in TEAM {
        pages.push(caught_up(&server, user, &[name]).await);
    }
    let run = server.bridge.stream_emitter(Team::key()).run("planner").await.unwrap();
    let run_id = run.id().to_owned();
    let asked = tokio::spawn(async move { (run.ask("Go?", Vec::new()).await.unwrap(), run) });
    let mut approval = Value::Null;
    for page in &mut pages {
        let events = page.events_until(1, |events| events.len() == 2).await;
        approval = events[1]["approvalId"].clone();
    }
    let message = json!({"type": "user_message", "content": "hi"});
    // Who may write, may answer and may read.
    for ((page, (_, name)), (writes, approves)) in
        pages.iter_mut().zip(TEAM).zip([(true, true), (false, true), (false, false)])
    {
        let outcome = async |page: &mut Page, frame: Value| {
            page.send(frame).await;
            let receipt = page.until("receipt").await;
            receipt["error"]["code"].as_str().map_or_else(|| receipt["status"].clone(), |code| json!(code))
        };
        let send = json!({"type": "send", "id": "s", "stream": name, "message": message});
        let expected = if writes { "accepted" } else { "forbidden" };
        assert_eq!(outcome(page, send).await, expected, "{name}");
        let cancel = json!({"type": "cancel", "id": "c", "stream": name, "runId": "nobody"});
        let expected = if writes { "unknown_run" } else { "forbidden" };
        assert_eq!(outcome(page, cancel).await, expected, "{name}");
        let unknown = json!({"type": "approve", "id": "a", "stream": name, "runId": "none", "approvalId": "none", "decision": "denied"});
        let expected = if approves { "unknown_approval" } else { "forbidden" };
        assert_eq!(outcome(page, unknown).await, expected, "{name}");
        // The names of the others mean nothing to them.
        let (_, other) = TEAM[(TEAM.iter().position(|(_, own)| *own == name).unwrap() + 1) % 3];
        page.send(json!({"type": "subscribe", "streams": [{"name": other}]})).await;
        assert_eq!(page.until("unsubscribed").await["reason"], "unknown_stream", "{name}");
    }
    let approve = json!({"type": "approve", "id": "b", "stream": TEAM[1].1, "runId": run_id, "approvalId": approval, "decision": "approved"});
    pages[1].send(approve).await;
    assert_eq!(pages[1].until("receipt").await["status"], "accepted");
    let (decision, run) = within(asked).await.unwrap();
    assert_eq!(decision, Decision::Approved);
    run.complete("done").await.unwrap();
    // Each inbox names the thread as its user does.
    for (user, name) in TEAM {
        let mut inbox = Page::open(&server, user, json!([{"name": "inbox"}])).await;
        let lines = inbox.events_until(1, |lines| lines.iter().any(|line| line["head"] == 5)).await;
        assert!(lines.iter().all(|line| line["thread"] == name), "{lines:?}");
    }
}

// PROTOCOL: SND-9, ERR-2; D3
#[tokio::test]
async fn reading_begins_no_stream_and_writing_begins_so_many() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let limits = Limits { new_streams_per_hour: 3, ..Limits::default() };
    let log = SqliteLog::open(&path).unwrap();
    let server = Server::with(|builder| builder.log(log).limits(limits).inbox(false)).await;
    let streams = || {
        let file = rusqlite::Connection::open(&path).unwrap();
        file.query_row("SELECT count(*) FROM streams", [], |row| row.get::<_, u64>(0)).unwrap()
    };
    let mut page = Page::open(&server, "ada", json!([{"name": "r0"}])).await;
    for n in 1..20 {
        page.send(json!({"type": "subscribe", "streams": [{"name": format!("r{n}")}]})).await;
        let path = format!("/v1/threads/g{n}/events");
        assert_eq!(crate::http::get(&server, &path, Some(&token("ada"))).await.0, 200);
    }
    // All of it is done when the answer is here.
    page.send(json!({"type": "ping", "n": 1})).await;
    page.until("pong").await;
    assert_eq!(streams(), 0);
    let mut outcomes = Vec::new();
    for n in 0..5 {
        let id = format!("s{n}");
        let frame = match n {
            0 => json!({"type": "cancel", "id": id, "stream": id, "runId": "r"}),
            1 => {
                json!({"type": "approve", "id": id, "stream": id, "runId": "r", "approvalId": "a", "decision": "denied"})
            }
            _ => json!({"type": "send", "id": id, "stream": id, "message": {"type": "form"}}),
        };
        page.send(frame).await;
        let receipt = page.until("receipt").await;
        outcomes.push(receipt["error"]["code"].as_str().unwrap_or("written").to_owned());
    }
    assert_eq!(outcomes, ["written", "written", "written", "overloaded", "overloaded"]);
    // One that exists can be written, and another user has a quota of their own.
    page.send(json!({"type": "send", "id": "t", "stream": "s2", "message": {"type": "form"}})).await;
    assert_eq!(page.until("receipt").await["status"], "accepted");
    let mut bob = Page::open(&server, "bob", json!([])).await;
    bob.send(json!({"type": "send", "id": "t", "stream": "s9", "message": {"type": "form"}})).await;
    assert_eq!(bob.until("receipt").await["status"], "accepted");
    assert_eq!(streams(), 4);
}

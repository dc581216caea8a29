//! Agents in other processes: batches that come again, leases, claims and signals.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agentwire_bridge::{
    Batch, BatchError, Bridge, Claim, Decision, Hs256, Idempotency, MemoryLog, Producer, PublishError,
    Retention, RunSignal, SqliteLog, Taken, Turn,
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use crate::double::Double;
use crate::support::{Page, SECRET, Server, key, note, within};

const MINUTE: Duration = Duration::from_secs(60);

fn batch(producer: &str, seq: u64, events: Vec<Value>) -> Batch {
    let producer = Some(Producer { id: producer.to_owned(), seq });
    Batch { producer, lease: Some(MINUTE), ..Batch::new(events) }
}

fn notes(numbers: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    numbers.map(note).collect()
}

fn started(run: &str) -> Value {
    json!({"type": "agent_started", "runId": run, "agent": "triage", "time": 1})
}

fn answers(run: &str, send_id: &str) -> Value {
    json!({"type": "agent_started", "runId": run, "agent": "triage", "sendId": send_id, "time": 1})
}

fn completed(run: &str) -> Value {
    json!({"type": "agent_completed", "runId": run, "time": 1})
}

/// Milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "events have times of the wall clock")]
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

async fn publish(server: &Server, batch: Batch) -> Result<(usize, usize), BatchError> {
    server.bridge.publish(&key("t"), batch).await.map(|done| (done.applied, done.repeated))
}

#[tokio::test]
async fn a_batch_that_comes_again_is_written_once_however_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let serve = || Server::with(|builder| builder.log(SqliteLog::open(&path).unwrap()));
    let server = serve().await;
    assert_eq!(publish(&server, batch("p", 1, notes(1..=3))).await, Ok((3, 0)));
    assert_eq!(publish(&server, batch("p", 1, notes(1..=3))).await, Ok((0, 3)));
    assert_eq!(publish(&server, batch("p", 2, notes(2..=5))).await, Ok((2, 2)));
    assert_eq!(publish(&server, batch("p", 7, notes(7..=7))).await, Err(BatchError::Missing { expected: 6 }));
    assert_eq!(publish(&server, batch("q", 2, notes(2..=2))).await, Err(BatchError::Missing { expected: 1 }));
    server.stop().await;
    let server = serve().await;
    assert_eq!(publish(&server, batch("p", 4, notes(4..=6))).await, Ok((1, 2)));
    assert_eq!(server.events("t").await, notes(1..=6));
    let (seq, position) = server.bridge.produced(&key("t"), "p").await.unwrap().unwrap();
    assert_eq!((seq, position.offset), (6, 6));
    assert_eq!(server.bridge.produced(&key("t"), "q").await.unwrap(), None);
}

#[tokio::test]
async fn a_batch_that_is_refused_uses_no_number() {
    let server = Server::start().await;
    let bad = vec![note(1), json!({"type": "agent_started", "runId": "r"})];
    let error = publish(&server, batch("p", 1, bad)).await.unwrap_err();
    assert!(matches!(error, BatchError::Event { index: 1, .. }), "{error}");
    assert_eq!(publish(&server, batch("p", 1, vec![started("r"), completed("r")])).await, Ok((2, 0)));
    let late = vec![note(3), started("r")];
    assert_eq!(publish(&server, batch("p", 3, late)).await, Err(PublishError::RunEnded.into()));
    assert_eq!(publish(&server, batch("p", 3, notes(3..=3))).await, Ok((1, 0)));
    assert_eq!(publish(&server, batch("p", 0, notes(1..=1))).await, Err(BatchError::Sequence));
    assert_eq!(publish(&server, batch("p", u64::MAX, notes(1..=1))).await, Err(BatchError::Sequence));
    assert_eq!(publish(&server, Batch::default()).await, Err(BatchError::Empty));
}

#[tokio::test]
async fn a_key_makes_a_batch_happen_once() {
    let server = Server::start().await;
    let keyed = |service: &str, n| {
        let idempotency = Idempotency { service: service.to_owned(), key: "k".to_owned() };
        Batch { idempotency: Some(idempotency), ..Batch::new(vec![note(n)]) }
    };
    assert_eq!(publish(&server, keyed("a", 1)).await, Ok((1, 0)));
    assert_eq!(publish(&server, keyed("a", 1)).await, Ok((0, 1)));
    assert_eq!(publish(&server, keyed("a", 2)).await, Err(BatchError::Conflict));
    assert_eq!(publish(&server, keyed("b", 2)).await, Ok((1, 0)));
    assert_eq!(server.events("t").await, notes(1..=2));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_silent_is_ended_and_a_sign_of_a_part_keeps_the_whole() {
    let bridge = Bridge::builder()
        .log(MemoryLog::new())
        .authenticator(Hs256::new(SECRET).unwrap())
        .build()
        .await
        .unwrap();
    let part = json!({"type": "agent_started", "runId": "part", "agent": "a", "parentRunId": "whole"});
    bridge.publish(&key("t"), batch("p", 1, vec![started("whole"), part, started("silent")])).await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(MINUTE * 2 / 3).await;
        assert!(bridge.heartbeat(&key("t"), "part").await.unwrap().unwrap().is_open);
    }
    let open = async || -> Vec<String> {
        bridge.open_runs(&key("t")).await.unwrap().into_iter().map(|run| run.id).collect()
    };
    assert_eq!(open().await, ["whole", "part"]);
    let last = bridge.log().read(&key("t"), 4, 1, usize::MAX).await.unwrap();
    assert!(last.bodies[0].contains(r#""runId":"silent""#) && last.bodies[0].contains("no_heartbeat"));
    assert!(!bridge.heartbeat(&key("t"), "silent").await.unwrap().unwrap().is_open);
    assert_eq!(bridge.heartbeat(&key("t"), "never").await.unwrap(), None);
    bridge.publish(&key("t"), batch("p", 4, vec![completed("part")])).await.unwrap();
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(open().await, [""; 0]);
}

// PROTOCOL: LIF-5
#[tokio::test]
async fn a_restart_ends_the_runs_of_the_process_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let (seen, mut found) = mpsc::unbounded_channel();
    let serve = |seen: mpsc::UnboundedSender<String>| {
        Server::with(|builder| {
            let log = SqliteLog::open(&path).unwrap();
            builder.log(log).on_outside_run(move |run| seen.send(run.id().to_owned()).unwrap())
        })
    };
    let server = serve(seen.clone()).await;
    publish(&server, batch("p", 1, vec![started("outside"), started("over"), completed("over")]))
        .await
        .unwrap();
    let without = Batch { lease: None, ..batch("q", 1, vec![started("without")]) };
    publish(&server, without).await.unwrap();
    server.stop().await;
    let server = serve(seen).await;
    let open = server.bridge.open_runs(&key("t")).await.unwrap();
    assert_eq!((open.len(), open[0].id.as_str(), open[0].lease), (1, "outside", Some(MINUTE)));
    assert_eq!(
        [found.recv().await, found.recv().await, found.recv().await],
        ["outside", "over", "outside"].map(|id| Some(id.to_owned()))
    );
    publish(&server, batch("p", 4, vec![completed("outside")])).await.unwrap();
}

#[tokio::test]
async fn a_cancel_reaches_the_agent_and_its_end_says_so() {
    let server = Server::start().await;
    publish(&server, batch("p", 1, vec![started("r")])).await.unwrap();
    let run = server.bridge.outside_run(&key("t"), "r").await.unwrap().unwrap();
    let mut signals = run.signals();
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(json!({"type": "cancel", "id": "c1", "stream": "t", "runId": "r"})).await;
    assert_eq!(page.until("receipt").await["status"], "cancelled");
    assert_eq!(within(signals.next()).await, Ok(Some(RunSignal::Cancelled)));
    let thinking = json!({"type": "agent_thinking", "runId": "r", "text": "Still at it"});
    let more = server.bridge.publish(&key("t"), batch("p", 2, vec![thinking])).await.unwrap();
    assert_eq!(more.cancelled, ["r"]);
    publish(&server, batch("p", 3, vec![completed("r")])).await.unwrap();
    assert_eq!(within(signals.next()).await, Ok(Some(RunSignal::Over)));
    assert_eq!(within(signals.next()).await, Ok(None));
    assert_eq!(server.events("t").await.last().unwrap()["type"], "agent_cancelled");
}

#[tokio::test]
async fn an_agent_gets_answers_and_steering_also_those_from_before() {
    let server = Server::start().await;
    let ask = |id: &str| json!({"type": "approval_requested", "runId": "r", "approvalId": id, "prompt": "?"});
    publish(&server, batch("p", 1, vec![started("r"), ask("a1"), ask("a2")])).await.unwrap();
    let mut page = Page::open(&server, "ada", json!([])).await;
    let approve = |id: &str, approval: &str, decision: &str| json!({"type": "approve", "id": id, "stream": "t", "runId": "r", "approvalId": approval, "decision": decision, "reason": id});
    page.send(approve("s1", "a2", "approved")).await;
    assert_eq!(page.until("receipt").await["status"], "accepted");
    let run = server.bridge.outside_run(&key("t"), "r").await.unwrap().unwrap();
    let mut signals = run.signals();
    let answered = |signal: Result<Option<RunSignal>, _>| match signal {
        Ok(Some(RunSignal::Answered { approval, answer })) => {
            (approval, answer.decision, answer.reason.unwrap())
        }
        other => panic!("{other:?}"),
    };
    let first = answered(within(signals.next()).await);
    assert_eq!(first, ("a2".to_owned(), Decision::Approved, "s1".to_owned()));
    page.send(approve("s2", "a1", "denied")).await;
    let second = answered(within(signals.next()).await);
    assert_eq!(second, ("a1".to_owned(), Decision::Denied, "s2".to_owned()));
    let steer = json!({"type": "send", "id": "s3", "stream": "t", "mode": "steer", "runId": "r",
        "message": {"type": "user_message", "content": "Faster"}});
    page.send(steer).await;
    let Ok(Some(RunSignal::Steering { message, offset, text })) = within(signals.next()).await else {
        panic!("no steering");
    };
    assert_eq!((message.content.as_str(), offset), ("Faster", text));
    let taken = json!({"type": "steering_taken", "runId": "r", "sendId": "s3"});
    publish(&server, batch("p", 4, vec![taken])).await.unwrap();
    let pending = tokio::time::timeout(Duration::ZERO, signals.next()).await;
    assert!(pending.is_err(), "{pending:?}");
}

/// An agent that hands each message on, and what became of each.
async fn handing(over: mpsc::UnboundedSender<(Claim, Result<(), Taken>)>) -> Server {
    let over = Arc::new(over);
    Server::with(|builder| {
        builder.agent(move |turn: Turn| {
            let over = Arc::clone(&over);
            async move {
                let given = turn.give();
                let taken = match given.free().await? {
                    Ok(()) => {
                        over.send((given.claim(), Ok(()))).unwrap();
                        given.taken().await?
                    }
                    Err(taken) => taken,
                };
                over.send((given.claim(), Err(taken))).unwrap();
                Ok(())
            }
        })
    })
    .await
}

#[tokio::test]
async fn messages_are_handed_on_one_after_the_other_and_claimed_once() {
    let (sender, mut over) = mpsc::unbounded_channel();
    let server = handing(sender).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let send = |id: &str| json!({"type": "send", "id": id, "stream": "t", "message": {"type": "user_message", "content": id}});
    page.send(send("s1")).await;
    page.send(send("s2")).await;
    let (claim, given) = within(over.recv()).await.unwrap();
    assert_eq!((claim.send_id.as_str(), claim.offset, claim.text, given), ("s1", 1, 1, Ok(())));
    let answer = |run: &str, claim: &Claim| {
        let id = claim.send_id.as_str();
        Batch { claim: Some(claim.clone()), ..batch(run, 1, vec![answers(run, id)]) }
    };
    publish(&server, answer("r1", &claim)).await.unwrap();
    assert_eq!(within(over.recv()).await.unwrap().1, Err(Taken::Claimed));
    // Another worker was given the same message.
    assert_eq!(publish(&server, answer("r2", &claim)).await, Err(PublishError::Outdated.into()));
    // The second one waits for the run, and can be edited and withdrawn meanwhile.
    let edit = json!({"type": "edit", "id": "e1", "stream": "t", "sendId": "s2", "message": {"type": "user_message", "content": "new"}});
    page.until("receipt").await;
    page.until("receipt").await;
    page.send(edit).await;
    assert_eq!(page.until("receipt").await["status"], "accepted");
    let (old, given) = within(over.recv()).await.unwrap();
    assert_eq!((old.send_id.as_str(), given), ("s2", Err(Taken::Edited)));
    publish(&server, batch("r1", 2, vec![completed("r1")])).await.unwrap();
    let (new, given) = within(over.recv()).await.unwrap();
    assert_eq!((new.send_id.as_str(), given), ("s2", Ok(())));
    assert!(new.offset == old.offset && new.text > old.text, "{new:?}");
    assert_eq!(publish(&server, answer("r3", &old)).await, Err(PublishError::Outdated.into()));
    publish(&server, answer("r4", &new)).await.unwrap();
    assert_eq!(within(over.recv()).await.unwrap().1, Err(Taken::Claimed));
}

#[tokio::test]
async fn a_message_that_is_handed_on_outlives_a_log_that_cannot_be_read() {
    let log = Double::new();
    let (sender, mut given) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let server = Server::with(|builder| {
        builder.log(log.clone()).agent(move |turn: Turn| {
            let (sender, opened) = (sender.clone(), Arc::clone(&opened));
            async move {
                sender.send(turn.message.send_id.clone()).unwrap();
                opened.acquire().await.unwrap().forget();
                turn.give().taken().await?;
                Ok(())
            }
        })
    })
    .await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(json!({"type": "send", "id": "s1", "stream": "t", "message": {"type": "user_message", "content": "hi"}})).await;
    assert_eq!(within(given.recv()).await.unwrap(), "s1");
    // After a write that failed, the bridge reads again how the stream stands.
    log.fail("note", 1);
    server.bridge.emitter("ada", "t").publish(note(1)).await.unwrap_err();
    log.fail_heads(1);
    gate.add_permits(1);
    // The message comes again; no run says that it failed.
    assert_eq!(within(given.recv()).await.unwrap(), "s1");
    assert_eq!(server.events("t").await.len(), 1);
    gate.add_permits(1);
    publish(&server, batch("p", 1, vec![answers("r", "s1"), completed("r")])).await.unwrap();
    assert_eq!(server.events("t").await.len(), 3);
}

// PROTOCOL: SUB-11
#[tokio::test]
async fn a_stream_that_is_deleted_ends_its_subscriptions_and_runs() {
    let server = Server::start().await;
    publish(&server, batch("p", 1, vec![started("r")])).await.unwrap();
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    page.until("caughtUp").await;
    assert!(server.bridge.delete(&key("t")).await.unwrap());
    let ended = page.next().await;
    assert_eq!(ended, json!({"type": "unsubscribed", "ch": 1, "name": "t", "reason": "deleted"}));
    page.nothing_before_pong(1).await;
    assert_eq!(server.events("t").await, [Value::Null; 0]);
    assert_eq!(server.bridge.open_runs(&key("t")).await.unwrap(), []);
    assert!(!server.bridge.delete(&key("never")).await.unwrap());
}

#[tokio::test]
async fn what_is_old_is_forgotten_and_what_is_needed_is_kept() {
    let server = Server::start().await;
    let retain =
        async |events, age| server.bridge.retain(&key("t"), Retention { events, age }).await.unwrap();
    let (now, day) = (now_ms(), 24 * 3_600_000);
    let timed = |days: u64, n: u64| json!({"type": "note", "n": n, "time": now - days * day});
    let events = (0..10).map(|n| timed(10 - n, n)).collect();
    server.bridge.emitter("ada", "t").publish_all(events).await.unwrap();
    let days = |days| Some(Duration::from_millis(days * day + 60_000));
    assert_eq!(retain(None, None).await, 1);
    assert_eq!(retain(Some(100), None).await, 1);
    assert_eq!(retain(None, days(8)).await, 3);
    assert_eq!(retain(Some(6), None).await, 5);
    // Of two limits the one that keeps less counts.
    assert_eq!(retain(Some(6), days(3)).await, 8);
    let started = json!({"type": "agent_started", "runId": "r", "agent": "a", "time": now - 9 * day});
    publish(&server, batch("p", 1, vec![started])).await.unwrap();
    server.publish("t", 5).await;
    assert_eq!(retain(Some(1), None).await, 11);
    publish(&server, batch("p", 2, vec![completed("r")])).await.unwrap();
    assert_eq!(retain(Some(1), None).await, 17);
    assert_eq!(server.bridge.streams(None, 1).await.unwrap().len(), 1);
    let all = server.bridge.streams(None, 10).await.unwrap();
    assert!(all.contains(&key("t")), "{all:?}");
}

#[tokio::test]
async fn the_sockets_of_a_user_who_is_revoked_end_at_once() {
    let server = Server::start().await;
    let mut pages =
        [Page::open(&server, "ada", json!([])).await, Page::open(&server, "ada", json!([])).await];
    let mut other = Page::open(&server, "bob", json!([])).await;
    assert_eq!(server.bridge.revoke_user("ada"), 2);
    for page in &mut pages {
        assert_eq!(page.ends_with().await, ("token_invalid".to_owned(), 4450));
    }
    other.nothing_before_pong(1).await;
    assert_eq!(server.bridge.revoke_user("nobody"), 0);
}

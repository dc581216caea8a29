//! What may be written, and what a stream has come to: on real logs.

mod races;
mod stored;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::event::Event;
use crate::ledger::draft::acts::{Act, Actor};
use crate::ledger::draft::modes::Mode;
use crate::ledger::draft::{Outcome, Precondition, Receipt};
use crate::log::{IdempotencyKey, MemoryLog, Record, Resolution, Status};
use crate::stream::Position;

const DAY: Duration = Duration::from_secs(86_400);

fn journal_of(log: Arc<dyn Log>) -> Arc<Journal> {
    let journal = Arc::new(Journal::new(Arc::clone(&log), Tasks::new(), DAY, Duration::from_secs(30)));
    let observed = Arc::downgrade(&journal);
    log.observe(Arc::new(move |commit| {
        if let Some(journal) = observed.upgrade() {
            journal.on_commit(commit);
        }
    }));
    journal
}

fn journal() -> Arc<Journal> {
    journal_of(Arc::new(MemoryLog::new()))
}

fn key(name: &str) -> StreamKey {
    StreamKey::new("ada", name).unwrap()
}

fn event(value: Value) -> Event {
    Event::new(value, 1 << 20).unwrap()
}

async fn append(journal: &Arc<Journal>, append: Append) -> Outcome {
    journal.append(append).await.unwrap().durable().await.unwrap()
}

async fn receipt(journal: &Arc<Journal>, one: Append) -> Receipt {
    match append(journal, one).await {
        Outcome::Durable(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

fn events(name: &str, events: &[Value]) -> Append {
    Append::events(key(name), events.iter().cloned().map(event).collect())
}

async fn publish(journal: &Arc<Journal>, name: &str, some: &[Value]) -> u64 {
    let receipt = receipt(journal, events(name, some)).await;
    assert_eq!(receipt.status, Status::Accepted, "{some:?}");
    receipt.position.offset
}

fn idempotency_key(subject: &str, id: &str, hash: &str) -> IdempotencyKey {
    IdempotencyKey { subject: subject.into(), id: id.into(), hash: hash.into() }
}

fn message(name: &str, id: &str, content: &str) -> Append {
    let Value::Object(body) = json!({"type": "user_message", "content": content, "sendId": id}) else {
        unreachable!()
    };
    Append {
        key: Some(idempotency_key("ada", id, content)),
        is_message: true,
        ..Append::events(key(name), vec![Event::from_send(body, 1 << 20).unwrap()])
    }
}

fn of_bob(append: Append) -> Append {
    let key = append.key.map(|key| IdempotencyKey { subject: "bob".into(), ..key });
    Append { key, ..append }
}

async fn open_runs(journal: &Journal, name: &str) -> Vec<String> {
    let state = journal.state(&key(name)).await.unwrap();
    state.open_runs.iter().map(|run| run.to_string()).collect()
}

async fn waiting(journal: &Journal, name: &str) -> Vec<(u64, String)> {
    let mut waiting: Vec<(u64, String)> = Vec::new();
    loop {
        let passed = waiting.iter().map(|(offset, _)| *offset).collect();
        let Some(next) = journal.next_pending(&key(name), &passed).await.unwrap() else { return waiting };
        waiting.push((next.offset, next.send_id.to_string()));
    }
}

async fn stored(journal: &Journal, name: &str, from: u64) -> Vec<Value> {
    let page = journal.read(&key(name), from, 1_000, 1 << 20).await.unwrap();
    page.bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

// PROTOCOL: SND-1, SND-2
#[tokio::test]
async fn an_append_with_a_key_happens_once() {
    let journal = journal();
    let first = receipt(&journal, message("t", "s1", "hi")).await;
    publish(&journal, "t", &[json!({"type": "x"})]).await;
    let again = receipt(&journal, message("t", "s1", "hi")).await;
    assert_eq!(again, Receipt { is_repeated: true, ..first.clone() });
    assert_eq!(append(&journal, message("t", "s1", "other")).await, Outcome::Conflict);
    assert_eq!(journal.state(&key("t")).await.unwrap().head.offset, 2);
    // The key is one of subject, stream and id.
    assert!(!receipt(&journal, message("u", "s1", "other")).await.is_repeated);
    assert!(!receipt(&journal, of_bob(message("t", "s1", "other"))).await.is_repeated);
}

#[tokio::test]
async fn runs_are_open_until_they_end() {
    let journal = journal();
    let begin = [
        json!({"type": "agent_started", "runId": "z", "agent": "a"}),
        json!({"type": "run_accepted", "runId": "a"}),
        json!({"type": "agent_thinking", "runId": "m"}),
        json!({"type": "custom", "runId": "other"}),
    ];
    publish(&journal, "t", &begin).await;
    assert_eq!(open_runs(&journal, "t").await, ["z", "a", "m"]);
    let soft =
        json!({"type": "agent_error", "runId": "z", "code": "x", "severity": "low", "recoverable": true});
    publish(&journal, "t", &[soft, json!({"type": "agent_completed", "runId": "a"})]).await;
    assert_eq!(open_runs(&journal, "t").await, ["z", "m"]);
    let ends = [
        json!({"type": "agent_error", "runId": "z", "code": "x", "severity": "high", "recoverable": false}),
        json!({"type": "agent_died", "runId": "m", "cause": "x"}),
    ];
    publish(&journal, "t", &ends).await;
    assert_eq!(open_runs(&journal, "t").await, Vec::<String>::new());
}

// PROTOCOL: RUN-1
#[tokio::test]
async fn nothing_of_a_run_follows_its_end_whoever_publishes_it() {
    let journal = journal();
    let started = json!({"type": "agent_started", "runId": "r", "agent": "a"});
    let delta = json!({"type": "message_delta", "runId": "r", "messageId": "m", "text": "x"});
    let end = json!({"type": "agent_completed", "runId": "r"});
    // In one append as well.
    let all = [started.clone(), end.clone(), delta.clone()];
    assert_eq!(receipt(&journal, events("t", &all)).await.status, Status::AlreadyFinished);
    publish(&journal, "t", &[started.clone(), delta.clone(), end.clone()]).await;
    for late in [
        started,
        delta,
        end,
        json!({"type": "approval_requested", "runId": "r", "approvalId": "a", "prompt": "?"}),
    ] {
        // All of it or nothing.
        let append = events("t", &[json!({"type": "note"}), late.clone()]);
        assert_eq!(receipt(&journal, append).await.status, Status::AlreadyFinished, "{late}");
    }
    assert_eq!(journal.state(&key("t")).await.unwrap().head.offset, 3);
    // An event that only names the run is no part of it.
    publish(&journal, "t", &[json!({"type": "rating", "runId": "r"})]).await;
}

#[tokio::test]
async fn of_two_ends_that_are_queued_together_one_is_written() {
    let journal = journal();
    let end = |run: &str| Append {
        precondition: Precondition::RunOpen(run.into()),
        ..events("t", &[json!({"type": "agent_died", "runId": run, "cause": "x"})])
    };
    assert_eq!(receipt(&journal, end("r")).await.status, Status::UnknownRun);
    publish(&journal, "t", &[json!({"type": "agent_started", "runId": "r", "agent": "a"})]).await;
    let first = journal.append(end("r")).await.unwrap();
    let second = journal.append(end("r")).await.unwrap();
    let status = |outcome| match outcome {
        Ok(Outcome::Durable(receipt)) => receipt.status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(first.durable().await), Status::Accepted);
    assert_eq!(status(second.durable().await), Status::AlreadyFinished);
    assert_eq!(journal.state(&key("t")).await.unwrap().head.offset, 2);
}

// PROTOCOL: SND-7
#[tokio::test]
async fn a_run_whose_cancel_was_accepted_ends_as_cancelled() {
    let journal = journal();
    let cancel = |run: &str, id: &str| Append {
        key: Some(idempotency_key("ada", id, run)),
        precondition: Precondition::RunOpen(run.into()),
        ..Append::fact(key("t"), Fact::CancelAccepted { run: run.into() })
    };
    assert_eq!(receipt(&journal, cancel("completed", "c0")).await.status, Status::UnknownRun);
    let runs = ["completed", "died", "failed", "own", "left"];
    for run in runs {
        publish(&journal, "t", &[json!({"type": "agent_started", "runId": run, "agent": "a"})]).await;
    }
    // The same id of a run in another stream is another run.
    publish(&journal, "u", &[json!({"type": "agent_started", "runId": "completed", "agent": "a"})]).await;
    for run in &runs[..4] {
        assert_eq!(receipt(&journal, cancel(run, run)).await.status, Status::Accepted);
    }
    // A copy changes nothing, and what is not an end stays what it is.
    assert!(receipt(&journal, cancel("own", "own")).await.is_repeated);
    let soft = json!({"type": "agent_error", "runId": "failed", "code": "x", "severity": "low", "recoverable": true, "time": 6});
    let own = json!({"type": "agent_cancelled", "runId": "own", "reason": "mine", "time": 10});
    let left = json!({"type": "agent_completed", "runId": "left", "time": 11});
    let ends = [
        soft.clone(),
        json!({"type": "agent_completed", "runId": "completed", "summary": "done", "time": 7}),
        json!({"type": "agent_died", "runId": "died", "cause": "restarted", "time": 8}),
        json!({"type": "agent_error", "runId": "failed", "code": "x", "severity": "high", "recoverable": false, "time": 9}),
        own.clone(),
        left.clone(),
    ];
    let last = publish(&journal, "t", &ends).await;
    let other = json!({"type": "agent_completed", "runId": "completed", "time": 13});
    publish(&journal, "u", std::slice::from_ref(&other)).await;
    let requested = |run: &str, time: u64| json!({"type": "agent_cancelled", "runId": run, "reason": "requested", "time": time});
    let expected = [soft, requested("completed", 7), requested("died", 8), requested("failed", 9), own, left];
    assert_eq!(stored(&journal, "t", last - 5).await, expected);
    assert_eq!(stored(&journal, "u", 2).await, [other]);
    assert_eq!(receipt(&journal, cancel("left", "c1")).await.status, Status::AlreadyFinished);
}

// PROTOCOL: SND-8
#[tokio::test]
async fn approvals_are_answered_once() {
    let journal = journal();
    let answer = |run: &str, id: &str, send: &str, user: &str, decision: &str| Append {
        precondition: Precondition::ApprovalOpen { run: run.into(), approval: id.into() },
        key: Some(idempotency_key("ada", send, id)),
        ..events(
            "t",
            &[
                json!({"type": "approval_resolved", "approvalId": id, "runId": run, "decision": decision, "user": user}),
            ],
        )
    };
    let unknown = receipt(&journal, answer("r", "a1", "s0", "ada", "denied")).await;
    assert_eq!((unknown.status, unknown.resolution), (Status::UnknownApproval, None));
    publish(&journal, "t", &[ask("r", "a1"), ask("r", "a2")]).await;
    assert_eq!(open_runs(&journal, "t").await, ["r"]);
    let denied = Resolution { decision: "denied".into(), by: Some("ada".into()) };
    let first = receipt(&journal, answer("r", "a1", "s1", "ada", "denied")).await;
    assert_eq!((first.status, first.position.offset), (Status::Accepted, 3));
    assert_eq!(first.resolution.as_ref(), Some(&denied));
    // What counts, whatever the second one says.
    let second = receipt(&journal, answer("r", "a1", "s2", "bob", "approved")).await;
    assert_eq!((second.status, second.resolution), (Status::AlreadyResolved, Some(denied)));
    let again = receipt(&journal, answer("r", "a1", "s1", "ada", "denied")).await;
    assert_eq!(again, Receipt { is_repeated: true, ..first });
    // The end of the run closes what nobody answered.
    publish(&journal, "t", &[json!({"type": "agent_completed", "runId": "r"})]).await;
    let late = receipt(&journal, answer("r", "a2", "s3", "ada", "denied")).await;
    assert_eq!((late.status, late.resolution), (Status::RunOver, None));
    assert_eq!(journal.state(&key("t")).await.unwrap().head.offset, 4);
}

fn ask(run: &str, id: &str) -> Value {
    json!({"type": "approval_requested", "runId": run, "approvalId": id, "prompt": "?"})
}

// PROTOCOL: SND-13
#[tokio::test]
async fn an_answer_that_comes_after_the_expiry_writes_the_expiry() {
    let journal = journal();
    let mut asked = ask("r", "a");
    asked["expiresAt"] = json!(1);
    publish(&journal, "t", &[asked]).await;
    assert_eq!(journal.next_expiry(&key("t")).await.unwrap(), Some((1, "r".into(), "a".into())));
    let answer = Append {
        precondition: Precondition::ApprovalOpen { run: "r".into(), approval: "a".into() },
        key: Some(idempotency_key("ada", "s", "h")),
        ..events(
            "t",
            &[json!({"type": "approval_resolved", "runId": "r", "approvalId": "a", "decision": "approved"})],
        )
    };
    let late = receipt(&journal, answer).await;
    let expired = Resolution { decision: "expired".into(), by: None };
    assert_eq!((late.status, late.resolution), (Status::AlreadyResolved, Some(expired)));
    let stored = stored(&journal, "t", 1).await;
    assert_eq!((stored.len(), &stored[1]["decision"]), (2, &json!("expired")));
    assert_eq!(journal.next_expiry(&key("t")).await.unwrap(), None);
}

// PROTOCOL: SND-13
#[tokio::test]
async fn what_is_due_has_expired_before_its_run_ends() {
    let journal = journal();
    let ask = |id: &str, at: u64| {
        let mut ask = ask("r", id);
        ask["expiresAt"] = at.into();
        ask
    };
    let far = u64::from(u32::MAX) << 20;
    let end = json!({"type": "agent_completed", "runId": "r"});
    publish(&journal, "t", &[ask("a1", 1), ask("a2", far)]).await;
    // One that the same record asks for, too.
    let last = Append { is_announced: true, ..events("t", &[ask("a3", 2), end]) };
    assert_eq!(receipt(&journal, last).await.status, Status::Accepted);
    let told: Vec<_> =
        stored(&journal, "t", 3).await.iter().map(|event| event["approvalId"].clone()).collect();
    assert_eq!(told, [json!("a3"), json!("a1"), json!("a3"), Value::Null]);
    assert_eq!(stored(&journal, "t", 4).await[0]["decision"], "expired");
    // Inboxes are notified of the end itself.
    assert_eq!(journal.unannounced(&key("t")).await.unwrap(), Some(6));
}

// A run asks under an id that another run used.
// PROTOCOL: RUN-5, RUN-1
#[tokio::test]
async fn approvals_of_two_runs_are_two_though_they_have_one_id() {
    let journal = journal();
    let resolve = |run: &str| json!({"type": "approval_resolved", "runId": run, "approvalId": "bash:0", "decision": "approved"});
    let status = async |one: Value| receipt(&journal, events("t", &[one])).await.status;
    publish(&journal, "t", &[ask("r1", "bash:0"), resolve("r1"), ask("r2", "bash:0")]).await;
    // A run asks once under an id, and is answered once.
    assert_eq!(status(ask("r1", "bash:0")).await, Status::AlreadyResolved);
    assert_eq!(status(ask("r2", "bash:0")).await, Status::AlreadyResolved);
    assert_eq!(
        receipt(&journal, events("t", &[ask("r3", "x"), ask("r3", "x")])).await.status,
        Status::AlreadyResolved
    );
    assert_eq!(status(resolve("r1")).await, Status::AlreadyResolved);
    assert_eq!(status(resolve("r9")).await, Status::UnknownApproval);
    assert_eq!(open_runs(&journal, "t").await, ["r1", "r2"]);
    assert_eq!(status(resolve("r2")).await, Status::Accepted);
    assert_eq!(journal.state(&key("t")).await.unwrap().head.offset, 4);
    // In one record, too.
    let ledger = Ledger::default();
    let head = Head { epoch: "e".into(), epoch_number: 1, base: 0, oldest: 1, offset: 0, seq: 0 };
    let mut draft = crate::ledger::draft::Draft::new(&ledger, &head, 0);
    for one in [ask("r1", "bash:0"), resolve("r1"), ask("r2", "bash:0"), resolve("r2")] {
        let outcome = draft.add(&events("t", &[one]));
        assert!(matches!(outcome, Outcome::Durable(Receipt { status: Status::Accepted, .. })), "{outcome:?}");
    }
}

// PROTOCOL: LIF-5
#[tokio::test]
async fn messages_wait_until_they_are_claimed() {
    let journal = journal();
    for (id, content) in [("s1", "one"), ("s2", "two"), ("s3", "three"), ("s4", "four")] {
        receipt(&journal, message("t", id, content)).await;
    }
    let places = |names: &[u64]| names.iter().map(|n| (*n, format!("s{n}"))).collect::<Vec<_>>();
    assert_eq!(waiting(&journal, "t").await, places(&[1, 2, 3, 4]));
    let started = json!({"type": "agent_started", "runId": "r", "agent": "a", "sendId": "s1"});
    publish(&journal, "t", &[started]).await;
    assert_eq!(waiting(&journal, "t").await, places(&[2, 3, 4]));
    let pending = journal.next_pending(&key("t"), &BTreeSet::new()).await.unwrap().unwrap();
    assert!(&*pending.subject == "ada" && pending.body.contains("\"two\""));
    journal.claim(&key("t"), 2).await.unwrap();
    // What is no longer there to be read cannot be answered.
    assert!(journal.redact(&key("t"), 3).await.unwrap());
    assert_eq!(waiting(&journal, "t").await, places(&[4]));
    assert_eq!(journal.trim(&key("t"), 100).await.unwrap(), 6);
    assert_eq!(waiting(&journal, "t").await, []);
}

#[tokio::test]
async fn messages_of_two_users_with_one_id_are_claimed_apart() {
    let journal = journal();
    for id in ["s1", "s2"] {
        receipt(&journal, message("t", id, "of ada")).await;
        receipt(&journal, of_bob(message("t", id, "of bob"))).await;
    }
    let offsets = async || waiting(&journal, "t").await.into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    let started =
        |run: &str, id: &str| json!({"type": "agent_started", "runId": run, "agent": "a", "sendId": id});
    receipt(&journal, Append::events(key("t"), vec![event(started("r1", "s1")).claiming(2, None)])).await;
    assert_eq!(offsets().await, [1, 3, 4]);
    // An event that names the id only claims the first message that waits under it, and no other.
    publish(&journal, "t", &[started("r2", "s2")]).await;
    assert_eq!(offsets().await, [1, 4]);
    publish(&journal, "t", &[started("r3", "s2"), started("r4", "s2")]).await;
    assert_eq!(offsets().await, [1]);
}

// PROTOCOL: SND-7, SND-17
#[tokio::test]
async fn a_second_run_that_answers_a_message_belongs_to_its_sender() {
    let journal = journal();
    receipt(&journal, message("t", "s1", "one")).await;
    let started = |run: &str| json!({"type": "agent_started", "runId": run, "agent": "a", "sendId": "s1"});
    for run in ["r1", "r2"] {
        receipt(&journal, Append::events(key("t"), vec![event(started(run)).claiming(1, None)])).await;
    }
    publish(&journal, "t", &[json!({"type": "agent_completed", "runId": "r1"})]).await;
    let cancel = |subject: &str, id: &str, act: Act| Append {
        key: Some(idempotency_key(subject, id, id)),
        act: Some((act, Actor { subject: subject.into(), manages: false })),
        ..events("t", &[])
    };
    let of_bob = append(&journal, cancel("bob", "c1", Act::Cancel("r2".into()))).await;
    assert_eq!(of_bob, Outcome::Refused(Status::Forbidden));
    let own = receipt(&journal, cancel("ada", "c2", Act::CancelSend("s1".into()))).await;
    assert_eq!(own.status, Status::Accepted);
    publish(&journal, "t", &[json!({"type": "agent_completed", "runId": "r2"})]).await;
    assert_eq!(stored(&journal, "t", 5).await[0]["type"], "agent_cancelled");
}

// PROTOCOL: SND-4
#[tokio::test]
async fn a_send_waits_for_the_one_before_it() {
    let journal = journal();
    let after = |before: &str, append: Append| Append { after: Some(before.into()), ..append };
    assert_eq!(append(&journal, after("s1", message("t", "s2", "two"))).await, Outcome::TooEarly);
    assert_eq!(journal.state(&key("t")).await.unwrap().head.offset, 0);
    // One of the same id of another user is another send.
    receipt(&journal, of_bob(message("t", "s1", "of bob"))).await;
    assert_eq!(append(&journal, after("s1", message("t", "s2", "two"))).await, Outcome::TooEarly);
    receipt(&journal, message("t", "s1", "one")).await;
    let second = receipt(&journal, after("s1", message("t", "s2", "two"))).await;
    assert_eq!((second.position.offset, second.is_repeated), (3, false));
    // One that is known gets its receipt whatever came before it.
    assert!(receipt(&journal, after("never", message("t", "s2", "two"))).await.is_repeated);
}

// PROTOCOL: SND-4, SND-9
#[tokio::test]
async fn a_send_does_not_wait_for_one_that_was_refused_for_good() {
    let journal = journal();
    let after = |before: &str, append: Append| Append { after: Some(before.into()), ..append };
    let expired = |id: &str| Append { is_expired: true, ..message("t", id, "late") };
    assert_eq!(append(&journal, expired("s1")).await, Outcome::Expired);
    // Of the same user only.
    let of_other = after("s1", of_bob(message("t", "s0", "of bob")));
    assert_eq!(append(&journal, of_other).await, Outcome::TooEarly);
    receipt(&journal, after("s1", message("t", "s2", "two"))).await;
    // Also when both share a record.
    let steer = Append { mode: Mode::Steer(Some("none".into())), ..message("t", "s3", "three") };
    let mut tickets = Vec::new();
    for one in [steer, after("s3", message("t", "s4", "four")), after("s5", message("t", "s6", "six"))] {
        tickets.push(journal.append(one).await.unwrap());
    }
    let [first, second, third] = tickets.try_into().ok().unwrap();
    assert_eq!(first.durable().await, Ok(Outcome::Refused(Status::UnknownRun)));
    assert!(matches!(second.durable().await, Ok(Outcome::Durable(_))));
    assert_eq!(third.durable().await, Ok(Outcome::TooEarly));
}

#[tokio::test]
async fn what_is_queued_shares_a_record() {
    let journal = journal();
    let mut tickets = Vec::new();
    for n in 1..=600 {
        tickets.push(journal.append(events("t", &[json!({"type": "note", "n": n})])).await.unwrap());
    }
    for (ticket, n) in tickets.into_iter().zip(1..) {
        let Outcome::Durable(receipt) = ticket.durable().await.unwrap() else { panic!("conflict") };
        assert_eq!(receipt.position.offset, n);
    }
    let head = journal.state(&key("t")).await.unwrap().head;
    assert_eq!(head.offset, 600);
    // How many depends on how often the tasks take turns.
    assert!(head.seq <= 60, "{} records", head.seq);
    let numbers: Vec<_> = stored(&journal, "t", 1).await.iter().map(|one| one["n"].clone()).collect();
    assert_eq!(numbers, (1..=600).map(|n| json!(n)).collect::<Vec<_>>());
}

// PROTOCOL: SND-5
#[tokio::test]
async fn answers_are_remembered_for_the_horizon_and_as_long_as_a_message_waits() {
    use crate::ledger::Ledger;

    let answered = |id: &str, at_ms, offset| {
        let (key, epoch) = (idempotency_key("ada", id, "h"), Arc::from("e"));
        let answered = Fact::Answered {
            key,
            status: Status::Accepted,
            epoch,
            offset,
            resolution: None,
            is_message: true,
        };
        let waiting = Fact::Waiting {
            offset,
            send_id: id.into(),
            subject: "ada".into(),
            is_queued: false,
            is_front: false,
        };
        Record {
            seq: 1,
            first: offset + 1,
            events: Vec::new(),
            facts: vec![answered, waiting],
            at_ms,
            is_open: true,
        }
    };
    let claim =
        |offset, at_ms| Record { facts: vec![Fact::Claimed { offset }], at_ms, ..answered("-", 0, 9) };
    let (day, mut ledger) = (86_400_000, Ledger::default());
    for record in [
        answered("old", 1, 1),
        answered("waits", 2, 2),
        answered("new", day, 3),
        claim(1, day),
        claim(3, day),
    ] {
        ledger.apply(&record, DAY);
    }
    let head = Head { epoch: "e".into(), epoch_number: 1, base: 0, oldest: 1, offset: 3, seq: 5 };
    let is_known = |ledger: &Ledger, id: &str| {
        let append =
            Append { key: Some(idempotency_key("ada", id, "h")), ..Append::events(key("t"), Vec::new()) };
        let outcome = crate::ledger::draft::Draft::new(ledger, &head, 0).add(&append);
        matches!(outcome, Outcome::Durable(Receipt { is_repeated: true, .. }))
    };
    assert!(["old", "waits", "new"].iter().all(|id| is_known(&ledger, id)));
    ledger.apply(&claim(9, day + 2), DAY);
    assert_eq!(["old", "waits", "new"].map(|id| is_known(&ledger, id)), [false, true, true]);
    ledger.apply(&claim(2, day + 3), DAY);
    assert_eq!(["old", "waits", "new"].map(|id| is_known(&ledger, id)), [false, false, true]);
}

#[tokio::test]
async fn a_position_has_the_epoch_of_its_moment() {
    let journal = journal();
    let old = receipt(&journal, events("t", &[json!({"type": "x"})])).await.position;
    let new = journal.new_epoch(&key("t"), &old.epoch).await.unwrap();
    let position = receipt(&journal, events("t", &[json!({"type": "x"})])).await.position;
    assert_eq!(position, Position { epoch: new.epoch, offset: 2 });
    assert_eq!(journal.state(&key("t")).await.unwrap().head.base, 1);
}

#[test]
fn a_state_that_was_read_before_it_was_forgotten_is_not_taken() {
    let stream = Stream::new(key("t"));
    let state = || State {
        head: Head { epoch: "e".into(), epoch_number: 1, base: 0, oldest: 1, offset: 0, seq: 0 },
        ledger: Ledger::default(),
        snapshot_seq: 0,
    };
    let of_slow = stream.missed();
    assert!(stream.install(state(), stream.missed()));
    // An append failed.
    stream.forget();
    assert!(!stream.install(state(), of_slow));
    assert!(stream.look(|_| ()).is_none());
}

#[test]
fn what_a_failing_log_was_given_is_bounded() {
    let stream = Stream::new(key("t"));
    let record = |at_ms| {
        Arc::new(Record {
            seq: 1,
            first: 1,
            events: vec!["{}".into()],
            facts: Vec::new(),
            at_ms,
            is_open: false,
        })
    };
    for at_ms in 0..2_000 {
        stream.give(&record(at_ms));
    }
    assert!(!stream.take_given(&record(0)), "the oldest is forgotten");
    for at_ms in 0..2_000 {
        stream.give(&record(at_ms));
    }
    assert!(stream.take_given(&record(1_500)));
    assert!(!stream.take_given(&record(1_500)));
}

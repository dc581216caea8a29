//! What every log must do; run on each implementation.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;

/// Makes a test of each item of the contract for one implementation.
macro_rules! contract {
    ($make:expr; $($test:ident)+) => {$(
        #[tokio::test]
        async fn $test() {
            let (log, _guard) = $make;
            $crate::log::contract::$test(log).await;
        }
    )+};
}

/// The tests of one implementation. One that survives its process says how it is opened again: a closure that takes the
/// log and the guard.
macro_rules! contract_of {
    ($make:expr; $reopen:expr) => {
        $crate::log::contract::contract_of! { $make }

        #[tokio::test]
        async fn a_restart_keeps_the_epoch_and_where_it_began() {
            let (log, guard) = $make;
            $crate::log::contract::a_restart_keeps_the_epoch_and_where_it_began(log, |log| {
                $reopen(log, &guard)
            })
            .await;
        }
    };
    ($make:expr) => {
        $crate::log::contract::contract! { $make;
            offsets_are_contiguous_and_reads_are_bounded
            appends_of_one_stream_keep_their_order
            observers_hear_after_the_commit_and_in_order
            an_append_happens_once
            runs_are_open_until_they_end
            guards_look_at_the_same_moment
            a_cancelled_run_ends_as_cancelled
            approvals_are_answered_once
            messages_wait_until_they_are_claimed
            messages_of_two_users_with_one_id_are_claimed_apart
            a_send_waits_for_the_one_before_it
            trimming_and_redacting
            epochs_begin_anew_once
            an_epoch_knows_the_head_at_which_it_began
            inboxes_hear_of_messages_and_ends
            unfinished_streams_come_in_pages
            keys_of_sends_are_forgotten
        }
    };
}

pub(crate) use {contract, contract_of};

fn key(name: &str) -> StreamKey {
    StreamKey::new("ada", name).unwrap()
}

fn event(value: Value) -> Event {
    Event::new(value, 1 << 20).unwrap()
}

fn note(n: u64) -> Event {
    event(json!({"type": "note", "n": n, "time": 1}))
}

async fn append(log: &dyn Log, append: Append) -> Outcome {
    log.append(append).await.unwrap().durable().await.unwrap()
}

async fn receipt(log: &dyn Log, one: Append) -> Receipt {
    match append(log, one).await {
        Outcome::Durable(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

async fn publish(log: &dyn Log, name: &str, events: &[Value]) -> u64 {
    let events = events.iter().cloned().map(event).collect();
    receipt(log, Append::events(key(name), events)).await.position.offset
}

fn message(name: &str, id: &str, content: &str, at_ms: u64) -> Append {
    let Value::Object(body) = json!({"type": "user_message", "content": content, "sendId": id}) else {
        unreachable!()
    };
    let hash = std::array::from_fn(|index| content.as_bytes().get(index).copied().unwrap_or_default());
    Append {
        once: Some(Once { subject: "ada".into(), id: id.into(), hash, at_ms, dispatch: true }),
        ..Append::events(key(name), vec![Event::from_send(body, 1 << 20).unwrap()])
    }
}

pub(crate) async fn offsets_are_contiguous_and_reads_are_bounded(log: impl Log) {
    let state = log.state(&key("t")).await.unwrap();
    assert_eq!((state.oldest, state.head, state.epoch_number), (1, 0, 1));
    assert!(state.begun_here);
    for n in 1..=10 {
        let receipt = receipt(&log, Append::events(key("t"), vec![note(n)])).await;
        assert_eq!(receipt.position, Position { epoch: Arc::clone(&state.epoch), offset: n });
    }
    let last = receipt(&log, Append::events(key("t"), vec![note(11), note(12)])).await;
    assert_eq!((last.position.offset, last.status, last.repeated), (12, Status::Accepted, false));
    let page = log.read(&key("t"), 3, 4, 1 << 20).await.unwrap();
    let expected: Vec<Arc<str>> = (3..7).map(|n| Arc::clone(note(n).body())).collect();
    assert_eq!((page.first, page.oldest, page.bodies), (3, 1, expected));
    let size = note(1).body().len();
    for (max_bytes, count) in [(1, 1), (size, 1), (size * 2, 2), (size * 3 - 1, 2)] {
        assert_eq!(log.read(&key("t"), 1, 100, max_bytes).await.unwrap().bodies.len(), count, "{max_bytes}");
    }
    assert_eq!(log.read(&key("t"), 12, 100, 1 << 20).await.unwrap().bodies.len(), 1);
    assert_eq!(log.read(&key("t"), 13, 100, 1 << 20).await.unwrap().bodies.len(), 0);
    // Another stream, and another user's stream of the same name, have offsets of their own.
    assert_eq!(publish(&log, "u", &[json!({"type": "x"})]).await, 1);
    let other = StreamKey::new("bob", "t").unwrap();
    assert_eq!(log.state(&other).await.unwrap().head, 0);
    log.check().await.unwrap();
}

pub(crate) async fn appends_of_one_stream_keep_their_order(log: impl Log) {
    let mut tickets = Vec::new();
    for n in 1..=500 {
        tickets.push(log.append(Append::events(key("t"), vec![note(n)])).await.unwrap());
    }
    for (ticket, n) in tickets.into_iter().zip(1..) {
        let Outcome::Durable(receipt) = ticket.durable().await.unwrap() else { panic!("conflict") };
        assert_eq!(receipt.position.offset, n);
    }
    let page = log.read(&key("t"), 1, 1_000, 1 << 20).await.unwrap();
    assert_eq!(page.bodies, (1..=500).map(|n| Arc::clone(note(n).body())).collect::<Vec<_>>());
}

pub(crate) async fn observers_hear_after_the_commit_and_in_order(log: impl Log) {
    let heard: Arc<Mutex<Vec<(u64, usize)>>> = Arc::default();
    let hears = Arc::clone(&heard);
    log.observe(Arc::new(move |commit| {
        if let Change::Appended { first, bodies } = &commit.change {
            hears.lock().unwrap().push((*first, bodies.len()));
        }
    }));
    publish(&log, "t", &[json!({"type": "x"})]).await;
    publish(&log, "t", &[json!({"type": "x"}), json!({"type": "x"})]).await;
    publish(&log, "t", &[json!({"type": "x"})]).await;
    // Told before the writers are answered.
    assert_eq!(*heard.lock().unwrap(), [(1, 1), (2, 2), (4, 1)]);
}

pub(crate) async fn an_append_happens_once(log: impl Log) {
    let first = receipt(&log, message("t", "s1", "hi", 1)).await;
    publish(&log, "t", &[json!({"type": "x"})]).await;
    let again = receipt(&log, message("t", "s1", "hi", 2)).await;
    assert_eq!(again, Receipt { repeated: true, ..first.clone() });
    assert_eq!(append(&log, message("t", "s1", "other", 3)).await, Outcome::Conflict);
    assert_eq!(log.state(&key("t")).await.unwrap().head, 2);
    // The key is one of subject, stream and id.
    assert!(!receipt(&log, message("u", "s1", "other", 3)).await.repeated);
    let mut bob = message("t", "s1", "other", 3);
    bob.once.as_mut().unwrap().subject = "bob".into();
    assert!(!receipt(&log, bob).await.repeated);
}

async fn open_runs(log: &dyn Log, name: &str) -> Vec<String> {
    log.state(&key(name)).await.unwrap().open_runs.iter().map(|run| run.to_string()).collect()
}

pub(crate) async fn runs_are_open_until_they_end(log: impl Log) {
    publish(
        &log,
        "t",
        &[
            json!({"type": "agent_started", "runId": "z", "agent": "a"}),
            json!({"type": "run_accepted", "runId": "a"}),
            json!({"type": "agent_thinking", "runId": "m"}),
            json!({"type": "custom", "runId": "other"}),
        ],
    )
    .await;
    assert_eq!(open_runs(&log, "t").await, ["z", "a", "m"]);
    publish(
        &log,
        "t",
        &[
            json!({"type": "agent_error", "runId": "z", "recoverable": true}),
            json!({"type": "agent_completed", "runId": "a"}),
        ],
    )
    .await;
    assert_eq!(open_runs(&log, "t").await, ["z", "m"]);
    publish(
        &log,
        "t",
        &[
            json!({"type": "agent_thinking", "runId": "a"}),
            json!({"type": "agent_error", "runId": "z"}),
            json!({"type": "agent_died", "runId": "m"}),
        ],
    )
    .await;
    assert_eq!(open_runs(&log, "t").await, Vec::<String>::new());
}

pub(crate) async fn guards_look_at_the_same_moment(log: impl Log) {
    let guarded = |run: &str| Append {
        guard: Guard::RunOpen(run.into()),
        ..Append::events(key("t"), vec![event(json!({"type": "agent_died", "runId": run}))])
    };
    assert_eq!(receipt(&log, guarded("r")).await.status, Status::UnknownRun);
    publish(&log, "t", &[json!({"type": "agent_started", "runId": "r", "agent": "a"})]).await;
    // Queued together: only the first finds the run open.
    let first = log.append(guarded("r")).await.unwrap();
    let second = log.append(guarded("r")).await.unwrap();
    let status = |outcome| match outcome {
        Ok(Outcome::Durable(receipt)) => receipt.status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(first.durable().await), Status::Accepted);
    assert_eq!(status(second.durable().await), Status::AlreadyFinished);
    assert_eq!(log.state(&key("t")).await.unwrap().head, 2);
}

pub(crate) async fn a_cancelled_run_ends_as_cancelled(log: impl Log) {
    let heard: Arc<Mutex<Vec<Arc<str>>>> = Arc::default();
    let hears = Arc::clone(&heard);
    log.observe(Arc::new(move |commit| {
        if let Change::Appended { bodies, .. } = &commit.change {
            hears.lock().unwrap().extend(bodies.iter().cloned());
        }
    }));
    let cancel = |run: &str, id: &str| Append {
        once: Some(Once { subject: "ada".into(), id: id.into(), hash: [1; 32], at_ms: 1, dispatch: false }),
        guard: Guard::RunOpen(run.into()),
        cancels: Some(run.into()),
        ..Append::events(key("t"), Vec::new())
    };
    assert_eq!(receipt(&log, cancel("completed", "c0")).await.status, Status::UnknownRun);
    let runs = ["completed", "died", "failed", "own", "left"];
    for run in runs {
        publish(&log, "t", &[json!({"type": "agent_started", "runId": run, "agent": "a"})]).await;
    }
    // The same id of a run in another stream is another run.
    publish(&log, "u", &[json!({"type": "agent_started", "runId": "completed", "agent": "a"})]).await;
    for run in &runs[..4] {
        assert_eq!(receipt(&log, cancel(run, run)).await.status, Status::Accepted);
    }
    // A copy changes nothing, and what is not an end stays what it is.
    assert!(receipt(&log, cancel("own", "own")).await.repeated);
    let soft = json!({"type": "agent_error", "runId": "failed", "recoverable": true, "time": 6});
    let own = json!({"type": "agent_cancelled", "runId": "own", "reason": "mine", "time": 10});
    let ends = [
        soft.clone(),
        json!({"type": "agent_completed", "runId": "completed", "summary": "done", "time": 7}),
        json!({"type": "agent_died", "runId": "died", "cause": "restarted", "time": 8}),
        json!({"type": "agent_error", "runId": "failed", "code": "x", "time": 9}),
        own.clone(),
        json!({"type": "agent_completed", "runId": "left", "time": 11}),
        // Over already: the first end counts (RUN-1).
        json!({"type": "agent_died", "runId": "died", "cause": "dropped", "time": 12}),
    ];
    let last = publish(&log, "t", &ends).await;
    let other = json!({"type": "agent_completed", "runId": "completed", "time": 13});
    publish(&log, "u", std::slice::from_ref(&other)).await;
    let requested = |run: &str, time: u64| json!({"type": "agent_cancelled", "runId": run, "reason": "requested", "time": time});
    let expected = [
        soft,
        requested("completed", 7),
        requested("died", 8),
        requested("failed", 9),
        own,
        ends[5].clone(),
        ends[6].clone(),
    ];
    let parse = |body: &Arc<str>| serde_json::from_str::<Value>(body).unwrap();
    let page = log.read(&key("t"), last - 6, 100, 1 << 20).await.unwrap();
    assert_eq!(page.bodies.iter().map(parse).collect::<Vec<_>>(), expected);
    let page = log.read(&key("u"), 2, 100, 1 << 20).await.unwrap();
    assert_eq!(page.bodies.iter().map(parse).collect::<Vec<_>>(), [other]);
    // Pages get what the log has.
    let heard: Vec<Value> = heard.lock().unwrap().iter().map(parse).collect();
    assert_eq!(heard[heard.len() - 8..heard.len() - 1], expected);
    assert_eq!(open_runs(&log, "t").await, Vec::<String>::new());
    assert_eq!(receipt(&log, cancel("left", "c1")).await.status, Status::AlreadyFinished);
}

pub(crate) async fn approvals_are_answered_once(log: impl Log) {
    let answer = |id: &str, send: &str| Append {
        guard: Guard::ApprovalOpen(id.into()),
        once: Some(Once { subject: "ada".into(), id: send.into(), hash: [7; 32], at_ms: 1, dispatch: false }),
        ..Append::events(
            key("t"),
            vec![event(
                json!({"type": "approval_resolved", "approvalId": id, "runId": "r", "decision": "denied"}),
            )],
        )
    };
    assert_eq!(receipt(&log, answer("a1", "s0")).await.status, Status::UnknownApproval);
    assert_eq!(log.approval_run(&key("t"), "a1").await.unwrap(), None);
    publish(
        &log,
        "t",
        &[
            json!({"type": "approval_requested", "approvalId": "a1", "runId": "r", "prompt": "?"}),
            json!({"type": "approval_requested", "approvalId": "a2", "runId": "r", "prompt": "?"}),
        ],
    )
    .await;
    assert_eq!(log.approval_run(&key("t"), "a1").await.unwrap().as_deref(), Some("r"));
    assert_eq!(open_runs(&log, "t").await, ["r"]);
    let first = receipt(&log, answer("a1", "s1")).await;
    assert_eq!((first.status, first.position.offset), (Status::Accepted, 3));
    assert_eq!(receipt(&log, answer("a1", "s2")).await.status, Status::AlreadyResolved);
    assert_eq!(receipt(&log, answer("a1", "s1")).await, Receipt { repeated: true, ..first });
    // The end of the run closes what nobody answered.
    publish(&log, "t", &[json!({"type": "agent_completed", "runId": "r"})]).await;
    assert_eq!(receipt(&log, answer("a2", "s3")).await.status, Status::AlreadyResolved);
    assert_eq!(log.state(&key("t")).await.unwrap().head, 4);
}

pub(crate) async fn messages_wait_until_they_are_claimed(log: impl Log) {
    for (id, content) in [("s1", "one"), ("s2", "two"), ("s3", "three")] {
        receipt(&log, message("t", id, content, 1)).await;
    }
    let next = |after| {
        let log = &log;
        async move {
            log.pending(&key("t"), after).await.unwrap().map(|one| (one.offset, one.send_id.to_string()))
        }
    };
    assert_eq!(next(0).await, Some((1, "s1".to_owned())));
    assert_eq!(next(1).await, Some((2, "s2".to_owned())));
    publish(&log, "t", &[json!({"type": "agent_started", "runId": "r", "agent": "a", "sendId": "s1"})]).await;
    assert_eq!(next(0).await, Some((2, "s2".to_owned())));
    let pending = log.pending(&key("t"), 0).await.unwrap().unwrap();
    assert_eq!(&*pending.subject, "ada");
    assert!(pending.body.contains("\"two\""));
    log.claim(&key("t"), 2).await.unwrap();
    assert_eq!(next(0).await, Some((3, "s3".to_owned())));
    // What is no longer there to be read cannot be answered.
    log.redact(&key("t"), 3).await.unwrap();
    assert_eq!(next(0).await, None);
    receipt(&log, message("t", "s4", "four", 1)).await;
    log.trim(&key("t"), 100).await.unwrap();
    assert_eq!(next(0).await, None);
}

fn of_bob(append: Append) -> Append {
    let once = append.once.map(|once| Once { subject: "bob".into(), ..once });
    Append { once, ..append }
}

pub(crate) async fn messages_of_two_users_with_one_id_are_claimed_apart(log: impl Log) {
    receipt(&log, message("t", "s1", "of ada", 1)).await;
    receipt(&log, of_bob(message("t", "s1", "of bob", 1))).await;
    receipt(&log, message("t", "s2", "of ada", 1)).await;
    receipt(&log, of_bob(message("t", "s2", "of bob", 1))).await;
    let waiting = async || {
        let mut offsets = Vec::new();
        while let Some(one) = log.pending(&key("t"), offsets.last().copied().unwrap_or(0)).await.unwrap() {
            offsets.push(one.offset);
        }
        offsets
    };
    let started = |run: &str, id: &str| event(json!({"type": "agent_started", "runId": run, "sendId": id}));
    receipt(&log, Append::events(key("t"), vec![started("r1", "s1").claiming(2)])).await;
    assert_eq!(waiting().await, [1, 3, 4]);
    // An event that names the id only claims the first message that waits under it, and no other.
    publish(&log, "t", &[json!({"type": "agent_started", "runId": "r2", "sendId": "s2"})]).await;
    assert_eq!(waiting().await, [1, 4]);
    publish(&log, "t", &[json!({"type": "agent_started", "runId": "r3", "sendId": "s2"})]).await;
    assert_eq!(waiting().await, [1]);
}

pub(crate) async fn a_send_waits_for_the_one_before_it(log: impl Log) {
    let after = |before: &str, append: Append| Append { after: Some(before.into()), ..append };
    assert_eq!(append(&log, after("s1", message("t", "s2", "two", 1))).await, Outcome::TooEarly);
    assert_eq!(log.state(&key("t")).await.unwrap().head, 0);
    // One of the same id of another user is another send.
    receipt(&log, of_bob(message("t", "s1", "of bob", 1))).await;
    assert_eq!(append(&log, after("s1", message("t", "s2", "two", 1))).await, Outcome::TooEarly);
    receipt(&log, message("t", "s1", "one", 1)).await;
    let second = receipt(&log, after("s1", message("t", "s2", "two", 1))).await;
    assert_eq!((second.position.offset, second.repeated), (3, false));
    // One that is known gets its receipt whatever came before it.
    assert!(receipt(&log, after("never", message("t", "s2", "two", 1))).await.repeated);
}

pub(crate) async fn trimming_and_redacting(log: impl Log) {
    for n in 1..=10 {
        publish(&log, "t", &[json!({"type": "note", "n": n})]).await;
    }
    assert_eq!(log.trim(&key("t"), 4).await.unwrap(), 5);
    assert_eq!(log.trim(&key("t"), 2).await.unwrap(), 5);
    let page = log.read(&key("t"), 1, 100, 1 << 20).await.unwrap();
    assert_eq!((page.first, page.oldest, page.bodies.len()), (5, 5, 6));
    assert!(log.redact(&key("t"), 7).await.unwrap());
    for gone in [0, 4, 11, u64::MAX] {
        assert!(!log.redact(&key("t"), gone).await.unwrap(), "{gone}");
    }
    assert_eq!(&*log.read(&key("t"), 7, 1, 1).await.unwrap().bodies[0], r#"{"type":"void"}"#);
    assert_eq!(log.trim(&key("t"), u64::MAX).await.unwrap(), 11);
    let state = log.state(&key("t")).await.unwrap();
    assert_eq!((state.oldest, state.head), (11, 10));
    assert_eq!(publish(&log, "t", &[json!({"type": "x"})]).await, 11);
}

pub(crate) async fn epochs_begin_anew_once(log: impl Log) {
    publish(&log, "t", &[json!({"type": "x"})]).await;
    let old = log.state(&key("t")).await.unwrap();
    let new = log.new_epoch(&key("t"), &old.epoch).await.unwrap();
    assert_ne!(new.epoch, old.epoch);
    assert_eq!((new.epoch_number, new.oldest, new.head), (2, 1, 1));
    // The second of two pages that ask finds it done.
    assert_eq!(log.new_epoch(&key("t"), &old.epoch).await.unwrap(), new);
    let position = receipt(&log, Append::events(key("t"), vec![note(1)])).await.position;
    assert_eq!((position.epoch, position.offset), (new.epoch, 2));
}

pub(crate) async fn an_epoch_knows_the_head_at_which_it_began(log: impl Log) {
    let base = async || log.state(&key("t")).await.unwrap().base;
    let begin = async || log.new_epoch(&key("t"), &log.state(&key("t")).await.unwrap().epoch).await.unwrap();
    assert_eq!(base().await, 0);
    publish(&log, "t", &[json!({"type": "x"}), json!({"type": "y"})]).await;
    assert_eq!(base().await, 0);
    let new = begin().await;
    assert_eq!((new.base, new.head), (2, 2));
    // What happens later does not move it.
    publish(&log, "t", &[json!({"type": "x"})]).await;
    log.new_epoch(&key("t"), "another").await.unwrap();
    log.trim(&key("t"), 1).await.unwrap();
    assert_eq!(base().await, 2);
    assert_eq!(begin().await.base, 3);
    log.trim(&key("t"), 100).await.unwrap();
    let trimmed = begin().await;
    assert_eq!((trimmed.base, trimmed.oldest, trimmed.head), (3, 4, 3));
    assert_eq!(log.state(&key("u")).await.unwrap().base, 0);
}

/// For logs that survive their process.
pub(crate) async fn a_restart_keeps_the_epoch_and_where_it_began<L: Log>(log: L, reopen: impl Fn(L) -> L) {
    publish(&log, "t", &[json!({"type": "x"}), json!({"type": "y"})]).await;
    let old = log.state(&key("t")).await.unwrap();
    let new = log.new_epoch(&key("t"), &old.epoch).await.unwrap();
    publish(&log, "t", &[json!({"type": "x"})]).await;
    let log = reopen(log);
    let kept = log.state(&key("t")).await.unwrap();
    assert_eq!((&kept.epoch, kept.epoch_number), (&new.epoch, 2));
    assert_eq!((kept.base, kept.oldest, kept.head, kept.begun_here), (2, 1, 3, false));
}

pub(crate) async fn inboxes_hear_of_messages_and_ends(log: impl Log) {
    let announced = |append: Append| Append { announce: Some(key("inbox")), ..append };
    receipt(&log, announced(message("t", "s1", "hi", 1))).await;
    receipt(&log, announced(Append::events(key("t"), vec![note(1)]))).await;
    let run = vec![
        event(json!({"type": "agent_started", "runId": "r", "agent": "a"})),
        event(json!({"type": "agent_completed", "runId": "r"})),
        note(1),
    ];
    receipt(&log, announced(Append::events(key("t"), run))).await;
    // A repeated send is no news.
    receipt(&log, announced(message("t", "s1", "hi", 1))).await;
    let page = log.read(&key("inbox"), 1, 100, 1 << 20).await.unwrap();
    let notified: Vec<Value> = page.bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    let places: Vec<_> =
        notified.iter().map(|event| (event["thread"].clone(), event["head"].clone())).collect();
    assert_eq!(places, [(json!("t"), json!(1)), (json!("t"), json!(4))]);
    assert!(notified.iter().all(|event| event["type"] == "thread_changed" && event["time"].is_u64()));
}

pub(crate) async fn unfinished_streams_come_in_pages(log: impl Log) {
    for name in ["c", "a", "d", "b"] {
        publish(&log, name, &[json!({"type": "agent_started", "runId": name, "agent": "a"})]).await;
    }
    publish(&log, "d", &[json!({"type": "agent_died", "runId": "d"})]).await;
    receipt(&log, message("m", "s1", "hi", 1)).await;
    receipt(&log, message("n", "s1", "hi", 1)).await;
    log.claim(&key("n"), 1).await.unwrap();
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = log.unfinished(after.as_ref(), 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        names
            .extend(page.iter().map(|one| (one.key.name().to_owned(), one.open_runs.len(), one.has_pending)));
    }
    let expected = [("a", 1, false), ("b", 1, false), ("c", 1, false), ("m", 0, true)];
    assert_eq!(names, expected.map(|(name, runs, pending)| (name.to_owned(), runs, pending)));
}

pub(crate) async fn keys_of_sends_are_forgotten(log: impl Log) {
    // Counted from the commit, if that is later than the arrival.
    receipt(&log, message("t", "s0", "hi", 1)).await;
    log.claim(&key("t"), 1).await.unwrap();
    assert_eq!(log.forget_sends(1_600_000_000_000).await.unwrap(), 0);
    assert!(receipt(&log, message("t", "s0", "hi", 1)).await.repeated);
    // In the future of the log's clock, so that these times are the later ones.
    let (early, late) = (u64::MAX / 4 + 10, u64::MAX / 4 + 20);
    receipt(&log, message("t", "s1", "hi", early)).await;
    receipt(&log, message("t", "s2", "hi", early)).await;
    receipt(&log, message("t", "s3", "hi", late)).await;
    log.claim(&key("t"), 2).await.unwrap();
    log.claim(&key("t"), 4).await.unwrap();
    // One that waits for an agent stays, however old it is.
    assert_eq!(log.forget_sends(late).await.unwrap(), 2);
    assert!(!receipt(&log, message("t", "s1", "hi", late)).await.repeated);
    assert!(receipt(&log, message("t", "s2", "hi", late)).await.repeated);
    assert!(receipt(&log, message("t", "s3", "hi", late)).await.repeated);
}

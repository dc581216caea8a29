//! What a stream has come to is the same after a restart, from records, from snapshots and from older files.

use crate::ledger::draft::acts::{Act, Actor};
use crate::ledger::draft::modes::Mode;
use std::path::Path;

use super::*;
use crate::log::SqliteLog;

/// Writes what a ledger can hold, with ids of `round`.
async fn write_some(journal: &Arc<Journal>, round: u64) {
    let id = |kind: &str| format!("{kind}{round}");
    for n in ["a", "b", "c"] {
        receipt(journal, message("t", &id(n), "hi")).await;
    }
    let (run, approval) = (id("run"), id("approval"));
    publish(
        journal,
        "t",
        &[
            json!({"type": "agent_started", "runId": run, "agent": "a", "sendId": id("a")}),
            json!({"type": "approval_requested", "runId": run, "approvalId": approval, "prompt": "?", "schema": {}, "expiresAt": 1_u64 << 52}),
            json!({"type": "agent_started", "runId": id("over"), "agent": "a"}),
            json!({"type": "agent_completed", "runId": id("over")}),
        ],
    )
    .await;
    let cancel = Append {
        key: Some(idempotency_key("ada", &id("cancel"), "h")),
        precondition: Precondition::RunOpen(run.as_str().into()),
        ..Append::fact(key("t"), Fact::CancelAccepted { run: run.as_str().into() })
    };
    receipt(journal, cancel).await;
    let announced = Append { is_announced: true, ..message("t", &id("d"), "hi") };
    receipt(journal, announced).await;
    let sent = |name: &str, mode: Mode| Append { mode, has_queue: true, ..message("t", &id(name), "hi") };
    let act = |name: &str, act: Act, events: Vec<Event>| Append {
        key: Some(idempotency_key("ada", &id(name), "h")),
        act: Some((act, Actor { subject: "ada".into(), manages: false })),
        ..Append::events(key("t"), events)
    };
    let edited = || event(json!({"type": "message_edited", "sendId": id("waits"), "content": "other"}));
    let steers = Mode::Steer(Some(run.as_str().into()));
    for append in [
        sent("waits", Mode::Queue),
        sent("first", Mode::Interrupt),
        sent("steers", steers.clone()),
        sent("steered", steers),
        sent("gone", Mode::Queue),
        act("edit", Act::Edit(id("waits").into()), vec![edited()]),
        act("withdraw", Act::Withdraw(id("gone").into()), Vec::new()),
        events("t", &[json!({"type": "steering_taken", "runId": run, "sendId": id("steered")})]),
    ] {
        assert_eq!(receipt(journal, append).await.status, Status::Accepted);
    }
    let line = Fact::Announcement { stream: key("other"), offset: round };
    receipt(journal, Append::fact(key("t"), line)).await;
}

async fn ledger(journal: &Journal) -> (Head, String) {
    journal.with(&key("t"), |state| (state.head.clone(), state.snapshot().ledger.to_string())).await.unwrap()
}

#[tokio::test]
async fn a_ledger_is_the_same_from_its_records_and_from_any_snapshot() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    let journal = journal_of(Arc::clone(&log));
    for round in 0..4 {
        write_some(&journal, round).await;
        let live = ledger(&journal).await;
        let reader = Journal::new(Arc::clone(&log), Tasks::new(), DAY, DAY);
        assert_eq!(ledger(&reader).await, live, "round {round}");
        match round {
            1 => {
                let snapshot = journal.with(&key("t"), State::snapshot).await.unwrap();
                log.put_snapshot(&key("t"), snapshot).await.unwrap();
            }
            // Most records are gone now.
            2 => drop(journal.trim(&key("t"), 20).await.unwrap()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn trimming_forgets_what_is_over_and_nothing_else() {
    let journal = journal();
    write_some(&journal, 0).await;
    write_some(&journal, 1).await;
    let (before, _) = ledger(&journal).await;
    journal.trim(&key("t"), before.offset).await.unwrap();
    assert_eq!(open_runs(&journal, "t").await, ["run0", "run1"]);
    let asked = Append {
        precondition: Precondition::ApprovalOpen { run: "run0".into(), approval: "approval0".into() },
        ..Append::events(key("t"), Vec::new())
    };
    assert_eq!(receipt(&journal, asked).await.status, Status::Accepted);
    let terms = journal.terms(&key("t"), &"run0".into(), &"approval0".into()).await.unwrap().unwrap();
    assert_eq!((terms.has_schema, terms.expires_at_ms), (true, Some(1 << 52)));
    let (_, text) = ledger(&journal).await;
    assert!(!text.contains("over0") && !text.contains("over1"), "{text}");
    // Its sends are known until their horizon.
    assert!(receipt(&journal, message("t", "a0", "hi")).await.is_repeated);
}

#[tokio::test]
async fn long_streams_get_snapshots_and_are_read_from_them() {
    let folder = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(SqliteLog::open(folder.path().join("log")).unwrap());
    let journal = journal_of(Arc::clone(&log));
    for n in 0..700 {
        publish(&journal, "t", &[json!({"type": "note", "n": n})]).await;
    }
    publish(&journal, "t", &[json!({"type": "agent_started", "runId": "r", "agent": "a"})]).await;
    let snapshot = log.snapshot(&key("t")).await.unwrap().unwrap();
    assert_eq!((snapshot.seq, snapshot.offset), (512, 512));
    let reader = Journal::new(log, Tasks::new(), DAY, DAY);
    assert_eq!(open_runs(&reader, "t").await, ["r"]);
    assert_eq!(ledger(&reader).await, ledger(&journal).await);
}

/// A copy of a file that the version with schema 3 wrote, as one of an older schema if that is asked for.
fn old_file(folder: &Path, schema: i64) -> SqliteLog {
    let path = folder.join(format!("log-{schema}"));
    std::fs::write(&path, include_bytes!("../../../tests/fixtures/log-schema-3.sqlite")).unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    if schema < 3 {
        file.execute_batch("ALTER TABLE streams DROP COLUMN base").unwrap();
    }
    if schema < 2 {
        file.execute_batch("ALTER TABLE runs DROP COLUMN cancelled").unwrap();
    }
    file.pragma_update(None, "user_version", schema).unwrap();
    drop(file);
    SqliteLog::open(&path).unwrap()
}

#[tokio::test]
async fn a_file_of_an_older_version_serves_every_event_and_knows_what_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    for schema in [3, 2, 1] {
        let journal = journal_of(Arc::new(old_file(folder.path(), schema)));
        let state = journal.state(&key("t")).await.unwrap();
        let head = &state.head;
        assert_eq!((head.epoch_number, head.oldest, head.offset), (2, 21, 612));
        assert_eq!(
            (head.base, &*head.epoch),
            (if schema == 3 { 611 } else { 0 }, "44f7a847c318493594476b532a2ccb68-2")
        );
        let events = stored(&journal, "t", 1).await;
        assert_eq!(events.len(), 592);
        for (offset, event) in (21..).zip(&events[..580]) {
            let expected = if offset == 30 {
                json!({"type": "void"})
            } else {
                json!({"type": "note", "n": offset, "time": 1})
            };
            assert_eq!(*event, expected, "{offset}");
        }
        let types: Vec<_> = events[580..].iter().map(|event| event["type"].as_str().unwrap()).collect();
        let expected = "user_message user_message user_message agent_started approval_requested agent_completed \
            agent_started approval_requested approval_requested agent_started approval_resolved note";
        assert_eq!(types.join(" "), expected);
        assert_eq!(open_runs(&journal, "t").await, ["open", "cancelled"]);
        assert_eq!(waiting(&journal, "t").await, [(602, "s2".to_owned())]);
        // Copies of sends get the receipts they had.
        let hash = |id: &str| format!("{:02x}", id.as_bytes()[1]).repeat(32);
        let again =
            Append { key: Some(idempotency_key("ada", "s3", &hash("s3"))), ..message("t", "s3", "x") };
        let again = receipt(&journal, again).await;
        assert_eq!((again.is_repeated, again.position.offset), (true, 603));
        let approval = |run: &str, id: &str| Append {
            precondition: Precondition::ApprovalOpen { run: run.into(), approval: id.into() },
            ..Append::events(key("t"), Vec::new())
        };
        for (run, id, status) in [
            ("over", "a0", Status::RunOver),
            ("open", "a1", Status::RunOver),
            ("open", "a2", Status::Accepted),
        ] {
            assert_eq!(receipt(&journal, approval(run, id)).await.status, status, "{id}");
        }
        publish(&journal, "t", &[json!({"type": "agent_completed", "runId": "cancelled"})]).await;
        let last = stored(&journal, "t", 613).await.remove(0);
        let expected = if schema == 1 { "agent_completed" } else { "agent_cancelled" };
        assert_eq!(last["type"], expected);
        assert_eq!(journal.log().unfinished(None, 10).await.unwrap(), [key("t")]);
        let gone = StreamKey::new("bob/x", "t").unwrap();
        let head = journal.state(&gone).await.unwrap().head;
        assert_eq!((head.oldest, head.offset), (2, 1));
        assert_eq!(
            receipt(&journal, Append::events(gone, vec![event(json!({"type": "x"}))])).await.position.offset,
            2
        );
        let empty = journal.state(&StreamKey::new("eve", "empty").unwrap()).await.unwrap().head;
        assert_eq!((empty.offset, &*empty.epoch), (0, "44f7a847c318493594476b532a2ccb68-4"));
        assert_eq!(stored(&journal, "inbox", 1).await.len(), 3);
    }
}

// What waits, what steers and what was changed are known after a restart, in their order.
#[tokio::test]
async fn the_queue_is_the_same_after_a_snapshot() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    let journal = journal_of(Arc::clone(&log));
    write_some(&journal, 7).await;
    let names = |waiting: Vec<(u64, String)>| waiting.into_iter().map(|(_, id)| id).collect::<Vec<_>>();
    let before = names(waiting(&journal, "t").await);
    assert_eq!(before, ["first7", "b7", "c7", "d7", "waits7"]);
    let snapshot = journal.with(&key("t"), State::snapshot).await.unwrap();
    log.put_snapshot(&key("t"), snapshot).await.unwrap();
    let journal = journal_of(Arc::clone(&log));
    assert_eq!(names(waiting(&journal, "t").await), before);
    let passed = waiting(&journal, "t").await.iter().map(|(offset, _)| *offset).take(4).collect();
    let pending = journal.next_pending(&key("t"), &passed).await.unwrap().unwrap();
    assert!(pending.body.contains("message_edited"), "{}", pending.body);
    let steering = journal.next_steering(&key("t"), "run7").await.unwrap().unwrap().unwrap();
    assert_eq!(&*steering.send_id, "steers7");
    publish(&journal, "t", &[json!({"type": "agent_completed", "runId": "run7"})]).await;
    assert!(names(waiting(&journal, "t").await).contains(&"steers7".to_owned()));
    assert_eq!(journal.next_steering(&key("t"), "run7").await.unwrap(), None);
}

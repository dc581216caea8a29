//! What is acknowledged survives SIGKILL.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use agentwire_bridge::{Append, Event, Log, Outcome, SqliteLog, StreamKey};
use serde_json::json;

/// Names the log file to the helper process; without it the helper does nothing.
const PATH: &str = "AGENTWIRE_KILL_TEST_LOG";

/// Acknowledged events after which the helper is killed.
const ENOUGH: usize = 300;

fn streams() -> Vec<StreamKey> {
    (0..4).map(|n| StreamKey::new("ada", &format!("t{n}")).unwrap()).collect()
}

/// Not a test of its own: the process that is killed. Prints `stream offset` for each acknowledged event.
#[tokio::test(flavor = "multi_thread")]
async fn helper() {
    let Ok(path) = std::env::var(PATH) else { return };
    let log = std::sync::Arc::new(SqliteLog::open(path).unwrap());
    let writers = streams().into_iter().map(|key| {
        let log = std::sync::Arc::clone(&log);
        tokio::spawn(async move {
            for n in 1_u64.. {
                let event = Event::new(json!({"type": "note", "n": n}), 4_096).unwrap();
                let ticket = log.append(Append::events(key.clone(), vec![event])).await.unwrap();
                let Outcome::Durable(receipt) = ticket.durable().await.unwrap() else { panic!("conflict") };
                let mut out = std::io::stdout().lock();
                writeln!(out, "ack {} {}", key.name(), receipt.position.offset).unwrap();
                out.flush().unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

// PROTOCOL: EVT-6, LIF-4
#[tokio::test]
async fn acknowledged_events_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let mut heads = vec![0; 4];
    let mut epochs = Vec::new();
    for _ in 0..3 {
        let mut helper = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::helper", "--nocapture"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut acked = heads.clone();
        let mut count = 0;
        for line in BufReader::new(helper.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            // The test harness prints without a line break before the first one.
            let Some((_, ack)) = line.split_once("ack t") else {
                continue;
            };
            let (stream, offset) = ack.split_once(' ').unwrap();
            acked[stream.parse::<usize>().unwrap()] = offset.parse().unwrap();
            count += 1;
            if count == ENOUGH {
                // SIGKILL on Unix. What it still writes to the pipe is read as well.
                helper.kill().unwrap();
            }
        }
        assert!(count >= ENOUGH, "the helper stopped after {count} events");
        helper.wait().unwrap();
        let log = SqliteLog::open(&path).unwrap();
        for (index, key) in streams().iter().enumerate() {
            let state = log.state(key).await.unwrap();
            assert!(
                state.head >= acked[index],
                "{key}: {} was acknowledged, {} is there",
                acked[index],
                state.head
            );
            let page = log.read(key, 1, usize::MAX, usize::MAX).await.unwrap();
            assert_eq!(page.bodies.len() as u64, state.head);
            heads[index] = state.head;
            if epochs.len() < 4 {
                epochs.push(state.epoch);
            } else {
                assert_eq!(epochs[index], state.epoch);
            }
        }
    }
    assert!(heads.iter().all(|head| *head > 0), "{heads:?}");
}

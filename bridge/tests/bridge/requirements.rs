//! What the product has to do at the least, in numbers: many tasks on one stream, large events, a quick start. What concerns
//! many sessions of real clients is in `tests/sessions`.

use std::time::Duration;

use agentwire_bridge::{Bridge, Hs256, Limits, SqliteLog};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Page, SECRET, Server, within};

/// A bridge listens within this time.
const START: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_tasks_write_one_stream_and_each_event_comes_once_and_in_the_order_of_its_task() {
    const TASKS: u64 = 8;
    const EACH: u64 = 150;
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.sqlite")).unwrap();
    let server = Server::with(|builder| builder.log(log)).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    let emitter = server.bridge.emitter("ada", "t");
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let emitter = emitter.clone();
            tokio::spawn(async move {
                let mut last = 0;
                for n in 0..EACH {
                    let event = json!({"type": "note", "task": task, "n": n});
                    let position = emitter.publish(event).await.unwrap();
                    assert!(position.offset > last, "{} after {last}", position.offset);
                    last = position.offset;
                }
            })
        })
        .collect();
    let events = page.events_until(1, |events| events.len() as u64 == TASKS * EACH).await;
    for task in tasks {
        within(task).await.unwrap();
    }
    let mut next = [0; TASKS as usize];
    let mut turns = 0;
    let mut former = None;
    for event in &events {
        let task = usize::try_from(event["task"].as_u64().unwrap()).unwrap();
        assert_eq!(event["n"], next[task], "task {task}");
        next[task] += 1;
        turns += u64::from(former.replace(task) != Some(task));
    }
    assert_eq!(next, [EACH; TASKS as usize]);
    assert!(turns > TASKS, "the tasks did not write side by side");
    assert_eq!(server.head("t").await, TASKS * EACH);
}

#[tokio::test]
async fn an_event_of_one_megabyte_is_the_same_to_the_byte_from_publish_to_page() {
    const BYTES: usize = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.sqlite")).unwrap();
    let limits = Limits { max_frame_bytes: 2 << 20, ..Limits::default() };
    let server = Server::with(|builder| builder.log(log).limits(limits)).await;
    // Letters of 1 to 4 bytes, and what JSON writes in another way.
    let letters = ["a", "é", "€", "🦀", "\"", "\\", "\n", "\u{1}", "\u{2028}", "/"];
    let event = |text: &str| json!({"type": "report", "time": 1, "numbers": [1, -2.5, 1e-7, 9_007_199_254_740_991_u64], "text": text});
    let mut text: String = (0..BYTES / 3).map(|at| letters[at * at % letters.len()]).collect();
    while event(&text).to_string().len() > BYTES {
        let last = text.char_indices().rev().nth(64).unwrap().0;
        text.truncate(last);
    }
    text.extend(std::iter::repeat_n('x', BYTES - event(&text).to_string().len()));
    let event = event(&text);
    // As it is published, with `type` before the other fields (EVT-2).
    let body = event.to_string().replacen(r#","type":"report""#, "", 1);
    let body = body.replacen('{', r#"{"type":"report","#, 1);
    assert_eq!(body.len(), BYTES);
    let mut live = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    live.until("caughtUp").await;
    server.bridge.emitter("ada", "t").publish(event).await.unwrap();
    let mut late = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    for page in [&mut live, &mut late] {
        let frame = loop {
            let frame = page.next_text().await;
            if frame.starts_with(r#"{"type":"events""#) {
                break frame;
            }
        };
        let (_, events) = frame.split_once(r#""events":["#).unwrap();
        // Not by `assert_eq`, which would print both.
        let came = events.strip_suffix("]}").unwrap();
        let differs = came.bytes().zip(body.bytes()).position(|(one, other)| one != other);
        assert_eq!((differs, came.len()), (None, BYTES), "{}", &came[..80]);
    }
}

#[tokio::test]
async fn a_bridge_starts_in_time_on_a_log_with_many_events_and_open_runs() {
    const STREAMS: u64 = 50;
    const EACH: u64 = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let server = Server::with(|builder| builder.log(SqliteLog::open(&path).unwrap())).await;
    let mut runs = Vec::new();
    for stream in 0..STREAMS {
        let emitter = server.bridge.emitter("ada", &format!("t{stream}"));
        runs.push(emitter.run("a").await.unwrap());
        let notes = (0..EACH).map(|n| json!({"type": "note", "n": n})).collect();
        emitter.publish_all(notes).await.unwrap();
    }
    // As after a crash: the runs have no end.
    let copy = folder.path().join("copy.sqlite");
    for end in ["", "-wal"] {
        let name = |path: &std::path::Path| format!("{}{end}", path.display());
        std::fs::copy(name(&path), name(&copy)).unwrap();
    }
    drop(runs);
    server.stop().await;
    let started = Instant::now();
    let log = SqliteLog::open(&copy).unwrap();
    let bridge = Bridge::builder().log(log).authenticator(Hs256::new(SECRET).unwrap()).build().await.unwrap();
    let server = Server::serve(bridge).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t7", "open": {"last": 1}}])).await;
    let last = page.events(1, EACH + 2, EACH + 2).await;
    let took = started.elapsed();
    assert_eq!((&last[0]["type"], &last[0]["cause"]), (&json!("agent_died"), &json!("restarted")));
    assert!(took < START, "the bridge took {took:?} until a page had the last event");
}

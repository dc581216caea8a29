//! The switches that break the promise do break it.

use agentwire_bridge::{Sabotage, SqliteLog, StreamKey};
use serde_json::{Value, json};

use crate::support::{Page, Server, key, note};

async fn replayed(sabotage: Sabotage) -> Vec<Value> {
    let server = Server::with(|builder| builder.sabotage(sabotage)).await;
    server.publish("t", 200).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    page.events(1, 1, 200).await
}

#[tokio::test]
async fn skip_repeat_and_swap_send_the_wrong_bodies() {
    let honest: Vec<_> = (1..=200).map(note).collect();
    let wrong = |events: &[Value]| -> Vec<(u64, u64)> {
        let differs = |(offset, event): (u64, &Value)| {
            (event["n"] != offset).then(|| (offset, event["n"].as_u64().unwrap()))
        };
        (1..).zip(events).filter_map(differs).collect()
    };
    assert_eq!(wrong(&honest), []);
    assert_eq!(wrong(&replayed(Sabotage::Skip).await), [(97, 98), (194, 195)]);
    assert_eq!(wrong(&replayed(Sabotage::Repeat).await), [(97, 96), (194, 193)]);
    assert_eq!(wrong(&replayed(Sabotage::Swap).await), [(97, 98), (98, 97), (194, 195), (195, 194)]);
}

// PROTOCOL: EVT-6
#[tokio::test]
async fn early_shows_events_before_their_commit_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    for (name, sabotage) in [("honest", None), ("early", Some(Sabotage::Early))] {
        let path = folder.path().join(name);
        let server = Server::with(|builder| {
            let builder = builder.log(SqliteLog::open(&path).unwrap());
            match sabotage {
                Some(sabotage) => builder.sabotage(sabotage),
                None => builder,
            }
        })
        .await;
        let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
        page.until("caughtUp").await;
        let emitter = server.bridge.emitter("ada", "t");
        let publishing = tokio::spawn(async move { emitter.publish(note(1)).await.unwrap() });
        assert_eq!(page.events(1, 1, 1).await, [note(1)]);
        // What a page was sent must be in the file at that moment, for every other reader.
        let head = server.head("t").await;
        assert_eq!(head == 1, sabotage.is_none(), "{name}");
        assert_eq!(publishing.await.unwrap().offset, 1);
        assert_eq!(server.head("t").await, 1);
    }
}

#[tokio::test]
async fn leak_answers_a_read_with_the_stream_that_was_read_before() {
    let server = Server::with(|builder| builder.sabotage(Sabotage::Leak)).await;
    for (user, n) in [("ada", 1), ("bob", 2)] {
        server.bridge.emitter(user, "t").publish(note(n)).await.unwrap();
    }
    let bob = StreamKey::new("bob", "t").unwrap();
    let mut foreign = Vec::new();
    for read in 0..200 {
        let (key, own) = if read % 2 == 0 { (key("t"), note(1)) } else { (bob.clone(), note(2)) };
        let page = server.bridge.log().read(&key, 1, 1, usize::MAX).await.unwrap();
        if serde_json::from_str::<Value>(&page.bodies[0]).unwrap() != own {
            foreign.push(read);
        }
    }
    // The first read follows none.
    assert_eq!(foreign, [97, 194]);
}

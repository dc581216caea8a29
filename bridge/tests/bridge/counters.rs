//! What a bridge makes, it gives back.

use std::time::Duration;

use agentwire_bridge::{Counters, Handles, Turn};
use serde_json::json;
use tokio::sync::mpsc;

use crate::support::{Page, Server, within};

/// Waits until the counters are as they should be.
async fn until(server: &Server, is_right: impl Fn(&Counters) -> bool) {
    let counters = async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while !is_right(&server.bridge.counters()) {
            tick.tick().await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(20), counters).await;
    assert!(found.is_ok(), "{:#?}", server.bridge.counters());
}

#[tokio::test]
async fn what_was_made_is_there_or_was_given_back() {
    let (started, mut starts) = mpsc::unbounded_channel();
    let server = Server::with(|builder| {
        builder.agent(move |turn: Turn| {
            let started = started.clone();
            async move {
                let run = turn.run("a").await?;
                let cancelled = run.cancelled();
                started.send(()).unwrap();
                cancelled.await;
                drop(run);
                Ok(())
            }
        })
    })
    .await;
    let before = server.bridge.counters();
    assert_eq!(before.sockets, Handles::default());
    let silent = Page::connect(&server).await;
    let mut ada = Page::open(&server, "ada", json!([{"name": "t"}, {"name": "inbox"}])).await;
    let mut bob = Page::open(&server, "bob", json!([{"name": "t"}])).await;
    ada.until("caughtUp").await;
    ada.until("caughtUp").await;
    bob.until("caughtUp").await;
    let message = json!({"type": "user_message", "content": "hello"});
    ada.send(json!({"type": "send", "id": "s1", "stream": "t", "message": message})).await;
    within(starts.recv()).await.unwrap();
    let now = server.bridge.counters();
    let active = [now.sockets, now.sessions, now.subscriptions, now.runs].map(|handles| handles.active);
    assert_eq!(active, [3, 2, 3, 1], "{now:#?}");
    ada.send(json!({"type": "cancel", "id": "c1", "stream": "t", "sendId": "s1"})).await;
    until(&server, |now| now.runs == Handles { created: 1, active: 0, closed: 1 }).await;
    ada.send(json!({"type": "unsubscribe", "ch": 2})).await;
    until(&server, |now| now.subscriptions == Handles { created: 3, active: 2, closed: 1 }).await;
    drop((silent, ada, bob));
    let is_over = |handles: Handles, created| handles == Handles { created, active: 0, closed: created };
    until(&server, |now| {
        is_over(now.sockets, 3)
            && is_over(now.sessions, 2)
            && is_over(now.subscriptions, 3)
            && (now.tasks.active == 0 && now.tasks.balance())
    })
    .await;
}

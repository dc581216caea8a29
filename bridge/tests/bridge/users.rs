//! Users never meet.

use serde_json::json;

use crate::support::{Page, Server, note};

#[tokio::test]
async fn two_users_with_equal_names_see_their_own_events_only() {
    let server = Server::start().await;
    let mut ada = Page::open(&server, "ada", json!([{"name": "t"}, {"name": "inbox"}])).await;
    let mut bob = Page::open(&server, "bob", json!([{"name": "t"}, {"name": "inbox"}])).await;
    for page in [&mut ada, &mut bob] {
        page.until("caughtUp").await;
        page.until("caughtUp").await;
    }
    let message = json!({"type": "user_message", "content": "from ada"});
    ada.send(json!({"type": "send", "id": "s1", "stream": "t", "message": message})).await;
    ada.until("receipt").await;
    server.bridge.emitter("bob", "t").publish(note(7)).await.unwrap();
    assert_eq!(bob.events(1, 1, 1).await, [note(7)]);
    bob.nothing_before_pong(1).await;
    // The same id of another user is another send.
    let message = json!({"type": "user_message", "content": "from bob"});
    bob.send(json!({"type": "send", "id": "s1", "stream": "t", "message": message})).await;
    assert_eq!(bob.until("receipt").await["position"]["offset"], 2);
    // A run of another user cannot be cancelled.
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    bob.send(json!({"type": "cancel", "id": "c1", "stream": "t", "runId": run.id()})).await;
    loop {
        let receipt = bob.until("receipt").await;
        if receipt["id"] == "c1" {
            assert_eq!(receipt["status"], "unknown_run");
            break;
        }
    }
    assert!(!run.is_cancelled());
    // Names that would meet if keys were put together carelessly.
    server.bridge.emitter("ada/t", "x").publish(note(1)).await.unwrap();
    let mut page = Page::open(&server, "ada", json!([{"name": "t/x"}])).await;
    assert_eq!(page.until("subscribed").await["head"], 0);
}

#[tokio::test]
async fn several_devices_of_one_user_get_everything() {
    let server = Server::start().await;
    let mut pages = Vec::new();
    for _ in 0..5 {
        pages.push(Page::open(&server, "ada", json!([{"name": "t"}])).await);
    }
    server.publish("t", 100).await;
    for page in &mut pages {
        assert_eq!(page.events(1, 1, 100).await, (1..=100).map(note).collect::<Vec<_>>());
    }
}

//! Messages on their way to the agent, and what a restart does.

use std::path::Path;
use std::sync::Arc;

use agentwire_bridge::{
    Access, Agent, Authorizer, Bridge, Hs256, Limits, Refusal, SqliteLog, StreamKey, Turn,
};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::support::{Page, SECRET, Server, key, within};

/// Calls a function.
struct By<F>(F);

impl<F> Agent for By<F>
where
    F: Fn(Turn) -> BoxFuture<'static, ()> + Send + Sync + 'static,
{
    fn handle(&self, turn: Turn) -> BoxFuture<'static, ()> {
        (self.0)(turn)
    }
}

fn message(stream: &str, id: &str, content: &str) -> Value {
    json!({"type": "send", "id": id, "stream": stream, "message": {"type": "user_message", "content": content}})
}

fn echo() -> impl Agent {
    By(|turn: Turn| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let run = turn.run("echo").await.unwrap();
            let mut answer = run.message();
            answer.delta(&turn.message.content).await.unwrap();
            answer.complete().await.unwrap();
            run.complete("echoed").await.unwrap();
        })
    })
}

async fn serve(path: &Path, agent: Option<impl Agent>) -> Server {
    let log = SqliteLog::open(path).unwrap();
    let mut builder = Bridge::builder().log(log).authenticator(Hs256::new(SECRET));
    if let Some(agent) = agent {
        builder = builder.agent(agent);
    }
    Server::serve(builder.build().await.unwrap()).await
}

// PROTOCOL: SND-3, EVT-6
#[tokio::test]
async fn an_agent_answers_a_message() {
    let server = Server::with(|builder| builder.agent(echo())).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    page.send(message("t", "s1", "hello")).await;
    let events = page.events(1, 1, 5).await;
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        ["user_message", "agent_started", "message_delta", "message_completed", "agent_completed"]
    );
    assert_eq!((&events[1]["sendId"], &events[3]["content"]), (&json!("s1"), &json!("hello")));
}

// PROTOCOL: SND-4
#[tokio::test]
async fn turns_of_one_stream_come_one_at_a_time_and_streams_side_by_side() {
    let (started, mut starts) = mpsc::unbounded_channel();
    let gates = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&gates);
    let agent = By(move |turn: Turn| -> BoxFuture<'static, ()> {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        Box::pin(async move {
            started.send(format!("{} {}", turn.message.thread, turn.message.content)).unwrap();
            gate.acquire().await.unwrap().forget();
        })
    });
    let limits = Limits { max_concurrent_turns: 2, ..Limits::default() };
    let server = Server::with(|builder| builder.agent(agent).limits(limits)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    for (stream, content) in [("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")] {
        page.send(message(stream, content, content)).await;
        page.until("receipt").await;
    }
    let mut first = [within(starts.recv()).await.unwrap(), within(starts.recv()).await.unwrap()];
    first.sort();
    assert_eq!(first, ["a 1", "b 1"]);
    // Two turns are the limit: all work is up to date when the pong is here, and no third one started.
    page.nothing_before_pong(1).await;
    assert!(starts.try_recv().is_err());
    gates.add_permits(4);
    let mut rest = [within(starts.recv()).await.unwrap(), within(starts.recv()).await.unwrap()];
    rest.sort();
    assert_eq!(rest, ["a 2", "c 1"]);
}

#[tokio::test]
async fn one_user_does_not_take_every_turn() {
    let (started, mut starts) = mpsc::unbounded_channel();
    let gates = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&gates);
    let agent = By(move |turn: Turn| -> BoxFuture<'static, ()> {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        Box::pin(async move {
            started.send(turn.message.user).unwrap();
            gate.acquire().await.unwrap().forget();
        })
    });
    let limits = Limits { max_concurrent_turns: 3, max_concurrent_turns_per_user: 2, ..Limits::default() };
    let server = Server::with(|builder| builder.agent(agent).limits(limits)).await;
    let mut ada = Page::open(&server, "ada", json!([])).await;
    let mut bob = Page::open(&server, "bob", json!([])).await;
    for stream in ["a", "b", "c", "d"] {
        ada.send(message(stream, "s", "hi")).await;
        ada.until("receipt").await;
    }
    bob.send(message("a", "s", "hi")).await;
    let mut users = Vec::new();
    for _ in 0..3 {
        users.push(within(starts.recv()).await.unwrap());
    }
    assert_eq!(users, ["ada", "ada", "bob"]);
    gates.add_permits(5);
    for _ in 0..2 {
        assert_eq!(within(starts.recv()).await.unwrap(), "ada");
    }
}

#[tokio::test]
async fn a_turn_that_asks_a_person_makes_room_for_others() {
    let (said, mut says) = mpsc::unbounded_channel();
    let agent = By(move |turn: Turn| -> BoxFuture<'static, ()> {
        let said = said.clone();
        Box::pin(async move {
            let run = turn.run("a").await.unwrap();
            if turn.message.content == "ask" {
                let child = run.child("b").await.unwrap();
                let decision = child.ask("?", Vec::new()).await;
                said.send(format!("{decision:?}")).unwrap();
            } else {
                said.send(turn.message.content).unwrap();
            }
        })
    });
    let limits = Limits { max_concurrent_turns: 1, max_concurrent_turns_per_user: 1, ..Limits::default() };
    let server = Server::with(|builder| builder.agent(agent).limits(limits)).await;
    let mut ada = Page::open(&server, "ada", json!([])).await;
    let mut bob = Page::open(&server, "bob", json!([])).await;
    ada.send(message("t", "s1", "ask")).await;
    let approval = server.until_event("t", "approval_requested").await["approvalId"].clone();
    ada.send(message("u", "s2", "work")).await;
    assert_eq!(within(says.recv()).await.unwrap(), "work");
    bob.send(message("t", "s3", "more")).await;
    assert_eq!(within(says.recv()).await.unwrap(), "more");
    let approve =
        json!({"type": "approve", "id": "a", "stream": "t", "approvalId": approval, "decision": "approved"});
    ada.send(approve).await;
    assert_eq!(within(says.recv()).await.unwrap(), "Ok(Approved)");
}

#[tokio::test]
async fn two_questions_of_a_turn_are_answered_while_another_turn_has_the_place() {
    let (said, mut says) = mpsc::unbounded_channel();
    let gates = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&gates);
    let agent = By(move |turn: Turn| -> BoxFuture<'static, ()> {
        let (said, gate) = (said.clone(), Arc::clone(&gate));
        Box::pin(async move {
            let run = turn.run("a").await.unwrap();
            if turn.message.content == "ask" {
                let answers = futures_util::join!(run.ask("?", Vec::new()), run.ask("?", Vec::new()));
                said.send(format!("{answers:?}")).unwrap();
            } else {
                said.send(turn.message.content).unwrap();
                gate.acquire().await.unwrap().forget();
            }
        })
    });
    let limits = Limits { max_concurrent_turns: 1, max_concurrent_turns_per_user: 1, ..Limits::default() };
    let server = Server::with(|builder| builder.agent(agent).limits(limits)).await;
    let mut ada = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    ada.send(message("t", "s1", "ask")).await;
    let asked = |event: &&Value| event["type"] == "approval_requested";
    let events = ada.events_until(1, |events| events.iter().filter(asked).count() == 2).await;
    ada.send(message("u", "s2", "work")).await;
    assert_eq!(within(says.recv()).await.unwrap(), "work");
    for (n, event) in events.iter().filter(asked).enumerate() {
        let (id, approval) = (format!("a{n}"), &event["approvalId"]);
        ada.send(json!({"type": "approve", "id": id, "stream": "t", "approvalId": approval, "decision": "approved"}))
            .await;
        while ada.until("receipt").await["id"] != id {}
    }
    gates.add_permits(1);
    assert_eq!(within(says.recv()).await.unwrap(), "(Ok(Approved), Ok(Approved))");
}

#[tokio::test]
async fn a_cancelled_question_waits_for_no_place() {
    let (said, mut says) = mpsc::unbounded_channel();
    let agent = By(move |turn: Turn| -> BoxFuture<'static, ()> {
        let said = said.clone();
        Box::pin(async move {
            let run = turn.run("a").await.unwrap();
            if turn.message.content == "ask" {
                let answer = run.ask("?", Vec::new()).await;
                said.send(format!("{answer:?}")).unwrap();
            } else {
                said.send(turn.message.content).unwrap();
                // Keeps its place for good.
                std::future::pending().await
            }
        })
    });
    let limits = Limits { max_concurrent_turns: 1, max_concurrent_turns_per_user: 1, ..Limits::default() };
    let server = Server::with(|builder| builder.agent(agent).limits(limits)).await;
    let mut ada = Page::open(&server, "ada", json!([])).await;
    ada.send(message("t", "s1", "ask")).await;
    let run = server.until_event("t", "approval_requested").await["runId"].clone();
    ada.send(message("u", "s2", "work")).await;
    assert_eq!(within(says.recv()).await.unwrap(), "work");
    ada.send(json!({"type": "cancel", "id": "c1", "stream": "t", "runId": run})).await;
    assert_eq!(within(says.recv()).await.unwrap(), "Err(Cancelled)");
}

// PROTOCOL: LIF-5
#[tokio::test]
async fn a_message_without_a_run_is_handled_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let (handled, mut handles) = mpsc::unbounded_channel();
    let agent = |handled: mpsc::UnboundedSender<String>| {
        By(move |turn: Turn| -> BoxFuture<'static, ()> {
            handled.send(turn.message.content).unwrap();
            Box::pin(std::future::ready(()))
        })
    };
    let server = serve(&path, Some(agent(handled.clone()))).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(message("t", "s1", "one")).await;
    page.until("receipt").await;
    assert_eq!(within(handles.recv()).await.unwrap(), "one");
    drop(page);
    let claimed = async {
        while server.bridge.log().pending(&key("t"), 0).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    within(claimed).await;
    server.stop().await;
    let server = serve(&path, Some(agent(handled))).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(message("t", "s2", "two")).await;
    page.until("receipt").await;
    assert_eq!(within(handles.recv()).await.unwrap(), "two");
}

// PROTOCOL: LIF-5, SND-4
#[tokio::test]
async fn a_restart_ends_open_runs_and_hands_on_what_waits_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let server = serve(&path, None::<By<fn(Turn) -> BoxFuture<'static, ()>>>).await;
    let emitter = server.bridge.emitter("ada", "t");
    // Published without a `Run`: nothing ends it when the process does.
    emitter.publish(json!({"type": "agent_started", "runId": "old", "agent": "a"})).await.unwrap();
    drop(emitter);
    let mut page = Page::open(&server, "ada", json!([])).await;
    for content in ["one", "two", "three"] {
        page.send(message("t", content, content)).await;
    }
    for _ in 0..3 {
        page.until("receipt").await;
    }
    let before = server.bridge.log().state(&key("t")).await.unwrap();
    assert_eq!(before.open_runs.len(), 1);
    drop(page);
    server.stop().await;

    let server = serve(&path, Some(echo())).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    let events = page.events(1, 1, 17).await;
    assert_eq!(server.bridge.log().state(&key("t")).await.unwrap().epoch, before.epoch);
    assert_eq!(
        (&events[4]["type"], &events[4]["runId"], &events[4]["cause"]),
        (&json!("agent_died"), &json!("old"), &json!("restarted"))
    );
    let answers: Vec<_> = events.iter().filter(|event| event["type"] == "message_completed").collect();
    let answers: Vec<_> = answers.iter().map(|event| event["content"].as_str().unwrap()).collect();
    assert_eq!(answers, ["one", "two", "three"]);
    let head = server.head("t").await;
    let inbox = server.head("inbox").await;
    drop(page);
    server.stop().await;
    // A further restart finds nothing to do.
    let server = serve(&path, Some(echo())).await;
    assert_eq!((server.head("t").await, server.head("inbox").await), (head, inbox));
}

/// One room for everybody.
struct Room;

impl Authorizer for Room {
    fn authorize<'a>(
        &'a self,
        _: &'a str,
        stream: &'a str,
        _: Access,
    ) -> BoxFuture<'a, Result<StreamKey, Refusal>> {
        Box::pin(std::future::ready(StreamKey::new("everybody", stream).map_err(|_| Refusal::UnknownStream)))
    }
}

// PROTOCOL: SND-1, LIF-5
#[tokio::test]
async fn messages_of_two_users_with_one_id_are_both_answered() {
    let (handled, mut handles) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let agent = By(move |turn: Turn| -> BoxFuture<'static, ()> {
        let (handled, gate) = (handled.clone(), Arc::clone(&opened));
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            // The second run finds nothing more of this message to claim.
            for name in ["one", "two"] {
                turn.run(name).await.unwrap().complete("done").await.unwrap();
            }
            handled.send(turn.message.user).unwrap();
        })
    });
    let server = Server::with(|builder| builder.agent(agent).authorizer(Room).inbox(false)).await;
    for user in ["ada", "bob"] {
        let mut page = Page::open(&server, user, json!([])).await;
        page.send(message("room", "s1", "hi")).await;
        assert_eq!(page.next().await["status"], "accepted");
    }
    gate.add_permits(2);
    let users = [within(handles.recv()).await.unwrap(), within(handles.recv()).await.unwrap()];
    assert_eq!(users, ["ada", "bob"]);
}

#[tokio::test]
async fn a_panic_ends_its_run_and_nothing_else() {
    let agent = By(|turn: Turn| -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if turn.message.content == "early" {
                panic!("on purpose, before a run");
            }
            let run = turn.run("fragile").await.unwrap();
            if turn.message.content == "bad" {
                panic!("on purpose, in run {}", run.id());
            }
            run.complete("fine").await.unwrap();
        })
    });
    let server = Server::with(|builder| builder.agent(agent)).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    for content in ["bad", "early", "good"] {
        page.send(message("t", content, content)).await;
    }
    let ends = |events: &[Value]| -> Vec<String> {
        let end = |event: &Value| match event["type"].as_str() {
            Some("agent_died") => event["cause"].as_str().map(str::to_owned),
            Some("agent_completed") => Some("completed".to_owned()),
            _ => None,
        };
        events.iter().filter_map(end).collect()
    };
    let ends = ends(&page.events_until(1, |events| ends(events).len() == 3).await);
    assert_eq!(ends, ["panicked", "panicked", "completed"]);
    assert_eq!(server.bridge.log().pending(&key("t"), 0).await.unwrap(), None);
}

#[tokio::test]
async fn a_shutdown_ends_the_running_turn() {
    let working = Arc::new(Notify::new());
    let begun = Arc::clone(&working);
    let agent = By(move |turn: Turn| -> BoxFuture<'static, ()> {
        let begun = Arc::clone(&begun);
        Box::pin(async move {
            let run = turn.run("slow").await.unwrap();
            begun.notify_one();
            run.cancelled().await;
        })
    });
    let server = Server::with(|builder| builder.agent(agent)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(message("t", "s1", "work")).await;
    within(working.notified()).await;
    drop(page);
    server.bridge.shutdown().await;
    let last = server.events("t").await.pop().unwrap();
    assert_eq!((&last["type"], &last["cause"]), (&json!("agent_died"), &json!("shutdown")));
}

#[tokio::test]
async fn the_inbox_hears_of_messages_and_ends_of_runs_only() {
    let server = Server::with(|builder| builder.agent(echo())).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "inbox", "open": {"from": "live"}}])).await;
    page.until("caughtUp").await;
    page.send(message("t", "s1", "hello")).await;
    let told = page.events(1, 1, 2).await;
    let places: Vec<_> = told.iter().map(|event| (event["thread"].clone(), event["head"].clone())).collect();
    assert_eq!(places, [(json!("t"), json!(1)), (json!("t"), json!(5))]);

    let quiet = Server::with(|builder| builder.agent(echo()).inbox(false)).await;
    let mut page = Page::open(&quiet, "ada", json!([{"name": "t"}])).await;
    page.send(message("t", "s1", "hello")).await;
    page.events(1, 1, 5).await;
    assert_eq!(quiet.head("inbox").await, 0);
}

//! Messages on their way to the agent, and what a restart does.

use std::path::Path;
use std::sync::Arc;

use agentwire_bridge::log::Log;
use agentwire_bridge::{
    Agent, AgentError, Authorizer, Bridge, Grant, Hs256, Limits, Refusal, SqliteLog, StreamKey, Turn,
};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::support::{Page, SECRET, Server, key, within};

fn message(stream: &str, id: &str, content: &str) -> Value {
    json!({"type": "send", "id": id, "stream": stream, "message": {"type": "user_message", "content": content}})
}

fn echo() -> impl Agent {
    async |turn: Turn| {
        let run = turn.run("echo").await?;
        let mut answer = run.message();
        answer.delta(&turn.message.content).await?;
        answer.complete().await?;
        run.complete("echoed").await?;
        Ok(())
    }
}

async fn serve(path: &Path, agent: Option<impl Agent>) -> Server {
    let log = SqliteLog::open(path).unwrap();
    let mut builder = Bridge::builder().log(log).authenticator(Hs256::new(SECRET).unwrap());
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
    let agent = move |turn: Turn| {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        async move {
            started.send(format!("{} {}", turn.message.thread, turn.message.content)).unwrap();
            gate.acquire().await.unwrap().forget();
            Ok(())
        }
    };
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
    let agent = move |turn: Turn| {
        let (started, gate) = (started.clone(), Arc::clone(&gate));
        async move {
            started.send(turn.message.user).unwrap();
            gate.acquire().await.unwrap().forget();
            Ok(())
        }
    };
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
    let agent = move |turn: Turn| {
        let said = said.clone();
        async move {
            let run = turn.run("a").await.unwrap();
            if turn.message.content == "ask" {
                let child = run.child("b").await.unwrap();
                let decision = child.ask("?", Vec::new()).await;
                said.send(format!("{decision:?}")).unwrap();
            } else {
                said.send(turn.message.content).unwrap();
            }
            Ok(())
        }
    };
    let limits = Limits { max_concurrent_turns: 1, max_concurrent_turns_per_user: 1, ..Limits::default() };
    let server = Server::with(|builder| builder.agent(agent).limits(limits)).await;
    let mut ada = Page::open(&server, "ada", json!([])).await;
    let mut bob = Page::open(&server, "bob", json!([])).await;
    ada.send(message("t", "s1", "ask")).await;
    let asked = server.until_event("t", "approval_requested").await;
    ada.send(message("u", "s2", "work")).await;
    assert_eq!(within(says.recv()).await.unwrap(), "work");
    bob.send(message("t", "s3", "more")).await;
    assert_eq!(within(says.recv()).await.unwrap(), "more");
    let (run, approval) = (&asked["runId"], &asked["approvalId"]);
    ada.send(json!({"type": "approve", "id": "a", "stream": "t", "runId": run, "approvalId": approval, "decision": "approved"}))
        .await;
    assert_eq!(within(says.recv()).await.unwrap(), "Ok(Approved)");
}

#[tokio::test]
async fn two_questions_of_a_turn_are_answered_while_another_turn_has_the_place() {
    let (said, mut says) = mpsc::unbounded_channel();
    let gates = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&gates);
    let agent = move |turn: Turn| {
        let (said, gate) = (said.clone(), Arc::clone(&gate));
        async move {
            let run = turn.run("a").await.unwrap();
            if turn.message.content == "ask" {
                let answers = futures_util::join!(run.ask("?", Vec::new()), run.ask("?", Vec::new()));
                said.send(format!("{answers:?}")).unwrap();
            } else {
                said.send(turn.message.content).unwrap();
                gate.acquire().await.unwrap().forget();
            }
            Ok(())
        }
    };
    let limits = Limits { max_concurrent_turns: 1, max_concurrent_turns_per_user: 1, ..Limits::default() };
    let server = Server::with(|builder| builder.agent(agent).limits(limits)).await;
    let mut ada = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    ada.send(message("t", "s1", "ask")).await;
    let asked = |event: &&Value| event["type"] == "approval_requested";
    let events = ada.events_until(1, |events| events.iter().filter(asked).count() == 2).await;
    ada.send(message("u", "s2", "work")).await;
    assert_eq!(within(says.recv()).await.unwrap(), "work");
    for (n, event) in events.iter().filter(asked).enumerate() {
        let (id, run, approval) = (format!("a{n}"), &event["runId"], &event["approvalId"]);
        ada.send(json!({"type": "approve", "id": id, "stream": "t", "runId": run, "approvalId": approval, "decision": "approved"}))
            .await;
        while ada.until("receipt").await["id"] != id {}
    }
    gates.add_permits(1);
    assert_eq!(within(says.recv()).await.unwrap(), "(Ok(Approved), Ok(Approved))");
}

#[tokio::test]
async fn a_cancelled_question_waits_for_no_place() {
    let (said, mut says) = mpsc::unbounded_channel();
    let agent = move |turn: Turn| {
        let said = said.clone();
        async move {
            let run = turn.run("a").await.unwrap();
            if turn.message.content == "ask" {
                let answer = run.ask("?", Vec::new()).await;
                said.send(format!("{answer:?}")).unwrap();
            } else {
                said.send(turn.message.content).unwrap();
                // Keeps its place for good.
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    };
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
        move |turn: Turn| {
            handled.send(turn.message.content).unwrap();
            std::future::ready(Ok::<_, AgentError>(()))
        }
    };
    let server = serve(&path, Some(agent(handled.clone()))).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(message("t", "s1", "one")).await;
    page.until("receipt").await;
    assert_eq!(within(handles.recv()).await.unwrap(), "one");
    drop(page);
    let claimed = async {
        while server.bridge.log().unfinished(None, 1).await.unwrap() == [key("t")] {
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
    let server = serve(&path, None::<fn(Turn) -> BoxFuture<'static, Result<(), AgentError>>>).await;
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
    let before = server.bridge.log().head(&key("t")).await.unwrap();
    drop(page);
    server.stop().await;

    let server = serve(&path, Some(echo())).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    let events = page.events(1, 1, 17).await;
    assert_eq!(server.bridge.log().head(&key("t")).await.unwrap().epoch, before.epoch);
    assert_eq!(
        (&events[4]["type"], &events[4]["runId"], &events[4]["cause"]),
        (&json!("agent_died"), &json!("old"), &json!("restarted"))
    );
    let answers: Vec<_> = events.iter().filter(|event| event["type"] == "message_completed").collect();
    let answers: Vec<_> = answers.iter().map(|event| event["content"].as_str().unwrap()).collect();
    assert_eq!(answers, ["one", "two", "three"]);
    drop(page);
    server.stop().await;
    let log = SqliteLog::open(&path).unwrap();
    let mut heads = Vec::new();
    for name in ["t", "inbox"] {
        heads.push(log.head(&key(name)).await.unwrap().offset);
    }
    drop(log);
    // A further restart finds nothing to do.
    let server = serve(&path, Some(echo())).await;
    server.bridge.shutdown().await;
    assert_eq!([server.head("t").await, server.head("inbox").await], *heads);
}

/// One room for everybody.
struct Room;

impl Authorizer for Room {
    fn open<'a>(&'a self, _: &'a str, name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        let stream = StreamKey::new("everybody", name).map_err(|_| Refusal::UnknownStream);
        Box::pin(std::future::ready(stream.map(Grant::all)))
    }
}

// PROTOCOL: SND-1, LIF-5
#[tokio::test]
async fn messages_of_two_users_with_one_id_are_both_answered() {
    let (handled, mut handles) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let agent = move |turn: Turn| {
        let (handled, gate) = (handled.clone(), Arc::clone(&opened));
        async move {
            gate.acquire().await.unwrap().forget();
            // The second run finds nothing more of this message to claim.
            for name in ["one", "two"] {
                turn.run(name).await.unwrap().complete("done").await.unwrap();
            }
            handled.send(turn.message.user).unwrap();
            Ok(())
        }
    };
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
    let agent = |turn: Turn| async move {
        if turn.message.content == "early" {
            panic!("on purpose, before a run");
        }
        let run = turn.run("fragile").await.unwrap();
        if turn.message.content == "bad" {
            panic!("on purpose, in run {}", run.id());
        }
        run.complete("fine").await.unwrap();
        Ok(())
    };
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
    let idle = async {
        while server.bridge.log().unfinished(None, 1).await.unwrap() == [key("t")] {
            tokio::task::yield_now().await;
        }
    };
    within(idle).await;
}

#[tokio::test]
async fn a_shutdown_ends_the_running_turn() {
    let working = Arc::new(Notify::new());
    let begun = Arc::clone(&working);
    let agent = move |turn: Turn| {
        let begun = Arc::clone(&begun);
        async move {
            let run = turn.run("slow").await.unwrap();
            begun.notify_one();
            run.cancelled().await;
            Ok(())
        }
    };
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

// PROTOCOL: RUN-1
#[tokio::test]
async fn an_error_of_the_agent_ends_its_run_and_its_text_stays_in_the_server() {
    let agent = async |turn: Turn| {
        if turn.message.content == "early" {
            return Err(AgentError::new("too_early", "not yet"));
        }
        let run = turn.run("fragile").await?;
        let child = run.child("part").await?;
        if turn.message.content == "own" {
            return Err(AgentError {
                user_message: Some("Sorry.".into()),
                ..AgentError::new("no_model", "gone")
            });
        }
        std::fs::read("/a/secret/path")?;
        child.complete("done").await?;
        Ok(())
    };
    let server = Server::with(|builder| builder.agent(agent)).await;
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    for content in ["own", "foreign", "early"] {
        page.send(message("t", content, content)).await;
    }
    let errors = |events: &[Value]| -> Vec<Value> {
        events.iter().filter(|event| event["type"] == "agent_error").cloned().collect()
    };
    let errors = errors(&page.events_until(1, |events| errors(events).len() == 3).await);
    let said: Vec<_> =
        errors.iter().map(|error| (error["code"].clone(), error["userMessage"].clone())).collect();
    let own = (json!("no_model"), json!("Sorry."));
    let foreign = (json!("agent_failed"), Value::Null);
    assert_eq!(said, [own, foreign, (json!("too_early"), Value::Null)]);
    assert!(errors.iter().all(|error| !error.to_string().contains("secret")), "{errors:?}");
}

#[tokio::test]
async fn a_message_is_answered_by_the_agent_that_is_chosen_for_it() {
    let named = |name: &'static str| {
        move |turn: Turn| async move {
            turn.run(name).await?.complete("done").await?;
            Ok(())
        }
    };
    let answered = async |server: &Server, fields: Value| {
        let mut page = Page::open(server, "ada", json!([{"name": "t", "open": {"from": "live"}}])).await;
        page.until("subscribed").await;
        let mut body = json!({"type": "user_message", "content": "hi"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        page.send(json!({"type": "send", "id": fields.to_string(), "stream": "t", "message": body})).await;
        let is_end = |event: &Value| event["type"] == "agent_completed" || event["type"] == "agent_error";
        let mut events: Vec<Value> = Vec::new();
        loop {
            let frame = page.until("events").await;
            events.extend(frame["events"].as_array().unwrap().iter().cloned());
            if let Some(end) = events.iter().find(|event| is_end(event)) {
                let start = events.iter().find(|event| event["type"] == "agent_started").unwrap();
                return end["code"].as_str().or_else(|| start["agent"].as_str()).unwrap().to_owned();
            }
        }
    };
    let server = Server::with(|builder| {
        builder.agent(named("other")).named_agent("a", named("a")).named_agent("b", named("b"))
    })
    .await;
    for (fields, expected) in [
        (json!({"agent": "a"}), "a"),
        (json!({"agent": "b"}), "b"),
        (json!({"agent": "c"}), "other"),
        (json!({}), "other"),
    ] {
        assert_eq!(answered(&server, fields).await, expected);
    }
    let server = Server::with(|builder| builder.named_agent("a", named("a"))).await;
    assert_eq!(answered(&server, json!({"agent": "a"})).await, "a");
    assert_eq!(answered(&server, json!({"agent": "c"})).await, "unknown_agent");
    let server = Server::with(|builder| {
        let route = |message: &agentwire_bridge::UserMessage| Some(message.content.replace("hi", "b"));
        builder.named_agent("a", named("a")).named_agent("b", named("b")).route(route)
    })
    .await;
    assert_eq!(answered(&server, json!({"agent": "a"})).await, "b");
}

/// Sends a message, and then another one, and returns how each was answered: the code or the cause of its end.
async fn ends(server: &Server, first: Value) -> Vec<Value> {
    let mut page = Page::open(server, "ada", json!([{"name": "t"}])).await;
    page.send(json!({"type": "send", "id": "s1", "stream": "t", "message": first})).await;
    page.send(message("t", "s2", "hello")).await;
    let is_end = |event: &Value| {
        ["agent_error", "agent_died", "agent_completed"].contains(&event["type"].as_str().unwrap())
    };
    let ends = |events: &[Value]| -> Vec<Value> {
        let ends = events.iter().filter(|event| is_end(event));
        ends.map(|end| if end["code"].is_null() { end["cause"].clone() } else { end["code"].clone() })
            .collect()
    };
    ends(&page.events_until(1, |events| ends(events).len() == 2).await)
}

#[tokio::test]
async fn an_error_that_is_larger_than_a_frame_ends_its_run_without_its_texts() {
    let large = "x".repeat(2 << 20);
    for is_started in [true, false] {
        let large = large.clone();
        let agent = move |turn: Turn| {
            let large = large.clone();
            async move {
                let text = turn.message.content.clone();
                let run = if is_started || text == "hello" { Some(turn.run("a").await?) } else { None };
                match run {
                    Some(run) if text == "hello" => drop(run.complete("done").await?),
                    _ => return Err(AgentError::new("upstream", large)),
                }
                Ok(())
            }
        };
        let server = Server::with(|builder| builder.agent(agent)).await;
        let first = json!({"type": "user_message", "content": "fail"});
        assert_eq!(ends(&server, first).await, [json!("upstream"), Value::Null], "{is_started}");
    }
    // A page can name an agent with as many bytes as a message may have.
    let server = Server::with(|builder| builder.named_agent("a", echo())).await;
    let name = "n".repeat((1 << 20) - 280);
    let first = json!({"type": "user_message", "content": "x", "agent": name});
    assert_eq!(ends(&server, first).await, [json!("unknown_agent"), json!("unknown_agent")]);
}

#[tokio::test]
async fn a_panic_while_an_agent_is_chosen_costs_its_message_only() {
    let route =
        |message: &agentwire_bridge::UserMessage| Some(message.body()["kind"].as_str().unwrap().to_owned());
    let server = Server::with(|builder| builder.named_agent("a", echo()).route(route)).await;
    let first = json!({"type": "user_message", "content": "hi"});
    assert_eq!(ends(&server, first).await, [json!("panicked"), json!("panicked")]);
}

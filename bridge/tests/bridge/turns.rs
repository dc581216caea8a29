//! Messages that wait, and what users do to them and to their runs: queue, cancel, withdraw, edit.

use std::sync::Arc;

use agentwire_bridge::{AgentError, Authorizer, Grant, PublishError, Refusal, StreamKey, Turn};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use crate::support::{Page, Server, key, within};

fn message(id: &str, content: &str) -> Value {
    json!({"type": "send", "id": id, "stream": "t", "message": {"type": "user_message", "content": content}})
}

fn on_send(kind: &str, id: &str, send_id: &str) -> Value {
    json!({"type": kind, "id": id, "stream": "t", "sendId": send_id})
}

fn edit(id: &str, send_id: &str, content: &str) -> Value {
    let mut frame = on_send("edit", id, send_id);
    frame["message"] = json!({"type": "user_message", "content": content});
    frame
}

/// A server whose agent says what it got, and waits: with `before` for each run, with `during` for the end of each.
struct Stage {
    server: Server,
    page: Page,
    got: mpsc::UnboundedReceiver<String>,
    before: Arc<Semaphore>,
    during: Arc<Semaphore>,
}

async fn stage() -> Stage {
    let (say, got) = mpsc::unbounded_channel();
    let (before, during) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let gates = (Arc::clone(&before), Arc::clone(&during));
    let agent = move |turn: Turn| {
        let (say, (before, during)) = (say.clone(), gates.clone());
        async move {
            say.send(turn.message.content.clone()).unwrap();
            before.acquire().await.unwrap().forget();
            let run = turn.run("a").await?;
            let is_cancelled = tokio::select! {
                permit = during.acquire() => { permit.unwrap().forget(); false }
                () = run.cancelled() => true,
            };
            if is_cancelled {
                run.cancel("requested").await?
            } else {
                run.complete("done").await?
            };
            Ok(())
        }
    };
    let server = Server::with(|builder| builder.agent(agent)).await;
    let page = Page::open(&server, "ada", json!([])).await;
    Stage { server, page, got, before, during }
}

impl Stage {
    async fn ask(&mut self, frame: Value) -> Value {
        self.page.send(frame).await;
        self.page.next().await
    }

    async fn got(&mut self) -> String {
        within(self.got.recv()).await.unwrap()
    }

    /// Type, `sendId`, and what else says what happened.
    async fn story(&self) -> Vec<String> {
        let text = |event: &Value, name: &str| {
            event[name].as_str().map(|text| format!(" {text}")).unwrap_or_default()
        };
        let events = self.server.events("t").await;
        let line = |event: &Value| {
            let ahead = event["ahead"].as_u64().map(|ahead| format!(" {ahead}")).unwrap_or_default();
            let kind = event["type"].as_str().unwrap();
            format!("{kind}{}{}{ahead}", text(event, "sendId"), text(event, "reason"))
        };
        events.iter().map(line).collect()
    }
}

// The page cancels before `agent_started`.
// PROTOCOL: SND-7, SND-14
#[tokio::test]
async fn a_message_that_is_cancelled_before_its_run_gets_none() {
    let mut stage = stage().await;
    stage.ask(message("s1", "one")).await;
    assert_eq!(stage.got().await, "one");
    let receipt = stage.ask(on_send("cancel", "c1", "s1")).await;
    assert_eq!(receipt, json!({"type": "receipt", "id": "c1", "stream": "t", "status": "cancelled"}));
    stage.before.add_permits(2);
    // The agent goes on with the next one: the run of the first was refused.
    stage.ask(message("s2", "two")).await;
    assert_eq!(stage.got().await, "two");
    stage.during.add_permits(1);
    stage.server.until_event("t", "agent_completed").await;
    assert_eq!(stage.ask(on_send("cancel", "c2", "s1")).await["status"], "already_finished");
    assert_eq!(stage.ask(on_send("cancel", "c3", "s9")).await["status"], "unknown_send");
    let story = [
        "user_message s1",
        "message_dequeued s1 cancelled",
        "user_message s2",
        "agent_started s2",
        "agent_completed",
    ];
    assert_eq!(stage.story().await, story);
}

// PROTOCOL: SND-7
#[tokio::test]
async fn a_cancel_of_a_message_ends_the_run_that_answers_it() {
    let mut stage = stage().await;
    stage.ask(message("s1", "one")).await;
    stage.before.add_permits(1);
    stage.server.until_event("t", "agent_started").await;
    assert_eq!(stage.ask(on_send("cancel", "c1", "s1")).await["status"], "cancelled");
    stage.server.until_event("t", "agent_cancelled").await;
    assert_eq!(stage.ask(on_send("cancel", "c2", "s1")).await["status"], "already_finished");
    // A copy gets the receipt that the first one got.
    assert_eq!(stage.ask(on_send("cancel", "c1", "s1")).await["status"], "cancelled");
}

// A message behind a run that does not end was `sent`, and nothing said that it waits.
// PROTOCOL: SND-14, SND-15, SND-16
#[tokio::test]
async fn what_waits_says_so_and_can_be_edited_and_withdrawn() {
    let mut stage = stage().await;
    stage.before.add_permits(9);
    stage.ask(message("s1", "one")).await;
    assert_eq!(stage.got().await, "one");
    stage.server.until_event("t", "agent_started").await;
    for (id, offset) in [("s2", 3), ("s3", 5)] {
        let receipt = stage.ask(message(id, id)).await;
        assert_eq!(receipt["position"]["offset"], offset, "the position of the message, not of what follows");
    }
    let receipt = stage.ask(edit("e1", "s2", "two, again")).await;
    assert_eq!((&receipt["status"], &receipt["position"]["offset"]), (&json!("accepted"), &json!(7)));
    let edited = stage.server.events("t").await.pop().unwrap();
    assert_eq!(
        (&edited["content"], &edited["sendId"], &edited["user"]),
        (&json!("two, again"), &json!("s2"), &json!("ada"))
    );
    let mut empty = edit("e2", "s2", "x");
    empty["message"]["content"] = json!("");
    assert_eq!(stage.ask(empty).await["error"]["code"], "invalid_message");
    assert_eq!(stage.ask(on_send("withdraw", "w1", "s3")).await["status"], "withdrawn");
    assert_eq!(stage.ask(on_send("withdraw", "w2", "s3")).await["status"], "withdrawn");
    assert_eq!(stage.ask(edit("e3", "s3", "x")).await["status"], "withdrawn");
    assert_eq!(stage.ask(on_send("withdraw", "w3", "s1")).await["status"], "already_claimed");
    assert_eq!(stage.ask(on_send("withdraw", "w4", "s9")).await["status"], "unknown_send");
    stage.during.add_permits(1);
    assert_eq!(stage.got().await, "two, again");
    stage.server.until_event("t", "message_dequeued").await;
    stage.during.add_permits(1);
    let story = [
        "user_message s1",
        "agent_started s1",
        "user_message s2",
        "message_queued s2 1",
        "user_message s3",
        "message_queued s3 2",
        "message_edited s2",
        "message_dequeued s3 withdrawn",
        "agent_completed",
        "agent_started s2",
        "message_dequeued s2 claimed",
    ];
    assert_eq!(stage.story().await[..story.len()], story);
    assert_eq!(stage.ask(edit("e4", "s2", "x")).await["status"], "already_claimed");
    stage.ask(message("s4", "four")).await;
    assert_eq!(stage.got().await, "four", "what was withdrawn reaches no agent");
}

// PROTOCOL: SND-15
#[tokio::test]
async fn a_run_answers_the_text_that_a_message_has_when_it_claims_it() {
    let mut stage = stage().await;
    stage.ask(message("s1", "old")).await;
    assert_eq!(stage.got().await, "old");
    assert_eq!(stage.ask(edit("e1", "s1", "new")).await["status"], "accepted");
    stage.before.add_permits(1);
    assert_eq!(stage.got().await, "new");
    stage.before.add_permits(1);
    stage.server.until_event("t", "agent_started").await;
    assert_eq!(stage.story().await, ["user_message s1", "message_edited s1", "agent_started s1"]);
}

// PROTOCOL: SND-15
#[tokio::test]
async fn an_edit_is_handled_even_if_the_agent_makes_no_run_of_the_former_text() {
    for fails in [false, true] {
        let (say, mut got) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&gate);
        let agent = move |turn: Turn| {
            let (say, gate) = (say.clone(), Arc::clone(&gate));
            async move {
                say.send(turn.message.content.clone()).unwrap();
                gate.acquire().await.unwrap().forget();
                if fails { Err(AgentError::new("no", "not today")) } else { Ok(()) }
            }
        };
        let server = Server::with(|builder| builder.agent(agent)).await;
        let mut page = Page::open(&server, "ada", json!([])).await;
        page.send(message("s1", "old")).await;
        page.next().await;
        assert_eq!(within(got.recv()).await.unwrap(), "old");
        page.send(edit("e1", "s1", "new")).await;
        assert_eq!(page.next().await["status"], "accepted");
        opened.add_permits(2);
        assert_eq!(within(got.recv()).await.unwrap(), "new", "fails: {fails}");
        page.send(message("s2", "last")).await;
        assert_eq!(within(got.recv()).await.unwrap(), "last", "fails: {fails}");
    }
}

fn with_mode(mut frame: Value, mode: &str, run: Option<&str>) -> Value {
    frame["mode"] = json!(mode);
    if let Some(run) = run {
        frame["runId"] = json!(run);
    }
    frame
}

// PROTOCOL: SND-18
#[tokio::test]
async fn an_interrupt_ends_the_own_runs_and_goes_before_what_waits() {
    let mut stage = stage().await;
    stage.before.add_permits(9);
    let others = stage.server.bridge.emitter("ada", "t").run("of the server").await.unwrap();
    stage.ask(message("s1", "one")).await;
    assert_eq!(stage.got().await, "one");
    within(async {
        while stage.story().await.iter().all(|line| line != "agent_started s1") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stage.ask(message("s2", "two")).await;
    let receipt = stage.ask(with_mode(message("s3", "stop"), "interrupt", None)).await;
    assert_eq!(receipt["status"], "accepted");
    let asked = stage.server.events("t").await.into_iter().find(|event| event["sendId"] == "s3").unwrap();
    assert_eq!(asked["mode"], "interrupt");
    assert_eq!(stage.got().await, "stop");
    stage.during.add_permits(1);
    assert_eq!(stage.got().await, "two");
    let story = [
        "agent_started",
        "user_message s1",
        "agent_started s1",
        "user_message s2",
        "message_queued s2 1",
        "user_message s3",
        "message_queued s3 1",
        "agent_cancelled requested",
        "agent_started s3",
        "message_dequeued s3 claimed",
        "agent_completed",
    ];
    assert_eq!(stage.story().await[..story.len()], story);
    assert!(!others.is_cancelled(), "it belongs to nobody");
    // The mode is a part of the message.
    assert_eq!(stage.ask(message("s3", "stop")).await["error"]["code"], "conflict");
}

/// A run that says which messages it takes, for as long as it is open.
async fn steered(
    server: &Server,
    say: mpsc::UnboundedSender<String>,
) -> (String, tokio::sync::oneshot::Sender<()>) {
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let (id, (end, ended)) = (run.id().to_owned(), tokio::sync::oneshot::channel());
    tokio::spawn(async move {
        tokio::pin!(ended);
        loop {
            tokio::select! {
                biased;
                _ = &mut ended => break,
                message = run.steering() => say.send(message.unwrap().content).unwrap(),
            }
        }
        run.complete("done").await.unwrap();
    });
    (id, end)
}

// PROTOCOL: SND-18
#[tokio::test]
async fn a_message_that_steers_is_given_to_its_run() {
    let server = Server::start().await;
    let (say, mut says) = mpsc::unbounded_channel();
    let (run, end) = steered(&server, say).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    for (id, named) in [("s1", None), ("s2", Some(&*run))] {
        page.send(with_mode(message(id, id), "steer", named)).await;
        let receipt = page.next().await;
        assert_eq!(receipt["status"], "accepted");
        assert_eq!(within(says.recv()).await.unwrap(), id);
    }
    end.send(()).unwrap();
    server.until_event("t", "agent_completed").await;
    let events = server.events("t").await;
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let pair = ["user_message", "steering_requested", "steering_taken"];
    assert_eq!(types, [&["agent_started"][..], &pair, &pair, &["agent_completed"]].concat());
    let (requested, taken) = (&events[2], &events[3]);
    assert_eq!((&requested["runId"], &requested["sendId"]), (&json!(run), &json!("s1")));
    assert_eq!((&taken["runId"], &taken["sendId"]), (&json!(run), &json!("s1")));
    // The run is over: the message waits for one of its own.
    page.send(with_mode(message("s3", "late"), "steer", Some(&run))).await;
    assert_eq!(page.next().await["status"], "accepted");
    assert_eq!(server.events("t").await.pop().unwrap()["type"], "user_message");
}

// PROTOCOL: SND-18, SND-16
#[tokio::test]
async fn a_message_that_its_run_did_not_take_waits_at_its_own_place() {
    let mut stage = stage().await;
    stage.before.add_permits(9);
    stage.ask(message("s1", "one")).await;
    assert_eq!(stage.got().await, "one");
    stage.server.until_event("t", "agent_started").await;
    stage.ask(with_mode(message("s2", "left"), "steer", None)).await;
    stage.ask(message("s3", "three")).await;
    stage.ask(with_mode(message("s4", "withdrawn"), "steer", None)).await;
    assert_eq!(stage.ask(on_send("withdraw", "w", "s4")).await["status"], "withdrawn");
    assert_eq!(stage.ask(edit("e", "s2", "left, edited")).await["status"], "accepted");
    stage.during.add_permits(1);
    assert_eq!(stage.got().await, "left, edited");
    stage.during.add_permits(1);
    assert_eq!(stage.got().await, "three");
    let story = stage.story().await;
    let from = story.iter().position(|line| line == "agent_completed").unwrap();
    // Nothing is before it: the run is over, and the other message came later.
    let after = ["agent_completed", "message_queued s2 0", "agent_started s2", "message_dequeued s2 claimed"];
    assert_eq!(story[from..from + 4], after);
    assert!(story.contains(&"message_queued s3 1".to_owned()), "what steers is not before it: {story:?}");
}

// PROTOCOL: SND-18
#[tokio::test]
async fn a_message_that_steers_is_for_no_other_run_while_its_run_is_open() {
    let mut stage = stage().await;
    stage.before.add_permits(9);
    let run = stage.server.bridge.emitter("ada", "t").run("elsewhere").await.unwrap();
    stage.ask(with_mode(message("s1", "hint"), "steer", None)).await;
    stage.ask(message("s2", "two")).await;
    assert_eq!(stage.got().await, "two");
    run.complete("done").await.unwrap();
    stage.during.add_permits(1);
    assert_eq!(stage.got().await, "hint");
}

// PROTOCOL: SND-18, SND-2, SND-9
#[tokio::test]
async fn a_message_that_steers_must_say_which_run_if_there_are_several() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    let (one, _other) = (emitter.run("a").await.unwrap(), emitter.run("b").await.unwrap());
    let _child = one.child("c").await.unwrap();
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(with_mode(message("s1", "x"), "steer", None)).await;
    let receipt = page.next().await;
    assert_eq!(
        (&receipt["status"], &receipt["error"]["code"]),
        (&json!("rejected"), &json!("ambiguous_run"))
    );
    page.send(with_mode(message("s1", "x"), "steer", Some("nobody"))).await;
    assert_eq!(page.next().await["error"]["code"], "unknown_run");
    // A rejected message is not known: its id is free.
    page.send(with_mode(message("s1", "x"), "steer", Some(one.id()))).await;
    assert_eq!(page.next().await["status"], "accepted");
    let taken = within(one.steering()).await.unwrap();
    assert_eq!((&*taken.send_id, &*taken.content), ("s1", "x"));
    let mut form = with_mode(message("s2", "x"), "interrupt", None);
    form["message"]["type"] = json!("form");
    page.send(form).await;
    assert_eq!(page.next().await["error"]["code"], "invalid_message");
}

// PROTOCOL: SND-18
#[tokio::test]
async fn steering_that_was_taken_while_nobody_waited_comes_with_the_next_call() {
    let server = Server::start().await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(with_mode(message("s1", "x"), "steer", None)).await;
    assert_eq!(page.next().await["status"], "accepted");
    let is_taken = async || server.events("t").await.iter().any(|event| event["type"] == "steering_taken");
    within(async {
        while !is_taken().await {
            // As `tokio::select!` does when another branch is ready.
            let _ = futures_util::poll!(Box::pin(run.steering()));
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(&*within(run.steering()).await.unwrap().content, "x");
}

#[tokio::test]
async fn a_run_that_waits_for_steering_hears_of_its_end_and_of_its_cancel() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    for (end, expected) in [(true, PublishError::RunEnded), (false, PublishError::Cancelled)] {
        let run = emitter.run("a").await.unwrap();
        let id = run.id().to_owned();
        let waits = tokio::spawn(async move { (run.steering().await, run) });
        if end {
            emitter.publish(json!({"type": "agent_died", "runId": id, "cause": "timeout"})).await.unwrap();
        } else {
            let mut page = Page::open(&server, "ada", json!([])).await;
            page.send(json!({"type": "cancel", "id": "c", "stream": "t", "runId": id})).await;
        }
        let (steering, _run) = within(waits).await.unwrap();
        assert_eq!(steering.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn a_message_whose_edit_is_redacted_reaches_no_agent() {
    let mut stage = stage().await;
    stage.before.add_permits(9);
    stage.ask(message("s1", "one")).await;
    assert_eq!(stage.got().await, "one");
    stage.server.until_event("t", "agent_started").await;
    stage.ask(message("s2", "two")).await;
    let edited = stage.ask(edit("e", "s2", "secret")).await["position"]["offset"].as_u64().unwrap();
    stage.ask(message("s3", "three")).await;
    assert!(stage.server.bridge.redact(&key("t"), edited).await.unwrap());
    stage.during.add_permits(1);
    assert_eq!(stage.got().await, "three");
    assert!(stage.story().await.contains(&"message_dequeued s2 passed".to_owned()));
}

/// Two members; `lead` may act on what belongs to the other.
struct Members;

impl Authorizer for Members {
    fn open<'a>(&'a self, subject: &'a str, _name: &'a str) -> BoxFuture<'a, Result<Grant, Refusal>> {
        let all = Grant::all(StreamKey::new("ada", "t").unwrap());
        Box::pin(std::future::ready(Ok(Grant { manage: subject == "lead", ..all })))
    }
}

// PROTOCOL: SND-17, SND-9
#[tokio::test]
async fn only_those_with_the_right_act_on_what_belongs_to_others() {
    let (started, mut starts) = mpsc::unbounded_channel();
    let agent = move |turn: Turn| {
        let started = started.clone();
        async move {
            let run = turn.run("a").await?;
            let child = run.child("b").await?;
            started.send((run.id().to_owned(), child.id().to_owned())).unwrap();
            run.cancelled().await;
            Ok(())
        }
    };
    let server = Server::with(|builder| builder.agent(agent).authorizer(Members)).await;
    let mut ada = Page::open(&server, "ada", json!([])).await;
    ada.send(message("s1", "one")).await;
    let (run, child) = within(starts.recv()).await.unwrap();
    ada.send(message("s2", "two")).await;
    let mut bob = Page::open(&server, "bob", json!([])).await;
    let cancel = |id: &str, run: &str| json!({"type": "cancel", "id": id, "stream": "t", "runId": run});
    for (id, run) in [("c1", &run), ("c2", &child)] {
        bob.send(cancel(id, run)).await;
        assert_eq!(bob.next().await["error"]["code"], "forbidden");
    }
    for (kind, send_id) in [("cancel", "s1"), ("withdraw", "s2")] {
        bob.send(on_send(kind, kind, send_id)).await;
        assert_eq!(bob.next().await["status"], "unknown_send");
    }
    // The same id is a message of his own now.
    let mut lead = Page::open(&server, "lead", json!([])).await;
    lead.send(on_send("withdraw", "w1", "s2")).await;
    assert_eq!(lead.next().await["status"], "withdrawn");
    lead.send(on_send("cancel", "c1", "s1")).await;
    assert_eq!(lead.next().await["status"], "cancelled");
    // What belongs to nobody is everybody's.
    let free = server.bridge.emitter("ada", "t").run("free").await.unwrap();
    bob.send(cancel("c3", free.id())).await;
    assert_eq!(bob.next().await["status"], "cancelled");
    within(free.cancelled()).await;
}

// PROTOCOL: SND-14, LIF-5
#[tokio::test]
async fn an_agent_learns_that_its_message_was_taken_back() {
    let (said, mut says) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let gates = Arc::clone(&gate);
    let agent = move |turn: Turn| {
        let (said, gate) = (said.clone(), Arc::clone(&gates));
        async move {
            said.send(None).unwrap();
            gate.acquire().await.unwrap().forget();
            said.send(turn.run("a").await.err()).unwrap();
            Ok(())
        }
    };
    let server = Server::with(|builder| builder.agent(agent)).await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(message("s1", "one")).await;
    assert_eq!(page.next().await["status"], "accepted");
    assert_eq!(within(says.recv()).await.unwrap(), None);
    page.send(on_send("withdraw", "w1", "s1")).await;
    assert_eq!(page.next().await["status"], "withdrawn");
    gate.add_permits(1);
    assert_eq!(within(says.recv()).await.unwrap(), Some(PublishError::Outdated));
    server.bridge.shutdown().await;
    assert_eq!(server.head("t").await, 2);
}

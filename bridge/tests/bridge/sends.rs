//! Sends, cancels, approvals and signals.

use std::time::Duration;

use agentwire_bridge::log::{Fact, Log, Origin, Record, Terms};
use agentwire_bridge::{
    Answer, Bridge, Decision, EventError, Hs256, Limits, MemoryLog, PublishError, Question, Run, SqliteLog,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::{Page, SECRET, Server, key, within};

fn message(id: &str, content: &str) -> Value {
    json!({"type": "send", "id": id, "stream": "t", "message": {"type": "user_message", "content": content}})
}

// PROTOCOL: SND-1, SND-2, SND-3, SND-11
#[tokio::test]
async fn a_send_is_applied_once_and_answered_each_time() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let mut first = message("s1", "hi");
    first["message"]["extra"] = json!({"a": 1, "b": [2]});
    first["message"]["user"] = json!("somebody else");
    page.send(first.clone()).await;
    let receipt = page.next().await;
    assert_eq!(
        (&receipt["id"], &receipt["stream"], &receipt["status"], &receipt["position"]["offset"]),
        (&json!("s1"), &json!("t"), &json!("accepted"), &json!(1))
    );
    let stored = server.events("t").await.remove(0);
    assert_eq!(
        (&stored["type"], &stored["content"], &stored["extra"]),
        (&json!("user_message"), &json!("hi"), &json!({"a": 1, "b": [2]}))
    );
    assert_eq!((&stored["sendId"], &stored["user"]), (&json!("s1"), &json!("ada")));
    assert!(stored["time"].is_u64());
    page.send(first.clone()).await;
    assert_eq!(page.next().await, receipt);
    // Another socket of the user, and the same value in another text.
    let mut other = Page::open(&server, "ada", json!([])).await;
    let text = r#"{"type":"send","id":"s1","stream":"t","message":{"extra":{"b":[2.0],"a":1},"user":"somebody else","content":"h\u0069","type":"user_message"}}"#;
    other.send_text(text).await;
    assert_eq!(other.next().await, receipt);
    page.send(message("s1", "other")).await;
    let conflict = page.next().await;
    assert_eq!(
        (&conflict["status"], &conflict["error"]["code"], &conflict["error"]["retryable"]),
        (&json!("rejected"), &json!("conflict"), &json!(false))
    );
    assert_eq!(server.head("t").await, 1);
}

// PROTOCOL: SND-21
#[tokio::test]
async fn the_trace_of_a_message_is_that_of_the_run_that_answers_it() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut traced = message("s1", "hi");
    traced["traceparent"] = json!(trace);
    // What the message itself says of a trace is none.
    traced["message"]["traceparent"] = json!("made up");
    page.send(traced).await;
    assert_eq!(page.next().await["status"], "accepted");
    assert_eq!(server.events("t").await[0]["traceparent"], trace);
    let mut other = message("s2", "hi");
    other["message"]["traceparent"] = json!("made up");
    page.send(other).await;
    assert_eq!(page.next().await["status"], "accepted");
    assert!(server.events("t").await[1]["traceparent"].is_null());
    for malformed in ["", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "00-0-0-0"] {
        let mut page = Page::open(&server, "ada", json!([])).await;
        let mut frame = message("s3", "hi");
        frame["traceparent"] = json!(malformed);
        page.send(frame).await;
        assert_eq!(page.next().await["code"], "bad_frame", "{malformed}");
    }
}

// PROTOCOL: SND-5
#[tokio::test]
async fn a_send_that_comes_again_beyond_the_horizon_is_applied_only_if_it_is_known() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let mut late = message("s1", "typed long ago");
    late["firstSentAt"] = json!(1_000);
    page.send(late.clone()).await;
    let receipt = page.next().await;
    assert_eq!(
        (&receipt["status"], &receipt["error"]["code"], &receipt["error"]["retryable"]),
        (&json!("rejected"), &json!("outcome_unknown"), &json!(false))
    );
    assert_eq!(server.head("t").await, 0);
    // The key is not used up: the same message in time is stored.
    page.send(message("s1", "typed long ago")).await;
    assert_eq!(page.next().await["status"], "accepted");
    // And from then on it is known, however old it is.
    page.send(late).await;
    assert_eq!(page.next().await["status"], "accepted");
    assert_eq!(server.head("t").await, 1);
}

// PROTOCOL: SND-4
#[tokio::test]
async fn sends_keep_their_order() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    for n in 0..400 {
        page.send(message(&format!("s{n}"), &n.to_string())).await;
    }
    for _ in 0..400 {
        let receipt = page.next().await;
        let n: u64 = receipt["id"].as_str().unwrap()[1..].parse().unwrap();
        assert_eq!(receipt["position"]["offset"], n + 1);
    }
    let contents: Vec<_> = server.events("t").await.iter().map(|event| event["content"].clone()).collect();
    assert_eq!(contents, (0..400).map(|n| json!(n.to_string())).collect::<Vec<_>>());
}

// PROTOCOL: SND-6, SND-9, GEN-7
#[tokio::test]
async fn messages_are_checked() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    for (body, code) in [
        (json!({"type": "user_message"}), "invalid_message"),
        (json!({"type": "user_message", "content": ""}), "invalid_message"),
        (json!({"type": "user_message", "content": 7}), "invalid_message"),
        (json!({"type": "", "content": "x"}), "invalid_message"),
        (json!({"type": "form", "text": "x".repeat(1_048_440)}), "message_too_large"),
    ] {
        page.send(json!({"type": "send", "id": "s", "stream": "t", "message": body})).await;
        let receipt = page.next().await;
        assert_eq!((&receipt["status"], &receipt["error"]["code"]), (&json!("rejected"), &json!(code)));
    }
    page.send(json!({"type": "send", "id": "s", "stream": "inbox", "message": {"type": "form"}})).await;
    assert_eq!(page.next().await["error"]["code"], "forbidden");
    // A page cannot speak for an agent; a type of its own is stored as it is.
    let forged = json!({"type": "agent_started", "runId": "r", "agent": "a"});
    page.send(json!({"type": "send", "id": "s", "stream": "t", "message": forged})).await;
    assert_eq!(page.next().await["error"]["code"], "invalid_message");
    page.send(json!({"type": "send", "id": "s", "stream": "t", "message": {"type": "form", "runId": "r"}}))
        .await;
    assert_eq!(page.next().await["status"], "accepted");
    let mut late = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    assert_eq!(late.until("caughtUp").await["openRuns"], json!([]));
}

// PROTOCOL: SND-1, SND-4, LIF-4
#[tokio::test]
async fn receipts_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let start = async || {
        let log = SqliteLog::open(&path).unwrap();
        let bridge =
            Bridge::builder().log(log).authenticator(Hs256::new(SECRET).unwrap()).build().await.unwrap();
        Server::serve(bridge).await
    };
    let server = start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(message("s1", "one")).await;
    let receipt = page.next().await;
    drop(page);
    server.stop().await;
    let server = start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(message("s1", "one")).await;
    page.send(message("s2", "two")).await;
    assert_eq!(page.next().await, receipt);
    let second = page.next().await;
    assert_eq!(
        (&second["position"]["offset"], &second["position"]["epoch"]),
        (&json!(2), &receipt["position"]["epoch"])
    );
    page.send(message("s1", "other")).await;
    assert_eq!(page.next().await["error"]["code"], "conflict");
}

// PROTOCOL: SND-7, SND-1
#[tokio::test]
async fn a_cancel_reaches_its_run() {
    let server = Server::start().await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let child = run.child("b").await.unwrap();
    let mut page = Page::open(&server, "ada", json!([])).await;
    let cancel = |id: &str, run: &str| json!({"type": "cancel", "id": id, "stream": "t", "runId": run});
    page.send(cancel("c0", "nobody")).await;
    assert_eq!(
        page.next().await,
        json!({"type": "receipt", "id": "c0", "stream": "t", "status": "unknown_run"})
    );
    assert!(!run.is_cancelled());
    let id = run.id().to_owned();
    page.send(cancel("c1", &id)).await;
    assert_eq!(
        page.next().await,
        json!({"type": "receipt", "id": "c1", "stream": "t", "status": "cancelled"})
    );
    within(run.cancelled()).await;
    within(child.cancelled()).await;
    child.cancel("parent").await.unwrap();
    run.cancel("requested").await.unwrap();
    page.send(cancel("c2", &id)).await;
    assert_eq!(page.next().await["status"], "already_finished");
    // The same id gets the same answer.
    page.send(cancel("c1", &id)).await;
    assert_eq!(page.next().await["status"], "cancelled");
    page.send(cancel("c1", "another")).await;
    assert_eq!(page.next().await["error"]["code"], "conflict");
    assert_eq!(server.events("t").await.last().unwrap()["type"], "agent_cancelled");
}

// PROTOCOL: SND-7
#[tokio::test]
async fn a_cancelled_run_ends_as_cancelled_whatever_its_agent_says() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let emitter = server.bridge.emitter("ada", "t");
    let (one, other) = (emitter.run("a").await.unwrap(), emitter.run("b").await.unwrap());
    for run in [&one, &other] {
        page.send(json!({"type": "cancel", "id": run.id(), "stream": "t", "runId": run.id()})).await;
        assert_eq!(page.next().await["status"], "cancelled");
    }
    let (one_id, other_id) = (one.id().to_owned(), other.id().to_owned());
    // It had not looked.
    assert_eq!(one.complete("done").await.unwrap().offset, 3);
    drop(other);
    // The drop is written when the shutdown is over.
    server.bridge.shutdown().await;
    let ends = server.events("t").await.split_off(2);
    for (end, run) in ends.iter().zip([one_id, other_id]) {
        let expected =
            json!({"type": "agent_cancelled", "runId": run, "reason": "requested", "time": end["time"]});
        assert_eq!(*end, expected);
    }
    assert_eq!(ends.len(), 2);
}

// PROTOCOL: SND-7, LIF-5
#[tokio::test]
async fn a_cancelled_run_ends_as_cancelled_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let log = SqliteLog::open(&path).unwrap();
    // What a `cancel` commits before its receipt; the process ends there.
    let started = |run: &str| json!({"type": "agent_started", "runId": run, "agent": "a"}).to_string().into();
    let record = Record {
        seq: 1,
        first: 1,
        events: vec![started("r"), started("other")],
        facts: vec![
            Fact::RunStarted { run: "r".into(), offset: 1, origin: Origin::default() },
            Fact::RunStarted { run: "other".into(), offset: 2, origin: Origin::default() },
            Fact::CancelAccepted { run: "r".into() },
        ],
        at_ms: 1,
        is_open: true,
    };
    log.append(&key("t"), 0, record.into()).await.unwrap();
    drop(log);
    let server = Server::with(|builder| builder.log(SqliteLog::open(&path).unwrap())).await;
    let ends = server.events("t").await.split_off(2);
    let ends: Vec<_> = ends.iter().map(|end| (end["runId"].clone(), end["type"].clone())).collect();
    let expected = [(json!("r"), json!("agent_cancelled")), (json!("other"), json!("agent_died"))];
    assert_eq!(ends, expected);
}

// PROTOCOL: SND-7
#[tokio::test]
async fn a_run_that_nobody_works_on_is_cancelled_by_the_bridge() {
    let server = Server::start().await;
    let started = json!({"type": "agent_started", "runId": "r", "agent": "a"});
    server.bridge.emitter("ada", "t").publish(started).await.unwrap();
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(json!({"type": "cancel", "id": "c1", "stream": "t", "runId": "r"})).await;
    assert_eq!(page.next().await["status"], "cancelled");
    assert_eq!(server.until_event("t", "agent_cancelled").await["runId"], "r");
}

// PROTOCOL: SND-2, SND-8, SND-11
#[tokio::test]
async fn the_first_answer_of_any_device_wins() {
    let server = Server::start().await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let (run_id, asked) = (
        run.id().to_owned(),
        tokio::spawn(async move {
            let decision = run.ask("Delete it?", vec![json!("yes"), json!("no")]).await.unwrap();
            run.complete("done").await.unwrap();
            decision
        }),
    );
    let request = server.until_event("t", "approval_requested").await;
    assert_eq!((&request["prompt"], &request["options"]), (&json!("Delete it?"), &json!(["yes", "no"])));
    let approve = |id: &str, run: &Value, approval: &Value, decision: &str| json!({"type": "approve", "id": id, "stream": "t", "runId": run, "approvalId": approval, "decision": decision});
    let (run, approval) = (&request["runId"], &request["approvalId"]);
    let mut one = Page::open(&server, "ada", json!([])).await;
    let mut other = Page::open(&server, "ada", json!([])).await;
    let receipt =
        |id: &str, status: &str| json!({"type": "receipt", "id": id, "stream": "t", "status": status});
    one.send(approve("a0", run, &json!("nothing"), "approved")).await;
    assert_eq!(one.next().await, receipt("a0", "unknown_approval"));
    one.send(approve("a9", &json!("another"), approval, "approved")).await;
    assert_eq!(one.next().await, receipt("a9", "unknown_approval"));
    one.send(approve("a1", run, approval, "denied")).await;
    let accepted = one.next().await;
    let what = |receipt: &Value| [&receipt["status"], &receipt["decision"], &receipt["by"]].map(Value::clone);
    assert_eq!(what(&accepted), ["accepted", "denied", "ada"]);
    other.send(approve("a2", run, approval, "approved")).await;
    let mut late = receipt("a2", "already_resolved");
    (late["decision"], late["by"]) = (json!("denied"), json!("ada"));
    assert_eq!(other.next().await, late);
    one.send(approve("a1", run, approval, "denied")).await;
    assert_eq!(one.next().await, accepted);
    one.send(approve("a1", run, approval, "approved")).await;
    assert_eq!(one.next().await["error"]["code"], "conflict");
    assert_eq!(within(asked).await.unwrap(), Decision::Denied);
    let events = server.events("t").await;
    let resolved: Vec<_> = events.iter().filter(|event| event["type"] == "approval_resolved").collect();
    assert_eq!(resolved.len(), 1);
    assert_eq!(
        (&resolved[0]["decision"], &resolved[0]["runId"], &resolved[0]["user"]),
        (&json!("denied"), &json!(run_id), &json!("ada"))
    );
}

// PROTOCOL: SND-8
#[tokio::test]
async fn an_approval_whose_run_is_over_is_answered_run_over() {
    let server = Server::start().await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let asked = tokio::spawn(async move {
        let answer = run.ask("?", Vec::new()).await;
        run.cancel("requested").await.unwrap();
        answer
    });
    let request = server.until_event("t", "approval_requested").await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(json!({"type": "cancel", "id": "c", "stream": "t", "runId": request["runId"]})).await;
    assert_eq!(page.next().await["status"], "cancelled");
    assert!(within(asked).await.unwrap().is_err());
    page.send(json!({"type": "approve", "id": "a", "stream": "t", "runId": request["runId"], "approvalId": request["approvalId"], "decision": "approved"}))
        .await;
    assert_eq!(page.next().await, json!({"type": "receipt", "id": "a", "stream": "t", "status": "run_over"}));
}

// Two runs ask under one id.
// PROTOCOL: SND-8
#[tokio::test]
async fn an_answer_reaches_the_run_that_it_names() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    let ask = |run: &str| json!({"type": "approval_requested", "runId": run, "approvalId": "bash:0", "prompt": "?"});
    for run in ["r1", "r2"] {
        emitter.publish(ask(run)).await.unwrap();
    }
    assert_eq!(emitter.publish(ask("r1")).await, Err(PublishError::Approval));
    let mut page = Page::open(&server, "ada", json!([])).await;
    for (run, decision) in [("r1", "denied"), ("r2", "approved")] {
        page.send(json!({"type": "approve", "id": run, "stream": "t", "runId": run, "approvalId": "bash:0", "decision": decision}))
            .await;
        let receipt = page.next().await;
        assert_eq!((&receipt["status"], &receipt["decision"]), (&json!("accepted"), &json!(decision)));
        let resolved = server.events("t").await.pop().unwrap();
        assert_eq!((&resolved["runId"], &resolved["decision"]), (&json!(run), &json!(decision)));
    }
}

/// A run that asks and keeps its end to itself, and what it asked.
async fn asks(
    server: &Server,
    question: Question,
) -> (JoinHandle<(Result<Answer, PublishError>, Run)>, Value) {
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let asked = tokio::spawn(async move { (run.ask_with(question).await, run) });
    (asked, server.until_event("t", "approval_requested").await)
}

// PROTOCOL: SND-12, SND-2
#[tokio::test]
async fn an_answer_that_does_not_fit_is_refused_and_the_question_stays_open() {
    let limits = Limits { max_answer_bytes: 1_024, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let question = Question {
        schema: Some(
            json!({"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}}),
        ),
        args: Some(json!({"path": "/"})),
        editable: true,
        ..Question::new("Delete it?")
    };
    let (asked, event) = asks(&server, question).await;
    let hash = event["argsHash"].as_str().unwrap();
    let mut page = Page::open(&server, "ada", json!([])).await;
    let mut number = 0;
    let mut approve = |more: Value| {
        number += 1;
        let mut frame = json!({"type": "approve", "id": format!("a{number}"), "stream": "t", "runId": event["runId"], "approvalId": event["approvalId"], "decision": "approved"});
        frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        frame
    };
    for unfit in [
        json!({"editedArgs": {"path": 7}}),
        json!({"editedArgs": {}, "argsHash": hash}),
        json!({"argsHash": "of other arguments"}),
        json!({"editedArgs": {"path": "x".repeat(1_024)}}),
        json!({"reason": "x".repeat(1_025)}),
        json!({"decision": "denied", "editedArgs": {"path": "a"}}),
    ] {
        page.send(approve(unfit.clone())).await;
        let receipt = page.next().await;
        let error = (&receipt["error"]["code"], &receipt["error"]["retryable"]);
        assert_eq!(error, (&json!("invalid_answer"), &json!(false)), "{unfit} {receipt}");
    }
    assert_eq!(server.head("t").await, 2);
    let fits = approve(
        json!({"editedArgs": {"path": "notes/"}, "argsHash": hash, "reason": "only this", "payload": [null]}),
    );
    page.send(fits.clone()).await;
    let receipt = page.next().await;
    assert_eq!((&receipt["status"], &receipt["position"]["offset"]), (&json!("accepted"), &json!(3)));
    let resolved = server.events("t").await.pop().unwrap();
    assert_eq!((&resolved["editedArgs"], &resolved["payload"]), (&json!({"path": "notes/"}), &json!([null])));
    // A copy gets the same answer, and another body under its id is a conflict.
    page.send(fits.clone()).await;
    assert_eq!(page.next().await, receipt);
    let mut other = fits;
    other["editedArgs"]["path"] = json!("/");
    page.send(other).await;
    assert_eq!(page.next().await["error"]["code"], "conflict");
    let (answer, run) = within(asked).await.unwrap();
    let expected = Answer {
        decision: Decision::Approved,
        payload: Some(json!([null])),
        edited_args: Some(json!({"path": "notes/"})),
        reason: Some("only this".to_owned()),
        by: Some("ada".to_owned()),
    };
    assert_eq!(answer.unwrap(), expected);
    run.complete("done").await.unwrap();
}

#[tokio::test]
async fn a_question_with_a_schema_of_another_document_is_refused() {
    let server = Server::start().await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let schema = Some(json!({"$ref": "http://127.0.0.1:9/schema.json"}));
    let refused = run.ask_with(Question { schema, ..Question::new("?") }).await;
    let Err(PublishError::Event(EventError::Invalid(invalid))) = refused else { panic!("{refused:?}") };
    assert_eq!(invalid.field, "schema");
    assert_eq!(server.head("t").await, 1);
}

// PROTOCOL: SND-12
#[tokio::test]
async fn a_question_that_was_redacted_can_only_be_denied() {
    let server = Server::start().await;
    let (asked, event) =
        asks(&server, Question { schema: Some(json!({})), ..Question::new("secret?") }).await;
    assert!(server.bridge.redact(&key("t"), 2).await.unwrap());
    let mut page = Page::open(&server, "ada", json!([])).await;
    let approve = |decision: &str, payload: Value| {
        let mut frame = json!({"type": "approve", "id": decision, "stream": "t", "runId": event["runId"], "approvalId": event["approvalId"], "decision": decision});
        frame.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
        frame
    };
    page.send(approve("approved", json!({"payload": 1}))).await;
    assert_eq!(page.next().await["error"]["code"], "invalid_answer");
    page.send(approve("denied", json!({}))).await;
    assert_eq!(page.next().await["status"], "accepted");
    assert_eq!(within(asked).await.unwrap().0.unwrap().decision, Decision::Denied);
}

// PROTOCOL: SND-13
#[tokio::test]
async fn a_question_that_nobody_answers_in_time_expires() {
    let server = Server::start().await;
    let expires_in = Some(Duration::from_millis(20));
    let (asked, event) = asks(&server, Question { expires_in, ..Question::new("?") }).await;
    let (answer, _run) = within(asked).await.unwrap();
    let expected =
        Answer { decision: Decision::Expired, payload: None, edited_args: None, reason: None, by: None };
    assert_eq!(answer.unwrap(), expected);
    let resolved = server.events("t").await.pop().unwrap();
    assert!(resolved["time"].as_u64() >= event["expiresAt"].as_u64(), "{resolved} {event}");
    assert_eq!((&resolved["decision"], resolved.get("user")), (&json!("expired"), None));
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(json!({"type": "approve", "id": "a", "stream": "t", "runId": event["runId"], "approvalId": event["approvalId"], "decision": "approved"}))
        .await;
    let late = json!({"type": "receipt", "id": "a", "stream": "t", "status": "already_resolved", "decision": "expired"});
    assert_eq!(page.next().await, late);
}

// PROTOCOL: SND-13, LIF-5
#[tokio::test]
async fn a_question_that_expired_while_no_server_ran_has_expired() {
    let log = MemoryLog::new();
    let started = json!({"type": "agent_started", "runId": "r", "agent": "a"}).to_string();
    let ask = |id: &str| {
        json!({"type": "approval_requested", "runId": "r", "approvalId": id, "prompt": "?"}).to_string()
    };
    let terms = |offset, expires_at_ms| Terms { offset, expires_at_ms, ..Terms::default() };
    let requested = |id: &str, terms| Fact::ApprovalRequested { run: "r".into(), approval: id.into(), terms };
    let record = Record {
        seq: 1,
        first: 1,
        events: vec![started.into(), ask("old").into(), ask("later").into()],
        facts: vec![
            Fact::RunStarted { run: "r".into(), offset: 1, origin: Origin::default() },
            requested("old", terms(2, Some(5))),
            requested("later", terms(3, Some(u64::MAX))),
        ],
        at_ms: 1,
        is_open: true,
    };
    log.append(&key("t"), 0, record.into()).await.unwrap();
    let server = Server::with(|builder| builder.log(log)).await;
    let after: Vec<_> = server.events("t").await.split_off(3);
    assert_eq!(
        (&after[0]["type"], &after[0]["approvalId"], &after[0]["decision"]),
        (&json!("approval_resolved"), &json!("old"), &json!("expired"))
    );
    assert_eq!((&after[1]["type"], after.len()), (&json!("agent_died"), 2));
    let mut page = Page::open(&server, "ada", json!([])).await;
    for (approval, status) in [("old", "already_resolved"), ("later", "run_over")] {
        page.send(json!({"type": "approve", "id": approval, "stream": "t", "runId": "r", "approvalId": approval, "decision": "approved"}))
            .await;
        assert_eq!(page.next().await["status"], status);
    }
}

// PROTOCOL: SIG-1
#[tokio::test]
async fn signals_reach_the_other_sockets_of_the_stream_only() {
    let server = Server::start().await;
    let mut from = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    let mut to = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    let mut elsewhere = Page::open(&server, "ada", json!([{"name": "u"}])).await;
    let mut bob = Page::open(&server, "bob", json!([{"name": "t"}])).await;
    for page in [&mut from, &mut to, &mut elsewhere, &mut bob] {
        page.until("caughtUp").await;
    }
    from.send(json!({"type": "signal", "stream": "t", "signal": {"type": "typing", "active": true}})).await;
    let expected = json!({
        "type": "signal", "stream": "t", "from": "ada",
        "signal": {"type": "typing", "active": true}, "expiresInMs": 5_000
    });
    assert_eq!(to.next().await, expected);
    for page in [&mut from, &mut elsewhere, &mut bob] {
        page.nothing_before_pong(1).await;
    }
    assert_eq!(server.head("t").await, 0);
    from.send(json!({"type": "signal", "stream": "t", "signal": {"type": "x", "text": "x".repeat(5_000)}}))
        .await;
    assert_eq!(from.next().await["code"], "message_too_large");
}

// PROTOCOL: SIG-1, GEN-7
#[tokio::test]
async fn a_signal_that_fits_into_no_frame_to_others_is_refused() {
    let limits = Limits { max_frame_bytes: 4_096, ..Limits::default() };
    let server = Server::with(|builder| builder.limits(limits)).await;
    let mut from = Page::open(&server, "ada", json!([])).await;
    let mut to = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    to.until("caughtUp").await;
    let signal = |bytes: usize| json!({"type": "signal", "stream": "t", "signal": {"type": "x", "text": "x".repeat(bytes)}});
    let longest = 4_096 - signal(0).to_string().len();
    // The frame to the others says more: who it is from, and how long it is worth showing.
    from.send(signal(longest)).await;
    let error = from.next().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("message_too_large")));
    from.send(signal(longest - 40)).await;
    from.nothing_before_pong(1).await;
    let received = to.next_text().await;
    assert!(received.len() <= 4_096, "{} bytes", received.len());
    assert!(received.starts_with(r#"{"type":"signal""#));
}

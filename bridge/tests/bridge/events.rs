//! What may be published, and what an agent writes with.

use agentwire_bridge::events::{self, Event, types};
use agentwire_bridge::{AgentError, EventError, PublishError, RunStart, Severity, ToolStart, Turn};
use serde_json::{Map, Value, json};

use crate::support::{Page, Server, within};

/// The events of the thread `t` without their times; each is as the table says.
async fn stored(server: &Server) -> Vec<Value> {
    let check = |event: Value| {
        let Value::Object(mut fields) = event else { panic!("{event}") };
        events::check(&fields).unwrap();
        assert!(fields.remove("time").unwrap().is_u64());
        fields.remove("durationMs");
        Value::Object(fields)
    };
    server.events("t").await.into_iter().map(check).collect()
}

fn invalid(published: Result<impl std::fmt::Debug, PublishError>) -> String {
    match published.unwrap_err() {
        PublishError::Event(EventError::Invalid(invalid)) => invalid.to_string(),
        error => panic!("{error}"),
    }
}

// PROTOCOL: RUN-6
#[tokio::test]
async fn nothing_is_stored_of_what_has_a_bad_event() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    let started = json!({"type": "agent_started", "runId": "r", "agent": "a"});
    let bad = json!({"type": "tool_completed", "runId": "r", "toolCallId": "c", "success": "yes"});
    let published = emitter.publish_all(vec![json!({"type": "note"}), started.clone(), bad]).await;
    assert_eq!(invalid(published), "`success` of `tool_completed` must be true or false");
    assert_eq!(server.head("t").await, 0);
    emitter.publish(started).await.unwrap();

    let run = emitter.run("a").await.unwrap();
    let published = run.publish(json!({"type": "message_delta", "messageId": "", "text": "x"})).await;
    assert_eq!(invalid(published), "`messageId` of `message_delta` must be text of 1 to 128 bytes");
    let endless = ToolStart { name: "x".to_owned(), estimated_ms: Some(u64::MAX), ..ToolStart::default() };
    assert_eq!(
        invalid(run.tool_with(endless).await),
        "`estimatedMs` of `tool_executing` must be an integer from 0 to 2^53 - 1, without a fraction"
    );
    assert_eq!(server.head("t").await, 2);
    // The run goes on.
    run.complete("done").await.unwrap();
}

// PROTOCOL: RUN-6, SND-15
#[tokio::test]
async fn a_page_is_told_which_field_of_its_message_is_bad() {
    let server = Server::start().await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    let message = json!({"type": "user_message", "content": "hi", "metadata": [1]});
    page.send(json!({"type": "send", "id": "s", "stream": "t", "message": message})).await;
    let error = &page.next().await["error"];
    assert_eq!(error["code"], "invalid_message");
    assert_eq!(error["message"], "`metadata` of `user_message` must be an object");
    page.send(json!({"type": "edit", "id": "e", "stream": "t", "sendId": "s", "message": message})).await;
    let error = &page.next().await["error"];
    assert_eq!(error["code"], "invalid_message");
    assert_eq!(error["message"], "`metadata` of `message_edited` must be an object");
    assert_eq!(server.head("t").await, 0);
}

#[tokio::test]
async fn an_agent_writes_every_event_that_is_its_own() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    let start = RunStart { task: Some("Sort the mail".to_owned()), ..RunStart::from("triage") };
    let accepted = emitter.accept(start).await.unwrap();
    let id = accepted.id().to_owned();
    let run = accepted.start().await.unwrap();
    run.respond("On it.").await.unwrap();
    let mut args = run.tool_args();
    let tool_id = args.id().to_owned();
    for piece in ["{\"q\":", "", "1}"] {
        args.delta(piece).await.unwrap();
    }
    let tool =
        args.start(ToolStart { name: "search".to_owned(), args: json!({"q": 1}), ..ToolStart::default() });
    tool.await.unwrap().complete(json!([])).await.unwrap();
    let error = AgentError {
        severity: Severity::Low,
        suggestions: vec!["Wait".to_owned()],
        retry_after_ms: Some(u64::MAX),
        user_message: Some("Slow today.".to_owned()),
        details: Some(json!({"status": 529})),
        ..AgentError::new("busy", "answered 529")
    };
    run.report(error.clone()).await.unwrap();
    let thinking = types::AgentThinking {
        common: types::OfRun { run_id: id.clone(), ..types::OfRun::default() },
        progress: Some(50.0),
        ..types::AgentThinking::default()
    };
    emitter.publish(Event::AgentThinking(thinking).into()).await.unwrap();
    run.fail(error).await.unwrap();
    let failed = |recoverable: bool| {
        json!({"type": "agent_error", "runId": id, "code": "busy", "message": "answered 529", "severity": "low",
            "recoverable": recoverable, "suggestions": ["Wait"], "retryAfterMs": events::MAX_INTEGER,
            "userMessage": "Slow today.", "details": {"status": 529}})
    };
    let expected = json!([
        {"type": "run_accepted", "runId": id, "agent": "triage"},
        {"type": "agent_started", "runId": id, "agent": "triage", "task": "Sort the mail"},
        {"type": "agent_response", "runId": id, "content": "On it."},
        {"type": "tool_args_delta", "runId": id, "toolCallId": tool_id, "text": "{\"q\":"},
        {"type": "tool_args_delta", "runId": id, "toolCallId": tool_id, "text": "1}"},
        {"type": "tool_executing", "runId": id, "toolCallId": tool_id, "toolName": "search", "args": {"q": 1}},
        {"type": "tool_completed", "runId": id, "toolCallId": tool_id, "toolName": "search", "success": true, "result": []},
        failed(true),
        {"type": "agent_thinking", "runId": id, "progress": 50.0},
        failed(false),
    ]);
    assert_eq!(Value::from(stored(&server).await), expected);
}

#[tokio::test]
async fn what_is_dropped_before_it_begins_is_ended() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    let run = emitter.run("a").await.unwrap();
    // Nobody knows of it.
    drop(run.tool_args());
    let mut args = run.tool_args();
    let tool_id = args.id().to_owned();
    args.delta("{").await.unwrap();
    drop(args);
    let ended = server.until_event("t", "tool_completed").await;
    assert_eq!((&ended["toolCallId"], &ended["success"]), (&json!(tool_id), &json!(false)));
    run.complete("done").await.unwrap();
    let accepted = emitter.accept("b").await.unwrap();
    let id = accepted.id().to_owned();
    drop(accepted);
    let died = server.until_event("t", "agent_died").await;
    assert_eq!((&died["runId"], &died["cause"]), (&json!(id), &json!("dropped")));
    emitter.accept("c").await.unwrap().cancel("not needed").await.unwrap();
    assert_eq!(server.until_event("t", "agent_cancelled").await["reason"], "not needed");
    assert_eq!(stored(&server).await.len(), 8);
}

// PROTOCOL: SND-21
#[tokio::test]
async fn a_run_that_is_accepted_claims_its_message() {
    let server = Server::with(|builder| {
        builder.agent(async |turn: Turn| {
            let accepted = turn.accept("slow").await?;
            accepted.start().await?.complete("done").await?;
            Ok(())
        })
    })
    .await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut page = Page::open(&server, "ada", json!([])).await;
    let message = json!({"type": "user_message", "content": "hi"});
    page.send(
        json!({"type": "send", "id": "s", "stream": "t", "traceparent": traceparent, "message": message}),
    )
    .await;
    within(server.until_event("t", "agent_completed")).await;
    let events = stored(&server).await;
    let id = events[1]["runId"].clone();
    let first = |kind: &str| {
        let fields =
            json!({"type": kind, "runId": id, "agent": "slow", "sendId": "s", "traceparent": traceparent});
        serde_json::from_value::<Map<String, Value>>(fields).unwrap()
    };
    let expected = json!([first("run_accepted"), first("agent_started")]);
    assert_eq!(json!(events[1..3]), expected);
    assert_eq!(events.len(), 4);
}

//! The life of a run.

use agentwire_bridge::{AgentError, Completion, PublishError, Severity, Thinking, ToolStart, Urgency};
use serde_json::{Value, json};

use crate::support::{Page, Server, within};

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn without_time(mut event: Value) -> Value {
    let fields = event.as_object_mut().unwrap();
    assert!(fields.remove("time").unwrap().is_u64());
    event
}

// PROTOCOL: RUN-4
#[tokio::test]
async fn a_run_writes_what_the_protocol_says() {
    let server = Server::start().await;
    let run = server.bridge.emitter("ada", "t").run("triage").await.unwrap();
    let id = run.id().to_owned();
    assert_eq!(run.thinking("Reading").await.unwrap().offset, 2);
    let thinking = Thinking {
        text: Some("Counting".to_owned()),
        step: Some(2),
        total_steps: Some(3),
        progress: Some(150.0),
        remaining_ms: Some(40),
        urgency: Some(Urgency::High),
    };
    run.thinking_with(thinking).await.unwrap();
    let first = run.tool("search", json!({"q": "x"})).await.unwrap();
    let start = ToolStart {
        name: "search".to_owned(),
        purpose: Some("to compare".to_owned()),
        ..ToolStart::default()
    };
    let second = run.tool_with(start).await.unwrap();
    let (first_id, second_id) = (first.id().to_owned(), second.id().to_owned());
    assert_ne!(first_id, second_id);
    second.fail("not found").await.unwrap();
    first.complete(json!({"n": 2})).await.unwrap();
    let mut message = run.message();
    let message_id = message.id().to_owned();
    for text in ["Two", "", " files"] {
        message.delta(text).await.unwrap();
    }
    message.complete().await.unwrap();
    run.publish(json!({"type": "custom", "x": 1})).await.unwrap();
    let child = run.child("helper").await.unwrap();
    let child_id = child.id().to_owned();
    child.fail(AgentError { severity: Severity::Low, ..AgentError::new("nope", "no luck") }).await.unwrap();
    let done = Completion { result: Some(json!([1])), summary: Some("Done.".to_owned()), usage: None };
    run.complete(done).await.unwrap();
    let mut events: Vec<_> = server.events("t").await.into_iter().map(without_time).collect();
    for index in [5, 6, 13] {
        let duration = events[index].as_object_mut().unwrap().remove("durationMs");
        assert!(duration.unwrap().is_u64(), "{index}");
    }
    let expected = json!([
        {"type": "agent_started", "runId": id, "agent": "triage"},
        {"type": "agent_thinking", "runId": id, "text": "Reading"},
        {"type": "agent_thinking", "runId": id, "text": "Counting", "step": 2, "totalSteps": 3, "progress": 100.0,
         "remainingMs": 40, "urgency": "high"},
        {"type": "tool_executing", "runId": id, "toolCallId": first_id, "toolName": "search", "args": {"q": "x"}},
        {"type": "tool_executing", "runId": id, "toolCallId": second_id, "toolName": "search", "purpose": "to compare"},
        {"type": "tool_completed", "runId": id, "toolCallId": second_id, "toolName": "search", "success": false, "error": "not found"},
        {"type": "tool_completed", "runId": id, "toolCallId": first_id, "toolName": "search", "success": true, "result": {"n": 2}},
        {"type": "message_delta", "runId": id, "messageId": message_id, "text": "Two"},
        {"type": "message_delta", "runId": id, "messageId": message_id, "text": " files"},
        {"type": "message_completed", "runId": id, "messageId": message_id, "content": "Two files"},
        {"type": "custom", "runId": id, "x": 1},
        {"type": "agent_started", "runId": child_id, "agent": "helper", "parentRunId": id},
        {"type": "agent_error", "runId": child_id, "code": "nope", "message": "no luck", "severity": "low", "recoverable": false},
        {"type": "agent_completed", "runId": id, "result": [1], "summary": "Done."},
    ]);
    assert_eq!(Value::from(events), expected);
}

#[tokio::test]
async fn a_dropped_run_is_written_as_died() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    let run = emitter.run("a").await.unwrap();
    let tool = run.tool("search", Value::Null).await.unwrap();
    drop(tool);
    assert_eq!(server.until_event("t", "tool_completed").await["error"], "the tool call was dropped");
    drop(run);
    assert_eq!(server.until_event("t", "agent_died").await["cause"], "dropped");
    let mut page = Page::open(&server, "ada", json!([{"name": "t"}])).await;
    assert_eq!(page.until("caughtUp").await["openRuns"], json!([]));
    // Outside of the runtime, too.
    let run = emitter.run("b").await.unwrap();
    let id = run.id().to_owned();
    std::thread::spawn(move || drop(run)).join().unwrap();
    loop {
        let frame = page.until("events").await;
        let died = |event: &Value| event["type"] == "agent_died" && event["runId"] == id.as_str();
        if frame["events"].as_array().unwrap().iter().any(died) {
            break;
        }
    }
}

// PROTOCOL: RUN-1
#[tokio::test]
async fn nothing_of_a_run_follows_its_end() {
    let server = Server::start().await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let tool = run.tool("search", Value::Null).await.unwrap();
    let dropped = run.tool("search", Value::Null).await.unwrap();
    let mut message = run.message();
    message.delta("a").await.unwrap();
    run.complete("done").await.unwrap();
    drop(dropped);
    assert_eq!(tool.complete(json!(1)).await.unwrap_err(), PublishError::RunEnded);
    message.delta("b").await.unwrap();
    assert_eq!(message.complete().await.unwrap_err(), PublishError::RunEnded);
    // Nothing is under way any more after the shutdown.
    server.bridge.shutdown().await;
    let events = server.events("t").await;
    let begun = ["agent_started", "tool_executing", "tool_executing", "message_delta"];
    // The run ends its tool calls with itself.
    let ended = ["tool_completed", "tool_completed", "agent_completed"];
    assert_eq!(types(&events), [&begun[..], &ended].concat());
}

#[tokio::test]
async fn a_run_that_is_cancelled_while_it_asks_hears_of_it() {
    let server = Server::start().await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let id = run.id().to_owned();
    let asked = tokio::spawn(async move {
        let answer = run.ask("?", Vec::new()).await;
        run.cancel("requested").await.unwrap();
        answer
    });
    server.until_event("t", "approval_requested").await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    page.send(json!({"type": "cancel", "id": "c", "stream": "t", "runId": id})).await;
    assert_eq!(page.next().await["status"], "cancelled");
    assert_eq!(within(asked).await.unwrap(), Err(PublishError::Cancelled));
}

#[tokio::test]
async fn a_run_that_is_ended_from_outside_while_it_asks_hears_of_it() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    let run = emitter.run("a").await.unwrap();
    let id = run.id().to_owned();
    let asked = tokio::spawn(async move { run.ask("?", Vec::new()).await });
    server.until_event("t", "approval_requested").await;
    emitter.publish(json!({"type": "agent_died", "runId": id, "cause": "timeout"})).await.unwrap();
    assert_eq!(within(asked).await.unwrap(), Err(PublishError::RunEnded));
}

#[tokio::test]
async fn a_message_that_is_dropped_is_completed_as_interrupted() {
    let server = Server::start().await;
    let run = server.bridge.emitter("ada", "t").run("a").await.unwrap();
    let mut message = run.message();
    message.delta("half of ").await.unwrap();
    drop(message);
    let end = server.until_event("t", "message_completed").await;
    assert_eq!((&end["content"], &end["interrupted"]), (&json!("half of "), &json!(true)));
    // One without text was never there, and one that is complete ends once.
    drop(run.message());
    let mut whole = run.message();
    whole.delta("all").await.unwrap();
    whole.complete().await.unwrap();
    let mut late = run.message();
    late.delta("late").await.unwrap();
    run.complete("done").await.unwrap();
    drop(late);
    server.bridge.shutdown().await;
    let events = server.events("t").await;
    let ends: Vec<_> = events.iter().filter(|event| event["type"] == "message_completed").collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert_eq!(ends[1].get("interrupted"), None);
    assert_eq!(events.last().unwrap()["type"], "agent_completed");
}

// PROTOCOL: RUN-1; D9
#[tokio::test]
async fn a_plain_emitter_cannot_write_to_a_run_that_is_over() {
    let server = Server::start().await;
    let emitter = server.bridge.emitter("ada", "t");
    let run = emitter.run("a").await.unwrap();
    let delta = json!({"type": "message_delta", "runId": run.id(), "messageId": "m", "text": "late"});
    emitter.publish(delta.clone()).await.unwrap();
    run.complete("done").await.unwrap();
    assert_eq!(emitter.publish(delta).await, Err(PublishError::RunEnded));
    assert_eq!(server.head("t").await, 3);
}

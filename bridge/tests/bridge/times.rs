//! The time that runs and tool calls have, in virtual time.

use std::future;
use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{Bridge, Hs256, MemoryLog, PublishError, Run, RunStart, ToolStart, Turn};
use serde_json::{Value, json};
use tokio::time::{Instant, advance, sleep};

use crate::support::{Page, SECRET, Server, key, within};

const SECOND: Duration = Duration::from_secs(1);

async fn bridge(
    build: impl FnOnce(agentwire_bridge::BridgeBuilder) -> agentwire_bridge::BridgeBuilder,
) -> Bridge {
    let builder = Bridge::builder().log(MemoryLog::new()).authenticator(Hs256::new(SECRET).unwrap());
    build(builder).build().await.unwrap()
}

/// The events of the thread `t`; each is as the table says.
async fn stored(bridge: &Bridge) -> Vec<Value> {
    let page = bridge.log().read(&key("t"), 1, usize::MAX, usize::MAX).await.unwrap();
    let read = |body: &Arc<str>| {
        let event = serde_json::from_str(body).unwrap();
        agentwire_bridge::events::check(&event).unwrap();
        Value::Object(event)
    };
    page.bodies.iter().map(read).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn start(timeout: Option<u64>, heartbeat: Option<u64>) -> RunStart {
    let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
    RunStart { timeout: seconds(timeout), heartbeat: seconds(heartbeat), ..RunStart::from("a") }
}

/// When the run is over, and whether the agent is notified.
async fn ends_after(run: &Run) -> Duration {
    let began = Instant::now();
    run.cancelled().await;
    began.elapsed()
}

/// Lets what is due be written.
async fn settled(bridge: &Bridge, count: usize) -> Vec<Value> {
    loop {
        let events = stored(bridge).await;
        if events.len() >= count {
            return events;
        }
        sleep(Duration::from_millis(1)).await;
    }
}

// PROTOCOL: RUN-8
#[tokio::test(start_paused = true)]
async fn a_run_that_takes_too_long_is_warned_and_ended() {
    let bridge = bridge(|builder| builder).await;
    let run = bridge.emitter("ada", "t").run(start(Some(100), None)).await.unwrap();
    assert_eq!(ends_after(&run).await.as_secs(), 100);
    let events = settled(&bridge, 3).await;
    assert_eq!(types(&events), ["agent_started", "agent_error", "agent_died"]);
    assert_eq!((&events[1]["code"], &events[1]["recoverable"]), (&json!("timeout_soon"), &json!(true)));
    assert_eq!(events[1]["details"], json!({"limitMs": 100_000, "leftMs": 20_000}));
    assert_eq!(events[2]["cause"], "timeout");
    assert_eq!(run.thinking("late").await.unwrap_err(), PublishError::RunEnded);
}

// PROTOCOL: RUN-8
#[tokio::test(start_paused = true)]
async fn a_silent_run_is_ended_and_one_with_signs_of_life_is_not() {
    let bridge = bridge(|builder| builder).await;
    let emitter = bridge.emitter("ada", "t");
    let run = emitter.run(start(None, Some(10))).await.unwrap();
    for _ in 0..5 {
        advance(7 * SECOND).await;
        run.heartbeat();
    }
    advance(7 * SECOND).await;
    run.thinking("still here").await.unwrap();
    // A part of the run speaks for the whole.
    let child = run.child("b").await.unwrap();
    for _ in 0..3 {
        advance(7 * SECOND).await;
        child.thinking("working").await.unwrap();
    }
    child.complete("done").await.unwrap();
    // What a warning is about can still be mended.
    sleep(9 * SECOND).await;
    run.heartbeat();
    assert!(!run.is_cancelled());
    assert_eq!(ends_after(&run).await.as_secs(), 10);
    let events = settled(&bridge, 10).await;
    assert_eq!(
        types(&events)[6..],
        ["agent_completed", "agent_error", "agent_error", "agent_died"],
        "{events:?}"
    );
    assert_eq!((&events[8]["code"], &events[9]["cause"]), (&json!("heartbeat_late"), &json!("no_heartbeat")));
}

// PROTOCOL: RUN-8
#[tokio::test(start_paused = true)]
async fn time_stands_still_while_a_person_is_asked() {
    let bridge = bridge(|builder| builder).await;
    let run = bridge.emitter("ada", "t").run(start(Some(100), Some(50))).await.unwrap();
    let tool = ToolStart { name: "x".to_owned(), timeout: Some(20 * SECOND), ..ToolStart::default() };
    let tool = run.tool_with(tool).await.unwrap();
    // Nobody answers, and the question is given up.
    let asked = tokio::time::timeout(Duration::from_secs(86_400), run.ask("May I?", Vec::new())).await;
    assert!(asked.is_err() && !run.is_cancelled());
    assert_eq!(types(&stored(&bridge).await), ["agent_started", "tool_executing", "approval_requested"]);
    let began = Instant::now();
    tool.cancelled().await;
    assert_eq!(began.elapsed().as_secs(), 20);
    assert_eq!(tool.complete(json!(1)).await.unwrap_err(), PublishError::ToolEnded);
    run.heartbeat();
    assert_eq!(ends_after(&run).await.as_secs(), 50);
}

// PROTOCOL: RUN-8
#[tokio::test(start_paused = true)]
async fn a_tool_call_that_takes_too_long_fails_and_its_run_goes_on() {
    let bridge = bridge(|builder| builder).await;
    let run = bridge.emitter("ada", "t").run("a").await.unwrap();
    let slow = ToolStart { name: "x".to_owned(), timeout: Some(10 * SECOND), ..ToolStart::default() };
    let fast = run.tool_with(slow.clone()).await.unwrap();
    let slow = run.tool_with(slow).await.unwrap();
    let id = slow.id().to_owned();
    fast.complete(json!(1)).await.unwrap();
    slow.cancelled().await;
    assert_eq!(slow.fail("too late").await.unwrap_err(), PublishError::ToolEnded);
    run.complete("done").await.unwrap();
    sleep(100 * SECOND).await;
    let events = stored(&bridge).await;
    assert_eq!(
        types(&events)[3..],
        ["tool_completed", "agent_error", "tool_completed", "agent_completed"],
        "{events:?}"
    );
    assert_eq!(events[4]["details"], json!({"limitMs": 10_000, "leftMs": 2_000, "toolCallId": id}));
    assert_eq!((&events[5]["toolCallId"], &events[5]["success"]), (&json!(id), &json!(false)));
    assert_eq!(
        (&events[5]["error"], &events[5]["durationMs"]),
        (&json!("the tool call took too long"), &json!(10_000))
    );
}

// PROTOCOL: RUN-8
#[tokio::test]
async fn an_agent_that_hangs_holds_up_nobody_once_its_run_has_timed_out() {
    let server = Server::with(|builder| {
        builder.agent(async |turn: Turn| {
            let timeout = (turn.message.content == "hang").then_some(Duration::from_millis(50));
            let run = turn.run(RunStart { timeout, ..RunStart::from("a") }).await?;
            if timeout.is_some() {
                future::pending::<()>().await;
            }
            run.complete("done").await?;
            Ok(())
        })
    })
    .await;
    let mut page = Page::open(&server, "ada", json!([])).await;
    for content in ["hang", "work"] {
        let message = json!({"type": "user_message", "content": content});
        page.send(json!({"type": "send", "id": content, "stream": "t", "message": message})).await;
    }
    within(server.until_event("t", "agent_completed")).await;
    let events = server.events("t").await;
    let died = events.iter().find(|event| event["type"] == "agent_died").unwrap();
    assert_eq!(died["cause"], "timeout");
    assert_eq!(types(&events).iter().filter(|kind| **kind == "agent_died").count(), 1);
}

// PROTOCOL: RUN-7
#[tokio::test(start_paused = true)]
async fn a_run_ends_its_open_tool_calls_with_itself() {
    let bridge = bridge(|builder| builder).await;
    let emitter = bridge.emitter("ada", "t");
    let run = emitter.run("a").await.unwrap();
    let ended = run.tool("ended", Value::Null).await.unwrap();
    let open = run.tool("open", Value::Null).await.unwrap();
    let mut args = run.tool_args();
    args.delta("{").await.unwrap();
    let ids = [open.id(), args.id()].map(|id| json!(id));
    ended.complete(json!(1)).await.unwrap();
    run.complete("done").await.unwrap();
    let events = stored(&bridge).await;
    assert_eq!(
        types(&events)[4..],
        ["tool_completed", "tool_completed", "tool_completed", "agent_completed"],
        "{events:?}"
    );
    assert_eq!([events[5]["toolCallId"].clone(), events[6]["toolCallId"].clone()], ids);
    assert_eq!((&events[5]["success"], &events[5]["toolName"]), (&json!(false), &json!("open")));
    assert_eq!(events[5]["error"], "the run ended before the tool call");
    assert_eq!(open.complete(json!(2)).await.unwrap_err(), PublishError::RunEnded);
    drop(args);
    // One that is dropped does the same.
    let run = emitter.run("b").await.unwrap();
    let open = run.tool("open", Value::Null).await.unwrap();
    drop(run);
    let events = settled(&bridge, 12).await;
    assert_eq!(types(&events)[10..], ["tool_completed", "agent_died"]);
    drop(open);
    bridge.shutdown().await;
    assert_eq!(stored(&bridge).await.len(), 12);
}

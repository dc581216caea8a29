//! The agent: each message gets one run with all lifecycle events.

use agentwire_bridge::{AgentError, Turn};
use serde_json::json;

/// Repeats the message word by word, between a thought and a tool call.
pub(crate) async fn answer(turn: Turn) -> Result<(), AgentError> {
    let run = turn.run("stand").await?;
    run.thinking("What was said?").await?;
    let tool = run.tool("repeat", json!({ "words": turn.message.content.split(' ').count() })).await?;
    let mut answer = run.message();
    for word in turn.message.content.split_inclusive(' ') {
        answer.delta(word).await?;
    }
    answer.complete().await?;
    tool.complete(json!({ "repeated": true })).await?;
    run.complete("Repeated.").await?;
    Ok(())
}

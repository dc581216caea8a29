//! The agent: each message gets one run with all lifecycle events.

use agentwire_bridge::{AgentError, Run, Turn};
use serde::Deserialize;
use serde_json::json;

/// What the agent reads of a message beside its text. A value of the whole could be large.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Marks {
    mark: String,
    ask: bool,
}

/// Repeats the message word by word, between a thought and a tool call.
///
/// Two fields of a message change that. `mark`, a text, comes back in each event that the agent writes itself, so that
/// a check can see whose it is. `ask`, true, makes the agent ask before it answers; it takes what steers it meanwhile.
pub(crate) async fn answer(turn: Turn) -> Result<(), AgentError> {
    let message = &turn.message;
    let Marks { mark, ask: asks } = serde_json::from_str(message.json()).unwrap_or_default();
    let mark = mark.as_str();
    let run = turn.run("stand").await?;
    run.thinking(&format!("What was said? {mark}")).await?;
    if asks {
        ask(&run, mark).await?;
    }
    let tool =
        run.tool("repeat", json!({ "words": message.content.split(' ').count(), "mark": mark })).await?;
    let mut answer = run.message();
    for word in message.content.split_inclusive(' ') {
        answer.delta(word).await?;
    }
    answer.complete().await?;
    tool.complete(json!({ "repeated": true, "mark": mark })).await?;
    run.complete(format!("Repeated. {mark}")).await?;
    Ok(())
}

/// Waits until a person has decided. What steers the run becomes its thought.
async fn ask(run: &Run, mark: &str) -> Result<(), AgentError> {
    let question = format!("Shall it be repeated? {mark}");
    let answer = run.ask(&question, Vec::new());
    tokio::pin!(answer);
    loop {
        tokio::select! {
            answer = &mut answer => return Ok(answer.map(drop)?),
            steering = run.steering() => run.thinking(&format!("Taken: {}", steering?.content)).await?,
        };
    }
}

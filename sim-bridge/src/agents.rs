//! Agents that do what a message tells them: its text is the seed of a script.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agentwire_bridge::{Agent, AgentError, PublishError, Question, Run, Turn, UserMessage};
use agentwire_sim::rng::Rng;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{sleep, timeout};

/// What a scripted panic says.
pub const PANIC: &str = "this panic is in the script";

/// What agents were given: how often each message of each stream.
pub type Given = Arc<Mutex<BTreeMap<(String, String), u32>>>;

/// The text of each message that a run answers or took, by run and message.
pub type Texts = Arc<Mutex<BTreeMap<(String, String), String>>>;

/// Follows scripts.
#[derive(Clone, Debug, Default)]
pub struct Scripted {
    /// What it was given.
    pub given: Given,
    /// What its runs were given.
    pub texts: Texts,
}

impl Agent for Scripted {
    async fn handle(&self, turn: Turn) -> Result<(), AgentError> {
        let key = (turn.message.stream.to_string(), turn.message.send_id.clone());
        *self.given.lock().entry(key).or_default() += 1;
        let script = turn.message.content.rsplit(' ').next().and_then(|text| text.parse().ok());
        let mut rng = Rng::new(script.unwrap_or(0));
        match rng.below(16) {
            0 => return Ok(()),
            1 => return Err(AgentError::new("refused", "the script says so")),
            2 => panic!("{PANIC}"),
            _ => {}
        }
        let run = turn.run("scripted").await?;
        self.has(&run, &turn.message);
        for _ in 0..rng.below(7) {
            if run.is_cancelled() {
                run.cancel("as asked").await?;
                return Ok(());
            }
            self.step(&run, &mut rng).await?;
        }
        match rng.below(12) {
            0 => drop(run),
            1 => drop(run.fail(AgentError::new("failed", "the script says so")).await?),
            2 => return Err(AgentError::new("broken", "the script says so")),
            3 => panic!("{PANIC}"),
            4 => {
                // Nobody waits for it to say that it is cancelled.
                tokio::select! {
                    biased;
                    () = run.cancelled() => drop(run.cancel("as asked").await?),
                    () = sleep(Duration::from_secs(4)) => drop(run.complete("late").await?),
                }
            }
            _ => drop(run.complete("done").await?),
        }
        Ok(())
    }
}

impl Scripted {
    /// Takes note of what a run was given.
    fn has(&self, run: &Run, message: &UserMessage) {
        let key = (run.id().to_owned(), message.send_id.clone());
        self.texts.lock().insert(key, message.content.clone());
    }

    async fn step(&self, run: &Run, rng: &mut Rng) -> Result<(), PublishError> {
        match rng.below(11) {
            0 => drop(run.thinking(&"hm ".repeat(rng.between(1, 40) as usize)).await?),
            1 => {
                let tool = run.tool("search", json!({ "n": rng.below(100) })).await?;
                sleep(Duration::from_millis(rng.below(300))).await;
                if rng.one_in(3) {
                    tool.fail("nothing").await?
                } else {
                    tool.complete(json!({ "n": 1 })).await?
                };
            }
            2 => drop(run.tool("forgotten", json!({})).await?),
            3 | 4 => {
                let mut message = run.message();
                // Sometimes as fast as they are taken: enough in a record for a `deltas` frame.
                let deltas = if rng.one_in(3) { rng.between(8, 40) } else { rng.between(1, 6) };
                for _ in 0..deltas {
                    message.delta(&"word ".repeat(size(rng))).await?;
                }
                if rng.one_in(4) { drop(message) } else { drop(message.complete().await?) }
            }
            5 => {
                let child = run.child("helper").await?;
                child.thinking("below").await?;
                if rng.one_in(2) {
                    child.complete("below").await?;
                }
            }
            6 => ask(run, rng).await?,
            7 | 8 => {
                let patience = Duration::from_millis(rng.between(20, 1_500));
                if let Ok(message) = timeout(patience, run.steering()).await {
                    self.has(run, &message?);
                }
            }
            _ => sleep(Duration::from_millis(rng.below(900))).await,
        }
        Ok(())
    }
}

/// Asks a person. A question that was given up stays open until its run is over.
async fn ask(run: &Run, rng: &mut Rng) -> Result<(), PublishError> {
    let mut question = Question::new("may it?");
    if rng.one_in(2) {
        question.args = Some(json!({ "path": "notes/" }));
        question.editable = rng.one_in(2);
    }
    question.schema = rng.one_in(3).then(|| json!({ "type": "object", "required": ["path"] }));
    question.expires_in = rng.one_in(2).then(|| Duration::from_millis(rng.between(20, 3_000)));
    let patience = Duration::from_millis(rng.between(200, 3_000));
    timeout(patience, run.ask_with(question)).await.map_or(Ok(()), |answer| answer.map(drop))
}

/// Most texts are short; a few are larger than a small window.
fn size(rng: &mut Rng) -> usize {
    (if rng.one_in(9) { rng.between(100, 400) } else { rng.between(1, 12) }) as usize
}

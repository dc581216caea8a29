//! The agent: answers questions about a folder with real tools, by rules and without a model.
//!
//! Each message becomes one run: the question gives a [`Plan`], the plan runs tools, and the answer is streamed word
//! by word. What a tool cannot do ends its call as failed and becomes a part of the answer; the run goes on.

mod answer;
mod speech;
#[cfg(test)]
mod tests;
mod work;

use std::time::Duration;

use agentwire_bridge::{Agent, AgentError, PublishError, Turn};

use crate::plan::Plan;
use crate::tools::Toolbox;

use self::work::{Stop, Work};

/// Name of the agent in its events.
const NAME: &str = "folder-agent";

/// Answers questions about a folder.
#[derive(Clone, Debug)]
pub(crate) struct FolderAgent {
    toolbox: Toolbox,
    pace: Duration,
}

impl FolderAgent {
    /// Makes an agent that pauses for `pace` between the words of its answers.
    pub(crate) fn new(toolbox: Toolbox, pace: Duration) -> Self {
        Self { toolbox, pace }
    }

    async fn answer(self, turn: Turn) -> Result<(), PublishError> {
        let plan = Plan::of(&turn.message.content);
        // The page says so when somebody asks the question of a run again that did not end well.
        let is_again = turn.message.body()["metadata"]["againOf"].is_string();
        let work = Work::new(turn.run(NAME).await?, self.toolbox, self.pace).again(is_again);
        match answer::answer(&work, &plan).await {
            Ok(outcome) => work.complete(outcome).await,
            Err(Stop::Cancelled) => work.into_run().cancel("cancelled by the user").await.map(drop),
            Err(Stop::Failed(error)) => work.into_run().fail(*error).await.map(drop),
            // Something else ended the run, such as a shutdown: there is nothing left to end.
            Err(Stop::Publish(PublishError::RunEnded)) => Ok(()),
            Err(Stop::Publish(error)) => {
                let failure = AgentError {
                    user_message: Some("The answer could not be stored. Please ask again.".into()),
                    suggestions: vec!["Ask again.".into()],
                    ..AgentError::new("publish_failed", error.to_string())
                };
                work.into_run().fail(failure).await.map(drop)
            }
        }
    }
}

impl Agent for FolderAgent {
    async fn handle(&self, turn: Turn) -> Result<(), AgentError> {
        Ok(self.clone().answer(turn).await?)
    }
}

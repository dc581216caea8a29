//! A run under way: thoughts with progress, tool calls, and what they add up to.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use agentwire_bridge::{AgentError, Completion, PublishError, Run, Thinking, ToolStart};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::tools::{Tool, ToolError, Toolbox};

use super::speech::Speech;

/// Why a run does not go on.
#[derive(Debug)]
pub(super) enum Stop {
    /// The user cancelled it.
    Cancelled,
    /// It has failed, and its user gets to know why.
    Failed(Box<AgentError>),
    /// An event could not be published.
    Publish(PublishError),
}

impl From<PublishError> for Stop {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Cancelled => Self::Cancelled,
            other => Self::Publish(other),
        }
    }
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Outcome {
    /// One sentence for people.
    pub(super) summary: String,
    /// The figures for programs.
    pub(super) result: Value,
}

/// A run and what it works with.
#[derive(Debug)]
pub(super) struct Work {
    run: Run,
    toolbox: Toolbox,
    pace: Duration,
    is_again: bool,
    step: AtomicU32,
    total_steps: AtomicU32,
    calls: AtomicUsize,
    failed_calls: AtomicUsize,
    words: AtomicUsize,
}

impl Work {
    /// Begins to work on `run`.
    pub(super) fn new(run: Run, toolbox: Toolbox, pace: Duration) -> Self {
        Self {
            run,
            toolbox,
            pace,
            is_again: false,
            step: AtomicU32::new(0),
            total_steps: AtomicU32::new(1),
            calls: AtomicUsize::new(0),
            failed_calls: AtomicUsize::new(0),
            words: AtomicUsize::new(0),
        }
    }

    /// Says whether the user asks again what came to nothing before.
    pub(super) fn again(self, is_again: bool) -> Self {
        Self { is_again, ..self }
    }

    /// Whether the user asks again what came to nothing before.
    pub(super) fn is_again(&self) -> bool {
        self.is_again
    }

    /// Says how many steps there will be.
    pub(super) fn plan_steps(&self, total: u32) {
        self.total_steps.store(total.max(1), Ordering::Relaxed);
    }

    /// Begins the next step and says what it is.
    pub(super) async fn think(&self, text: impl Into<String>) -> Result<(), Stop> {
        self.check()?;
        let step = self.step.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.total_steps.fetch_max(step, Ordering::Relaxed).max(step);
        let thinking = Thinking {
            text: Some(text.into()),
            step: Some(step),
            total_steps: Some(total),
            // What is done, not what has begun.
            progress: Some(f64::from((step - 1) * 100 / total)),
            ..Thinking::default()
        };
        self.run.thinking_with(thinking).await?;
        Ok(())
    }

    /// Calls a tool. Its error ends the call as failed and is for the caller to deal with; the run goes on.
    pub(super) async fn call<T: Tool>(
        &self,
        tool: T,
        purpose: impl Into<String>,
    ) -> Result<Result<T::Output, ToolError>, Stop> {
        self.check()?;
        let start = ToolStart {
            name: T::NAME.to_owned(),
            args: as_json(&tool),
            purpose: Some(purpose.into()),
            category: Some(T::CATEGORY.to_owned()),
            ..ToolStart::default()
        };
        let call = self.run.tool_with(start).await?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let output = tokio::select! {
            output = self.toolbox.call(tool) => output,
            () = self.run.cancelled() => Err(ToolError::Cancelled),
        };
        match &output {
            Ok(output) => call.complete(as_json(output)).await?,
            Err(error) => {
                self.failed_calls.fetch_add(1, Ordering::Relaxed);
                call.fail(&error.to_string()).await?
            }
        };
        self.check()?;
        Ok(output)
    }

    /// Begins to write an answer.
    pub(super) fn speak(&self) -> Speech<'_> {
        Speech::new(self)
    }

    /// Begins a sub-agent that shares the tools.
    pub(super) async fn child(&self, agent: &str) -> Result<Self, Stop> {
        self.check()?;
        Ok(Self::new(self.run.child(agent).await?, self.toolbox.clone(), self.pace))
    }

    /// The name of the folder, for people.
    pub(super) fn folder_name(&self) -> String {
        self.toolbox.folder_name()
    }

    /// Stops a run that the user cancelled.
    pub(super) fn check(&self) -> Result<(), Stop> {
        if self.run.is_cancelled() { Err(Stop::Cancelled) } else { Ok(()) }
    }

    /// Waits as long as a person needs for a word.
    pub(super) async fn pause(&self) -> Result<(), Stop> {
        self.words.fetch_add(1, Ordering::Relaxed);
        if !self.pace.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(self.pace) => {}
                () = self.run.cancelled() => {}
            }
        }
        self.check()
    }

    /// Adds what a sub-agent did to what this run did.
    pub(super) fn add(&self, child: &Self) {
        for (sum, part) in [(&self.calls, &child.calls), (&self.failed_calls, &child.failed_calls)] {
            sum.fetch_add(part.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// The run.
    pub(super) fn run(&self) -> &Run {
        &self.run
    }

    /// Gives the run back, to end it.
    pub(super) fn into_run(self) -> Run {
        self.run
    }

    /// Ends the run with its summary and counts.
    pub(super) async fn complete(self, outcome: Outcome) -> Result<(), PublishError> {
        let mut result = outcome.result;
        if let Value::Object(fields) = &mut result {
            fields.insert("toolCalls".into(), self.calls.load(Ordering::Relaxed).into());
            fields.insert("failedToolCalls".into(), self.failed_calls.load(Ordering::Relaxed).into());
            fields.insert("words".into(), self.words.load(Ordering::Relaxed).into());
        }
        let completion =
            Completion { result: Some(result), summary: Some(outcome.summary), ..Completion::default() };
        self.run.complete(completion).await.map(drop)
    }
}

impl Outcome {
    /// Makes an outcome of a sentence and figures.
    pub(super) fn new(summary: impl Into<String>, result: Value) -> Self {
        Self { summary: summary.into(), result }
    }

    /// Makes an outcome without figures.
    pub(super) fn plain(summary: impl Into<String>) -> Self {
        Self::new(summary, json!({}))
    }
}

/// Waits for all of `calls`, side by side. Also after an error each of them ends by itself, so that no tool call is
/// left without an end.
pub(super) async fn all<T>(
    calls: impl IntoIterator<Item = impl Future<Output = Result<T, Stop>>>,
) -> Result<Vec<T>, Stop> {
    join_all(calls).await.into_iter().collect()
}

/// Waits for two things as [`all`] does.
pub(super) async fn both<A, B>(
    a: impl Future<Output = Result<A, Stop>>,
    b: impl Future<Output = Result<B, Stop>>,
) -> Result<(A, B), Stop> {
    let (a, b) = join(a, b).await;
    Ok((a?, b?))
}

fn as_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("arguments and results have text keys and no fallible parts")
}

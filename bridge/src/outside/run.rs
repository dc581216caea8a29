//! A run whose agent is in another process: its state, and what its agent is to know.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::agent::UserMessage;
use crate::context::Context;
use crate::live::Answer;
use crate::log::LogError;
use crate::stream::StreamKey;

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunState {
    /// Whether it is not over.
    pub is_open: bool,
    /// Whether a user has cancelled it.
    pub is_cancelled: bool,
}

/// A run that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRun {
    /// Its id.
    pub id: String,
    /// Whether a user has cancelled it.
    pub is_cancelled: bool,
    /// For how long it may be silent, if its agent is in another process.
    pub lease: Option<Duration>,
}

/// A run whose agent may be in another process.
#[derive(Clone)]
pub struct OutsideRun {
    context: Arc<Context>,
    stream: StreamKey,
    id: Arc<str>,
}

/// What the agent of a run is to know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RunSignal {
    /// A user has cancelled the run: its agent ends it.
    Cancelled,
    /// An approval of the run was answered, or has expired.
    Answered {
        /// The id of the approval.
        approval: String,
        /// The answer.
        answer: Answer,
    },
    /// A user sent a message for the run: its agent takes it with an event `steering_taken`.
    Steering {
        /// The message.
        message: UserMessage,
        /// Its place.
        offset: u64,
        /// The place of its text: that of the message, or of its last edit.
        text: u64,
    },
    /// The run is over. Nothing follows.
    Over,
}

/// What the agent of a run is to know, one after the other: first what it was to know before, then what is new.
pub struct Signals {
    run: OutsideRun,
    changes: watch::Receiver<()>,
    is_cancelled: bool,
    is_over: bool,
    /// The place of the last answer that was reported.
    answered: u64,
    /// The places of messages that were reported, and of their texts.
    steered: BTreeSet<(u64, u64)>,
}

impl OutsideRun {
    pub(crate) fn new(context: Arc<Context>, stream: StreamKey, id: Arc<str>) -> Self {
        Self { context, stream, id }
    }

    /// The stream of the run.
    pub fn stream(&self) -> &StreamKey {
        &self.stream
    }

    /// The id of the run.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What its agent is to know.
    pub fn signals(&self) -> Signals {
        Signals {
            changes: self.context.changes.of(&self.stream),
            run: self.clone(),
            is_cancelled: false,
            is_over: false,
            answered: 0,
            steered: BTreeSet::new(),
        }
    }
}

impl Signals {
    /// The next one; waits for it. `None` after [`RunSignal::Over`], for a run that is not there, and when the bridge stops.
    ///
    /// The future can be dropped: nothing is missed.
    pub async fn next(&mut self) -> Result<Option<RunSignal>, LogError> {
        while !self.is_over {
            self.changes.borrow_and_update();
            if let Some(signal) = self.look().await? {
                return Ok(Some(signal));
            }
            if self.is_over {
                break;
            }
            tokio::select! {
                // Whoever waits holds the log, which the next process opens.
                () = self.run.context.closing.cancelled() => break,
                changed = self.changes.changed() => if changed.is_err() { break },
            }
        }
        Ok(None)
    }

    /// The first one that was not reported.
    async fn look(&mut self) -> Result<Option<RunSignal>, LogError> {
        let OutsideRun { context, stream, id } = &self.run;
        let Some(now) = context.journal.run_signals(stream, id).await? else {
            self.is_over = true;
            return Ok(None);
        };
        if now.is_cancelled && !self.is_cancelled {
            self.is_cancelled = true;
            return Ok(Some(RunSignal::Cancelled));
        }
        for (offset, approval) in now.answers {
            if offset <= self.answered {
                continue;
            }
            let page = context.journal.read(stream, offset, 1, usize::MAX).await?;
            self.answered = offset;
            let body = page.bodies.first().filter(|_| page.first == offset);
            // One that was redacted says nothing any more.
            if let Some(answer) = body.and_then(|body| Answer::of(body)) {
                return Ok(Some(RunSignal::Answered { approval: approval.to_string(), answer }));
            }
        }
        let texts = now.steering.iter().map(|(offset, waiting)| (*offset, waiting.edited.unwrap_or(*offset)));
        let texts: BTreeSet<_> = texts.collect();
        self.steered.retain(|known| texts.contains(known));
        for (offset, waiting) in now.steering {
            let text = waiting.edited.unwrap_or(offset);
            if self.steered.contains(&(offset, text)) {
                continue;
            }
            let pending = context.journal.pending(stream, offset, waiting).await?;
            self.steered.insert((offset, text));
            if let Some(pending) = pending {
                let message = UserMessage::new(stream, &pending);
                return Ok(Some(RunSignal::Steering { message, offset, text }));
            }
        }
        if now.is_over {
            self.is_over = true;
            return Ok(Some(RunSignal::Over));
        }
        Ok(None)
    }
}

impl fmt::Debug for OutsideRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, id, .. } = self;
        f.debug_struct("OutsideRun").field("stream", stream).field("id", id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("run", &self.run).finish_non_exhaustive()
    }
}

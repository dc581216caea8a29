//! A message that an agent hands to another process, until a run there claims it.

use std::sync::Arc;

use super::Claim;
use crate::agent::Turn;
use crate::context::Context;
use crate::ledger::Fate;
use crate::log::LogError;
use crate::stream::StreamKey;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A run claimed it, or it was passed by.
    Claimed,
    /// It has another text: the agent gets it again when it has returned.
    Edited,
    /// A user took it back.
    Withdrawn,
}

/// A message that is handed to an agent of another process. It takes no place among those of
/// [`Limits::max_concurrent_turns`](crate::Limits::max_concurrent_turns).
///
/// An agent that hands messages on waits until the thread is [free](Given::free), gives the message to another process,
/// and waits until it is [taken](Given::taken). If it is not in time, the agent gives it to another one. After an error of
/// the log the agent returns it: the message comes again after a pause.
#[derive(Debug)]
pub struct Given<'a> {
    turn: &'a Turn,
    context: Arc<Context>,
    stream: StreamKey,
    offset: u64,
    edited: Option<u64>,
    _pause: Option<crate::bounds::turns::Pause>,
}

impl Turn {
    /// Begins to hand the message to another process.
    pub fn give(&self) -> Given<'_> {
        let emitter = self.emitter();
        Given {
            turn: self,
            context: Arc::clone(emitter.context()),
            stream: self.message.stream.clone(),
            offset: self.offset(),
            edited: self.edited(),
            _pause: emitter.pause(),
        }
    }
}

/// Waits until no run of another process works on a message of the stream.
async fn until_free(context: &Context, stream: &StreamKey) -> Result<(), LogError> {
    let mut changes = context.changes.of(stream);
    loop {
        changes.borrow_and_update();
        if !context.journal.is_answered_outside(stream).await? {
            return Ok(());
        }
        tokio::select! {
            // Whoever waits holds the log, which the next process opens.
            () = context.closing.cancelled() => return Err(LogError::Closed),
            changed = changes.changed() => changed.map_err(|_| LogError::Closed)?,
        }
    }
}

impl Given<'_> {
    /// What a run names that claims the message with the text that was handed over.
    pub fn claim(&self) -> Claim {
        Claim {
            send_id: self.turn.message.send_id.clone(),
            offset: self.offset,
            text: self.edited.unwrap_or(self.offset),
        }
    }

    /// Waits until no run of another process works on an earlier message of the stream: messages of a thread are answered
    /// one after the other. An error says what became of the message meanwhile.
    pub async fn free(&self) -> Result<Result<(), Taken>, LogError> {
        let free = until_free(&self.context, &self.stream);
        tokio::select! {
            biased;
            taken = self.taken() => taken.map(Err),
            free = free => {
                if free.is_err() {
                    self.turn.postpone();
                }
                free.map(Ok)
            }
        }
    }

    /// Waits until no run of another process works on a message of the stream, also after the turn is over. The error
    /// [`LogError::Closed`] says that the bridge stops.
    pub fn until_free(&self) -> impl Future<Output = Result<(), LogError>> + Send + use<> {
        let (context, stream) = (Arc::clone(&self.context), self.stream.clone());
        async move { until_free(&context, &stream).await }
    }

    /// Waits until the message waits no more, or has another text.
    pub async fn taken(&self) -> Result<Taken, LogError> {
        let mut changes = self.context.changes.of(&self.stream);
        loop {
            changes.borrow_and_update();
            if let Some(taken) = self.look().await? {
                return Ok(taken);
            }
            if changes.changed().await.is_err() {
                return Err(LogError::Closed);
            }
        }
    }

    async fn look(&self) -> Result<Option<Taken>, LogError> {
        let fate = self.context.journal.fate(&self.stream, self.offset).await;
        if fate.is_err() {
            self.turn.postpone();
        }
        Ok(match fate? {
            Fate::Waits { edited } if edited == self.edited => None,
            Fate::Waits { .. } => {
                self.turn.outdate();
                Some(Taken::Edited)
            }
            Fate::Withdrawn => Some(Taken::Withdrawn),
            Fate::Claimed => Some(Taken::Claimed),
        })
    }
}

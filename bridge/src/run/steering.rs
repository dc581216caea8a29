//! Messages that steer a run (SND-18).

use serde_json::Map;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::Run;
use crate::agent::UserMessage;
use crate::emitter::PublishError;
use crate::log::LogError;

/// The message that is being taken, by a task that goes on if nobody waits for it any more: what the log says was taken must
/// reach the agent. `None` of a message that was edited or withdrawn meanwhile.
pub(super) type Taking = Mutex<Option<JoinHandle<Result<Option<UserMessage>, PublishError>>>>;

impl Run {
    /// The next message that a user sent to steer this run: writes `steering_taken`, and waits for such a message if there
    /// is none. What the run does not take before its end waits for a run of its own.
    ///
    /// Resolves to [`PublishError::Cancelled`] when the run is cancelled meanwhile, and to [`PublishError::RunEnded`] when it
    /// is ended from outside. The future can be dropped, as by `tokio::select!`: a message that was being taken is then what
    /// the next call returns.
    pub async fn steering(&self) -> Result<UserMessage, PublishError> {
        let core = &self.core;
        let (key, context) = (core.emitter.key()?, core.emitter.context());
        let mut taking = core.taking.lock().await;
        loop {
            if let Some(task) = taking.as_mut() {
                let taken = task.await;
                *taking = None;
                if let Some(message) = taken.map_err(|_| PublishError::Log(LogError::Closed))?? {
                    return Ok(message);
                }
            }
            let steered = core.steered.notified();
            tokio::pin!(steered);
            // Before the look, so that nothing falls between the two.
            steered.as_mut().enable();
            let next = context.journal.next_steering(key, &core.id).await?;
            if let Some(pending) = next.ok_or(PublishError::RunEnded)? {
                let mut fields = Map::new();
                fields.insert("sendId".to_owned(), (*pending.send_id).into());
                let event = core.event("steering_taken", fields)?.claiming(pending.offset, pending.edited);
                let (emitter, precondition) = (core.emitter.clone(), core.precondition());
                let message = UserMessage::new(key, &pending);
                *taking = Some(context.tasks.spawn(async move {
                    match emitter.append(vec![event], precondition).await {
                        Ok(_) => Ok(Some(message)),
                        Err(PublishError::Outdated) => Ok(None),
                        Err(error) => Err(error),
                    }
                }));
                continue;
            }
            tokio::select! {
                () = steered => {}
                () = core.cancelled.cancelled() => return Err(PublishError::Cancelled),
            }
        }
    }
}

//! A question of a run to a person.

use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::RunCore;
use crate::emitter::PublishError;
use crate::live::Decision;

pub(super) async fn ask(core: &RunCore, prompt: &str, options: Vec<Value>) -> Result<Decision, PublishError> {
    let approval: Arc<str> = format!("approval-{}", Uuid::new_v4().simple()).into();
    let mut fields = Map::new();
    fields.insert("approvalId".to_owned(), (*approval).into());
    fields.insert("prompt".to_owned(), prompt.into());
    if !options.is_empty() {
        fields.insert("options".to_owned(), options.into());
    }
    // Waiting begins before the question is visible, so that no answer can come too early.
    let answer =
        core.emitter.context().live.wait_for(core.emitter.key()?.clone(), Arc::clone(&core.id), approval);
    core.write("approval_requested", fields).await?;
    // A person takes as long as it takes: turns that can be worked on go on meanwhile.
    let pause = core.emitter.pause();
    let answer = tokio::select! {
        decision = answer => decision.ok_or(PublishError::RunEnded),
        () = core.cancelled.cancelled() => Err(PublishError::Cancelled),
    };
    // Without an answer there is only an end to write, which waits for no permit: the drop of the pause goes on at once.
    if answer.is_ok()
        && let Some(pause) = pause
    {
        pause.end().await;
    }
    answer
}

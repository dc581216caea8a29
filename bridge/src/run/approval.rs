//! A question of a run to a person.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{RunCore, put};
use crate::clock::now_ms;
use crate::emitter::PublishError;
use crate::event::MAX_INTEGER;
use crate::live::Answer;

/// What a run asks of a person. Only the prompt is required.
///
/// ```
/// use std::time::Duration;
/// use agentwire_bridge::Question;
/// use serde_json::json;
///
/// let question = Question {
///     schema: Some(json!({ "type": "object", "required": ["city"], "properties": { "city": { "type": "string" } } })),
///     expires_in: Some(Duration::from_secs(3_600)),
///     ..Question::new("Where do you want to go?")
/// };
/// assert!(!question.editable);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// The question, for people.
    pub prompt: String,
    /// What a page can offer as answers.
    pub options: Vec<Value>,
    /// A JSON Schema of at most 65,536 bytes that refers to nothing outside of itself. An approval needs a payload that fits
    /// it; when the arguments are editable, it is the edited arguments that have to fit.
    pub schema: Option<Value>,
    /// What the person decides about, such as the arguments of a tool. The answer is bound to them.
    pub args: Option<Value>,
    /// Whether the person may change the arguments.
    pub editable: bool,
    /// The tool call that waits for the answer.
    pub tool_call_id: Option<String>,
    /// After what time the question expires, by the clock of the server. It never does by default.
    pub expires_in: Option<Duration>,
}

impl Question {
    /// A question that is answered by yes or no.
    pub fn new(prompt: impl Into<String>) -> Self {
        Self { prompt: prompt.into(), ..Self::default() }
    }

    fn into_fields(self, approval: &str) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("approvalId".to_owned(), approval.into());
        fields.insert("prompt".to_owned(), self.prompt.into());
        put(&mut fields, "options", (!self.options.is_empty()).then_some(self.options));
        put(&mut fields, "schema", self.schema);
        put(&mut fields, "args", self.args);
        put(&mut fields, "editable", self.editable.then_some(true));
        put(&mut fields, "toolCallId", self.tool_call_id);
        let expires_in = self.expires_in.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        put(&mut fields, "expiresAt", expires_in.map(|ms| now_ms().saturating_add(ms).min(MAX_INTEGER)));
        fields
    }
}

pub(super) async fn ask(core: &RunCore, question: Question) -> Result<Answer, PublishError> {
    let approval: Arc<str> = format!("approval-{}", Uuid::new_v4().simple()).into();
    let fields = question.into_fields(&approval);
    // Waiting begins before the question is visible, so that no answer can come too early.
    let answer =
        core.emitter.context().live.wait_for(core.emitter.key()?.clone(), Arc::clone(&core.id), approval);
    core.write("approval_requested", fields).await?;
    // A person takes as long as it takes: turns that can be worked on go on meanwhile.
    let pause = core.emitter.pause();
    let waiting = core.clock.wait();
    let answer = tokio::select! {
        answer = answer => answer.ok_or(PublishError::RunEnded),
        () = core.cancelled.cancelled() => Err(PublishError::Cancelled),
    };
    drop(waiting);
    core.clock.sign();
    // Without an answer there is only an end to write, which waits for no permit: the drop of the pause goes on at once.
    if answer.is_ok()
        && let Some(pause) = pause
    {
        pause.end().await;
    }
    answer
}

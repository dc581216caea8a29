//! The first events of a run.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::clock::Clock;
use super::steering::Taking;
use super::watch::{RunTimes, watch_run};
use super::{AgentError, Run, RunCore, TurnRuns, put};
use crate::emitter::{Emitter, PublishError};
use crate::event::Event;
use crate::ledger::draft::Precondition;
use crate::live::Reached;
use crate::stream::Position;

/// What is known of a run when it starts. A text is the name of its agent.
///
/// ```
/// use agentwire_bridge::RunStart;
///
/// let start = RunStart { task: Some("Find the tide tables".to_owned()), ..RunStart::from("librarian") };
/// assert_eq!(start.agent, "librarian");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunStart {
    /// Name of the agent. Required.
    pub agent: String,
    /// What it is to do, for people.
    pub task: Option<String>,
    /// How long it may take, without the time for which it waits for a person. When a fifth of it is left, the run gets a
    /// recoverable `agent_error` with the code `timeout_soon`. Then the bridge ends it: `agent_died {cause: "timeout"}`.
    ///
    /// [`Run::cancelled`] resolves then. If the run is of a [`Turn`](crate::Turn), the future of its
    /// [`Agent`](crate::Agent) is dropped.
    pub timeout: Option<Duration>,
    /// For how long it may be silent. A sign of life is each event of it or of a run below it, and [`Run::heartbeat`]. When a
    /// fifth of it is left, the run gets a recoverable `agent_error` with the code `heartbeat_late`. Then the bridge ends it:
    /// `agent_died {cause: "no_heartbeat"}`, as after [`RunStart::timeout`].
    pub heartbeat: Option<Duration>,
}

impl From<&str> for RunStart {
    fn from(agent: &str) -> Self {
        agent.to_owned().into()
    }
}

impl From<&String> for RunStart {
    fn from(agent: &String) -> Self {
        agent.clone().into()
    }
}

impl From<String> for RunStart {
    fn from(agent: String) -> Self {
        Self { agent, ..Self::default() }
    }
}

impl RunStart {
    fn times(&self) -> RunTimes {
        RunTimes { timeout: self.timeout, silence: self.heartbeat }
    }

    /// The fields of `agent_started`.
    fn into_fields(self, answers: Option<&Answers<'_>>) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("agent".to_owned(), self.agent.into());
        put(&mut fields, "task", self.task);
        put(&mut fields, "sendId", answers.map(|answers| answers.send_id));
        put(&mut fields, "traceparent", answers.and_then(|answers| answers.traceparent));
        fields
    }
}

/// A run that exists and has not begun to work, as one that waits for a machine.
///
/// It ends as a [`Run`] does: one that is dropped is written as `agent_died {cause: "dropped"}`.
///
/// ```
/// # async fn example(bridge: agentwire_bridge::Bridge) -> Result<(), agentwire_bridge::PublishError> {
/// let accepted = bridge.emitter("ada", "thread-42").accept("librarian").await?;
/// // Pages show the run. When it is its turn:
/// let run = accepted.start().await?;
/// run.complete("Found three tide tables.").await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a run that is dropped is written as died"]
pub struct AcceptedRun {
    run: Run,
    /// Those of its `agent_started`.
    fields: Map<String, Value>,
    times: RunTimes,
}

/// The message that a run answers.
pub(crate) struct Answers<'a> {
    pub(crate) send_id: &'a str,
    /// The trace that it belongs to.
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) offset: u64,
    pub(crate) edited: Option<u64>,
    pub(crate) turn: &'a Arc<TurnRuns>,
}

impl Emitter {
    /// Starts a run: writes its `agent_started`.
    pub async fn run(&self, start: impl Into<RunStart>) -> Result<Run, PublishError> {
        Run::start(self.clone(), start.into(), None, None).await
    }

    /// Starts a run that begins to work later: writes its `run_accepted`.
    pub async fn accept(&self, start: impl Into<RunStart>) -> Result<AcceptedRun, PublishError> {
        AcceptedRun::new(self.clone(), start.into(), None).await
    }
}

impl AcceptedRun {
    pub(crate) async fn new(
        emitter: Emitter,
        start: RunStart,
        answers: Option<Answers<'_>>,
    ) -> Result<Self, PublishError> {
        let times = start.times();
        let fields = start.into_fields(answers.as_ref());
        let mut accepted = fields.clone();
        // What it is to do is said when it begins.
        accepted.remove("task");
        let run = Run::open(emitter, "run_accepted", accepted, answers, None).await?;
        Ok(Self { run, fields, times })
    }

    /// The id that the bridge gave the run.
    pub fn id(&self) -> &str {
        self.run.id()
    }

    /// Begins to work: writes `agent_started`.
    pub async fn start(self) -> Result<Run, PublishError> {
        self.run.core.write("agent_started", self.fields).await?;
        // Its time begins with its work.
        watch_run(&self.run.core, self.times);
        Ok(self.run)
    }

    /// As [`Run::cancelled`].
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        self.run.cancelled()
    }

    /// Ends the run before it began: `agent_error`, not recoverable.
    pub async fn fail(self, error: AgentError) -> Result<Position, PublishError> {
        self.run.fail(error).await
    }

    /// Ends the run before it began: `agent_cancelled`.
    pub async fn cancel(self, reason: &str) -> Result<Position, PublishError> {
        self.run.cancel(reason).await
    }
}

impl fmt::Debug for AcceptedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptedRun").field("run", &self.run).finish_non_exhaustive()
    }
}

impl Run {
    pub(crate) async fn start(
        emitter: Emitter,
        start: RunStart,
        answers: Option<Answers<'_>>,
        parent: Option<&RunCore>,
    ) -> Result<Self, PublishError> {
        let times = start.times();
        let fields = start.into_fields(answers.as_ref());
        let run = Self::open(emitter, "agent_started", fields, answers, parent).await?;
        watch_run(&run.core, times);
        Ok(run)
    }

    /// Writes the first event of a run, of this type and with these fields.
    async fn open(
        emitter: Emitter,
        kind: &str,
        mut fields: Map<String, Value>,
        answers: Option<Answers<'_>>,
        parent: Option<&RunCore>,
    ) -> Result<Self, PublishError> {
        let id: Arc<str> = format!("run-{}", Uuid::new_v4().simple()).into();
        let agent = fields.get("agent").and_then(Value::as_str).unwrap_or_default().to_owned();
        fields.insert("runId".to_owned(), (*id).into());
        fields.insert("type".to_owned(), kind.into());
        if let Some(parent) = parent {
            fields.insert("parentRunId".to_owned(), (*parent.id).into());
        }
        let context = Arc::clone(emitter.context());
        let mut event = Event::new(fields.into(), context.limits.max_frame_bytes)?;
        let turn = answers.as_ref().map_or_else(Weak::new, |answers| Arc::downgrade(answers.turn));
        if let Some(answers) = answers {
            event = event.claiming(answers.offset, answers.edited);
        }
        let cancelled = parent.map_or_else(CancellationToken::new, |parent| parent.cancelled.child_token());
        // Known before it is visible, so that a cancel that follows the first event finds it.
        let reached = Reached { cancelled: cancelled.clone(), ..Reached::default() };
        let steered = Arc::clone(&reached.steered);
        context.live.insert(emitter.key()?.clone(), &id, reached);
        let core = RunCore {
            emitter,
            id,
            agent,
            started: Instant::now(),
            cancelled,
            steered,
            taking: Taking::default(),
            ended: AtomicBool::new(false),
            log_failed: AtomicBool::new(false),
            clock: Clock::new(parent.map(|parent| Arc::clone(&parent.clock))),
            tools: tokio::sync::Mutex::default(),
            turn,
            _counted: context.live.count(),
        };
        let precondition =
            parent.map_or(Precondition::None, |parent| Precondition::RunOpen(Arc::clone(&parent.id)));
        // From here on a drop writes the end, also when the caller stops waiting for the commit.
        let run = Self { core: Arc::new(core) };
        let undecided = Undecided(Some(Arc::clone(&run.core)));
        let appended = run.core.emitter.append(vec![event], precondition).await;
        if !matches!(appended, Err(PublishError::Log(_))) {
            undecided.decided();
        }
        if let Err(error) = appended {
            if !matches!(error, PublishError::Log(_)) {
                run.core.ended.store(true, Ordering::Release);
                run.core.forget();
            }
            return Err(error);
        }
        tracing::debug!(run = &*run.core.id, agent = run.core.agent, kind, "run started");
        Ok(run)
    }
}

/// A run whose start may be there, which the drop of the run finds out, or come later.
struct Undecided(Option<Arc<RunCore>>);

impl Undecided {
    fn decided(mut self) {
        self.0 = None;
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        if let Some(core) = &self.0
            && let Ok(key) = core.emitter.key()
        {
            core.emitter.context().live.abandon(key.clone(), &core.id);
        }
    }
}

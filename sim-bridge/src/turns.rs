//! What became of messages, runs and approvals, as the events of a log say. The facts beside them must say the same.

use std::collections::{BTreeMap, BTreeSet};

use agentwire_bridge::log::{Fact, Record};
use agentwire_sim::oracle::{Judgement, Violation};

use crate::audit::require;
use crate::doors::{self, MANAGER};
use crate::store::{Kind, Part, Store, Written};

/// Messages that may be claimed while one waits that comes before them: an agent may just have been given one.
const MOST_OVERTAKING: u32 = 1;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits.
    Waits,
    /// A run has claimed it.
    Claimed,
    /// A user took it back.
    Withdrawn,
    /// It was handled without a run, or is gone.
    Passed,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its place.
    pub offset: u64,
    /// Who sent it.
    pub user: String,
    /// What became of it.
    pub state: State,
    /// The places of its texts.
    pub texts: Vec<u64>,
    content: String,
    mode: Option<String>,
    /// The run that it is for.
    steers: Option<String>,
    is_queued: bool,
    overtaken: u32,
}

/// A run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Whose message it answers, or its parent.
    pub user: Option<String>,
    /// The message that it answers.
    pub send: Option<String>,
    /// How it ended.
    pub end: Option<String>,
    /// It must end as cancelled.
    pub is_cancelled: bool,
    parent: Option<String>,
    /// The place where it began.
    offset: u64,
}

/// An approval.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The place of the question.
    pub offset: u64,
    /// Its decision, and by whom.
    pub decision: Option<(String, Option<String>)>,
    expires_at_ms: Option<u64>,
}

/// What became of everything in a thread.
#[derive(Debug, Default)]
pub struct Turns {
    /// Messages, by the id that their page chose.
    pub messages: BTreeMap<String, Message>,
    /// Runs.
    pub runs: BTreeMap<String, Run>,
    /// Approvals, by run and id.
    pub approvals: BTreeMap<(String, String), Approval>,
    /// Which run claimed which message, and the text that this had then.
    pub claims: Vec<(String, String, String)>,
    /// Runs that were cancelled, and by no message that interrupts.
    pub cancelled: BTreeSet<String>,
    /// The texts of edits.
    edits: BTreeSet<String>,
    broken: Option<Violation>,
}

/// A message that came.
struct Arrived {
    send: String,
    /// The run that it is to steer.
    target: Option<String>,
    /// How many came before it.
    ahead: u64,
}

/// What one record has done so far.
#[derive(Default)]
struct Step {
    arrived: Vec<Arrived>,
    /// Those of which an event says that they wait.
    queued: BTreeSet<String>,
    withdrawn: BTreeSet<u64>,
    /// Runs that a message interrupts.
    interrupted: BTreeSet<String>,
}

impl Turns {
    /// Reads the present log of a thread. `named` says which run a message that steers names.
    pub fn read(store: &Store, name: &str, named: &BTreeMap<String, String>) -> Self {
        let mut turns = Self::default();
        store.history(&doors::key_of(name), |records| {
            for (record, events) in records {
                if let Err(violation) = turns.follow(name, record, events, named) {
                    turns.broken.get_or_insert(violation);
                }
            }
        });
        turns
    }

    /// The first promise that the log breaks.
    ///
    /// # Errors
    ///
    /// When there is one.
    pub fn judge(&self) -> Judgement {
        self.broken.clone().map_or(Ok(()), Err)
    }

    fn follow(
        &mut self,
        name: &str,
        record: &Record,
        events: &[Written],
        named: &BTreeMap<String, String>,
    ) -> Judgement {
        let mut step = Step::default();
        for (offset, event) in (record.first..).zip(events) {
            let at = format!("{name} {offset}");
            match &event.kind {
                Kind::Message { send, user, mode, content } => {
                    let message = Message {
                        offset,
                        user: user.clone(),
                        state: State::Waits,
                        texts: vec![offset],
                        content: content.clone(),
                        mode: mode.clone(),
                        steers: None,
                        is_queued: false,
                        overtaken: 0,
                    };
                    self.arrives(&at, send, message, named, &mut step)?;
                }
                Kind::Edited { send, content } => {
                    require!(self.edits.insert(content.clone()), "I6", "{at}: an edit is applied twice");
                    let Some(message) = self.messages.get_mut(send) else { continue };
                    require!(message.state == State::Waits, "SND-15", "{at}: {send} is {:?}", message.state);
                    message.content.clone_from(content);
                    message.texts.push(offset);
                }
                Kind::Queued { send, ahead } => self.queued(&at, send, *ahead, &mut step)?,
                Kind::Dequeued { send, reason } => self.dequeued(&at, send, reason, &mut step)?,
                Kind::Run { run, answers, ends, part } => {
                    self.run(&at, run, answers.as_ref(), part, offset)?;
                    self.part(&at, run, part, record.at_ms, offset, &step)?;
                    if let Some(end) = ends {
                        self.ends(&at, run, end, record.at_ms)?;
                    }
                }
                Kind::Line { .. } | Kind::Other => {}
            }
        }
        self.facts(name, record, &step)?;
        self.after(name, record, &step)
    }

    fn arrives(
        &mut self,
        at: &str,
        send: &str,
        message: Message,
        named: &BTreeMap<String, String>,
        step: &mut Step,
    ) -> Judgement {
        let user = &message.user;
        let mut target = None;
        match message.mode.as_deref() {
            Some("interrupt") => {
                for (id, run) in &mut self.runs {
                    if run.is_open() && run.parent.is_none() && run.user.as_ref() == Some(user) {
                        run.is_cancelled = true;
                        step.interrupted.insert(id.clone());
                    }
                }
            }
            Some("steer") => {
                if let Some(run) = named.get(send) {
                    target = self.runs.get(run).filter(|run| run.is_open()).map(|_| run.clone());
                } else {
                    let may =
                        |run: &Run| *user == MANAGER || run.user.as_ref().is_none_or(|owner| owner == user);
                    let is_root = |run: &Run| run.is_open() && run.parent.is_none() && may(run);
                    let mut roots =
                        self.runs.iter().filter(|(_, run)| is_root(run)).map(|(id, _)| id.clone());
                    target = roots.next();
                    require!(
                        roots.next().is_none(),
                        "SND-18",
                        "{at}: {send} steers, and several runs are open"
                    );
                }
            }
            _ => {}
        }
        self.messages.insert(send.to_owned(), message);
        let ahead = self.ahead(send);
        step.arrived.push(Arrived { send: send.to_owned(), target, ahead });
        Ok(())
    }

    /// Whether one message that waits comes before another one.
    fn is_before(one: &Message, other: &Message) -> bool {
        let rank = |message: &Message| (message.mode.as_deref() != Some("interrupt"), message.offset);
        rank(one) < rank(other)
    }

    fn waits_itself(message: &Message) -> bool {
        message.state == State::Waits && message.steers.is_none()
    }

    /// How many come before a message: others that wait, and runs that answer messages.
    fn ahead(&self, send: &str) -> u64 {
        let message = &self.messages[send];
        let is_ahead = |other: &&Message| Self::waits_itself(other) && Self::is_before(other, message);
        let waiting = self.messages.values().filter(is_ahead).count();
        let answering = self.runs.values().filter(|run| run.is_open() && run.send.is_some()).count();
        (waiting + answering) as u64
    }

    fn queued(&mut self, at: &str, send: &str, ahead: u64, step: &mut Step) -> Judgement {
        let Some(message) = self.messages.get_mut(send) else { return Ok(()) };
        let is_new = !std::mem::replace(&mut message.is_queued, true);
        require!(is_new && message.state == State::Waits, "SND-16", "{at}: {send} is queued as {message:?}");
        let steered = message.steers.take();
        message.overtaken = 0;
        let is_left = steered.as_ref().is_none_or(|run| !self.runs[run].is_open());
        require!(is_left, "SND-18", "{at}: {send} is for {steered:?}, which is open");
        let really = self.ahead(send);
        require!(ahead == really, "SND-16", "{at}: {ahead} are ahead of {send}, really {really}");
        step.queued.insert(send.to_owned());
        Ok(())
    }

    fn dequeued(&mut self, at: &str, send: &str, reason: &str, step: &mut Step) -> Judgement {
        let Some(message) = self.messages.get_mut(send) else { return Ok(()) };
        let was_queued = std::mem::replace(&mut message.is_queued, false);
        let is_fine = match (reason, message.state) {
            ("claimed", State::Claimed) => was_queued,
            ("passed", State::Waits) => was_queued,
            ("withdrawn" | "cancelled", State::Waits) => true,
            _ => false,
        };
        require!(is_fine, "SND-16", "{at}: {send} is {reason}, queued {was_queued}, and {:?}", message.state);
        if message.state == State::Waits {
            message.state = if reason == "passed" { State::Passed } else { State::Withdrawn };
        }
        if message.state == State::Withdrawn {
            step.withdrawn.insert(message.offset);
        }
        Ok(())
    }

    fn run(&mut self, at: &str, run: &str, answers: Option<&String>, part: &Part, offset: u64) -> Judgement {
        if self.runs.contains_key(run) {
            return Ok(());
        }
        let message = answers.and_then(|send| self.messages.get(send));
        let parent = if let Part::Below { parent } = part { Some(parent.clone()) } else { None };
        let of_parent = parent.as_ref().and_then(|parent| self.runs.get(parent)?.user.clone());
        let user = message.map(|message| message.user.clone()).or(of_parent);
        let begun = Run { user, send: answers.cloned(), end: None, is_cancelled: false, parent, offset };
        self.runs.insert(run.to_owned(), begun);
        answers.map_or(Ok(()), |send| self.claim(at, run, send))
    }

    fn claim(&mut self, at: &str, run: &str, send: &str) -> Judgement {
        let Some(message) = self.messages.get_mut(send) else { return Ok(()) };
        require!(
            message.state != State::Withdrawn,
            "SND-14",
            "{at}: {run} claims {send}, which was taken back"
        );
        if message.state != State::Waits {
            // One that the log had late was given up meanwhile, and its message handled again.
            return Ok(());
        }
        let is_its = message.steers.as_ref().is_none_or(|steered| steered == run);
        require!(is_its, "SND-18", "{at}: {run} claims {send}, which is for {:?}", message.steers);
        message.state = State::Claimed;
        self.claims.push((run.to_owned(), send.to_owned(), message.content.clone()));
        if message.steers.is_none() {
            let message = message.clone();
            self.overtakes(at, send, &message)?;
        }
        Ok(())
    }

    /// A message is claimed: those that come before it are overtaken.
    fn overtakes(&mut self, at: &str, send: &str, message: &Message) -> Judgement {
        for (id, other) in &mut self.messages {
            if Self::waits_itself(other) && Self::is_before(other, message) {
                other.overtaken += 1;
                require!(other.overtaken <= MOST_OVERTAKING, "SND-18", "{at}: {send} is claimed before {id}");
            }
        }
        Ok(())
    }

    fn part(&mut self, at: &str, run: &str, part: &Part, at_ms: u64, offset: u64, step: &Step) -> Judgement {
        let is_open = self.runs[run].is_open();
        match part {
            Part::Asks { approval, expires_at_ms } => {
                let asked = Approval { offset, decision: None, expires_at_ms: *expires_at_ms };
                let known = self.approvals.insert((run.to_owned(), approval.clone()), asked);
                require!(known.is_none(), "RUN-5", "{at}: {run} asks twice for {approval}");
            }
            Part::Resolved { approval, decision, by } => {
                let Some(asked) = self.approvals.get_mut(&(run.to_owned(), approval.clone())) else {
                    return Err(Violation {
                        rule: "RUN-5",
                        text: format!("{at}: {run} asked for no {approval}"),
                    });
                };
                require!(
                    asked.decision.is_none(),
                    "SND-8",
                    "{at}: {approval} was {:?} before",
                    asked.decision
                );
                require!(is_open, "RUN-1", "{at}: {approval} is decided, and its run is over");
                let is_due = asked.expires_at_ms.is_some_and(|due| due <= at_ms);
                let is_expiry = decision == "expired" && by.is_none();
                require!(
                    is_due == is_expiry,
                    "SND-13",
                    "{at}: {approval} is {decision} by {by:?}, due {is_due}"
                );
                asked.decision = Some((decision.clone(), by.clone()));
            }
            Part::Steered { send } => {
                let is_new =
                    step.arrived.iter().any(|one| one.send == *send && one.target.as_deref() == Some(run));
                require!(is_new && is_open, "SND-18", "{at}: {send} may not steer {run}");
                if let Some(message) = self.messages.get_mut(send) {
                    message.steers = Some(run.to_owned());
                }
            }
            Part::Took { send } => {
                let is_its = |message: &Message| {
                    message.state == State::Waits && message.steers.as_deref() == Some(run)
                };
                let may_take = is_open && self.messages.get(send).is_none_or(is_its);
                require!(may_take, "SND-18", "{at}: {run} takes {send}, which is not for it");
                self.claim(at, run, send)?;
            }
            Part::Below { .. } | Part::Other => {}
        }
        Ok(())
    }

    fn ends(&mut self, at: &str, id: &str, end: &str, at_ms: u64) -> Judgement {
        let Some(run) = self.runs.get_mut(id).filter(|run| run.is_open()) else { return Ok(()) };
        run.end = Some(end.to_owned());
        let is_as_asked = !run.is_cancelled || end == "agent_cancelled";
        require!(is_as_asked, "SND-7", "{at}: {id} was cancelled, and ends with {end}");
        let is_owed =
            |one: &&Approval| one.decision.is_none() && one.expires_at_ms.is_some_and(|due| due <= at_ms);
        let mut asked = self.approvals.iter().filter(|((run, _), _)| run == id).map(|(_, one)| one);
        require!(!asked.any(|one| is_owed(&one)), "SND-13", "{at}: {id} ends, and its approval has expired");
        Ok(())
    }

    fn facts(&mut self, name: &str, record: &Record, step: &Step) -> Judgement {
        let (mut withdrawn, mut cancelled) = (BTreeSet::new(), BTreeSet::new());
        for fact in &record.facts {
            match fact {
                Fact::Waiting { offset, send_id, is_queued, .. } => {
                    let is_left = |fact: &Fact| matches!(fact, Fact::Requeued { offset: of } if of == offset);
                    let is_said = step.queued.contains(&**send_id) && !record.facts.iter().any(is_left);
                    require!(
                        is_said == *is_queued,
                        "SND-16",
                        "{name} {offset}: queued {is_queued}, said {is_said}"
                    );
                }
                Fact::Claimed { offset } => {
                    let one = self.messages.iter_mut().find(|(_, message)| message.offset == *offset);
                    let Some((send, message)) = one.filter(|(_, one)| one.state == State::Waits) else {
                        continue;
                    };
                    message.state = State::Passed;
                    let (send, message) = (send.clone(), message.clone());
                    require!(
                        !message.is_queued,
                        "SND-16",
                        "{name}: {send} waits no more, and no event says so"
                    );
                }
                Fact::Withdrawn { offset } => drop(withdrawn.insert(*offset)),
                Fact::CancelAccepted { run } => {
                    let Some(known) = self.runs.get_mut(&**run) else { continue };
                    known.is_cancelled = true;
                    cancelled.insert(run.to_string());
                }
                Fact::Trimmed { through } => {
                    let gone = self.messages.values_mut().filter(|one| one.offset <= *through);
                    for message in gone.filter(|one| one.state == State::Waits) {
                        (message.state, message.is_queued) = (State::Passed, false);
                    }
                }
                _ => {}
            }
        }
        let said = &step.withdrawn;
        require!(withdrawn == *said, "SND-14", "{name}: {withdrawn:?} are taken back, events say {said:?}");
        let left: Vec<_> = step.interrupted.difference(&cancelled).collect();
        require!(left.is_empty(), "SND-18", "{name}: {left:?} are interrupted, and not cancelled");
        self.cancelled.extend(cancelled.difference(&step.interrupted).cloned());
        Ok(())
    }

    fn after(&self, name: &str, record: &Record, step: &Step) -> Judgement {
        for Arrived { send, target, ahead } in &step.arrived {
            let message = &self.messages[send];
            let is_for = target.is_some();
            require!(
                message.state != State::Waits || message.steers == *target || step.queued.contains(send),
                "SND-18",
                "{name}: {send} is for {:?}, and not for {target:?}",
                message.steers
            );
            let must_say = !is_for && message.state == State::Waits && *ahead > 0;
            require!(
                !must_say || step.queued.contains(send),
                "SND-16",
                "{name}: {send} waits, and no event says so"
            );
        }
        for (send, message) in &self.messages {
            let is_over = |run: &String| !self.runs[run].is_open();
            let is_left = message.state == State::Waits && message.steers.as_ref().is_some_and(is_over);
            require!(!is_left, "SND-18", "{name} {}: {send} is for a run that is over", record.head());
            let is_stuck = message.is_queued && message.state != State::Waits;
            require!(
                !is_stuck,
                "SND-16",
                "{name} {}: {send} waits no more, and no event says so",
                record.head()
            );
        }
        Ok(())
    }

    /// Runs by where they began: their ids are random.
    pub fn runs_in_order(&self) -> Vec<(&String, &Run)> {
        let mut runs: Vec<_> = self.runs.iter().collect();
        runs.sort_unstable_by_key(|(_, run)| run.offset);
        runs
    }

    /// Whether an approval waits for an answer.
    pub fn is_asked(&self, approval: &(String, String)) -> bool {
        let is_undecided = self.approvals.get(approval).is_some_and(|one| one.decision.is_none());
        is_undecided && self.runs.get(&approval.0).is_some_and(Run::is_open)
    }

    /// Whether a run or one that it is a part of was cancelled.
    pub fn may_be_cancelled(&self, run: &str) -> bool {
        let mut next = self.runs.get(run);
        while let Some(run) = next {
            if run.is_cancelled {
                return true;
            }
            next = run.parent.as_ref().and_then(|parent| self.runs.get(parent));
        }
        false
    }
}

impl Run {
    /// Whether it is not over.
    pub fn is_open(&self) -> bool {
        self.end.is_none()
    }
}

//! Looks at every frame that any socket gets, and asks whose it is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::world::{Marked, World};

/// How many findings are kept in words.
const SHOWN: usize = 20;

/// What all sockets together have got.
#[derive(Debug)]
pub(crate) struct Watch {
    world: Arc<World>,
    events: AtomicU64,
    state: Mutex<State>,
    /// Cancelled at the first finding: what follows would only wait for events that were replaced.
    pub(crate) found: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    /// The stream of each run.
    runs: HashMap<String, String>,
    /// Events of runs whose start nobody has seen yet: run, stream, and who got it.
    unsettled: Vec<(String, String, String)>,
    /// The epoch of each stream: no user may end that of another one.
    epochs: HashMap<String, String>,
    foreign: u64,
    effects: u64,
    findings: Vec<String>,
}

/// The end of the account.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) events: u64,
    /// Events, or parts of other frames, that belong to somebody else.
    pub(crate) foreign: u64,
    /// Attacks that came to something.
    pub(crate) effects: u64,
    /// The first of both, in words.
    pub(crate) findings: Vec<String>,
}

impl Watch {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, events: AtomicU64::new(0), state: Mutex::default(), found: CancellationToken::new() }
    }

    /// A frame that a socket of `user` got, on the stream called `name` if it is of one.
    pub(crate) fn frame(&self, user: &str, frame: &Value, name: Option<&str>) {
        match (frame["type"].as_str(), name) {
            (Some("events"), Some(name)) => {
                for event in frame["events"].as_array().into_iter().flatten() {
                    self.event(user, name, event);
                }
            }
            (Some("subscribed"), Some(name)) => self.subscribed(user, name, frame),
            _ => {
                // A receipt repeats the id that its own user chose.
                let text = match frame["id"].as_str().filter(|_| frame["type"] == "receipt") {
                    Some(id) => frame.to_string().replace(id, ""),
                    None => frame.to_string(),
                };
                for marked in self.world.marks_in(&text) {
                    if !marked.as_ref().is_some_and(|marked| self.may_see(user, marked)) {
                        self.foreign(format!(
                            "{user} got a frame with what belongs to {marked:?}: {frame:.300}"
                        ));
                    }
                }
            }
        }
    }

    /// An event that `user` got of the stream that they call `name`.
    pub(crate) fn event(&self, user: &str, name: &str, event: &Value) {
        self.events.fetch_add(1, Ordering::Relaxed);
        let stream = self.world.stream(user, name);
        let foreign = |why: &str| self.foreign(format!("{user} got in {name} {why}: {event:.300}"));
        if !self.world.may("read", user, name) {
            return foreign("what they may not read");
        }
        let author = event["user"].as_str().unwrap_or(user);
        let borrowed = event["sendId"].as_str().filter(|id| self.world.is_borrowed(author, &stream, id));
        let text = event.to_string();
        let marks = self.world.marks_in(&borrowed.map_or_else(|| text.clone(), |id| text.replace(id, "")));
        for marked in &marks {
            match marked {
                None => return foreign("a mark that nobody was given"),
                Some(marked) if marked.stream != stream => {
                    return foreign(&format!("what belongs to {marked:?}"));
                }
                Some(marked) if !self.world.may("write", &marked.user, name) => {
                    return foreign("what its author may not write");
                }
                Some(_) => {}
            }
        }
        let run = event["runId"].as_str();
        if event["type"] == "thread_changed" {
            let thread = event["thread"].as_str().unwrap_or_default();
            let may_know = self.world.may("read", user, thread) && self.world.is_known(user, thread)
                || self.world.stream(user, thread) == thread && self.world.may("read", user, thread);
            if name != "inbox" || !may_know {
                foreign("news of a thread that is not theirs");
            }
            return;
        }
        match run {
            Some(run) => self.of_run(user, run, &stream, !marks.is_empty() || borrowed.is_some()),
            None if marks.is_empty() && borrowed.is_none() => foreign("an event of nobody"),
            None => {}
        }
    }

    /// An event of a run: one run belongs to one stream.
    fn of_run(&self, user: &str, run: &str, stream: &str, is_marked: bool) {
        let mut state = self.state();
        match state.runs.get(run) {
            Some(of) if of == stream => {}
            Some(of) => {
                let finding = format!("{user} got in {stream:?} an event of {run}, which is one of {of:?}");
                drop(state);
                self.foreign(finding);
            }
            None if is_marked => drop(state.runs.insert(run.to_owned(), stream.to_owned())),
            None => state.unsettled.push((run.to_owned(), stream.to_owned(), user.to_owned())),
        }
    }

    fn subscribed(&self, user: &str, name: &str, frame: &Value) {
        if !self.world.may("read", user, name) {
            return self.effect(format!("{user} may follow {name}: {frame}"));
        }
        let epoch = frame["epoch"].as_str().unwrap_or_default();
        let stream = self.world.stream(user, name);
        let former = self.state().epochs.entry(stream).or_insert_with(|| epoch.to_owned()).clone();
        if former != epoch {
            self.effect(format!("{name} of {user} has a new epoch: {former} became {epoch}"));
        }
    }

    /// Whether what carries a mark may be in a frame for `user`.
    fn may_see(&self, user: &str, marked: &Marked) -> bool {
        // The name of an own stream stands behind that of its user.
        let name = match marked.stream.split_once('\0') {
            Some((owner, _)) if owner != user => return false,
            Some((_, name)) => name,
            None => &marked.stream,
        };
        // A receipt names what its user sent, also to a stream that they may not read.
        marked.user == user
            || self.world.may("read", user, name) && self.world.may("write", &marked.user, name)
    }

    /// Something that belongs to somebody else.
    pub(crate) fn foreign(&self, finding: String) {
        let mut state = self.state();
        state.foreign += 1;
        keep(&mut state.findings, finding);
        self.found.cancel();
    }

    /// An attack that came to something.
    pub(crate) fn effect(&self, finding: String) {
        let mut state = self.state();
        state.effects += 1;
        keep(&mut state.findings, finding);
        self.found.cancel();
    }

    /// Sums up. Events of runs that nobody saw the start of count as foreign.
    pub(crate) fn account(&self) -> Account {
        let unsettled = std::mem::take(&mut self.state().unsettled);
        for (run, stream, user) in unsettled {
            let of = self.state().runs.get(&run).cloned();
            if of.as_ref() != Some(&stream) {
                self.foreign(format!("{user} got in {stream:?} an event of {run}, which is one of {of:?}"));
            }
        }
        let state = self.state();
        Account {
            events: self.events.load(Ordering::Relaxed),
            foreign: state.foreign,
            effects: state.effects,
            findings: state.findings.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(findings: &mut Vec<String>, finding: String) {
    if findings.len() < SHOWN {
        findings.push(finding);
    }
}

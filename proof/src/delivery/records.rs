//! What the pages reported: lives, batches, facts, and what the newest page knows now.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::canonical::Fingerprint;

/// How a life of the page starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// From the start, nothing stored: the whole log again.
    Start,
    /// From the position that the former life of this mode stored with its state; the first life finds none.
    Store,
}

/// One event as a handler got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) offset: u64,
    pub(crate) epoch: String,
    pub(crate) replay: bool,
    pub(crate) body: Fingerprint,
}

/// Everything that one life of the page got.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) number: usize,
    pub(crate) mode: Mode,
    pub(crate) records: Vec<Record>,
    /// SHA-256 over runs of records: from this index on, so many, with this digest.
    pub(crate) digests: Vec<(usize, usize, String)>,
    /// `gap` facts, in words.
    pub(crate) gaps: Vec<String>,
    /// What is wrong with the recording itself.
    pub(crate) fault: Option<String>,
}

/// What the newest page knows, and what the pages have reported so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The newest life that has reported.
    pub(crate) life: Option<usize>,
    /// Events delivered in all lives together.
    pub(crate) events: u64,
    /// Events delivered in the newest life.
    pub(crate) events_of_life: u64,
    /// The offset delivered last in the newest life.
    pub(crate) last: u64,
    /// The highest offset delivered in any life.
    pub(crate) highest: u64,
    /// Open runs, and messages that no run has claimed.
    pub(crate) open: u64,
    pub(crate) waiting: u64,
    pub(crate) connected: bool,
    pub(crate) caught_up: bool,
    /// The state of the newest page's client, by its name.
    pub(crate) state: String,
    /// A question is under way, or may be asked.
    pub(crate) asking: bool,
    /// Offsets of `agent_started` events that answer a question, the highest one.
    pub(crate) began: u64,
    /// Offsets of `agent_died` events, the highest one.
    pub(crate) died: u64,
    /// Times from a loss of the connection to the next event.
    pub(crate) recoveries: Vec<Duration>,
    /// How often the client began to wait for another attempt, or for the page or the network to be back, by reason.
    pub(crate) losses: BTreeMap<String, u64>,
    /// What the browser signalled to the page, by name, and how often.
    pub(crate) signals: BTreeMap<String, Signalled>,
    /// Going back made these lives anew instead of showing their page again; what the browser says why.
    pub(crate) renewed: Vec<(usize, String)>,
    /// How often each error code was reported.
    pub(crate) errors: BTreeMap<String, u64>,
    /// Lives whose page has said good-bye.
    pub(crate) ended: Vec<usize>,
    /// Something after which going on is of no use.
    pub(crate) fatal: Option<String>,
}

impl View {
    /// Whether nothing is under way and the page has everything.
    pub(crate) fn idle(&self) -> bool {
        self.connected && self.caught_up && self.open == 0 && self.waiting == 0 && !self.asking
    }
}

/// Signals of one name that the browser gave a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signalled {
    pub(crate) count: u64,
    /// The last one came from the browser itself and was not dispatched by a script.
    pub(crate) trusted: bool,
}

/// What a page says that was made anew by going back.
#[derive(Debug, Deserialize)]
pub(crate) struct Renewed {
    life: usize,
    reasons: String,
}

/// A batch as `outbox.js` posts it.
#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    life: usize,
    seq: u64,
    r#final: bool,
    epochs: Vec<String>,
    records: Vec<(u64, usize, u8, String)>,
    digest: Option<String>,
    facts: Vec<Value>,
    view: Option<Now>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Now {
    last: u64,
    open: u64,
    waiting: u64,
    connected: bool,
    caught_up: bool,
    asking: bool,
}

/// What the check acts on; the page reports more, for the reader of its log.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Fact {
    Broken {
        message: String,
    },
    State {
        name: String,
        reason: Option<String>,
    },
    Gap {
        from: u64,
        to: Option<u64>,
        reason: String,
        epoch: Option<String>,
    },
    Signal {
        name: String,
        trusted: bool,
    },
    Recovered {
        ms: f64,
    },
    Began {
        offset: u64,
    },
    Died {
        offset: u64,
    },
    Error {
        code: String,
    },
    Ended {
        reason: String,
    },
    #[serde(other)]
    Other,
}

/// Collects batches; safe to share.
#[derive(Debug)]
pub(crate) struct Records {
    inner: Mutex<Inner>,
    view: watch::Sender<View>,
}

#[derive(Debug)]
struct Inner {
    started: Instant,
    lives: BTreeMap<usize, Parts>,
    log: File,
}

#[derive(Debug)]
struct Parts {
    mode: Mode,
    batches: BTreeMap<u64, Part>,
    /// The number of the last batch, once a batch said it is the last.
    last: Option<u64>,
}

#[derive(Debug)]
struct Part {
    records: Vec<Record>,
    digest: Option<String>,
    gaps: Vec<String>,
}

impl Records {
    /// Collects into memory, and writes the facts as lines to `log`.
    pub(crate) fn new(log: File) -> Self {
        Self {
            inner: Mutex::new(Inner { started: Instant::now(), lives: BTreeMap::new(), log }),
            view: watch::channel(View::default()).0,
        }
    }

    /// Follows what the pages know.
    pub(crate) fn watch(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// Announces a life before its page is loaded.
    pub(crate) fn expect(&self, life: usize, mode: Mode) {
        self.lock().lives.insert(life, Parts { mode, batches: BTreeMap::new(), last: None });
    }

    /// Takes one batch in. One that came before is ignored.
    ///
    /// # Errors
    /// When the batch contradicts itself or belongs to no life.
    pub(crate) fn take(&self, batch: Batch) -> Result<()> {
        let mut inner = self.lock();
        let Batch { life, seq, r#final, epochs, records, digest, facts, view } = batch;
        let parts = inner.lives.get_mut(&life).with_context(|| format!("no life has the number {life}"))?;
        if r#final {
            parts.last = Some(parts.last.map_or(seq, |last| last.max(seq)));
        }
        if parts.batches.contains_key(&seq) {
            // The answer to the first copy did not reach the page before it left.
            if r#final {
                self.view.send_modify(|view| view.ended.push(life));
            }
            return Ok(());
        }
        let records = records
            .into_iter()
            .map(|(offset, epoch, replay, body)| {
                let epoch =
                    epochs.get(epoch).context("a record names an epoch that its batch does not list")?;
                let body = Fingerprint::parse(&body)
                    .context("a record's fingerprint is not 16 hexadecimal digits")?;
                Ok(Record { offset, epoch: epoch.clone(), replay: replay == 1, body })
            })
            .collect::<Result<Vec<_>>>()?;
        ensure!(digest.is_none() || !records.is_empty(), "a batch without records has a digest");
        let reported = facts;
        let facts = reported
            .iter()
            .map(Fact::deserialize)
            .collect::<Result<Vec<_>, _>>()
            .context("a fact is not as it should be")?;
        let gaps = facts.iter().filter_map(Fact::gap).collect();
        let highest = records.iter().map(|record| record.offset).max().unwrap_or(0);
        let count = records.len() as u64;
        parts.batches.insert(seq, Part { records, digest, gaps });
        let at = inner.started.elapsed();
        for fact in &reported {
            // The log helps a reader; the check does not need it.
            let _ = writeln!(inner.log, "{:9.3} life {life} {fact}", at.as_secs_f64());
        }
        drop(inner);
        self.view.send_modify(|now| now.add(life, count, highest, r#final, view, facts));
        Ok(())
    }

    /// Notes that going back did not show the page of a life again.
    pub(crate) fn renewed(&self, Renewed { life, reasons }: Renewed) {
        self.view.send_modify(|view| view.renewed.push((life, reasons)));
    }

    /// Returns the lives as far as they are known, with what is missing in each.
    pub(crate) fn lives(&self) -> Vec<Life> {
        self.lock().lives.iter().map(|(&number, parts)| parts.life(number)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    fn life(&self, number: usize) -> Life {
        let mut life = Life {
            number,
            mode: self.mode,
            records: Vec::new(),
            digests: Vec::new(),
            gaps: Vec::new(),
            fault: None,
        };
        for part in self.batches.values() {
            if let Some(digest) = &part.digest {
                life.digests.push((life.records.len(), part.records.len(), digest.clone()));
            }
            life.records.extend(part.records.iter().cloned());
            life.gaps.extend(part.gaps.iter().cloned());
        }
        life.fault = match self.last {
            None => Some("its last batch never came".to_owned()),
            Some(last) => (0..=last)
                .find(|seq| !self.batches.contains_key(seq))
                .map(|seq| format!("batch {seq} of {last} is missing")),
        };
        life
    }
}

impl View {
    /// Keeps the first reason only: what comes after it follows from it.
    fn fail(&mut self, why: String) {
        if self.fatal.is_none() {
            self.fatal = Some(why);
        }
    }

    fn add(
        &mut self,
        life: usize,
        count: u64,
        highest: u64,
        ended: bool,
        now: Option<Now>,
        facts: Vec<Fact>,
    ) {
        if self.life.is_none_or(|newest| newest < life) {
            self.life = Some(life);
            self.events_of_life = 0;
            self.last = 0;
            (self.connected, self.caught_up, self.asking) = (false, false, false);
        }
        self.events += count;
        self.highest = self.highest.max(highest);
        if self.life == Some(life) {
            self.events_of_life += count;
            if let Some(now) = now {
                (self.last, self.open, self.waiting) = (now.last, now.open, now.waiting);
                (self.connected, self.caught_up, self.asking) = (now.connected, now.caught_up, now.asking);
            }
        }
        if ended {
            self.ended.push(life);
        }
        for fact in facts {
            if let Some(gap) = fact.gap() {
                self.fail(format!("life {life} got a {gap}"));
            }
            match fact {
                Fact::Recovered { ms } => self.recoveries.push(Duration::from_secs_f64(ms.max(0.0) / 1000.0)),
                Fact::Began { offset } => self.began = self.began.max(offset),
                Fact::Died { offset } => self.died = self.died.max(offset),
                Fact::Error { code } => *self.errors.entry(code).or_default() += 1,
                Fact::Signal { name, trusted } => {
                    let signalled = self.signals.entry(name).or_default();
                    *signalled = Signalled { count: signalled.count + 1, trusted };
                }
                Fact::State { name, reason } if name == "waiting" || name == "offline" => {
                    *self.losses.entry(reason.unwrap_or_default()).or_default() += 1;
                    self.state = name;
                }
                Fact::State { name, reason } if name == "failed" || name == "closed" => {
                    let reason = reason.unwrap_or_else(|| "without a reason".to_owned());
                    self.fail(format!("the client of life {life} stopped: {name} ({reason})"));
                }
                Fact::Ended { reason } => {
                    self.fail(format!("the stream ended for life {life}: {reason}"));
                }
                Fact::Broken { message } => {
                    self.fail(message);
                }
                Fact::State { name, .. } => self.state = name,
                Fact::Gap { .. } | Fact::Other => {}
            }
        }
    }
}

impl Fact {
    fn gap(&self) -> Option<String> {
        match self {
            Self::Gap { from, to, reason, epoch } => {
                let to = to.map_or_else(|| "the end of the epoch".to_owned(), |to| to.to_string());
                let epoch = epoch.as_ref().map(|epoch| format!(", then epoch {epoch}")).unwrap_or_default();
                Some(format!("gap from {from} to {to} ({reason}{epoch})"))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn records() -> Records {
        let records = Records::new(tempfile::tempfile().unwrap());
        records.expect(0, Mode::Start);
        records
    }

    fn batch(seq: u64, last: bool, offsets: &[u64]) -> Batch {
        let records: Vec<_> =
            offsets.iter().map(|offset| json!([offset, 0, 1, format!("{offset:016x}")])).collect();
        serde_json::from_value(
            json!({"life": 0, "seq": seq, "final": last, "epochs": ["e1"], "records": records, "facts": []}),
        )
        .unwrap()
    }

    fn offsets(life: &Life) -> Vec<u64> {
        life.records.iter().map(|record| record.offset).collect()
    }

    #[test]
    fn batches_count_once_and_in_the_order_of_their_numbers() {
        let records = records();
        records.take(batch(1, true, &[3])).unwrap();
        records.take(batch(0, false, &[1, 2])).unwrap();
        records.take(batch(0, false, &[1, 2])).unwrap();
        let lives = records.lives();
        assert_eq!(offsets(&lives[0]), [1, 2, 3]);
        assert_eq!(lives[0].fault, None);
        assert_eq!(records.watch().borrow().events, 3);
    }

    #[test]
    fn a_missing_batch_is_a_fault_of_the_recording() {
        let records = records();
        records.take(batch(0, false, &[1])).unwrap();
        records.take(batch(2, true, &[3])).unwrap();
        assert_eq!(records.lives()[0].fault.as_deref(), Some("batch 1 of 2 is missing"));
    }

    #[test]
    fn a_life_without_its_last_batch_is_a_fault_of_the_recording() {
        let records = records();
        records.take(batch(0, false, &[1])).unwrap();
        assert_eq!(records.lives()[0].fault.as_deref(), Some("its last batch never came"));
    }

    #[test]
    fn a_page_that_says_more_after_its_good_bye_is_whole_with_the_later_one() {
        let records = records();
        records.take(batch(0, true, &[1])).unwrap();
        records.take(batch(1, true, &[2])).unwrap();
        assert_eq!(records.lives()[0].fault, None);
    }

    #[test]
    fn a_gap_is_fatal_and_reported_in_words() {
        let records = records();
        let mut batch = batch(0, false, &[]);
        batch.facts = vec![
            json!({"kind": "gap", "from": 4, "reason": "ahead", "epoch": "e2"}),
            json!({"kind": "console", "text": "x"}),
        ];
        records.take(batch).unwrap();
        assert_eq!(records.lives()[0].gaps, ["gap from 4 to the end of the epoch (ahead, then epoch e2)"]);
        assert!(records.watch().borrow().fatal.is_some());
    }

    #[test]
    fn a_batch_of_an_unknown_life_or_epoch_is_refused() {
        let records = records();
        let mut stranger = batch(0, false, &[1]);
        stranger.life = 7;
        assert!(records.take(stranger).is_err());
        let mut batch = batch(0, false, &[1]);
        batch.epochs.clear();
        assert!(records.take(batch).is_err());
    }
}

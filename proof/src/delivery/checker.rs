//! Compares what was delivered to the pages with the log. It trusts nothing else: no counter, no state.

use std::collections::BTreeSet;
use std::fmt;

use super::canonical::{Fingerprint, digest};
use super::records::{Life, Mode, Record};

/// The stream as the log holds it: index 0 is offset 1.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) epoch: String,
    /// The canonical text and the fingerprint of each body.
    pub(crate) bodies: Vec<(String, Fingerprint)>,
}

impl Logged {
    fn head(&self) -> u64 {
        self.bodies.len() as u64
    }

    fn body(&self, offset: u64) -> Option<&(String, Fingerprint)> {
        let index = usize::try_from(offset.checked_sub(1)?).ok()?;
        self.bodies.get(index)
    }
}

/// What was found in all lives together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Events delivered in all lives together.
    pub(crate) events: u64,
    /// Those that were delivered as a replay.
    pub(crate) replayed: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) out_of_order: u64,
    /// Events whose body or epoch is not what the log has at their offset.
    pub(crate) changed: u64,
    pub(crate) gaps: u64,
    /// Lives whose recording is not whole; nothing can be said about what was delivered to them.
    pub(crate) faults: u64,
    /// The first thing found, in words.
    pub(crate) first: Option<String>,
}

impl Findings {
    fn found(&mut self, difference: impl FnOnce() -> String) {
        if self.first.is_none() {
            self.first = Some(difference());
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, duplicated, out_of_order, gaps, .. } = self;
        write!(f, "{lost} lost, {duplicated} duplicated, {out_of_order} out of order, {gaps} gaps")
    }
}

/// Holds each life to the log: a life from the start must be a whole beginning of it, and the lives that go on from
/// stored positions must together be all of it.
///
/// What a page got is not known when its recording has a hole. Such a life, and with it the chain it belongs to, is not
/// compared: the hole is reported instead, and no event is called lost because of it.
///
/// With `ended`, the last page said that it has everything, so the log must not go on after what it got. A run that
/// ended early is no proof of loss: then only what was delivered is held to the log.
pub(crate) fn compare(lives: &[Life], log: &Logged, ended: bool) -> Findings {
    let mut findings = Findings::default();
    for life in lives {
        findings.events += life.records.len() as u64;
        findings.replayed += life.records.iter().filter(|record| record.replay).count() as u64;
        if let Some(fault) = &life.fault {
            findings.faults += 1;
            findings.found(|| format!("the recording of life {} is not whole: {fault}", life.number));
        }
    }
    // Before the events: a gap explains what differs after it.
    for life in lives {
        for gap in &life.gaps {
            findings.gaps += 1;
            findings.found(|| format!("life {}: a {gap}, but the log lost nothing", life.number));
        }
    }
    for life in lives.iter().filter(|life| life.mode == Mode::Start && life.fault.is_none()) {
        let delivered: Vec<_> =
            life.records.iter().enumerate().map(|(index, record)| (life.number, index, record)).collect();
        let through = highest([life]);
        chain(&delivered, through, log, &mut findings);
    }
    let stored: Vec<&Life> = lives.iter().filter(|life| life.mode == Mode::Store).collect();
    if !stored.is_empty() && stored.iter().all(|life| life.fault.is_none()) {
        let delivered: Vec<_> = stored
            .iter()
            .flat_map(|life| {
                life.records.iter().enumerate().map(|(index, record)| (life.number, index, record))
            })
            .collect();
        let through = if ended { log.head() } else { highest(stored.iter().copied()) };
        chain(&delivered, through, log, &mut findings);
    }
    for life in lives {
        digests(life, log, &mut findings);
    }
    findings
}

/// The highest offset that was delivered to these lives; 0 when there is none.
fn highest<'a>(lives: impl IntoIterator<Item = &'a Life>) -> u64 {
    lives.into_iter().flat_map(|life| &life.records).map(|record| record.offset).max().unwrap_or(0)
}

/// Compares one chain of events with the offsets 1 to `through`.
fn chain(delivered: &[(usize, usize, &Record)], through: u64, log: &Logged, findings: &mut Findings) {
    let all: BTreeSet<u64> = delivered.iter().map(|(_, _, record)| record.offset).collect();
    let mut seen = BTreeSet::new();
    let mut highest = 0;
    for &(life, index, record) in delivered {
        let Record { offset, .. } = *record;
        let at = |what: &str, expected: u64| {
            format!(
                "{what}: life {life}, event {}: expected offset {expected}, got offset {offset}",
                index + 1
            )
        };
        let expected = highest + 1;
        if !seen.insert(offset) {
            findings.duplicated += 1;
            findings.found(|| at("duplicated", expected));
            continue;
        }
        if offset < highest {
            findings.out_of_order += 1;
            findings.found(|| at("out of order", expected));
        } else if offset > expected {
            // What is skipped here either comes later, or never.
            match (expected..offset).find(|skipped| !all.contains(skipped)) {
                Some(_) => findings.found(|| at("lost", expected)),
                None => findings.found(|| at("out of order", expected)),
            }
        }
        highest = highest.max(offset);
        if let Some(difference) = body_differs(record, log) {
            findings.changed += 1;
            findings.found(|| format!("different body: life {life}, event {}: {difference}", index + 1));
        }
    }
    let lost = (1..=through).filter(|offset| !seen.contains(offset)).count() as u64;
    findings.lost += lost;
    if lost > 0 {
        findings
            .found(|| format!("lost: the last event delivered is {highest}, the log goes on to {through}"));
    }
}

fn body_differs(record: &Record, log: &Logged) -> Option<String> {
    let Record { offset, epoch, body, .. } = record;
    if *epoch != log.epoch {
        return Some(format!(
            "offset {offset} was delivered in epoch {epoch}, the log has epoch {}",
            log.epoch
        ));
    }
    let Some((text, expected)) = log.body(*offset) else {
        return Some(format!(
            "offset {offset} was delivered but is not in the log, whose head is {}",
            log.head()
        ));
    };
    if body == expected {
        return None;
    }
    let nearby = (offset.saturating_sub(3)..=offset + 3)
        .find(|near| log.body(*near).is_some_and(|(_, other)| other == body))
        .map(|near| format!(", which is the body of offset {near}"))
        .unwrap_or_default();
    Some(format!("at offset {offset}: expected {expected} ({}), got {body}{nearby}", short(text)))
}

/// Checks the SHA-256 of each batch: a change that the short fingerprints happen to miss shows here.
fn digests(life: &Life, log: &Logged, findings: &mut Findings) {
    for (from, count, expected) in &life.digests {
        let records = &life.records[*from..*from + *count];
        let bodies: Option<Vec<&str>> =
            records.iter().map(|record| log.body(record.offset).map(|(text, _)| text.as_str())).collect();
        let same = bodies.is_some_and(|bodies| digest(bodies.into_iter()) == *expected);
        if !same && records.iter().all(|record| body_differs(record, log).is_none()) {
            findings.changed += 1;
            let offset = records.first().map_or(0, |record| record.offset);
            findings.found(|| {
                format!(
                    "different body: life {}: the SHA-256 of the {count} events from offset {offset} differs",
                    life.number
                )
            });
        }
    }
}

/// The beginning of a body, to recognise it by.
fn short(text: &str) -> String {
    let cut: String = text.chars().take(100).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

#[cfg(test)]
mod tests {
    use super::super::canonical::fingerprint;
    use super::*;

    fn log(count: u64) -> Logged {
        let bodies = (1..=count)
            .map(|n| format!("{{\"n\":{n}}}"))
            .map(|text| (text.clone(), fingerprint(&text)))
            .collect();
        Logged { epoch: "e1".to_owned(), bodies }
    }

    fn record(log: &Logged, offset: u64) -> Record {
        let body = log.body(offset).map_or(Fingerprint(0), |(_, body)| *body);
        Record { offset, epoch: log.epoch.clone(), replay: offset.is_multiple_of(2), body }
    }

    fn life(log: &Logged, number: usize, mode: Mode, offsets: impl IntoIterator<Item = u64>) -> Life {
        let records: Vec<_> = offsets.into_iter().map(|offset| record(log, offset)).collect();
        let bodies =
            records.iter().filter_map(|record| log.body(record.offset)).map(|(text, _)| text.as_str());
        let digests = vec![(0, records.len(), digest(bodies))];
        Life { number, mode, records, digests, gaps: Vec::new(), fault: None }
    }

    /// A store life, a life from the start and another store life that together are as they should be.
    fn clean(log: &Logged) -> Vec<Life> {
        vec![
            life(log, 0, Mode::Store, 1..=40),
            life(log, 1, Mode::Start, 1..=55),
            life(log, 2, Mode::Store, 41..=100),
        ]
    }

    #[test]
    fn a_clean_recording_passes() {
        let log = log(100);
        let findings = compare(&clean(&log), &log, true);
        assert_eq!(findings, Findings { events: 155, replayed: 77, ..Findings::default() });
        assert!(findings.first.is_none());
    }

    /// Breaks a clean recording and names what must be found, with the beginning of the first difference.
    #[test]
    fn every_kind_of_damage_is_found_and_named() {
        type Damage = fn(&mut Vec<Life>, &Logged);
        let cases: [(&str, Damage, [u64; 5], &str); 14] = [
            (
                "a lost event",
                |l, _| drop(l[1].records.remove(9)),
                [1, 0, 0, 0, 0],
                "lost: life 1, event 10: expected offset 10, got offset 11",
            ),
            (
                "an event lost between two lives",
                |l, _| drop(l[2].records.remove(0)),
                [1, 0, 0, 0, 0],
                "lost: life 2, event 1: expected offset 41, got offset 42",
            ),
            (
                "the end lost",
                |l, _| drop(l[2].records.pop()),
                [1, 0, 0, 0, 0],
                "lost: the last event delivered is 99, the log goes on to 100",
            ),
            (
                "the first event lost",
                |l, _| drop(l[1].records.remove(0)),
                [1, 0, 0, 0, 0],
                "lost: life 1, event 1: expected offset 1, got offset 2",
            ),
            (
                "a repeated event",
                |l, log| l[1].records.insert(10, record(log, 10)),
                [0, 1, 0, 0, 0],
                "duplicated: life 1, event 11: expected offset 11, got offset 10",
            ),
            (
                "an event repeated by the next life",
                |l, log| l[2].records.insert(0, record(log, 40)),
                [0, 1, 0, 0, 0],
                "duplicated: life 2, event 1: expected offset 41, got offset 40",
            ),
            (
                "two swapped events",
                |l, _| l[1].records.swap(9, 10),
                [0, 0, 1, 0, 0],
                "out of order: life 1, event 10: expected offset 10, got offset 11",
            ),
            (
                "a changed body",
                |l, _| l[1].records[9].body.0 ^= 1,
                [0, 0, 0, 1, 0],
                "different body: life 1, event 10: at offset 10: expected ",
            ),
            (
                "a change that the fingerprint misses",
                |l, _| l[1].digests[0].2.replace_range(0..2, "zz"),
                [0, 0, 0, 1, 0],
                "different body: life 1: the SHA-256 of the 55 events from offset 1 differs",
            ),
            (
                "bodies of two offsets exchanged",
                |l, _| {
                    let body = l[1].records[9].body;
                    l[1].records[9].body = l[1].records[10].body;
                    l[1].records[10].body = body;
                },
                [0, 0, 0, 2, 0],
                "different body: life 1, event 10: at offset 10: expected ",
            ),
            (
                "another epoch",
                |l, _| l[1].records[54].epoch = "e2".to_owned(),
                [0, 0, 0, 1, 0],
                "different body: life 1, event 55: offset 55 was delivered in epoch e2, the log has epoch e1",
            ),
            (
                "an event that the log does not have",
                |l, log| l[2].records.push(record(log, 101)),
                [0, 0, 0, 1, 0],
                "different body: life 2, event 61: offset 101 was delivered but is not in the log, whose head is 100",
            ),
            (
                "a gap",
                |l, _| l[0].gaps.push("gap from 3 to 4 (trimmed)".to_owned()),
                [0, 0, 0, 0, 1],
                "life 0: a gap from 3 to 4 (trimmed), but the log lost nothing",
            ),
            (
                "a missing batch",
                |l, _| l[0].fault = Some("batch 3 of 9 is missing".to_owned()),
                [0, 0, 0, 0, 0],
                "the recording of life 0 is not whole: batch 3 of 9 is missing",
            ),
        ];
        let log = log(100);
        for (name, damage, [lost, duplicated, out_of_order, changed, gaps], first) in cases {
            let mut lives = clean(&log);
            damage(&mut lives, &log);
            // Only the case about the digest looks at digests: the others change what they cover.
            if name != "a change that the fingerprint misses" {
                lives.iter_mut().for_each(|life| life.digests.clear());
            }
            let findings = compare(&lives, &log, true);
            let got =
                [findings.lost, findings.duplicated, findings.out_of_order, findings.changed, findings.gaps];
            assert_eq!(got, [lost, duplicated, out_of_order, changed, gaps], "{name}");
            let got = findings.first.unwrap_or_default();
            assert!(got.starts_with(first), "{name}: {got}");
        }
    }

    #[test]
    fn a_body_from_next_door_is_named() {
        let log = log(10);
        let mut lives = vec![life(&log, 0, Mode::Start, 1..=10)];
        lives[0].records[4].body = log.bodies[5].1;
        let first = compare(&lives, &log, true).first.unwrap();
        assert!(first.ends_with("which is the body of offset 6"), "{first}");
    }

    #[test]
    fn a_run_that_ended_early_did_not_lose_the_rest_of_the_log() {
        let log = log(100);
        let mut lives = clean(&log);
        lives[2].records.truncate(20);
        lives[2].digests.clear();
        assert_eq!(compare(&lives, &log, false).first, None);
        assert_eq!(compare(&lives, &log, true).lost, 40);
        lives[2].records.remove(5);
        assert_eq!(compare(&lives, &log, false).lost, 1);
    }

    #[test]
    fn a_faulty_recording_counts_as_such_and_not_as_lost_events() {
        let log = log(100);
        for holed in 0..3 {
            let mut lives = clean(&log);
            lives[holed].fault = Some("batch 3 of 9 is missing".to_owned());
            lives[holed].records.drain(10..20);
            lives[holed].digests.clear();
            let findings = compare(&lives, &log, true);
            assert_eq!((findings.faults, findings.lost), (1, 0), "life {holed}");
            assert!(findings.first.is_some());
        }
    }
}

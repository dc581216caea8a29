//! What is broken when: drawn from the seed before the run starts, so that a seed repeats a run as closely as real
//! processes allow.

use std::time::Duration;

use super::records::Mode;
use crate::proxy::How;

/// Where a cut lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// Inside the next frame of events, so far into it.
    InFrame(f64),
    /// At once, when bytes have just moved.
    Moving,
    /// At once, whatever goes on.
    Anywhere,
}

/// One thing that is done to the running system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The proxy breaks the connection, and for a while lets no new one through.
    Cut { place: Place, how: How, refuse: Option<Duration> },
    /// The server is killed while a run streams, and started again.
    Kill,
    /// The page is loaded again while events stream.
    Reload(Mode),
    /// The wasm core traps while events stream, and the package starts another.
    Trap,
}

/// A fault, and how long the system is left alone before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) pause: Duration,
    pub(crate) fault: Fault,
}

/// Draws a plan with so many faults of each kind.
///
/// Half of the reloads start from the beginning and half with stored positions; the last one has stored positions, so
/// that those lives end with the log.
pub(crate) fn draw(
    random: &mut fastrand::Rng,
    cuts: usize,
    kills: usize,
    reloads: usize,
    traps: usize,
) -> Vec<Step> {
    let mut modes: Vec<Mode> =
        (0..reloads).map(|n| if n < reloads / 2 { Mode::Start } else { Mode::Store }).collect();
    random.shuffle(&mut modes);
    if let Some(stored) = modes.iter().rposition(|mode| *mode == Mode::Store) {
        let end = modes.len() - 1;
        modes.swap(stored, end);
    }
    let mut modes = modes.into_iter();
    let counts = [(Kind::Cut, cuts), (Kind::Kill, kills), (Kind::Reload, reloads), (Kind::Trap, traps)];
    let mut kinds: Vec<Kind> =
        counts.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count)).collect();
    random.shuffle(&mut kinds);
    kinds
        .into_iter()
        .map(|kind| {
            let fault = match kind {
                Kind::Cut => cut(random),
                Kind::Kill => Fault::Kill,
                // There are as many modes as reloads.
                Kind::Reload => Fault::Reload(modes.next().unwrap_or(Mode::Store)),
                Kind::Trap => Fault::Trap,
            };
            Step { pause: Duration::from_millis(random.u64(0..400)), fault }
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Cut,
    Kill,
    Reload,
    Trap,
}

fn cut(random: &mut fastrand::Rng) -> Fault {
    let place = match random.u32(0..100) {
        0..60 => Place::InFrame(random.f64()),
        60..92 => Place::Moving,
        _ => Place::Anywhere,
    };
    let how = if random.bool() { How::Reset } else { How::Finish };
    let refuse = (random.u32(0..5) == 0).then(|| Duration::from_millis(random.u64(100..600)));
    Fault::Cut { place, how, refuse }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_holds_what_was_asked_for_and_ends_with_stored_positions() {
        for seed in 0..200 {
            for (cuts, kills, reloads, traps) in [(50, 5, 10, 0), (8, 1, 2, 3), (0, 0, 0, 0), (3, 0, 1, 1)] {
                let plan = draw(&mut fastrand::Rng::with_seed(seed), cuts, kills, reloads, traps);
                let count =
                    |wanted: fn(&Fault) -> bool| plan.iter().filter(|step| wanted(&step.fault)).count();
                assert_eq!(count(|fault| matches!(fault, Fault::Cut { .. })), cuts);
                assert_eq!(count(|fault| matches!(fault, Fault::Kill)), kills);
                assert_eq!(count(|fault| matches!(fault, Fault::Trap)), traps);
                assert_eq!(count(|fault| matches!(fault, Fault::Reload(Mode::Start))), reloads / 2);
                assert_eq!(count(|fault| matches!(fault, Fault::Reload(Mode::Store))), reloads - reloads / 2);
                let last = plan.iter().rev().find_map(|step| match step.fault {
                    Fault::Reload(mode) => Some(mode),
                    _ => None,
                });
                assert_ne!(last, Some(Mode::Start));
            }
        }
    }

    #[test]
    fn a_seed_repeats_a_plan() {
        let plan = |seed| draw(&mut fastrand::Rng::with_seed(seed), 50, 5, 10, 5);
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }
}

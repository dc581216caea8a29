//! What is broken when: drawn from the seed before the run starts, so that a seed repeats a run as closely as real
//! processes allow.

use std::time::Duration;

use agentwire_faults::proxy::{How, Spot, Weather};

use super::records::Mode;

/// The close codes that come in a server's name; the client resumes after each of them (CLS-1).
const CLOSE_CODES: [u16; 4] = [1001, 1011, 1012, 4453];

/// One cut in so many leaves a connection half open. The page notices after 10 seconds (HBT-2), so they are few.
const STALL_EVERY: usize = 100;

/// One cut in so many is a close frame.
const CLOSE_EVERY: usize = 8;

/// How often each kind of fault comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// How often the connection is broken, in whatever way.
    pub(crate) cuts: usize,
    pub(crate) kills: usize,
    pub(crate) reloads: usize,
    pub(crate) traps: usize,
    /// Connections also stall and get close frames, bytes are delayed and throttled, and all follow each other at once.
    pub(crate) chaos: bool,
}

impl Faults {
    /// How many of the cuts leave the connection half open.
    pub(crate) fn stalls(&self) -> usize {
        if self.chaos { self.cuts.div_ceil(STALL_EVERY) } else { 0 }
    }

    /// How many of the cuts are close frames.
    pub(crate) fn closes(&self) -> usize {
        if self.chaos { self.cuts / CLOSE_EVERY } else { 0 }
    }
}

/// Where a cut lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// At this spot of the next frame of events.
    Frame(Spot),
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
    /// The connection stays open and nothing comes through it any more: a cut that the page has to find out.
    Stall,
    /// The server is killed while a run streams, and started again.
    Kill,
    /// The page is loaded again while events stream.
    Reload(Mode),
    /// The wasm core traps while events stream, and the package starts another.
    Trap,
}

/// A fault, how long the system is left alone before it, and how the network is from then on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) pause: Duration,
    pub(crate) weather: Weather,
    pub(crate) fault: Fault,
}

/// Draws a plan with so many faults of each kind.
///
/// Half of the reloads start from the beginning and half from stored positions; the last one is of these, so that their
/// lives end with the log.
pub(crate) fn draw(random: &mut fastrand::Rng, faults: &Faults) -> Vec<Step> {
    let Faults { cuts, kills, reloads, traps, chaos } = *faults;
    let mut modes: Vec<Mode> =
        (0..reloads).map(|n| if n < reloads / 2 { Mode::Start } else { Mode::Store }).collect();
    random.shuffle(&mut modes);
    if let Some(stored) = modes.iter().rposition(|mode| *mode == Mode::Store) {
        let end = modes.len() - 1;
        modes.swap(stored, end);
    }
    let mut modes = modes.into_iter();
    let (stalls, closes) = (faults.stalls(), faults.closes());
    let counts = [
        (Kind::Break, cuts - stalls - closes),
        (Kind::Close, closes),
        (Kind::Stall, stalls),
        (Kind::Kill, kills),
        (Kind::Reload, reloads),
        (Kind::Trap, traps),
    ];
    let mut kinds: Vec<Kind> =
        counts.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count)).collect();
    random.shuffle(&mut kinds);
    // Under chaos the next cut comes as soon as the page is back.
    let pause = if chaos { 60 } else { 400 };
    kinds
        .into_iter()
        .map(|kind| {
            let fault = match kind {
                Kind::Break => cut(random),
                Kind::Close => close(random),
                Kind::Stall => Fault::Stall,
                Kind::Kill => Fault::Kill,
                // There are as many modes as reloads.
                Kind::Reload => Fault::Reload(modes.next().unwrap_or(Mode::Store)),
                Kind::Trap => Fault::Trap,
            };
            let weather = if chaos { weather(random) } else { Weather::default() };
            Step { pause: Duration::from_millis(random.u64(0..pause)), weather, fault }
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Break,
    Close,
    Stall,
    Kill,
    Reload,
    Trap,
}

fn cut(random: &mut fastrand::Rng) -> Fault {
    let place = match random.u32(0..100) {
        0..60 => Place::Frame(Spot::Inside(random.f64())),
        60..92 => Place::Moving,
        _ => Place::Anywhere,
    };
    let how = if random.bool() { How::Reset } else { How::Finish };
    Fault::Cut { place, how, refuse: refusal(random) }
}

fn close(random: &mut fastrand::Rng) -> Fault {
    let code = CLOSE_CODES[random.usize(0..CLOSE_CODES.len())];
    Fault::Cut { place: Place::Frame(Spot::Behind), how: How::Close(code), refuse: refusal(random) }
}

fn refusal(random: &mut fastrand::Rng) -> Option<Duration> {
    (random.u32(0..5) == 0).then(|| Duration::from_millis(random.u64(100..600)))
}

/// Mostly clear; else bytes are held, or few go through, or both.
fn weather(random: &mut fastrand::Rng) -> Weather {
    let kind = random.u32(0..10);
    let mut weather = Weather { seed: random.u64(..), ..Weather::default() };
    if kind < 2 {
        weather.latency = Duration::from_millis(random.u64(1..60));
        weather.jitter = Duration::from_millis(random.u64(1..60));
    }
    if kind == 1 || kind == 2 {
        weather.rate = Some(random.u32(20_000..80_000));
    }
    weather
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Faults = Faults { cuts: 50, kills: 5, reloads: 10, traps: 5, chaos: false };

    #[test]
    fn a_plan_holds_what_was_asked_for_and_ends_with_stored_positions() {
        for seed in 0..200 {
            for (cuts, kills, reloads, traps) in [(50, 5, 10, 0), (8, 1, 2, 3), (0, 0, 0, 0), (3, 0, 1, 1)] {
                for chaos in [false, true] {
                    let faults = Faults { cuts, kills, reloads, traps, chaos };
                    let plan = draw(&mut fastrand::Rng::with_seed(seed), &faults);
                    let count =
                        |wanted: fn(&Fault) -> bool| plan.iter().filter(|step| wanted(&step.fault)).count();
                    assert_eq!(count(|fault| matches!(fault, Fault::Cut { .. } | Fault::Stall)), cuts);
                    assert_eq!(count(|fault| matches!(fault, Fault::Stall)), faults.stalls());
                    assert_eq!(
                        count(|fault| matches!(fault, Fault::Cut { how: How::Close(_), .. })),
                        faults.closes()
                    );
                    assert_eq!(count(|fault| matches!(fault, Fault::Kill)), kills);
                    assert_eq!(count(|fault| matches!(fault, Fault::Trap)), traps);
                    assert_eq!(count(|fault| matches!(fault, Fault::Reload(Mode::Start))), reloads / 2);
                    assert_eq!(
                        count(|fault| matches!(fault, Fault::Reload(Mode::Store))),
                        reloads - reloads / 2
                    );
                    let last = plan.iter().rev().find_map(|step| match step.fault {
                        Fault::Reload(mode) => Some(mode),
                        _ => None,
                    });
                    assert_ne!(last, Some(Mode::Start));
                }
            }
        }
    }

    #[test]
    fn a_seed_repeats_a_plan() {
        let plan = |seed| draw(&mut fastrand::Rng::with_seed(seed), &PLAIN);
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn chaos_draws_every_kind_of_cut_and_weather_and_the_plain_check_none_of_them() {
        let plan = draw(&mut fastrand::Rng::with_seed(1), &Faults { cuts: 200, chaos: true, ..PLAIN });
        for code in CLOSE_CODES {
            assert!(plan.iter().any(
                |step| matches!(step.fault, Fault::Cut { how: How::Close(drawn), .. } if drawn == code)
            ));
        }
        assert!(plan.iter().any(|step| step.fault == Fault::Stall));
        assert!(plan.iter().any(|step| !step.weather.latency.is_zero()));
        assert!(plan.iter().any(|step| step.weather.rate.is_some()));
        let plain = draw(&mut fastrand::Rng::with_seed(1), &PLAIN);
        assert!(plain.iter().all(|step| step.weather == Weather::default()));
    }
}

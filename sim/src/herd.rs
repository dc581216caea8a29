//! A server that all of its pages lose at once, and that is away for a while: how its pages come back (I14).
//!
//! The pages are real cores in virtual time. Beside them stand the published backoff formulas of other clients.

use std::{cmp::Reverse, collections::BinaryHeap};

use agentwire::proto::{
    Client, CloseCode, Config, Duration, Input, Instant, Output, Slot, SocketId, State, Text,
    wire::{ServerFrame, Welcome},
};

use crate::rng::Rng;

/// How long everything was well before the server went away.
const CALM: Duration = Duration::from_secs(60);
/// How long it is away.
const AWAY: Duration = Duration::from_secs(120);
/// After that, a page that is not back has given up.
const PATIENCE: Duration = Duration::from_secs(300);
/// Attempts are counted in spans of so many milliseconds.
const SPAN_MS: u64 = 100;
/// Sockets break within so many milliseconds: as many as the kernel of a server takes.
const SPREAD_MS: u64 = 50;

/// What happened to a herd.
#[derive(Debug, Default)]
pub struct Herd {
    /// Attempts by span, from the loss on.
    attempts: Vec<u64>,
    /// How long each page took, in milliseconds from the server's return.
    back_after: Vec<u64>,
    /// Pages that did not come back.
    gave_up: usize,
}

impl Herd {
    fn attempt(&mut self, since_loss: u64) {
        let span = (since_loss / SPAN_MS) as usize;
        if self.attempts.len() <= span {
            self.attempts.resize(span + 1, 0);
        }
        self.attempts[span] += 1;
    }

    /// The most attempts per span in the first second after the loss.
    pub fn first_peak(&self) -> u64 {
        self.peak(0, 1_000)
    }

    /// The most attempts per span in the second minute.
    pub fn steady_peak(&self) -> u64 {
        self.peak(60_000, AWAY.as_millis())
    }

    fn peak(&self, from_ms: u64, to_ms: u64) -> u64 {
        let spans = self.attempts.iter().skip((from_ms / SPAN_MS) as usize);
        spans.take(((to_ms - from_ms) / SPAN_MS) as usize).copied().max().unwrap_or(0)
    }

    /// The time within which so many hundredths of the pages were back, in seconds.
    pub fn back_within(&mut self, hundredths: usize) -> f64 {
        self.back_after.sort_unstable();
        let last = self.back_after.len().saturating_sub(1);
        let place = (self.back_after.len() * hundredths / 100).min(last);
        self.back_after.get(place).map_or(f64::INFINITY, |&ms| ms as f64 / 1_000.0)
    }

    /// Pages that did not come back.
    pub const fn gave_up(&self) -> usize {
        self.gave_up
    }

    fn line(&mut self, name: &str) -> String {
        let (first, steady, gave_up) = (self.first_peak(), self.steady_peak(), self.gave_up);
        let (half, most) = (self.back_within(50), self.back_within(99));
        format!(
            "{name}: first-second peak {first}/100ms, steady peak {steady}/100ms, p50 {half:.1} s, p99 {most:.1} s, gave up {gave_up}"
        )
    }
}

/// The longest step for so many pages, as the bridge derives it.
fn backoff_max_ms(clients: usize) -> u64 {
    (2_000.0 * (clients as f64 / 100.0).powf(0.4375)).clamp(1_000.0, 60_000.0) as u64
}

/// Runs a herd of real cores.
pub fn run(clients: usize, seed: u64) -> Herd {
    let mut herd = Herd::default();
    let mut rng = Rng::new(seed);
    let begin = Instant::from_millis(1_000);
    let lost = begin + CALM;
    let returns = lost + AWAY;
    let cap = backoff_max_ms(clients);
    let mut due = BinaryHeap::new();
    let mut pages = Vec::with_capacity(clients);
    for index in 0..clients {
        let mut page = Page { client: Client::new(Config::new(rng.below(1 << 53))), cap, lost, returns };
        page.input(Input::Connect, begin, &mut herd);
        due.push(Reverse((lost + Duration::from_millis(rng.below(SPREAD_MS)), index, true)));
        pages.push(page);
    }
    let end = returns + PATIENCE;
    while let Some(Reverse((at, index, is_loss))) = due.pop() {
        if at > end {
            break;
        }
        let page = &mut pages[index];
        let was_connected = page.client.state() == State::Connected;
        let input = if is_loss {
            Input::SocketClosed { socket: SocketId(0), code: CloseCode::ABNORMAL }
        } else {
            Input::Timeout
        };
        let next = page.input(input, at, &mut herd);
        if !was_connected && page.client.state() == State::Connected {
            herd.back_after.push(at.since(returns).as_millis());
        } else if let Some(next) = next {
            due.push(Reverse((next, index, false)));
        }
    }
    herd.gave_up = clients - herd.back_after.len();
    herd
}

/// A page and its line to a server that is away from `lost` until `returns`.
struct Page {
    client: Client,
    cap: u64,
    lost: Instant,
    returns: Instant,
}

impl Page {
    /// Feeds the core, answers it at once, and returns when it wants to be called.
    fn input(&mut self, input: Input, now: Instant, herd: &mut Herd) -> Option<Instant> {
        let is_away = self.lost <= now && now < self.returns;
        self.client.handle_input(input, now);
        loop {
            let answer = match self.client.poll_output() {
                Output::Timeout(deadline) => return deadline,
                Output::RequestToken => Input::TokenReady { token: Slot(1) },
                Output::OpenSocket(socket) => {
                    if now >= self.lost {
                        herd.attempt(now.since(self.lost).as_millis());
                    }
                    if is_away {
                        Input::SocketClosed { socket, code: CloseCode::ABNORMAL }
                    } else {
                        Input::SocketOpened { socket, subprotocol: true }
                    }
                }
                Output::SendFrame { socket, .. } if self.client.state() == State::Connecting => {
                    let frame = ServerFrame::Welcome(self.welcome());
                    Input::Frame { socket, frame, slot: Slot(2), bytes: 0 }
                }
                _ => continue,
            };
            self.client.handle_input(answer, now);
        }
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            session: Text::WELCOME,
            subject: Text::CONNECT,
            // The server is not asked for a sign of life while the herd stands.
            heartbeat_ms: 300_000,
            max_frame_bytes: 1 << 20,
            max_streams: 64,
            send_horizon_ms: 86_400_000,
            token_expires_in_ms: None,
            backoff_max_ms: Some(self.cap),
            time: None,
        }
    }
}

/// The delay before an attempt, counted from 0, in milliseconds; `None` to give up.
type Formula = fn(u32, &mut Rng) -> Option<f64>;

/// What other clients publish: with their default options.
const PEERS: [(&str, Formula); 4] = [
    ("centrifuge", |attempt, rng| {
        let interval = (500.0 * f64::from(attempt.min(31)).exp2()).min(20_000.0) * unit(rng);
        Some((500.0 + interval).min(20_000.0))
    }),
    ("socket.io", |attempt, rng| {
        let step = 1_000.0 * f64::from(attempt.min(31)).exp2();
        let deviation = (unit(rng) * 0.5 * step).floor();
        let delay = if unit(rng) < 0.5 { step - deviation } else { step + deviation };
        Some(delay.min(5_000.0))
    }),
    ("Phoenix", |attempt, _| {
        let steps = [10.0, 50.0, 100.0, 150.0, 200.0, 250.0, 500.0, 1_000.0, 2_000.0];
        Some(steps.get(attempt as usize).copied().unwrap_or(5_000.0))
    }),
    ("SignalR", |attempt, _| [0.0, 2_000.0, 10_000.0, 30_000.0].get(attempt as usize).copied()),
];

fn unit(rng: &mut Rng) -> f64 {
    rng.below(1 << 52) as f64 / (1_u64 << 52) as f64
}

/// Runs a herd of a formula: attempts fail at once.
fn run_formula(formula: Formula, clients: usize, seed: u64) -> Herd {
    let mut herd = Herd::default();
    let mut rng = Rng::new(seed);
    for _ in 0..clients {
        let mut now = rng.below(SPREAD_MS) as f64;
        let mut attempt = 0;
        loop {
            let Some(delay) = formula(attempt, &mut rng) else {
                herd.gave_up += 1;
                break;
            };
            now += delay;
            attempt += 1;
            herd.attempt(now as u64);
            if now >= AWAY.as_millis() as f64 {
                herd.back_after.push(now as u64 - AWAY.as_millis());
                break;
            }
        }
    }
    herd
}

/// Runs the herd, and the formulas of the others; returns their lines, ours last.
pub fn report(clients: usize, seed: u64) -> (Vec<String>, Herd) {
    let mut lines = Vec::new();
    for (name, formula) in PEERS {
        lines.push(run_formula(formula, clients, seed).line(&format!("  {name}")));
    }
    let mut herd = run(clients, seed);
    lines.push(herd.line(&format!("herd: {clients} clients")));
    (lines, herd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_pages_that_lose_their_server_come_back_spread_out_and_soon() {
        // PROTOCOL: CLS-4, CLS-5; I14. Two minutes away, refusals at once.
        let mut herd = run(10_000, 1);
        assert!(herd.first_peak() <= 2_300, "{} attempts in 100 ms of the first second", herd.first_peak());
        assert!(herd.steady_peak() <= 170, "{} attempts in 100 ms later", herd.steady_peak());
        assert!(herd.back_within(99) <= 14.0, "{} s", herd.back_within(99));
        assert_eq!(herd.gave_up(), 0);
    }

    #[test]
    fn pages_of_a_small_server_are_back_within_three_seconds_of_its_return() {
        // Of 100 pages: the cap is 2 s.
        let mut herd = run(100, 1);
        assert!(herd.back_within(100) <= 2.0, "{} s", herd.back_within(100));
        assert_eq!(herd.gave_up(), 0);
    }
}

//! A steady load, and what its server costs while it lasts.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Bench;
use super::crowd::{Crowd, Dialect, Mark};
use super::stand::{Plan, Stand, published};

/// A load and how long it is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steady {
    /// Streams, each with `per_second` events.
    pub(super) streams: u32,
    pub(super) per_second: f64,
    pub(super) bytes: usize,
    /// What is not measured yet: streams begin, caches fill.
    pub(super) warm_up: Duration,
    pub(super) length: Duration,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
    pub(super) mark: Mark,
}

impl Steady {
    /// Connects `pages` to a server that has just started, measures, prints it, and stops the server.
    pub(super) fn with(
        self,
        bench: &Bench<'_>,
        stand: Stand,
        dialect: Dialect,
        pages: u32,
    ) -> Result<Measured> {
        let mut crowd = Crowd::start(bench, &stand, dialect, pages, self.streams)?;
        let measured = self.run(&stand, &mut crowd)?;
        println!("  {}: {}", dialect.name(), measured.summary());
        if let Some(warning) = measured.shortfall(self.per_second * f64::from(pages)) {
            println!("    {warning}");
        }
        drop(crowd);
        stand.stop()?;
        Ok(measured)
    }

    /// Publishes, measures, and checks that every page has got everything.
    fn run(self, stand: &Stand, crowd: &mut Crowd) -> Result<Measured> {
        // It goes on for a second after the measurement, so that nothing ends within it.
        let seconds = (self.warm_up + self.length).as_secs_f64() + 1.0;
        let events = (seconds * self.per_second).ceil() as u64;
        let (streams, per_second, bytes) = (self.streams, Some(self.per_second), self.bytes);
        let publishers = stand.publish(Plan { streams, events, per_second, batch: 1, bytes });
        sleep(self.warm_up);
        crowd.mark()?;
        let (before, began) = (stand.cpu()?, Instant::now());
        sleep(self.length);
        let (cpu, wall, mark) = (stand.cpu()? - before, began.elapsed(), crowd.mark()?);
        published(publishers)?;
        crowd.until(events)?;
        Ok(Measured { cpu, wall, mark })
    }
}

impl Measured {
    /// Events that a core of the server carries in a second.
    pub(super) fn per_core_second(&self) -> f64 {
        self.mark.events as f64 / self.cpu.as_secs_f64().max(0.01)
    }

    /// CPU time of the server per event that a page got, in microseconds.
    pub(super) fn us_per_event(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / (self.mark.events as f64).max(1.0)
    }

    /// A warning if the machine did not carry the load: then other work, and not the server, set the figures.
    pub(super) fn shortfall(&self, offered_per_second: f64) -> Option<String> {
        let carried = self.mark.events as f64 / self.wall.as_secs_f64() / offered_per_second * 100.0;
        (carried < 95.0)
            .then(|| format!("only {carried:.0} % of the load was carried; measure on an idle machine"))
    }

    /// In a few words.
    pub(super) fn summary(&self) -> String {
        let seconds = self.wall.as_secs_f64();
        let Mark { events, frames, bytes, acks, p50_us, p95_us, p99_us, max_us } = self.mark;
        let ms = |us: u32| f64::from(us) / 1e3;
        format!(
            "{:.0} events/s in {:.0} frames/s of {} B, {:.0} acks/s; CPU {:.0} %, {:.1} µs per event, {:.0} events per core second; latency p50 {:.1}, p95 {:.1}, p99 {:.1}, max {:.0} ms",
            events as f64 / seconds,
            frames as f64 / seconds,
            bytes / frames.max(1),
            acks as f64 / seconds,
            self.cpu.as_secs_f64() / seconds * 100.0,
            self.us_per_event(),
            self.per_core_second(),
            ms(p50_us),
            ms(p95_us),
            ms(p99_us),
            ms(max_us),
        )
    }
}

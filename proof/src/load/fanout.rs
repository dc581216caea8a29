//! Row 4: one thread to many sockets of a user.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Bench;
use super::crowd::Dialect;
use super::durable::TEXT_BYTES;
use super::figures::{Bound, Figure, mean, spread};
use super::stand::Stand;
use super::window::{Measured, Steady};

/// As fast as a model writes tokens.
const PER_SECOND: f64 = 20.0;

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let sockets = bench.size(1_000, 20);
    println!("fanout: one thread to {sockets} sockets, {PER_SECOND} events/s");
    let load = Steady {
        streams: 1,
        per_second: PER_SECOND,
        bytes: TEXT_BYTES,
        warm_up: Duration::from_secs(bench.size(3, 1)),
        length: Duration::from_secs(bench.size(15, 1)),
    };
    let mut measured = Vec::new();
    for _ in 0..bench.size(2, 1) {
        let stand = Stand::bridge(bench, &bench.new_log("fanout")?)?;
        measured.push(load.with(bench, stand, Dialect::Bridge, sockets).context("fanout")?);
    }
    bench.new_log("fanout")?;
    let costs: Vec<f64> = measured.iter().map(Measured::us_per_event).collect();
    Ok(vec![Figure {
        what: format!("fan-out of one thread to {sockets} sockets, CPU per delivery with acks"),
        value: mean(&costs),
        unit: "µs",
        digits: 1,
        bound: Bound::Most,
        must: 14.0,
        aim: Some(10.0),
        note: format!("A/A {:.0} %", spread(&costs)),
    }])
}

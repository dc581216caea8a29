//! Row 1: durable events per core second, beside socket.io, which keeps its events in memory.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Bench;
use super::crowd::Dialect;
use super::figures::{Bound, Figure, mean, spread};
use super::stand::Stand;
use super::window::{Measured, Steady};

/// Bytes of the text of an event; with the rest of it, 300 bytes of JSON.
pub(super) const TEXT_BYTES: usize = 190;

pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let sockets = bench.size(1_000, 20);
    let load = Steady {
        streams: sockets,
        per_second: 10.0,
        bytes: TEXT_BYTES,
        warm_up: Duration::from_secs(bench.size(5, 1)),
        length: Duration::from_secs(bench.size(15, 1)),
    };
    println!("durable: {sockets} sockets × {}/s, each with its own stream", load.per_second);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // In turn, each in a fresh process, so that what disturbs one disturbs the other.
    for _ in 0..bench.size(2, 1) {
        let log = bench.new_log("durable")?;
        let stand = Stand::bridge(bench, &log)?;
        ours.push(load.with(bench, stand, Dialect::Bridge, sockets).context("durable, the bridge")?);
        let stand = Stand::socketio(bench)?;
        theirs.push(load.with(bench, stand, Dialect::Socketio, sockets).context("durable, socket.io")?);
    }
    bench.new_log("durable")?;
    let rates = ours.iter().map(Measured::per_core_second).collect::<Vec<_>>();
    let ratios: Vec<f64> =
        ours.iter().zip(&theirs).map(|(ours, theirs)| ours.us_per_event() / theirs.us_per_event()).collect();
    let theirs: Vec<f64> = theirs.iter().map(Measured::per_core_second).collect();
    let rate = Figure {
        what: format!("durable events per core second, {sockets} sockets × 10/s, SQLite FULL"),
        value: mean(&rates),
        unit: "events",
        digits: 0,
        bound: Bound::Least,
        must: 15_000.0,
        aim: Some(25_000.0),
        note: format!("A/A {:.0} %", spread(&rates)),
    };
    let ratio = Figure {
        what: "the same, CPU per event over socket.io (not durable)".to_owned(),
        value: mean(&ratios),
        unit: "×",
        digits: 2,
        bound: Bound::Most,
        must: 2.5,
        aim: None,
        note: format!(
            "socket.io {:.0} events per core second, A/A {:.0} %; ratios differ by {:.0} %",
            mean(&theirs),
            spread(&theirs),
            spread(&ratios)
        ),
    };
    Ok(vec![rate, ratio])
}

//! `agentwire-sim-bridge`: runs seeds of the simulation of bridge and core. `cargo xtask simulate --bridge` calls it.
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]

use std::env;
use std::process::ExitCode;

use agentwire_sim_bridge::campaign::{self, Order};

fn main() -> ExitCode {
    let mut order = Order { seeds: 20_000, from: 1, threads: 2 };
    let (mut seed, mut is_small) = (None, false);
    let mut args = env::args().skip(1);
    while let Some(name) = args.next() {
        if name == "--small" {
            is_small = true;
            continue;
        }
        let value = args.next().and_then(|value| value.parse::<u64>().ok());
        match (name.as_str(), value) {
            ("--seeds", Some(number)) => order.seeds = number,
            ("--from", Some(number)) => order.from = number,
            ("--threads", Some(number)) => order.threads = number.clamp(1, 64),
            ("--seed", Some(number)) => seed = Some(number),
            _ => {
                eprintln!("error: {name}; use [--seeds N] [--from N] [--threads N] [--seed N [--small]]");
                return ExitCode::FAILURE;
            }
        }
    }
    let is_fine = seed.map_or_else(|| campaign::simulate(order), |seed| campaign::show(seed, is_small));
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

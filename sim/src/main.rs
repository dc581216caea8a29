//! `agentwire-sim`: runs seeds of the simulation. `cargo xtask simulate` builds it fast and calls it.
#![allow(clippy::print_stdout, reason = "a command line tells its user what it does")]
#![allow(
    clippy::disallowed_methods,
    reason = "the ban on clocks is for the sans-IO core; this runs on a host"
)]

use std::{env, path::PathBuf, process::ExitCode};

use agentwire_sim::{
    campaign::{self, Order},
    herd,
};

fn main() -> ExitCode {
    let mut order = Order::default();
    let mut herd_of = None;
    let mut args = env::args().skip(1);
    while let Some(name) = args.next() {
        if name == "--trial" {
            order.trial = true;
            continue;
        }
        let Some(value) = args.next() else { return usage(&format!("{name} needs a value")) };
        if name == "--bug" {
            order.bugs.push(value);
            continue;
        }
        if name == "--kept" {
            order.kept = Some(PathBuf::from(value));
            continue;
        }
        let Ok(number) = value.parse::<u64>() else { return usage(&format!("{value} is not a number")) };
        match name.as_str() {
            "--from" => order.from = number,
            "--herd" => herd_of = Some(number),
            "--seed" => order.seed = Some(number),
            "--seeds" => order.seeds = number,
            "--threads" => order.threads = number.clamp(1, 64),
            _ => return usage(&format!("{name} is unknown")),
        }
    }
    let fine = if let Some(clients) = herd_of {
        show_herd(clients as usize)
    } else if let Some(seed) = order.seed {
        campaign::show(seed)
    } else if order.trial {
        campaign::trial(&order)
    } else {
        campaign::simulate(&order)
    };
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints how a herd of pages comes back, and whether that is within the bounds for 10,000 of them.
fn show_herd(clients: usize) -> bool {
    let (lines, mut herd) = herd::report(clients, 1);
    for line in lines {
        println!("{line}");
    }
    let is_small = clients <= 10_000;
    !is_small
        || (herd.first_peak() <= 2_300
            && herd.steady_peak() <= 170
            && herd.back_within(99) <= 14.0
            && herd.gave_up() == 0)
}

fn usage(problem: &str) -> ExitCode {
    eprintln!(
        "error: {problem}; use [--herd N] [--seeds N] [--from N] [--seed N] [--threads N] [--kept FILE] [--trial [--bug NAME]…]"
    );
    ExitCode::FAILURE
}

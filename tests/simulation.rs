//! A slice of the deterministic simulation; `cargo xtask simulate` runs the whole of it.
//!
//! I1, I2, I3, I4, I6, I7, I8, I9, I11

use agentwire_sim::{campaign::read_seeds, runner};

/// New seeds of the slice.
const SEEDS: u64 = 200;

/// Runs seeds on a thread of its own, where a panic of the core is a finding like any other.
fn run(seeds: Vec<u64>) {
    let worker = std::thread::Builder::new().name(runner::WORKER.into());
    let found = worker
        .spawn(move || seeds.into_iter().find_map(|seed| runner::run_seed(seed).err()))
        .expect("the system has room for a thread")
        .join()
        .expect("the runner catches panics");
    if let Some(failure) = found {
        panic!("{failure}; look at it with `cargo xtask simulate --seed {}`", failure.seed);
    }
}

#[test]
fn seeds_that_failed_once_keep_every_promise() {
    run(read_seeds(include_str!("seeds.txt")).expect("one seed a line"));
}

#[test]
fn new_seeds_keep_every_promise() {
    run((1..=SEEDS).collect());
}

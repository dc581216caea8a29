//! A slice of the simulation, and what it stands on.

use agentwire_bridge::StreamKey;
use agentwire_sim_bridge::campaign::{self, Order};
use agentwire_sim_bridge::faulty::{FaultyLog, Moods};
use agentwire_sim_bridge::store::Store;
use std::sync::Arc;

/// Seeds of the slice.
const SEEDS: u64 = 60;

// PROMISE: I1, I2, I3, I4, I5, I6, I7, I13
#[test]
fn bridge_and_core_keep_their_promises_under_faults_and_a_seed_leaves_the_same_trace_twice() {
    let [one, other] = [(); 2].map(|()| {
        let (total, failure) = campaign::run(Order { seeds: SEEDS, from: 1, threads: 2 });
        assert!(failure.is_none(), "{failure:?}; look at it: cargo xtask simulate --bridge --seed N");
        assert_eq!(total.seeds, SEEDS);
        total.tally
    });
    assert_eq!(one.hash, other.hash);
    // The slice is worth something only if faults take effect.
    let wrong = one.wrong;
    let counts = [wrong.failed, wrong.lost, wrong.hung, wrong.late, one.counts.gaps, one.counts.sends];
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
    assert!(one.steps.values().all(|count| *count > 1), "{:?}", one.steps);
}

/// A log in a good mood, as the suite for logs wants it.
fn fair_log() -> FaultyLog {
    let streams: [(StreamKey, String); 0] = [];
    FaultyLog::open(&Arc::new(Store::new(&streams)), &Arc::new(Moods::new(1)))
}

agentwire_bridge::log_tests!((fair_log(), ()));

//! The harness of `agentwire-sim`: the core, a model server and a link between them, in virtual time. And where most tests begin.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses a part")]

use agentwire::proto::Duration;

use agentwire::proto::{Begin, Config, wire::Open};
pub use agentwire_sim::{Item, Receiver, World, expand};

pub const SECOND: Duration = Duration::from_secs(1);

/// Begins at a stored position.
pub fn at(epoch: &str, offset: u64) -> Begin {
    Begin::Position { epoch: epoch.into(), offset }
}

/// The offsets from 1 on.
pub fn upto(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

/// A page whose window has room for a few events.
pub fn narrow(window: u32) -> World {
    let mut config = Config::new(1);
    config.window_events = window;
    World::with(config)
}

/// A connected page that follows nothing.
pub fn connected() -> World {
    let mut world = World::new();
    world.connect();
    world.settle();
    world
}

/// A connected page that follows `t` from the start and has its events.
pub fn following(events: u64) -> World {
    let mut world = World::new();
    world.server.publish("t", events);
    world.follow("t");
    world.connect();
    world.settle();
    world
}

/// A connected page with an iterator over `t` from the start, which has pulled nothing yet.
pub fn pulling(events: u64) -> World {
    let mut world = World::new();
    world.server.publish("t", events);
    world.subscribe_pulling(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    world
}

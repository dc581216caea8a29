//! What the simulation found in the core, each as a story of its own. The seeds are in `seeds.txt`.

mod support;

use std::time::Duration;

use agentwire::proto::{Begin, Config, ConsumerId, Event, Input, Verdict, wire::Open};
use support::World;

const SECOND: Duration = Duration::from_secs(1);

fn stored(world: &World) -> (&str, u64) {
    world.positions.values().next().map(|(epoch, offset)| (epoch.as_str(), *offset)).expect("a position")
}

fn last_verdict(world: &World) -> Verdict {
    let mut verdicts = world.facts.iter().filter_map(|fact| match fact {
        Event::Resumed { verdict, .. } => Some(verdict.clone()),
        _ => None,
    });
    verdicts.next_back().expect("a verdict")
}

fn narrow(window: u32) -> World {
    let mut config = Config::new(1);
    config.window_events = window;
    World::with(config)
}

#[test]
fn a_consumer_that_begins_earlier_moves_the_stored_position_when_it_attaches() {
    // I4, seed 1: left now, the page would begin after what this consumer never got.
    let mut world = World::new();
    world.server.publish("t", 10);
    world.follow("t");
    world.connect();
    world.settle();
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::After(3));
    assert_eq!(stored(&world), ("e1", 3));
}

#[test]
fn the_stored_position_enters_an_epoch_only_when_every_consumer_knows_of_it() {
    // I4, seed 7: a page that is left before its iterator pulls the gap would never hear that the epoch ended.
    let mut world = World::new();
    world.server.publish("t", 10);
    world.subscribe_pulling(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    world.pull(1, 4);
    world.server.new_epoch("t", "e2", 3);
    world.settle();
    assert_eq!(stored(&world), ("e1", 4));
    world.pull(1, 1);
    assert_eq!(stored(&world), ("e2", 0));
}

#[test]
fn a_gap_while_live_is_no_part_of_the_next_verdict() {
    // I3, seed 9: everything that was missed came.
    let mut world = World::new();
    world.server.publish("t", 10);
    world.follow("t");
    world.connect();
    world.settle();
    world.server.new_epoch("t", "e2", 3);
    world.settle();
    world.cut();
    world.server.publish("t", 2);
    world.run_for(2 * SECOND);
    let verdict = last_verdict(&world);
    assert_eq!((verdict.recovered, verdict.from, verdict.to), (true, 4, 5), "{verdict:?}");
    assert_eq!(verdict.gap, None);
}

#[test]
fn a_missing_tail_is_asked_for_as_fast_as_the_iterator_takes_it() {
    // I9, seed 79: the window bounds what waits in the page, also after an event was lost on the way.
    let mut world = narrow(4);
    world.server.publish("t", 2);
    world.subscribe_pulling(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    world.pull(1, 10);
    world.settle();
    world.server.heartbeat_ms = 500;
    world.server.forgets = (3..=6).collect();
    world.server.publish("t", 200);
    world.run_for(40 * SECOND);
    let queued = world.receiver(1).queue.len();
    assert!(queued <= 2 * 4, "{queued} events wait in the page, the window is 4");
    for _ in 0..400 {
        world.pull(1, 10);
        world.run_for(Duration::from_millis(120));
    }
    assert_eq!(world.receiver(1).offsets(), (1..=202).collect::<Vec<_>>());
}

#[test]
fn a_catch_up_that_nobody_waits_for_is_not_counted_into_the_next() {
    // I3, seed 105
    let mut world = narrow(8);
    world.server.publish("t", 40);
    world.subscribe_pulling(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    world.input(Input::Unsubscribe { consumer: ConsumerId(1) });
    world.subscribe(1, 2, "t", Open::Start, Begin::Stream);
    world.settle();
    let verdict = last_verdict(&world);
    assert_eq!((verdict.attempts, verdict.replayed), (1, 40), "{verdict:?}");
}

#[test]
fn an_early_consumer_that_left_before_the_hello_leaves_no_hole() {
    // I3, seed 210: the stream resumes where its consumers are.
    let mut world = World::new();
    world.server.publish("t", 10);
    world.follow("t");
    world.connect();
    world.settle();
    world.refusing = true;
    world.cut();
    let begin = Begin::Position { epoch: "e1".into(), offset: 2 };
    world.subscribe(1, 2, "t", Open::Start, begin);
    world.input(Input::Unsubscribe { consumer: ConsumerId(2) });
    world.refusing = false;
    world.run_for(3 * SECOND);
    assert_eq!(last_verdict(&world).attempts, 1, "the second catch-up has a verdict of its own");
    assert_eq!(world.facts.iter().filter(|fact| matches!(fact, Event::Resumed { .. })).count(), 2);
    world.server.publish("t", 1);
    world.settle();
    assert_eq!(world.sent_of("replay").len(), 0, "nothing is missing");
    assert_eq!(world.receiver(1).offsets(), (1..=11).collect::<Vec<_>>());
}

#[test]
fn the_pages_of_a_fast_iterator_do_not_pile_up_in_a_slow_one() {
    // I9, seed 783: both began late, at one place.
    let mut world = narrow(8);
    world.server.publish("t", 400);
    world.follow("t");
    world.connect();
    world.run_for(20 * SECOND);
    assert_eq!(world.receiver(1).offsets().len(), 400);
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::After(0));
    world.subscribe_pulling(1, 3, "t", Open::Start, Begin::After(0));
    for _ in 0..400 {
        world.pull(2, 10);
        world.run_for(Duration::from_millis(60));
    }
    assert_eq!(world.receiver(2).offsets(), (1..=400).collect::<Vec<_>>());
    let queued = world.receiver(3).queue.len();
    assert!(queued <= 3 * 8, "{queued} events wait for the one that does not pull, the window is 8");
    for _ in 0..800 {
        world.pull(3, 10);
        world.run_for(Duration::from_millis(60));
    }
    assert_eq!(world.receiver(3).offsets(), (1..=400).collect::<Vec<_>>());
}

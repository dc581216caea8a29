//! What the simulation found in the core, each as a story of its own. The seeds are in `seeds.txt`.

mod support;

use agentwire::proto::Duration;

use agentwire::proto::{Begin, Config, ConsumerId, Event, Input, ResumeResult, wire::Open};
use support::{Item, SECOND, World, following, narrow, pulling};

/// The first event of a model server's first log that is larger than the smallest window.
const LARGE: u64 = 75;

fn position(world: &World) -> (String, u64) {
    world.position(1).expect("a position")
}

fn last_result(world: &World) -> ResumeResult {
    let mut results = world.facts.iter().filter_map(|fact| match fact {
        Event::Resumed { result, .. } => Some((**result).clone()),
        _ => None,
    });
    results.next_back().expect("a resume result")
}

/// Where the gap begins that an iterator pulls next.
fn waiting_gap(world: &World) -> Option<u64> {
    match world.receiver(1).queue.front() {
        Some(Item::Gap { from, .. }) => Some(*from),
        _ => None,
    }
}

#[test]
fn an_earlier_consumer_moves_the_position_back_when_it_attaches() {
    // I4, seed 1: left now, the page would begin after what this consumer never got.
    let mut world = following(10);
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::After(3));
    assert_eq!(position(&world), ("e1".into(), 3));
}

#[test]
fn the_position_enters_an_epoch_when_every_consumer_has_its_gap() {
    // I4, seed 7: a page that is left before its iterator pulls the gap would never hear that the epoch ended.
    let mut world = pulling(10);
    world.pull(1, 4);
    world.server.new_epoch("t", "e2", 3);
    world.settle();
    assert_eq!(position(&world), ("e1".into(), 4));
    world.pull(1, 1);
    assert_eq!(position(&world), ("e2".into(), 0));
}

#[test]
fn a_gap_while_live_is_not_in_the_next_resume_result() {
    // I3, seed 9: everything that was missed came.
    let mut world = following(10);
    world.server.new_epoch("t", "e2", 3);
    world.settle();
    world.cut();
    world.server.publish("t", 2);
    world.run_for(2 * SECOND);
    let result = last_result(&world);
    assert_eq!((result.recovered, result.from, result.to), (true, 4, 5), "{result:?}");
    assert_eq!(result.gap, None);
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
    let result = last_result(&world);
    assert_eq!((result.attempts, result.replayed), (1, 40), "{result:?}");
}

#[test]
fn an_early_consumer_that_left_before_the_hello_leaves_no_hole() {
    // I3, seed 210: the stream resumes where its consumers are.
    let mut world = following(10);
    world.refusing = true;
    world.cut();
    let begin = Begin::Position { epoch: "e1".into(), offset: 2 };
    world.subscribe(1, 2, "t", Open::Start, begin);
    world.input(Input::Unsubscribe { consumer: ConsumerId(2) });
    world.refusing = false;
    world.run_for(3 * SECOND);
    assert_eq!(last_result(&world).attempts, 1, "the second catch-up has a result of its own");
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

#[test]
fn a_gap_begins_after_what_a_handler_pulled_while_the_epoch_ended() {
    // I2, seed 117: a handler that gets its gap pulls an iterator, whose report comes when the core is in the next epoch.
    let mut world = pulling(10);
    world.pull(1, 4);
    world.server.new_epoch("t", "e2", 3);
    world.settle();
    world.input(Input::Delivered { consumer: ConsumerId(1), life: 0, through: 6 });
    world.server.new_epoch("t", "e3", 3);
    world.settle();
    assert_eq!(waiting_gap(&world), Some(7));
    // Of e2 it pulled two, of e3 nothing.
    world.input(Input::Delivered { consumer: ConsumerId(1), life: 1, through: 2 });
    world.server.new_epoch("t", "e4", 3);
    world.settle();
    assert_eq!(waiting_gap(&world), Some(3));
}

#[test]
fn a_resume_result_stands_before_what_is_live_when_a_request_brings_the_end_of_the_catch_up() {
    // I3, seed 8900: an event is lost that fills the window, so the server can send neither what follows nor `caughtUp`. What a
    // heartbeat names beyond the catch-up is not asked for before its end.
    let mut config = Config::new(1);
    config.window_bytes = 1_024;
    let mut world = World::with(config);
    world.server.publish("t", LARGE + 2);
    world.server.forgets = vec![LARGE];
    world.server.heartbeat_ms = 1_000;
    world.follow("t");
    world.connect();
    world.settle();
    world.server.publish("t", 4);
    world.run_for(20 * SECOND);
    let items = &world.receiver(1).items;
    let place = items.iter().position(|item| matches!(item, Item::Resumed(_)));
    assert_eq!(place, Some(LARGE as usize + 2), "{items:?}");
    assert_eq!(world.receiver(1).offsets(), (1..=LARGE + 6).collect::<Vec<_>>());
}

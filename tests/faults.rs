//! Faults that were found from outside, each with its smallest sequence. The numbers are those of the list they came from.

mod support;

use agentwire::proto::Duration;

use agentwire::proto::{
    Begin, ClientError, ConsumerId, Event, Input, Output, ResumeResult, State, StreamId, wire::Open,
};
use support::{Item, SECOND, World, at, connected, following, narrow, pulling, upto};

fn leave(world: &mut World, consumer: u32) {
    world.input(Input::Unsubscribe { consumer: ConsumerId(consumer) });
}

fn names_asked_for(world: &World) -> Vec<String> {
    let frames = world.sent_of("subscribe").into_iter();
    let requests = frames.flat_map(|frame| frame["streams"].as_array().cloned().unwrap_or_default());
    requests.map(|request| request["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Puts a frame with ten events of the first stream on the wire.
fn inject_ten(world: &mut World, first: u64) {
    let events = [r#"{"type":"message_delta","time":1,"text":"x"}"#; 10].join(",");
    world.inject(format!(r#"{{"type":"events","ch":1,"first":{first},"count":10,"events":[{events}]}}"#));
}

/// What went wrong with a frame of the server.
fn contradictions(world: &World) -> Vec<&'static str> {
    let errors = world.facts.iter().filter_map(|fact| match fact {
        Event::Error(ClientError::Contradiction(text)) => Some(text.as_str()),
        _ => None,
    });
    errors.collect()
}

// --- B1, B2, B13: one stream per name ---

#[test]
fn b1_a_name_under_a_second_number_is_asked_for_once_while_the_first_answer_is_under_way() {
    // PROTOCOL: SUB-2
    let mut world = connected();
    world.server.publish("t", 3);
    world.subscribe(1, 1, "t", Open::Start, Begin::Stream);
    leave(&mut world, 1);
    world.subscribe(2, 2, "t", Open::Start, Begin::Stream);
    world.settle();
    assert_eq!(names_asked_for(&world), ["t"]);
    assert_eq!(world.receiver(2).offsets(), upto(3));
}

#[test]
fn b1_a_subscribed_name_under_a_second_number_goes_on_with_what_comes() {
    let mut world = following(3);
    world.subscribe(2, 2, "t", Open::Start, Begin::After(0));
    world.settle();
    world.server.publish("t", 2);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(5));
    assert_eq!(world.receiver(2).offsets(), upto(5));
    leave(&mut world, 1);
    leave(&mut world, 2);
    world.settle();
    assert_eq!(world.sent_of("unsubscribe").len(), 1);
}

#[test]
fn b1_a_number_of_another_name_is_refused() {
    let mut world = following(3);
    world.subscribe(1, 2, "u", Open::Start, Begin::Stream);
    world.settle();
    assert_eq!(names_asked_for(&world), Vec::<String>::new());
}

#[test]
fn b2_a_live_stream_goes_on_where_it_was_left_under_another_number() {
    // PROTOCOL: SUB-9
    let mut world = World::new();
    world.server.publish("t", 10);
    world.subscribe(1, 1, "t", Open::Live, Begin::Stream);
    world.connect();
    world.settle();
    leave(&mut world, 1);
    world.settle();
    world.server.publish("t", 6);
    world.subscribe(2, 2, "t", Open::Live, Begin::Stream);
    world.settle();
    assert_eq!(world.receiver(2).offsets(), (11..=16).collect::<Vec<_>>());
}

#[test]
fn b13_sixty_streams_of_one_turn_are_asked_for_in_one_frame() {
    let mut world = connected();
    let mut driver = agentwire_sim::Driver::keeping();
    for number in 1..=60 {
        let ids = (StreamId(number), ConsumerId(number), format!("t{number}"));
        let (open, begin) = (Open::Start, Begin::Stream);
        let input = driver.subscribe(support::Receiver::default(), (ids.0, ids.1, &ids.2), open, begin);
        world.client.handle_input(input, world.now);
    }
    let mut requests = Vec::new();
    world.client.handle_input(Input::Flush, world.now);
    loop {
        match world.client.poll_output() {
            Output::SendFrame { frame, .. } => requests.push(frame),
            Output::Timeout(_) => break,
            _ => {}
        }
    }
    assert_eq!(requests.len(), 1, "{requests:?}");
}

// --- B3: what a page is owed of a new epoch ---

/// A page at e1:14; then a backup with 10 events is put back under another epoch, and 4 more are written.
fn restored(open: Open) -> World {
    let mut world = World::new();
    world.server.publish("t", 14);
    world.subscribe(1, 1, "t", open, at("e1", 14));
    world.connect();
    world.settle();
    world.refusing = true;
    world.cut();
    world.server.restart();
    world.server.roll_back("t", 10);
    world.server.renew("t", "e2");
    world.server.publish("t", 4);
    world
}

fn come_back(world: &mut World) {
    world.refusing = false;
    world.run_for(5 * SECOND);
    world.server.publish("t", 1);
    world.settle();
}

fn result(world: &World) -> &ResumeResult {
    world.receiver(1).resumed().pop().expect("a resume result")
}

#[test]
fn b3_a_live_page_continues_with_the_first_event_written_in_the_new_epoch() {
    // PROTOCOL: SUB-7, SUB-8, GAP-4
    for open in [Open::Live, Open::Last(2)] {
        let mut world = restored(open);
        come_back(&mut world);
        assert_eq!(world.receiver(1).gaps(), [(15, None, "epoch")]);
        assert_eq!(world.receiver(1).offsets(), [11, 12, 13, 14, 15], "{open:?}");
        assert_eq!(result(&world).skipped, Some((1, 10)));
    }
}

#[test]
fn b3_a_page_opened_from_the_start_gets_all_of_the_new_epoch() {
    let mut world = restored(Open::Start);
    come_back(&mut world);
    assert_eq!(world.receiver(1).offsets(), upto(15));
    assert_eq!(result(&world).skipped, None);
}

#[test]
fn b3_a_new_epoch_that_is_trimmed_is_a_second_gap() {
    // PROTOCOL: GAP-4
    let mut world = restored(Open::Start);
    world.server.trim("t", 3);
    come_back(&mut world);
    assert_eq!(world.receiver(1).gaps(), [(15, None, "epoch"), (1, Some(3), "trimmed")]);
    assert_eq!(world.receiver(1).offsets(), (4..=15).collect::<Vec<_>>());

    let mut world = restored(Open::Live);
    world.server.trim("t", 12);
    come_back(&mut world);
    assert_eq!(world.receiver(1).gaps(), [(15, None, "epoch"), (11, Some(12), "trimmed")]);
    assert_eq!(world.receiver(1).offsets(), [13, 14, 15]);
    assert_eq!(result(&world).skipped, None, "what exists of the new epoch is delivered");
}

#[test]
fn b3_an_epoch_that_ends_while_subscribed_leads_to_the_same() {
    // PROTOCOL: SUB-11
    let mut world = World::new();
    world.server.publish("t", 14);
    world.subscribe(1, 1, "t", Open::Live, at("e1", 14));
    world.connect();
    world.settle();
    world.server.roll_back("t", 10);
    world.server.renew("t", "e2");
    world.server.publish("t", 2);
    world.settle();
    assert_eq!(world.receiver(1).gaps(), [(15, None, "epoch")]);
    assert_eq!(world.receiver(1).offsets(), [11, 12]);
    assert_eq!(world.client.stats().connects, 1, "on the same socket");
}

// --- B7: a position that the server does not have ---

#[test]
fn b7_a_consumer_ahead_of_a_subscribed_stream_makes_the_server_look() {
    // PROTOCOL: SUB-6
    let mut world = following(5);
    world.subscribe_pulling(1, 2, "t", Open::Start, at("e1", 50));
    world.settle();
    world.pull(2, 20);
    world.settle();
    assert_eq!(world.receiver(2).gaps(), [(51, None, "ahead")]);
    assert_eq!(world.receiver(2).offsets(), upto(5));
    assert_eq!(world.receiver(1).gaps(), [(6, None, "ahead")]);
    assert_eq!(world.client.stats().connects, 1);
}

#[test]
fn b7_a_consumer_ahead_that_comes_before_the_answer_makes_the_server_look() {
    let mut world = connected();
    world.server.publish("t", 5);
    world.subscribe(1, 1, "t", Open::Start, Begin::Stream);
    world.subscribe(1, 2, "t", Open::Start, at("e1", 50));
    world.settle();
    assert_eq!(world.receiver(2).gaps(), [(51, None, "ahead")]);
    assert_eq!(world.receiver(2).offsets(), upto(5));
}

// --- B8, B9: each thing in its place ---

#[test]
fn b8_a_report_of_a_former_epoch_does_not_count_in_the_new_one() {
    let mut world = pulling(10);
    world.pull(1, 4);
    world.server.new_epoch("t", "e2", 20);
    world.settle();
    // What a gap handler of another consumer pulled before the iterator had its own gap.
    world.input(Input::Delivered { consumer: ConsumerId(1), life: 0, through: 9 });
    world.cut();
    world.run_for(3 * SECOND);
    let hello = world.sent_of("hello").pop().cloned().expect("a hello");
    assert_eq!(hello["streams"][0]["position"], serde_json::json!({"epoch": "e2", "offset": 0}));
}

#[test]
fn b9_a_slow_iterator_gets_its_resume_result_behind_what_it_was_missing() {
    // I3
    let mut world = pulling(6);
    world.pull(1, 7);
    world.cut();
    world.server.publish("t", 4);
    world.run_for(3 * SECOND);
    world.server.publish("t", 2);
    world.settle();
    world.pull(1, 20);
    let places = world.receiver(1).items.iter().map(|item| match item {
        Item::Event { offset, .. } => offset.to_string(),
        Item::Gap { .. } => "gap".into(),
        Item::Resumed(result) => format!("resumed {}", result.to),
    });
    let expected = "1 2 3 4 5 6 | resumed 6 | 7 8 9 10 | resumed 10 | 11 12";
    assert_eq!(places.collect::<Vec<_>>().join(" "), expected.replace(" | ", " "));
}

#[test]
fn b9_a_late_consumer_gets_a_resume_result_too() {
    let mut world = following(6);
    world.subscribe(1, 2, "t", Open::Start, Begin::After(2));
    world.subscribe(1, 3, "t", Open::Start, Begin::Stream);
    world.settle();
    let second = world.receiver(2).resumed();
    assert_eq!(second.iter().map(|one| (one.from, one.to, one.replayed)).collect::<Vec<_>>(), [(3, 6, 4)]);
    let third = world.receiver(3).resumed();
    assert_eq!(third.iter().map(|one| (one.from, one.to, one.recovered)).collect::<Vec<_>>(), [(7, 6, true)]);
}

// --- B10, B11: limits ---

#[test]
fn b10_acknowledgements_that_do_not_fit_into_a_frame_go_out_in_several() {
    // PROTOCOL: GEN-7
    let mut world = World::new();
    (world.server.max_frame_bytes, world.server.max_streams) = (4_096, 400);
    for number in 1..=300 {
        world.server.publish(&format!("t{number}"), 1);
        world.subscribe(number, number, &format!("t{number}"), Open::Start, Begin::Stream);
    }
    world.connect();
    world.run_for(3 * SECOND);
    let acknowledged = world
        .sent_of("ack")
        .iter()
        .map(|frame| frame["offsets"].as_object().map_or(0, |map| map.len()))
        .sum::<usize>();
    assert_eq!(acknowledged, 300);
    assert!(world.sent_of("ack").len() >= 3);
    assert_eq!(world.client.stats().connects, 1);
}

#[test]
fn b11_events_beyond_the_window_and_one_frame_are_refused() {
    // PROTOCOL: FLO-1
    let mut world = narrow(16);
    world.subscribe_pulling(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    for first in (1..1_000).step_by(10) {
        inject_ten(&mut world, first);
    }
    world.settle();
    assert_eq!(contradictions(&world), ["events: beyond the window"]);
    let queued = world.receiver(1).queue.iter().filter(|item| matches!(item, Item::Event { .. })).count();
    assert!(queued <= 16 + 10, "{queued} events wait");
}

#[test]
fn b11_offsets_of_a_gap_use_up_no_window() {
    // PROTOCOL: FLO-1
    let mut world = narrow(16);
    world.subscribe_pulling(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    world.server.believes_acks = true;
    world.inject(r#"{"type":"gap","ch":1,"from":1,"to":1000,"reason":"trimmed"}"#);
    for first in [1_001, 1_011] {
        inject_ten(&mut world, first);
    }
    world.settle();
    assert_eq!(contradictions(&world), Vec::<&str>::new());
}

// --- B12: a server that contradicts itself ---

#[test]
fn b12_an_answer_that_the_request_does_not_lead_to_is_refused() {
    // PROTOCOL: SUB-4, SUB-5, SUB-6, SUB-7, SUB-8
    let answers = [
        // The page is at e1:10 and opened from the start.
        r#""epoch":"e1","oldest":1,"head":20,"next":15,"recovered":true"#,
        r#""epoch":"e1","oldest":1,"head":20,"next":15,"recovered":false,"reason":"trimmed""#,
        r#""epoch":"e1","oldest":1,"head":5,"next":6,"recovered":true"#,
        r#""epoch":"e1","oldest":1,"head":20,"next":1,"recovered":false,"reason":"epoch""#,
        r#""epoch":"e2","oldest":1,"head":20,"next":11,"recovered":true"#,
        r#""epoch":"e2","oldest":1,"head":20,"next":11,"recovered":false,"reason":"epoch""#,
        r#""epoch":"e2","oldest":1,"head":20,"next":1,"recovered":false,"reason":"trimmed""#,
    ];
    for answer in answers {
        let mut world = connected();
        world.server.mute = true;
        world.subscribe(1, 1, "t", Open::Start, at("e1", 10));
        world.inject(format!(r#"{{"type":"subscribed","ch":1,"name":"t",{answer}}}"#));
        world.run_for(Duration::from_millis(100));
        assert_eq!(contradictions(&world).len(), 1, "{answer}");
        assert_ne!(world.state(), State::Connected, "{answer}");
        assert_eq!(world.receiver(1).items.len(), 0, "{answer}");
    }
}

#[test]
fn b12_the_end_of_a_catch_up_that_is_not_its_head_is_refused() {
    // PROTOCOL: SUB-10
    for offset in [3, 9] {
        let mut world = connected();
        world.server.mute = true;
        world.subscribe(1, 1, "t", Open::Start, at("e1", 5));
        world.inject(r#"{"type":"subscribed","ch":1,"name":"t","epoch":"e1","oldest":1,"head":5,"next":6,"recovered":true}"#);
        world.inject(format!(r#"{{"type":"caughtUp","ch":1,"offset":{offset},"openRuns":[]}}"#));
        world.run_for(Duration::from_millis(100));
        assert_eq!(contradictions(&world), ["caughtUp: offset is not the head"]);
        assert_eq!(world.receiver(1).items.len(), 0);
    }
}

#[test]
fn b12_an_epoch_that_ends_and_is_still_there_is_refused() {
    // PROTOCOL: SUB-11
    let mut world = following(5);
    world.server.mute = true;
    world.inject(r#"{"type":"unsubscribed","ch":1,"name":"t","reason":"epoch"}"#);
    world.run_for(Duration::from_millis(100));
    assert_eq!(names_asked_for(&world), ["t"], "it is asked for again");
    world.inject(r#"{"type":"subscribed","ch":2,"name":"t","epoch":"e1","oldest":1,"head":5,"next":6,"recovered":true}"#);
    world.run_for(Duration::from_millis(100));
    assert_eq!(contradictions(&world), ["subscribed: the epoch is over"]);
}

#[test]
fn b12_the_end_of_a_subscription_that_names_another_stream_is_refused() {
    // PROTOCOL: SUB-11
    for text in [
        r#"{"type":"unsubscribed","ch":1,"name":"u","reason":"forbidden"}"#,
        r#"{"type":"unsubscribed","name":"t","reason":"forbidden"}"#,
    ] {
        let mut world = following(5);
        world.inject(text);
        world.run_for(Duration::from_millis(30));
        assert_eq!(contradictions(&world).len(), 1, "{text}");
        world.run_for(5 * SECOND);
        world.server.publish("t", 1);
        world.settle();
        assert_eq!(world.receiver(1).offsets(), upto(6), "{text}");
    }
}

// --- Time ---

#[test]
fn any_input_runs_the_timers_that_are_due() {
    // I7: a page that slept hears of a signal of the browser long before its own timer fires.
    let mut world = following(3);
    world.refusing = true;
    world.cut();
    assert_eq!(world.state(), State::Waiting);
    world.client.handle_input(Input::Flush, world.now + 60 * SECOND);
    assert_eq!(world.state(), State::Connecting);
}

//! Resuming, order, gaps, resume results, consumers, flow control.

mod support;

use agentwire::proto::Duration;

use agentwire::proto::{Begin, Event, ResumeResult, config, wire::Open};
use support::{Item, SECOND, World, following, narrow, pulling, upto};

fn results(world: &World) -> Vec<&ResumeResult> {
    world
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Event::Resumed { result, .. } => Some(&**result),
            _ => None,
        })
        .collect()
}

/// Greets consumer 1 of stream 1 in the place of a server that says nothing by itself, and answers its request for `t`.
fn by_hand(world: &mut World, answer: &str) {
    world.cut();
    world.server.mute = true;
    if world.sent.is_empty() {
        world.follow("t");
        world.connect();
    }
    let hellos = world.sent_of("hello").len();
    for _ in 0..1_000 {
        if world.sent_of("hello").len() > hellos {
            break;
        }
        world.run_for(Duration::from_millis(1));
    }
    world.inject(r#"{"type":"welcome","session":"s","subject":"ada","heartbeatMs":15000,"maxFrameBytes":1048576,"maxStreams":64,"sendHorizonMs":60000}"#);
    world.inject(format!(r#"{{"type":"subscribed","ch":1,"name":"t",{answer}}}"#));
    world.run_for(Duration::from_millis(50));
}

/// Puts a frame of events of stream `t` on the wire.
fn events(world: &mut World, first: u64, count: usize) {
    let events = vec![serde_json::json!({"type": "a"}); count];
    let frame =
        serde_json::json!({"type": "events", "ch": 1, "first": first, "count": count, "events": events});
    world.inject(frame.to_string());
}

// --- Resuming ---

#[test]
fn a_stream_from_the_start_brings_everything_and_then_what_is_live() {
    // PROTOCOL: SUB-8, SUB-10, EVT-5, LIF-1
    let mut world = following(120);
    world.server.publish("t", 5);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(125));
    let replays =
        world.receiver(1).items.iter().filter(|item| matches!(item, Item::Event { replay: true, .. }));
    assert_eq!(replays.count(), 120);
    assert_eq!(world.slots_held(), 0);
    let stats = world.client.stats();
    assert_eq!((stats.events_delivered, stats.events_replayed, stats.duplicates_dropped), (125, 120, 0));
    assert_eq!(stats.acks_sent, world.sent_of("ack").len() as u64);
}

#[test]
fn a_resume_takes_one_round_trip_and_repeats_nothing() {
    // PROTOCOL: HEL-5, SUB-4; I1
    let mut world = following(30);
    world.cut();
    world.server.publish("t", 20);
    world.sent.clear();
    world.run_for(SECOND);
    assert_eq!(world.receiver(1).offsets(), upto(50));
    let kinds = world.sent.iter().map(|(_, frame)| frame["type"].as_str().expect("text")).collect::<Vec<_>>();
    assert_eq!(kinds, ["hello", "ack"]);
    assert_eq!(world.sent[0].1["streams"][0]["position"]["offset"], 30);
    assert_eq!(world.sent[0].1["streams"][0].get("seen"), None, "nobody is further than the slowest");
    assert_eq!(world.client.stats().duplicates_dropped, 0);
}

#[test]
fn live_fixes_the_position_before_the_first_event() {
    // PROTOCOL: SUB-9
    let mut world = World::new();
    world.server.publish("t", 10);
    world.subscribe(1, 1, "t", Open::Live, Begin::Stream);
    world.connect();
    world.settle();
    world.cut();
    world.server.publish("t", 3);
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).offsets(), [11, 12, 13]);
}

#[test]
fn the_last_n_begin_where_asked() {
    // PROTOCOL: SUB-8
    let mut world = World::new();
    world.server.publish("t", 10);
    world.subscribe(1, 1, "t", Open::Last(3), Begin::Stream);
    world.connect();
    world.settle();
    assert_eq!(world.receiver(1).offsets(), [8, 9, 10]);
}

#[test]
fn a_stored_position_continues_after_it() {
    // PROTOCOL: LIF-2
    let mut world = World::new();
    world.server.publish("t", 10);
    world.subscribe(1, 1, "t", Open::Start, Begin::Position { epoch: "e1".into(), offset: 6 });
    world.connect();
    world.settle();
    assert_eq!(world.receiver(1).offsets(), [7, 8, 9, 10]);
    assert_eq!(world.position(1), Some(("e1".into(), 10)));
}

#[test]
fn many_cuts_lose_and_repeat_nothing() {
    // I1
    let mut world = following(0);
    for round in 0..60 {
        world.server.publish("t", 37);
        world.run_for(Duration::from_millis(10 + 7 * (round % 9)));
        world.cut();
        world.run_for(Duration::from_millis(300 + 20 * (round % 5)));
    }
    world.run_for(30 * SECOND);
    assert_eq!(world.receiver(1).offsets(), upto(60 * 37));
    assert!(world.client.stats().events_replayed > 0);
}

#[test]
fn several_streams_share_a_socket() {
    let mut world = World::new();
    for stream in 1..=5 {
        world.server.publish(&format!("t{stream}"), u64::from(stream) * 100);
        world.subscribe(stream, stream, &format!("t{stream}"), Open::Start, Begin::Stream);
    }
    world.connect();
    world.settle();
    world.cut();
    world.server.publish("t3", 7);
    world.run_for(2 * SECOND);
    for stream in 1..=5 {
        assert_eq!(
            world.receiver(stream).offsets(),
            upto(u64::from(stream) * 100 + if stream == 3 { 7 } else { 0 })
        );
    }
    assert_eq!(world.sent_of("hello").len(), 2);
}

#[test]
fn a_stream_attached_while_connected_is_subscribed_at_once() {
    // PROTOCOL: SUB-1
    let mut world = following(1);
    world.server.publish("u", 4);
    world.subscribe(2, 2, "u", Open::Start, Begin::Stream);
    world.settle();
    assert_eq!(world.receiver(2).offsets(), upto(4));
    assert_eq!(world.sent_of("subscribe").len(), 1);
}

#[test]
fn a_stream_that_cannot_be_served_now_is_asked_for_again_by_itself() {
    // PROTOCOL: SUB-11; I7, I14, D7
    let mut world = World::new();
    world.server.refuse("busy", "unavailable");
    world.follow("t");
    world.subscribe(2, 2, "busy", Open::Start, Begin::Stream);
    world.connect();
    world.run_for(60 * SECOND);
    world.server.publish("t", 2);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), [1, 2]);
    assert_eq!(world.client.stats().connects, 1, "the others of the socket notice nothing");
    // 1, 2, 4, 8, 16, 20 s, each between half of it and all of it.
    let asked = world.sent_of("subscribe").len();
    assert!((5..=9).contains(&asked), "{asked} requests in a minute");
    world.server.admit("busy");
    world.server.publish("busy", 1);
    world.run_for(20 * SECOND);
    assert_eq!(world.receiver(2).offsets(), [1]);
    assert!(!world.facts.iter().any(|fact| matches!(fact, Event::Ended { .. })));
}

#[test]
fn a_refused_stream_ends_and_the_others_go_on() {
    // PROTOCOL: SUB-11
    let mut world = World::new();
    world.server.refuse("secret", "forbidden");
    world.follow("t");
    world.subscribe(2, 2, "secret", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    world.server.publish("t", 2);
    world.cut();
    world.run_for(3 * SECOND);
    assert_eq!(world.receiver(1).offsets(), [1, 2]);
    let ended = world
        .facts
        .iter()
        .filter(|fact| matches!(fact, Event::Ended { reason, .. } if reason == "forbidden"));
    assert_eq!(ended.count(), 1, "reported once, not asked again");
    world.server.admit("secret");
    world.server.publish("secret", 1);
    world.subscribe(2, 3, "secret", Open::Start, Begin::Stream);
    world.settle();
    assert_eq!(world.receiver(3).offsets(), [1], "another consumer asks again");
}

// --- Resume results ---

#[test]
fn each_catch_up_ends_in_one_resume_result() {
    // I3
    let mut world = following(30);
    world.cut();
    world.server.publish("t", 20);
    world.run_for(2 * SECOND);
    let results = results(&world);
    assert_eq!(results.len(), 2);
    assert_eq!(
        (results[0].recovered, results[0].from, results[0].to, results[0].replayed),
        (true, 1, 30, 30)
    );
    assert_eq!(
        (results[1].recovered, results[1].from, results[1].to, results[1].replayed),
        (true, 31, 50, 20)
    );
    assert_eq!((results[1].attempts, results[1].gap.as_ref()), (1, None));
}

#[test]
fn a_resume_result_follows_its_events_and_counts_the_attempts() {
    // I3
    let mut world = following(5);
    world.cut();
    world.server.publish("t", 400);
    for _ in 0..3 {
        world.run_for(Duration::from_millis(560));
        world.half_open();
        world.cut();
    }
    world.run_for(10 * SECOND);
    let results = results(&world);
    let last = results.last().expect("a resume result");
    assert!(last.attempts >= 1);
    assert_eq!(last.to, 405);
    assert_eq!(world.receiver(1).offsets(), upto(405));
}

#[test]
fn a_resume_result_counts_events_that_came_again() {
    // I3
    let mut world = World::new();
    by_hand(&mut world, r#""epoch":"e1","oldest":1,"head":4,"next":1,"recovered":true"#);
    events(&mut world, 1, 3);
    events(&mut world, 2, 3);
    world.inject(r#"{"type":"caughtUp","ch":1,"offset":4,"openRuns":["r7"]}"#);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(4));
    let results = results(&world);
    assert_eq!(results.len(), 1);
    assert_eq!((results[0].replayed, results[0].duplicates_dropped), (4, 2));
    assert_eq!(results[0].open_runs, Some(vec!["r7".into()]));
}

#[test]
fn a_catch_up_for_the_slowest_of_several_is_a_replay_and_no_duplicate() {
    // I3, I4
    let mut world = World::new();
    world.server.publish("t", 50);
    world.subscribe(1, 1, "t", Open::Start, Begin::Position { epoch: "e1".into(), offset: 40 });
    world.subscribe(1, 2, "t", Open::Start, Begin::Position { epoch: "e1".into(), offset: 30 });
    world.subscribe(1, 3, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    assert_eq!(world.receiver(3).offsets(), (41..=50).collect::<Vec<_>>(), "it begins with the furthest");
    let results = results(&world);
    let counts = results.iter().map(|one| (one.from, one.to, one.replayed, one.duplicates_dropped));
    assert_eq!(counts.collect::<Vec<_>>(), [(41, 50, 10, 0), (31, 50, 20, 0), (41, 50, 10, 0)]);
}

// --- Gaps ---

#[test]
fn a_trimmed_log_is_one_gap_before_the_next_event() {
    // PROTOCOL: SUB-5, GAP-4, GAP-5; I2
    let mut world = following(10);
    world.cut();
    world.server.publish("t", 20);
    world.server.trim("t", 25);
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).gaps(), [(11, Some(25), "trimmed")]);
    assert_eq!(world.receiver(1).offsets()[10..], [26, 27, 28, 29, 30]);
    assert!(matches!(world.receiver(1).items[11], Item::Gap { next: 26, .. }));
    let last = results(&world).last().map(|result| (result.recovered, result.gap.expect("a gap").to));
    assert_eq!(last, Some((false, Some(25))));
}

#[test]
fn from_the_start_of_a_trimmed_log_says_what_is_missing() {
    // PROTOCOL: SUB-8, GAP-4
    let mut world = World::new();
    world.server.publish("t", 10);
    world.server.trim("t", 4);
    world.follow("t");
    world.connect();
    world.settle();
    assert_eq!(world.receiver(1).gaps(), [(1, Some(4), "trimmed")]);
    assert_eq!(world.receiver(1).offsets(), [5, 6, 7, 8, 9, 10]);
    assert_eq!(world.sent_of("replay").len(), 0, "what will never come is not asked for");
}

#[test]
fn from_the_start_of_a_log_trimmed_whole_says_that_all_is_missing() {
    // PROTOCOL: SUB-8, GAP-4; I2, I3
    let mut world = World::new();
    world.server.publish("t", 10);
    world.server.trim("t", 10);
    world.follow("t");
    world.connect();
    world.settle();
    assert_eq!(world.receiver(1).gaps(), [(1, Some(10), "trimmed")]);
    assert_eq!(results(&world).iter().map(|result| result.recovered).collect::<Vec<_>>(), [false]);
    world.server.publish("t", 1);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), [11]);
}

#[test]
fn a_gap_while_live_is_delivered_once() {
    // PROTOCOL: GAP-2
    let mut world = following(3);
    world.server.believes_acks = true;
    world.inject(r#"{"type":"gap","ch":1,"from":4,"to":6,"reason":"forbidden"}"#);
    world.inject(r#"{"type":"events","ch":1,"first":7,"count":1,"events":[{"type":"a"}]}"#);
    world.settle();
    assert_eq!(world.receiver(1).gaps(), [(4, Some(6), "forbidden")]);
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3, 7]);
    assert_eq!(world.client.stats().gaps, 1);
}

#[test]
fn after_a_gap_exactly_the_next_offset_is_missing() {
    // PROTOCOL: GAP-2, RPL-4: out of order, and by the heads.
    for out_of_order in [true, false] {
        let mut world = following(3);
        world.server.believes_acks = true;
        world.inject(r#"{"type":"gap","ch":1,"from":4,"to":6,"reason":"forbidden"}"#);
        world.run_for(SECOND / 10);
        if out_of_order {
            events(&mut world, 8, 1);
            world.run_for(SECOND / 50);
            assert_eq!(world.client.stats().parked_frames, 1);
        } else {
            world.inject(r#"{"type":"heartbeat","heads":{"1":7}}"#);
            world.run_for(2 * SECOND);
        }
        let asked = world.sent_of("replay");
        assert_eq!(asked.len(), 1);
        assert_eq!((asked[0]["from"].as_u64(), asked[0]["to"].as_u64()), (Some(7), Some(7)));
    }
}

#[test]
fn a_new_epoch_resets_the_stream() {
    // PROTOCOL: SUB-7, GAP-4
    let mut world = following(10);
    world.cut();
    world.server.restart();
    world.server.new_epoch("t", "e2", 3);
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).gaps(), [(11, None, "epoch")]);
    assert_eq!(world.receiver(1).offsets()[10..], [1, 2, 3]);
    assert_eq!(world.position(1), Some(("e2".into(), 3)));
}

#[test]
fn an_epoch_that_ends_while_live_resets_the_stream() {
    // PROTOCOL: GAP-2
    let mut world = following(10);
    world.server.new_epoch("t", "e2", 3);
    world.settle();
    world.server.publish("t", 2);
    world.cut();
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).gaps(), [(11, None, "epoch")]);
    assert_eq!(world.receiver(1).offsets()[10..], [1, 2, 3, 4, 5]);
    assert_eq!(world.client.stats().gaps, 1);
}

#[test]
fn a_request_ends_with_the_epoch_it_was_made_in() {
    // PROTOCOL: GAP-2, RPL-5: its number is gone, so no answer is waited for.
    let mut world = following(10);
    world.server.ignores_replay = true;
    world.subscribe(1, 2, "t", Open::Start, Begin::After(0));
    world.settle();
    assert_eq!(world.sent_of("replay").len(), 1);
    world.server.new_epoch("t", "e2", 3);
    world.run_for(2 * config::REPLAY_TIMEOUT);
    assert_eq!(world.client.stats().connects, 1);
    assert_eq!(world.receiver(1).offsets()[10..], [1, 2, 3]);
    assert_eq!(world.receiver(2).gaps(), [(1, None, "epoch")]);
    assert_eq!(world.receiver(2).offsets(), [1, 2, 3]);
}

#[test]
fn a_page_proves_by_its_newest_seal_that_the_log_went_back() {
    // PROTOCOL: SUB-6; I13
    for by_heartbeat in [false, true] {
        let mut world = following(if by_heartbeat { 6 } else { 10 });
        if by_heartbeat {
            world.server.publish("t", 4);
            world.run_for(20 * SECOND);
        }
        world.cut();
        world.server.roll_back("t", 6);
        world.run_for(2 * SECOND);
        let hellos = world.sent_of("hello");
        let request = &hellos[hellos.len() - 1]["streams"][0];
        assert!(request["seal"].as_str().is_some_and(|seal| seal.starts_with("10.")), "{request}");
        assert_eq!(world.receiver(1).gaps(), [(11, None, "epoch")]);
        assert_eq!(world.receiver(1).offsets()[10..], [1, 2, 3, 4, 5, 6]);
        // The seal is one of an epoch that is over: it is not shown again.
        world.cut();
        world.run_for(2 * SECOND);
        let hellos = world.sent_of("hello");
        let request = &hellos[hellos.len() - 1]["streams"][0];
        assert!(request["seal"].as_str().is_some_and(|seal| seal.starts_with("6.")), "{request}");
        assert_eq!(world.receiver(1).gaps().len(), 1);
    }
}

#[test]
fn a_claim_without_a_seal_starts_over_in_the_same_epoch() {
    // PROTOCOL: SUB-6, GAP-4; I13
    for open in [Open::Start, Open::Live, Open::Last(2)] {
        let mut world = World::new();
        world.server.publish("t", 6);
        world.subscribe(1, 1, "t", open, Begin::Position { epoch: "e1".into(), offset: 9 });
        world.subscribe_pulling(1, 2, "t", open, Begin::Position { epoch: "e1".into(), offset: 4 });
        world.connect();
        world.settle();
        world.pull(2, 100);
        for consumer in [1, 2] {
            let from = if consumer == 1 { 10 } else { 5 };
            assert_eq!(world.receiver(consumer).gaps(), [(from, None, "ahead")]);
            assert_eq!(world.receiver(consumer).offsets(), upto(6));
        }
        assert_eq!(world.server.logs["t"].lives.len(), 1);
        assert_eq!(world.position(1), Some(("e1".into(), 6)));
        world.server.publish("t", 1);
        world.settle();
        assert_eq!(world.receiver(1).offsets(), upto(7));
    }
}

#[test]
fn silence_never_becomes_a_gap() {
    // PROTOCOL: GAP-1, RPL-5; I2
    let mut world = following(2);
    world.server.forgets = vec![3];
    world.server.ignores_replay = true;
    world.server.publish("t", 3);
    world.run_for(60 * SECOND);
    assert_eq!(world.receiver(1).gaps(), []);
    assert_eq!(world.receiver(1).offsets(), [1, 2]);
    assert!(world.client.stats().connects > 2, "it drops the socket and resumes");
    world.server.forgets.clear();
    world.run_for(60 * SECOND);
    assert_eq!(world.receiver(1).offsets(), upto(5));
}

// --- Order ---

#[test]
fn a_hole_is_asked_for_and_filled_in_order() {
    // PROTOCOL: RPL-1, RPL-4
    let mut world = following(2);
    world.server.forgets = vec![3, 4];
    world.server.publish("t", 5);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(7));
    let asked = world.sent_of("replay");
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0]["from"].as_u64(), asked[0]["to"].as_u64()), (Some(3), Some(4)));
    assert_eq!(world.client.stats().connects, 1);
    assert_eq!(world.client.stats().out_of_order, 1);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn a_missing_tail_is_found_by_the_heads() {
    // PROTOCOL: HBT-1, RPL-4
    let mut world = following(2);
    world.server.forgets = vec![3];
    world.server.publish("t", 1);
    world.run_for(10 * SECOND);
    assert_eq!(world.receiver(1).offsets(), [1, 2]);
    world.run_for(10 * SECOND);
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3]);
    assert_eq!(world.client.stats().connects, 1);
    let asked = world.sent_of("replay");
    assert_eq!((asked[0]["from"].as_u64(), asked[0]["to"].as_u64()), (Some(3), Some(3)));
}

#[test]
fn each_need_has_a_request_of_its_own() {
    // PROTOCOL: RPL-1, RPL-4: holes of two streams, and consumers of one.
    let mut world = World::new();
    for stream in [1, 2] {
        let name = format!("t{stream}");
        world.server.publish(&name, 2);
        world.subscribe(stream, stream, &name, Open::Start, Begin::Stream);
    }
    world.connect();
    world.settle();
    world.server.ignores_replay = true;
    world.server.forgets = vec![3];
    world.server.publish("t1", 2);
    world.server.publish("t2", 2);
    world.subscribe(1, 3, "t1", Open::Start, Begin::After(0));
    world.subscribe(1, 4, "t1", Open::Start, Begin::After(0));
    world.settle();
    let mut asked = world
        .sent_of("replay")
        .iter()
        .map(|frame| (frame["ch"].as_u64().expect("a number"), frame["from"].as_u64().expect("an offset")))
        .collect::<Vec<_>>();
    asked.sort_unstable();
    assert_eq!(asked, [(1, 1), (1, 1), (1, 3), (2, 3)]);
    assert_eq!(world.client.stats().replay_requests, 4);
    let mut numbers = world.sent_of("replay").iter().map(|frame| frame["req"].as_u64()).collect::<Vec<_>>();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 4, "each has a number that was not used before");
}

/// A world whose page has asked for the offsets 5 to 10 of `t`, which the server leaves to the test to answer.
fn asked_for_5_to_10() -> World {
    let mut world = following(10);
    world.server.publish("u", 10);
    world.subscribe(2, 2, "u", Open::Start, Begin::Stream);
    world.settle();
    world.server.ignores_replay = true;
    world.subscribe(1, 3, "t", Open::Start, Begin::After(4));
    assert_eq!(world.sent_of("replay")[0]["from"], 5);
    assert_eq!(world.sent_of("replay")[0]["to"], 10);
    world
}

#[test]
fn an_answer_that_comes_slowly_is_waited_for() {
    // PROTOCOL: RPL-5: what counts is that something arrives.
    let mut world = asked_for_5_to_10();
    world.run_for(3 * SECOND);
    events(&mut world, 5, 1);
    world.run_for(4 * SECOND);
    events(&mut world, 6, 5);
    world.inject(r#"{"type":"replayEnd","req":1,"to":10,"oldest":1}"#);
    world.run_for(2 * config::REPLAY_TIMEOUT);
    assert_eq!(world.receiver(3).offsets(), (5..=10).collect::<Vec<_>>());
    assert_eq!(world.client.stats().connects, 1);
}

#[test]
fn a_request_is_given_up_when_the_socket_brings_nothing_for_five_seconds() {
    // PROTOCOL: RPL-5: events before and after those that were asked for, and the same of another stream: the line is busy.
    for frame in [
        r#"{"type":"events","ch":1,"first":1,"count":4,"events":[{"type":"a"},{"type":"a"},{"type":"a"},{"type":"a"}]}"#,
        r#"{"type":"events","ch":1,"first":11,"count":1,"events":[{"type":"a"}]}"#,
        r#"{"type":"events","ch":2,"first":5,"count":1,"events":[{"type":"a"}]}"#,
    ] {
        let mut world = asked_for_5_to_10();
        world.server.believes_acks = true;
        world.run_for(3 * SECOND);
        world.inject(frame);
        world.run_for(4 * SECOND);
        assert_eq!(world.client.stats().connects, 1, "{frame}");
        world.run_for(2 * SECOND);
        assert_eq!(world.client.stats().connects, 2, "{frame}");
    }
}

#[test]
fn a_request_is_given_up_after_two_minutes_whatever_else_comes() {
    // PROTOCOL: RPL-5
    let mut world = asked_for_5_to_10();
    world.server.believes_acks = true;
    for second in 0..59 {
        assert_eq!(world.client.stats().connects, 1, "after {} s", 2 * second);
        world.run_for(2 * SECOND);
        world.inject(r#"{"type":"signal","stream":"u","signal":{"type":"typing"}}"#);
    }
    world.run_for(4 * SECOND);
    assert_eq!(world.client.stats().connects, 2);
}

/// A world whose page has asked for the offsets 5 to 10 of `t` because 11 came before them.
fn missing_5_to_10() -> World {
    let mut world = following(4);
    world.server.believes_acks = true;
    world.server.ignores_replay = true;
    events(&mut world, 11, 1);
    world.run_for(Duration::from_millis(50));
    assert_eq!(world.sent_of("replay")[0]["from"], 5);
    assert_eq!(world.sent_of("replay")[0]["to"], 10);
    world
}

#[test]
fn a_request_that_ends_without_what_was_missing_drops_the_socket_at_once() {
    // PROTOCOL: RPL-5
    for mut world in [asked_for_5_to_10(), missing_5_to_10()] {
        world.inject(r#"{"type":"replayEnd","req":1,"to":4,"oldest":1}"#);
        world.run_for(2 * SECOND);
        assert_eq!(world.client.stats().connects, 2);
    }
}

#[test]
fn a_request_that_ends_early_is_continued_where_it_ended() {
    // PROTOCOL: RPL-1
    for mut world in [asked_for_5_to_10(), missing_5_to_10()] {
        events(&mut world, 5, 2);
        world.inject(r#"{"type":"replayEnd","req":1,"to":6,"oldest":1}"#);
        world.settle();
        assert_eq!(world.client.stats().connects, 1);
        let asked = world.sent_of("replay");
        assert_eq!((asked[1]["from"].as_u64(), asked[1]["to"].as_u64()), (Some(7), Some(10)));
    }
}

#[test]
fn what_is_trimmed_of_a_request_is_a_gap_and_the_rest_still_comes() {
    // PROTOCOL: RPL-3; I2
    let mut world = missing_5_to_10();
    events(&mut world, 8, 3);
    world.inject(r#"{"type":"replayEnd","req":1,"to":10,"oldest":8}"#);
    world.settle();
    assert_eq!(world.receiver(1).gaps(), [(5, Some(7), "trimmed")]);
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3, 4, 8, 9, 10, 11]);
    assert_eq!(world.client.stats().gaps, 1);
    assert_eq!(world.client.stats().connects, 1);
}

#[test]
fn what_is_trimmed_after_it_came_is_no_gap() {
    // PROTOCOL: RPL-3; I2
    let mut world = asked_for_5_to_10();
    events(&mut world, 5, 6);
    world.inject(r#"{"type":"replayEnd","req":1,"to":10,"oldest":12}"#);
    world.settle();
    assert_eq!(world.receiver(3).offsets(), (5..=10).collect::<Vec<_>>());
    assert_eq!(world.receiver(3).gaps(), []);
}

#[test]
fn a_refused_request_is_made_again_when_another_is_over() {
    // PROTOCOL: RPL-2, ERR-2
    let mut world = following(10);
    world.server.refuses_replays = 1;
    world.subscribe(1, 2, "t", Open::Start, Begin::After(0));
    world.subscribe(1, 3, "t", Open::Start, Begin::After(5));
    world.settle();
    assert_eq!(world.receiver(2).offsets(), upto(10));
    assert_eq!(world.receiver(3).offsets(), (6..=10).collect::<Vec<_>>());
    assert_eq!(world.client.stats().connects, 1);
}

#[test]
fn a_refused_request_that_is_the_only_one_drops_the_socket_at_once() {
    // PROTOCOL: RPL-5: nothing else would bring it up again.
    let mut world = following(10);
    world.server.refuses_replays = 1;
    world.subscribe(1, 2, "t", Open::Start, Begin::After(0));
    world.run_for(2 * SECOND);
    assert_eq!(world.client.stats().connects, 2);
    assert_eq!(world.receiver(2).offsets(), upto(10));
}

#[test]
fn a_head_that_is_about_to_come_is_not_asked_for() {
    // PROTOCOL: RPL-4: the grace time
    let mut world = following(2);
    world.inject(r#"{"type":"heartbeat","heads":{"1":3}}"#);
    world.run_for(SECOND / 2);
    world.server.publish("t", 1);
    world.run_for(3 * SECOND);
    assert_eq!(world.sent_of("replay").len(), 0);
}

#[test]
fn each_stream_has_a_grace_time_of_its_own() {
    // PROTOCOL: RPL-4
    let mut world = following(2);
    world.server.publish("u", 2);
    world.subscribe(2, 2, "u", Open::Start, Begin::Stream);
    world.settle();
    world.server.ignores_replay = true;
    world.inject(r#"{"type":"heartbeat","heads":{"1":3}}"#);
    world.settle();
    world.inject(r#"{"type":"heartbeat","heads":{"2":3}}"#);
    let named = [world.now - SECOND / 2, world.now];
    world.run_for(2 * SECOND);
    let asked = world.sent.iter().filter(|(_, frame)| frame["type"] == "replay");
    let waited = asked.zip(named).map(|((at, _), named)| at.since(named)).collect::<Vec<_>>();
    assert_eq!(waited, [config::MISSING_HEAD_GRACE + world.latency; 2]);
}

#[test]
fn a_timer_that_fires_late_does_what_it_is_for() {
    // PROTOCOL: RPL-4; I7: no browser keeps time to the millisecond.
    let mut world = following(2);
    world.server.ignores_replay = true;
    world.inject(r#"{"type":"heartbeat","heads":{"1":3}}"#);
    world.run_for(SECOND / 10);
    world.now = world.now + 3 * SECOND;
    world.input(agentwire::proto::Input::Timeout);
    assert_eq!(world.sent_of("replay").len(), 1);
}

#[test]
fn too_many_early_frames_drop_the_socket() {
    // PROTOCOL: RPL-6; I9
    let mut world = following(2);
    world.server.ignores_replay = true;
    for index in 0..=config::MAX_PARKED as u64 {
        let first = 10 + 2 * index;
        world.inject(format!(
            r#"{{"type":"events","ch":1,"first":{first},"count":1,"events":[{{"type":"a"}}]}}"#
        ));
    }
    world.run_for(SECOND / 10);
    assert_eq!(world.client.stats().parked_frames, 0);
    assert_eq!(world.slots_held(), 0, "what was parked is released");
    world.run_for(2 * SECOND);
    assert_eq!(world.client.stats().connects, 2);
}

#[test]
fn contradictions_end_the_socket_and_not_the_stream() {
    // PROTOCOL: GEN-4
    let contradictions = [
        r#"{"type":"welcome","session":"s","subject":"ada","heartbeatMs":15000,"maxFrameBytes":1048576,"maxStreams":64,"sendHorizonMs":1}"#,
        r#"{"type":"gap","ch":1,"from":9,"to":12,"reason":"trimmed"}"#,
    ];
    for text in contradictions {
        let mut world = following(2);
        world.inject(text);
        world.run_for(SECOND / 10);
        world.server.publish("t", 2);
        world.run_for(2 * SECOND);
        assert_eq!(world.client.stats().malformed_frames, 1, "{text}");
        assert_eq!(world.receiver(1).offsets(), upto(4), "{text}");
        assert_eq!(world.receiver(1).gaps(), [], "{text}");
    }
}

#[test]
fn an_answer_that_contradicts_the_request_ends_the_socket_and_not_the_stream() {
    // PROTOCOL: GEN-4, SUB-4, SUB-5, SUB-7
    for answer in [
        // In another epoch nothing can be recovered.
        r#""epoch":"e9","oldest":1,"head":9,"next":3,"recovered":true"#,
        r#""epoch":"e1","oldest":1,"head":9,"next":4,"recovered":true"#,
        r#""epoch":"e1","oldest":1,"head":9,"next":3,"recovered":false,"reason":"trimmed""#,
    ] {
        let mut world = following(2);
        world.cut();
        world.run_for(SECOND);
        by_hand(&mut world, answer);
        assert_eq!(world.client.stats().malformed_frames, 1, "{answer}");
        world.server.mute = false;
        world.server.publish("t", 2);
        world.run_for(3 * SECOND);
        assert_eq!(world.receiver(1).offsets(), upto(4), "{answer}");
        assert_eq!(world.receiver(1).gaps(), [], "{answer}");
    }
}

// --- Consumers ---

#[test]
fn a_late_consumer_begins_where_the_stream_is() {
    // I4
    let mut world = following(5);
    world.subscribe(1, 2, "t", Open::Start, Begin::Stream);
    world.server.publish("t", 3);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(8));
    assert_eq!(world.receiver(2).offsets(), [6, 7, 8]);
}

#[test]
fn a_late_consumer_with_a_start_of_its_own_is_served_by_replay_while_others_go_on() {
    // PROTOCOL: RPL-2, RPL-4, FLO-5; I4
    let mut world = following(2_000);
    world.subscribe(1, 2, "t", Open::Start, Begin::After(0));
    for _ in 0..20 {
        world.server.publish("t", 10);
        world.run_for(Duration::from_millis(30));
    }
    world.run_for(5 * SECOND);
    assert_eq!(world.receiver(1).offsets(), upto(2_200));
    assert_eq!(world.receiver(2).offsets(), upto(2_200));
    assert!(world.sent_of("replay").len() >= 4, "in pages of the window");
    assert_eq!(world.client.stats().connects, 1);
}

#[test]
fn a_late_consumer_that_is_cut_continues_where_it_was() {
    let mut world = following(3_000);
    world.subscribe(1, 2, "t", Open::Start, Begin::After(0));
    world.run_for(Duration::from_millis(90));
    world.cut();
    world.run_for(10 * SECOND);
    assert_eq!(world.receiver(1).offsets(), upto(3_000));
    assert_eq!(world.receiver(2).offsets(), upto(3_000));
}

#[test]
fn a_late_consumer_below_the_oldest_gets_a_gap_of_its_own() {
    // PROTOCOL: RPL-3, GAP-5
    let mut world = following(20);
    world.server.trim("t", 8);
    world.subscribe(1, 2, "t", Open::Start, Begin::After(2));
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(2).gaps(), [(3, Some(8), "trimmed")]);
    assert_eq!(world.receiver(2).offsets(), (9..=20).collect::<Vec<_>>());
    assert_eq!(world.receiver(1).gaps(), [], "the first one has them");
    assert_eq!(world.client.stats().connects, 1, "the end of the request says what is trimmed");
    assert_eq!(world.client.stats().gaps, 1);
}

#[test]
fn consumers_rebuilt_with_positions_of_their_own_lose_and_repeat_nothing() {
    let mut world = World::new();
    world.server.publish("t", 50);
    world.subscribe(1, 1, "t", Open::Start, Begin::Position { epoch: "e1".into(), offset: 40 });
    world.subscribe(1, 2, "t", Open::Start, Begin::Position { epoch: "e1".into(), offset: 30 });
    world.subscribe(1, 3, "t", Open::Start, Begin::Position { epoch: "e0".into(), offset: 30 });
    world.connect();
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).offsets(), (41..=50).collect::<Vec<_>>());
    assert_eq!(world.receiver(2).offsets(), (31..=50).collect::<Vec<_>>());
    assert_eq!(world.receiver(3).gaps(), [(31, None, "epoch")]);
}

#[test]
fn an_iterator_moves_the_position_when_it_pulls() {
    // PROTOCOL: LIF-3; I4
    let mut world = pulling(20);
    assert_eq!(world.position(1), Some(("e1".into(), 0)));
    world.pull(1, 7);
    assert_eq!(world.position(1), Some(("e1".into(), 7)));
    world.cut();
    world.run_for(2 * SECOND);
    let hello = world.sent_of("hello");
    assert_eq!(hello[1]["streams"][0]["position"]["offset"], 7);
    world.pull(1, 100);
    assert_eq!(world.receiver(1).offsets(), upto(20), "what waited in the queue is not repeated");
}

#[test]
fn an_iterator_that_does_not_pull_holds_the_server_back() {
    // PROTOCOL: FLO-1, FLO-2; I9
    let mut world = narrow(64);
    world.server.publish("t", 1_000);
    world.subscribe_pulling(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.run_for(60 * SECOND);
    assert_eq!(world.receiver(1).queue.len(), 64);
    for _ in 0..200 {
        world.pull(1, 10);
        world.run_for(Duration::from_millis(120));
    }
    assert_eq!(world.receiver(1).offsets(), upto(1_000));
    assert!(world.server.max_in_flight <= 64, "{}", world.server.max_in_flight);
    assert_eq!(world.client.stats().connects, 1);
}

#[test]
fn a_new_epoch_empties_the_queue_of_an_iterator() {
    // PROTOCOL: GAP-5
    let mut world = pulling(20);
    world.pull(1, 5);
    world.server.new_epoch("t", "e2", 3);
    world.settle();
    world.pull(1, 100);
    world.settle();
    assert_eq!(world.receiver(1).gaps(), [(6, None, "epoch")]);
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3, 4, 5, 1, 2, 3]);
    world.server.publish("t", 1);
    world.settle();
    world.pull(1, 1);
    assert_eq!(world.position(1), Some(("e2".into(), 4)));
}

#[test]
fn a_handler_that_leaves_within_a_frame_has_what_it_took() {
    // I4, I10
    let mut world = World::new();
    world.server.publish("t", 40);
    world.follow("t");
    world.receiver_mut(1).stops_after = Some(3);
    world.connect();
    world.settle();
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3]);
    assert_eq!(world.position(1), Some(("e1".into(), 3)));
    assert_eq!(world.sent_of("unsubscribe").len(), 1);
    world.subscribe(1, 2, "t", Open::Start, Begin::Stream);
    world.settle();
    assert_eq!(
        world.receiver(2).offsets(),
        (4..=40).collect::<Vec<_>>(),
        "the next one begins where it left"
    );
}

#[test]
fn a_beginning_holds_once_somebody_waits_for_it() {
    // PROTOCOL: SUB-1; I4
    let mut world = World::new();
    world.server.publish("t", 3);
    world.follow("t");
    world.subscribe(1, 2, "t", Open::Live, Begin::Stream);
    world.connect();
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(3));
    world.subscribe(1, 3, "t", Open::Live, Begin::Stream);
    world.cut();
    world.run_for(2 * SECOND);
    for hello in world.sent_of("hello") {
        assert_eq!(hello["streams"][0]["open"]["from"], "start");
    }
}

#[test]
fn a_hundred_streams_are_asked_for_in_the_hello() {
    // PROTOCOL: HEL-5: a resume costs one round trip.
    let mut world = World::new();
    for stream in 1..=100 {
        world.subscribe(stream, stream, &format!("t{stream}"), Open::Start, Begin::Stream);
    }
    world.connect();
    world.settle();
    assert_eq!(world.sent_of("hello")[0]["streams"].as_array().map(Vec::len), Some(100));
    assert_eq!(world.sent_of("subscribe").len(), 0);
}

#[test]
fn names_that_are_escaped_make_no_hello_too_large() {
    // PROTOCOL: GEN-6, GEN-7
    let mut world = World::new();
    world.token = Some("x".repeat(16_384));
    for stream in 1..=150 {
        world.subscribe(
            stream,
            stream,
            &format!("{}{stream:03}", "\"".repeat(253)),
            Open::Start,
            Begin::Stream,
        );
    }
    world.connect();
    world.settle();
    let hello = world.sent_of("hello")[0].to_string().len();
    assert!(hello as u64 <= config::MAX_HELLO_BYTES, "{hello} bytes");
    let asked = world.sent.iter().filter_map(|(_, frame)| frame["streams"].as_array()).map(Vec::len);
    assert_eq!(asked.sum::<usize>(), 150);
}

#[test]
fn a_server_with_the_smallest_frames_is_asked_too() {
    // PROTOCOL: HEL-4, GEN-7
    let mut world = World::new();
    world.server.mute = true;
    world.connect();
    world.settle();
    world.inject(r#"{"type":"welcome","session":"s","subject":"ada","heartbeatMs":15000,"maxFrameBytes":4096,"maxStreams":64,"sendHorizonMs":60000}"#);
    world.settle();
    world.follow("t");
    assert_eq!(world.sent_of("subscribe").len(), 1);
}

#[test]
fn a_stream_that_is_followed_is_never_forgotten() {
    // I9: what is bounded is what nobody follows.
    let mut world = following(3);
    let others = 2..=config::MAX_IDLE_STREAMS as u32 + 2;
    for stream in others.clone() {
        world.subscribe(stream, stream, &format!("t{stream}"), Open::Start, Begin::Stream);
    }
    world.settle();
    world.cut();
    for stream in others {
        world.input(agentwire::proto::Input::Unsubscribe { consumer: agentwire::proto::ConsumerId(stream) });
    }
    world.server.publish("t", 1);
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).offsets(), upto(4));
}

#[test]
fn a_stream_that_nobody_consumes_is_not_asked_for() {
    // PROTOCOL: SUB-12
    let mut world = following(3);
    world.input(agentwire::proto::Input::Unsubscribe { consumer: agentwire::proto::ConsumerId(1) });
    world.server.publish("t", 3);
    world.cut();
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3]);
    assert_eq!(world.sent_of("hello")[1]["streams"].as_array().map(Vec::len), Some(0));
}

#[test]
fn leaving_before_the_answer_unsubscribes_when_it_comes() {
    // PROTOCOL: SUB-12
    let mut world = following(1);
    world.subscribe(2, 2, "u", Open::Start, Begin::Stream);
    world.input(agentwire::proto::Input::Unsubscribe { consumer: agentwire::proto::ConsumerId(2) });
    world.settle();
    assert_eq!(world.sent_of("unsubscribe").len(), 1);
    assert_eq!(world.client.stats().malformed_frames, 0);
    world.server.publish("u", 2);
    world.subscribe(2, 3, "u", Open::Start, Begin::Stream);
    world.settle();
    assert_eq!(world.receiver(3).offsets(), [1, 2], "the next one is asked for again");
    assert_eq!(world.client.stats().connects, 1);
}

#[test]
fn leaving_takes_an_open_request_along_and_no_other() {
    // PROTOCOL: SUB-12, RPL-5
    let mut world = following(10);
    world.server.publish("u", 10);
    world.subscribe(2, 2, "u", Open::Start, Begin::Stream);
    world.settle();
    world.server.ignores_replay = true;
    world.subscribe(1, 3, "t", Open::Start, Begin::After(0));
    world.subscribe(2, 4, "u", Open::Start, Begin::After(0));
    world.settle();
    assert_eq!(world.sent_of("replay").len(), 2);
    for consumer in [2, 4] {
        world
            .input(agentwire::proto::Input::Unsubscribe { consumer: agentwire::proto::ConsumerId(consumer) });
    }
    events(&mut world, 1, 10);
    world.inject(r#"{"type":"replayEnd","req":1,"to":10,"oldest":1}"#);
    world.run_for(2 * config::REPLAY_TIMEOUT);
    assert_eq!(world.receiver(3).offsets(), upto(10));
    assert_eq!(world.sent_of("replay").len(), 2, "the answer was taken for what it is");
    assert_eq!(world.client.stats().connects, 1, "nobody waits for the other answer");
}

#[test]
fn a_subscription_that_the_server_ends_is_reported_and_not_asked_for_again() {
    // PROTOCOL: SUB-11
    let mut world = following(2);
    world.inject(r#"{"type":"unsubscribed","ch":7,"name":"t","reason":"requested"}"#);
    world.inject(r#"{"type":"events","ch":1,"first":3,"count":1,"events":[{"type":"a"}]}"#);
    world.server.believes_acks = true;
    world.run_for(SECOND / 10);
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3], "the answer for a former number ends nothing");
    world.inject(r#"{"type":"unsubscribed","ch":1,"name":"t","reason":"deleted"}"#);
    world.settle();
    let ended =
        world.facts.iter().filter(|fact| matches!(fact, Event::Ended { reason, .. } if reason == "deleted"));
    assert_eq!(ended.count(), 1);
    world.cut();
    world.run_for(2 * SECOND);
    assert_eq!(world.sent_of("hello")[1]["streams"].as_array().map(Vec::len), Some(0));
}

// --- Flow control ---

#[test]
fn acknowledgements_follow_delivery() {
    // PROTOCOL: FLO-2
    let mut world = narrow(512);
    world.server.publish("t", 5_000);
    world.follow("t");
    world.connect();
    world.run_for(5 * SECOND);
    assert_eq!(world.receiver(1).offsets(), upto(5_000));
    assert!(world.server.max_in_flight <= 512);
    let acks = world.sent_of("ack");
    assert_eq!(acks.last().expect("an ack")["offsets"]["1"], 5_000);
    let bound = 5_000 / 128 + 10;
    assert!(acks.len() <= bound, "{} acks", acks.len());
}

#[test]
fn a_small_batch_is_acknowledged_within_the_delay() {
    // PROTOCOL: FLO-2
    let mut world = following(0);
    world.server.publish("t", 1);
    let published = world.now;
    world.run_for(2 * SECOND);
    let (at, _) = world.sent.iter().find(|(_, frame)| frame["type"] == "ack").expect("an ack");
    assert!(at.since(published) <= world.latency + config::ACK_DELAY);
}

#[test]
fn an_iterator_that_lacks_only_the_last_event_does_not_hold_up_the_others() {
    // PROTOCOL: FLO-2, FLO-5: what it lacks is asked for, and counts against no window.
    let mut world = narrow(8);
    world.server.publish("t", 9);
    world.subscribe_pulling(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    world.pull(1, 1);
    world.run_for(2 * SECOND);
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::After(0));
    world.settle();
    assert_eq!(
        (world.receiver(1).queue.len(), world.receiver(2).queue.len()),
        (9, 8),
        "8 events, and a resume result"
    );
    world.pull(1, 9);
    world.server.publish("t", 3);
    world.settle();
    world.pull(1, 3);
    assert_eq!(world.receiver(1).offsets(), upto(12));
}

#[test]
fn an_iterator_whose_queue_is_half_full_is_served_again() {
    // PROTOCOL: RPL-4, RPL-5; I9
    let mut world = narrow(8);
    world.server.publish("t", 100);
    world.follow("t");
    world.connect();
    world.run_for(5 * SECOND);
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::After(0));
    world.settle();
    assert_eq!(world.receiver(2).queue.len(), 8);
    world.pull(2, 3);
    world.settle();
    assert_eq!(world.receiver(2).queue.len(), 5, "more than half");
    world.pull(2, 1);
    world.settle();
    assert_eq!(world.receiver(2).queue.len(), 8);
    assert_eq!(world.client.stats().connects, 1);
}

// --- The order of the vectors ---

#[test]
fn frames_in_any_order_are_delivered_as_the_vectors_say() {
    // PROTOCOL: RPL-4, EVT-3
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("vectors/protocol.json")).expect("the vectors are JSON");
    for case in vectors["order"].as_array().expect("a list") {
        let name = case["name"].as_str().expect("a name");
        let next = case["next"].as_u64().expect("an offset");
        let mut world = World::new();
        world.server.ignores_replay = true;
        world.server.believes_acks = true;
        let begin = Begin::Position { epoch: "e1".into(), offset: next - 1 };
        // The log holds what is before the position; what follows is fed by hand.
        world.server.publish("t", next - 1);
        world.subscribe(1, 1, "t", Open::Start, begin);
        world.connect();
        world.settle();
        for frame in case["feed"].as_array().expect("a list") {
            let (first, count) = (frame[0].as_u64().expect("first"), frame[1].as_u64().expect("count"));
            events(&mut world, first, usize::try_from(count).expect("a small count"));
        }
        world.run_for(SECOND / 10);
        assert_eq!(serde_json::json!(world.receiver(1).offsets()), case["handed"], "{name}");
        assert_eq!(
            world.client.stats().duplicates_dropped,
            case["duplicates"].as_u64().expect("a count"),
            "{name}"
        );
        let asked = world
            .sent_of("replay")
            .iter()
            .map(|frame| serde_json::json!([frame["from"], frame["to"]]))
            .collect::<Vec<_>>();
        assert_eq!(serde_json::json!(asked), case["replay"], "{name}");
    }
}

#[test]
fn an_iterator_behind_a_handler_stays_bounded_after_a_cut() {
    // PROTOCOL: FLO-2; I9: the acknowledgements of this socket count what this socket brought.
    let mut world = narrow(64);
    world.server.publish("t", 1_000);
    world.subscribe(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.run_for(5 * SECOND);
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::After(0));
    world.run_for(5 * SECOND);
    for _ in 0..5 {
        world.cut();
        world.run_for(5 * SECOND);
    }
    let queued = world.receiver(2).queue.len();
    assert!((64..=2 * 64).contains(&queued), "{queued} wait in the queue");
    for _ in 0..400 {
        world.pull(2, 10);
        world.run_for(Duration::from_millis(120));
    }
    assert_eq!(world.receiver(2).offsets(), upto(1_000));
}

#[test]
fn leaving_and_coming_back_before_the_answer_asks_only_once() {
    // PROTOCOL: SUB-2
    let mut world = following(1);
    world.server.publish("u", 4);
    world.subscribe(2, 2, "u", Open::Start, Begin::Stream);
    world.input(agentwire::proto::Input::Unsubscribe { consumer: agentwire::proto::ConsumerId(2) });
    world.subscribe(2, 3, "u", Open::Start, Begin::Stream);
    world.settle();
    assert_eq!(world.sent_of("subscribe").len(), 1);
    assert_eq!(world.receiver(3).offsets(), upto(4));
    assert_eq!(world.receiver(2).offsets(), [] as [u64; 0]);
}

#[test]
fn a_consumer_that_is_ahead_of_the_others_is_not_moved_back() {
    let mut world = World::new();
    world.server.publish("t", 8);
    world.subscribe(1, 1, "t", Open::Start, Begin::Position { epoch: "e1".into(), offset: 2 });
    world.subscribe(1, 2, "t", Open::Start, Begin::Position { epoch: "e1".into(), offset: 5 });
    world.connect();
    world.settle();
    assert_eq!(world.receiver(1).offsets(), [3, 4, 5, 6, 7, 8]);
    assert_eq!(world.receiver(2).offsets(), [6, 7, 8]);
    assert_eq!(world.sent_of("hello")[0]["streams"][0]["seen"], 5);
}

#[test]
fn a_log_that_went_back_behind_the_fastest_consumer_is_noticed() {
    // PROTOCOL: SUB-6; I13
    let mut world = following(10);
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::After(0));
    world.settle();
    world.pull(2, 4);
    world.cut();
    world.server.roll_back("t", 6);
    world.server.publish("t", 1);
    world.run_for(2 * SECOND);
    world.pull(2, 100);
    for consumer in [1, 2] {
        let gaps = world.receiver(consumer).gaps();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(gaps[0].2, "epoch");
    }
    assert_eq!(world.receiver(1).offsets()[10..], upto(7));
}

#[test]
fn a_consumer_that_begins_earlier_moves_the_stored_position_back() {
    // I4: the position is the slowest consumer's.
    let mut world = following(10);
    assert_eq!(world.position(1), Some(("e1".into(), 10)));
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::After(3));
    world.settle();
    world.pull(2, 1);
    assert_eq!(world.position(1), Some(("e1".into(), 4)));
    world.pull(2, 100);
    assert_eq!(world.position(1), Some(("e1".into(), 10)));
}

#[test]
fn when_the_slowest_consumer_leaves_the_others_no_longer_wait() {
    // PROTOCOL: FLO-2
    let mut world = narrow(8);
    world.server.publish("t", 100);
    world.subscribe(1, 1, "t", Open::Start, Begin::Stream);
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(8));
    world.input(agentwire::proto::Input::Unsubscribe { consumer: agentwire::proto::ConsumerId(2) });
    world.run_for(3 * SECOND);
    assert_eq!(world.receiver(1).offsets(), upto(100));
    assert_eq!(world.position(1), Some(("e1".into(), 100)));
}

#[test]
fn a_consumer_that_attaches_twice_gets_everything_once() {
    let mut world = following(3);
    world.input(agentwire::proto::Input::Subscribe {
        stream: agentwire::proto::StreamId(1),
        consumer: agentwire::proto::ConsumerId(1),
        name: "t".into(),
        name_bytes: 1,
        open: Open::Start,
        begin: Begin::After(0),
        max_queued: None,
    });
    world.server.publish("t", 2);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(5));
}

//! Resuming, order, gaps, verdicts, consumers, flow control.

mod support;

use std::time::Duration;

use agentwire::proto::{Begin, Config, Event, Verdict, config, wire::Open};
use support::{Handed, World};

const SECOND: Duration = Duration::from_secs(1);

fn verdicts(world: &World) -> Vec<&Verdict> {
    world
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Event::Resumed { verdict, .. } => Some(verdict),
            _ => None,
        })
        .collect()
}

fn connected(name: &str, events: u64) -> World {
    let mut world = World::new();
    world.server.publish(name, events);
    world.follow(name);
    world.connect();
    world.settle();
    world
}

fn upto(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

// --- Resuming ---

#[test]
fn a_stream_from_the_start_brings_everything_and_then_what_is_live() {
    // PROTOCOL: SUB-8, SUB-10, EVT-5, LIF-1
    let mut world = connected("t", 120);
    world.server.publish("t", 5);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(125));
    let replays =
        world.receiver(1).handed.iter().filter(|item| matches!(item, Handed::Event { replay: true, .. }));
    assert_eq!(replays.count(), 120);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn a_resume_takes_one_round_trip_and_repeats_nothing() {
    // PROTOCOL: HEL-5, SUB-4; I1
    let mut world = connected("t", 30);
    world.cut();
    world.server.publish("t", 20);
    world.sent.clear();
    world.run_for(SECOND);
    assert_eq!(world.receiver(1).offsets(), upto(50));
    let kinds = world.sent.iter().map(|(_, frame)| frame["type"].as_str().expect("text")).collect::<Vec<_>>();
    assert_eq!(kinds, ["hello", "ack"]);
    assert_eq!(world.sent[0].1["streams"][0]["position"]["offset"], 30);
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
    assert_eq!(world.positions.values().next(), Some(&("e1".into(), 10)));
}

#[test]
fn many_cuts_lose_and_repeat_nothing() {
    // I1
    let mut world = connected("t", 0);
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
    let mut world = connected("t", 1);
    world.server.publish("u", 4);
    world.subscribe(2, 2, "u", Open::Start, Begin::Stream);
    world.settle();
    assert_eq!(world.receiver(2).offsets(), upto(4));
    assert_eq!(world.sent_of("subscribe").len(), 1);
}

#[test]
fn a_refused_stream_ends_and_the_others_go_on() {
    // PROTOCOL: SUB-11
    let mut world = World::new();
    world.server.forbidden.push("secret".into());
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
    world.server.forbidden.clear();
    world.server.publish("secret", 1);
    world.subscribe(2, 3, "secret", Open::Start, Begin::Stream);
    world.settle();
    assert_eq!(world.receiver(3).offsets(), [1], "another consumer asks again");
}

// --- Verdicts ---

#[test]
fn each_catch_up_ends_in_one_verdict() {
    // I3
    let mut world = connected("t", 30);
    world.cut();
    world.server.publish("t", 20);
    world.run_for(2 * SECOND);
    let verdicts = verdicts(&world);
    assert_eq!(verdicts.len(), 2);
    assert_eq!(
        (verdicts[0].recovered, verdicts[0].from, verdicts[0].to, verdicts[0].replayed),
        (true, 1, 30, 30)
    );
    assert_eq!(
        (verdicts[1].recovered, verdicts[1].from, verdicts[1].to, verdicts[1].replayed),
        (true, 31, 50, 20)
    );
    assert_eq!((verdicts[1].attempts, verdicts[1].gap.as_ref()), (1, None));
}

#[test]
fn a_verdict_follows_the_events_it_speaks_of_and_counts_the_attempts() {
    // I3
    let mut world = connected("t", 5);
    world.cut();
    world.server.publish("t", 400);
    for _ in 0..3 {
        world.run_for(Duration::from_millis(560));
        world.half_open();
        world.cut();
    }
    world.run_for(10 * SECOND);
    let verdicts = verdicts(&world);
    let last = verdicts.last().expect("a verdict");
    assert!(last.attempts >= 1);
    assert_eq!(last.to, 405);
    assert_eq!(world.receiver(1).offsets(), upto(405));
}

// --- Gaps ---

#[test]
fn a_trimmed_log_is_one_gap_before_the_next_event() {
    // PROTOCOL: SUB-5, GAP-4, GAP-5; I2
    let mut world = connected("t", 10);
    world.cut();
    world.server.publish("t", 20);
    world.server.trim("t", 25);
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).gaps(), [(11, Some(25), "trimmed")]);
    assert_eq!(world.receiver(1).offsets()[10..], [26, 27, 28, 29, 30]);
    assert!(matches!(world.receiver(1).handed[10], Handed::Gap { next: 26, .. }));
    let last =
        verdicts(&world).last().map(|verdict| (verdict.recovered, verdict.gap.clone().expect("a gap").to));
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
}

#[test]
fn a_gap_while_live_is_handed_over_once() {
    // PROTOCOL: GAP-2
    let mut world = connected("t", 3);
    world.server.believes_acks = true;
    world.inject(r#"{"type":"gap","ch":1,"from":4,"to":6,"reason":"forbidden"}"#);
    world.inject(r#"{"type":"events","ch":1,"first":7,"count":1,"events":[{"type":"a"}]}"#);
    world.settle();
    assert_eq!(world.receiver(1).gaps(), [(4, Some(6), "forbidden")]);
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3, 7]);
}

#[test]
fn a_new_epoch_resets_the_stream() {
    // PROTOCOL: SUB-7, GAP-4
    let mut world = connected("t", 10);
    world.cut();
    world.server.restart();
    world.server.new_epoch("t", "e2", 3);
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).gaps(), [(11, None, "epoch")]);
    assert_eq!(world.receiver(1).offsets()[10..], [1, 2, 3]);
    assert_eq!(world.positions.values().next(), Some(&("e2".into(), 3)));
}

#[test]
fn an_epoch_that_ends_while_live_resets_the_stream() {
    // PROTOCOL: GAP-2
    let mut world = connected("t", 10);
    world.server.new_epoch("t", "e2", 3);
    world.settle();
    world.server.publish("t", 2);
    world.cut();
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).gaps(), [(11, None, "epoch")]);
    assert_eq!(world.receiver(1).offsets()[10..], [1, 2, 3, 4, 5]);
}

#[test]
fn a_position_ahead_of_a_log_that_went_back_is_not_trusted() {
    // PROTOCOL: SUB-6; I13
    let mut world = connected("t", 10);
    world.cut();
    world.server.roll_back("t", 6);
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(1).gaps(), [(11, None, "ahead")]);
    assert_eq!(world.receiver(1).offsets()[10..], [1, 2, 3, 4, 5, 6]);
}

#[test]
fn silence_never_becomes_a_gap() {
    // PROTOCOL: GAP-1, RPL-5; I2
    let mut world = connected("t", 2);
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
    let mut world = connected("t", 2);
    world.server.forgets = vec![3, 4];
    world.server.publish("t", 5);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(7));
    let asked = world.sent_of("replay");
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0]["from"].as_u64(), asked[0]["to"].as_u64()), (Some(3), Some(4)));
    assert_eq!(world.client.stats().connects, 1);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn a_missing_tail_is_found_by_the_heads() {
    // PROTOCOL: HBT-1, RPL-4
    let mut world = connected("t", 2);
    world.server.forgets = vec![3];
    world.server.publish("t", 1);
    world.run_for(10 * SECOND);
    assert_eq!(world.receiver(1).offsets(), [1, 2]);
    world.run_for(10 * SECOND);
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3]);
    assert_eq!(world.client.stats().connects, 1);
}

#[test]
fn a_head_that_is_about_to_come_is_not_asked_for() {
    // PROTOCOL: RPL-4: the grace time
    let mut world = connected("t", 2);
    world.inject(r#"{"type":"heartbeat","heads":{"1":3}}"#);
    world.run_for(SECOND / 2);
    world.server.publish("t", 1);
    world.run_for(3 * SECOND);
    assert_eq!(world.sent_of("replay").len(), 0);
}

#[test]
fn too_many_early_frames_drop_the_socket() {
    // PROTOCOL: RPL-6; I9
    let mut world = connected("t", 2);
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
        let mut world = connected("t", 2);
        world.inject(text);
        world.run_for(SECOND / 10);
        world.server.publish("t", 2);
        world.run_for(2 * SECOND);
        assert_eq!(world.client.stats().malformed_frames, 1, "{text}");
        assert_eq!(world.receiver(1).offsets(), upto(4), "{text}");
        assert_eq!(world.receiver(1).gaps(), [], "{text}");
    }
}

// --- Consumers ---

#[test]
fn a_late_consumer_begins_where_the_stream_is() {
    // I4
    let mut world = connected("t", 5);
    world.subscribe(1, 2, "t", Open::Start, Begin::Stream);
    world.server.publish("t", 3);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(8));
    assert_eq!(world.receiver(2).offsets(), [6, 7, 8]);
}

#[test]
fn a_late_consumer_with_a_start_of_its_own_is_served_by_replay_while_others_go_on() {
    // PROTOCOL: RPL-2, RPL-4, FLO-5; I4
    let mut world = connected("t", 2_000);
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
    let mut world = connected("t", 3_000);
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
    let mut world = connected("t", 20);
    world.server.trim("t", 8);
    world.subscribe(1, 2, "t", Open::Start, Begin::After(2));
    world.run_for(2 * SECOND);
    assert_eq!(world.receiver(2).gaps(), [(3, Some(8), "trimmed")]);
    assert_eq!(world.receiver(2).offsets(), (9..=20).collect::<Vec<_>>());
    assert_eq!(world.receiver(1).gaps(), [], "the first one has them");
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
    let mut world = World::new();
    world.server.publish("t", 20);
    world.subscribe_pulling(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    assert_eq!(world.positions.values().next(), Some(&("e1".into(), 0)));
    world.pull(1, 7);
    assert_eq!(world.positions.values().next(), Some(&("e1".into(), 7)));
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
    let mut config = Config::new(1);
    config.window_events = 64;
    let mut world = World::with(config);
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
    let mut world = World::new();
    world.server.publish("t", 20);
    world.subscribe_pulling(1, 1, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
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
    assert_eq!(world.positions.values().next(), Some(&("e2".into(), 4)));
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
    assert_eq!(world.positions.values().next(), Some(&("e1".into(), 3)));
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
fn a_stream_that_nobody_consumes_is_not_asked_for() {
    // PROTOCOL: SUB-12
    let mut world = connected("t", 3);
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
    let mut world = connected("t", 1);
    world.subscribe(2, 2, "u", Open::Start, Begin::Stream);
    world.input(agentwire::proto::Input::Unsubscribe { consumer: agentwire::proto::ConsumerId(2) });
    world.settle();
    assert_eq!(world.sent_of("unsubscribe").len(), 1);
    assert_eq!(world.client.stats().malformed_frames, 0);
}

// --- Flow control ---

#[test]
fn acknowledgements_follow_the_handing_over() {
    // PROTOCOL: FLO-2
    let mut world = connected("t", 5_000);
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
    let mut world = connected("t", 0);
    world.server.publish("t", 1);
    let published = world.now;
    world.settle();
    let (at, _) = world.sent.iter().find(|(_, frame)| frame["type"] == "ack").expect("an ack");
    assert!(at.since(published) <= world.latency + config::ACK_DELAY);
}

// --- The order of the vectors ---

#[test]
fn frames_in_any_order_are_handed_over_as_the_vectors_say() {
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
            let events = (0..count).map(|_| serde_json::json!({"type": "a"})).collect::<Vec<_>>();
            let frame = serde_json::json!({"type": "events", "ch": 1, "first": first, "count": count, "events": events});
            world.inject(frame.to_string());
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
    let mut config = Config::new(1);
    config.window_events = 64;
    let mut world = World::with(config);
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
    let mut world = connected("t", 1);
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
    let mut world = connected("t", 10);
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
        assert_eq!(gaps[0].2, "ahead");
    }
    assert_eq!(world.receiver(1).offsets()[10..], upto(7));
}

#[test]
fn a_consumer_that_begins_earlier_moves_the_stored_position_back() {
    // I4: the position is the slowest consumer's.
    let mut world = connected("t", 10);
    assert_eq!(world.positions.values().next(), Some(&("e1".into(), 10)));
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::After(3));
    world.settle();
    world.pull(2, 1);
    assert_eq!(world.positions.values().next(), Some(&("e1".into(), 4)));
    world.pull(2, 100);
    assert_eq!(world.positions.values().next(), Some(&("e1".into(), 10)));
}

#[test]
fn when_the_slowest_consumer_leaves_the_others_no_longer_wait() {
    // PROTOCOL: FLO-2
    let mut config = Config::new(1);
    config.window_events = 8;
    let mut world = World::with(config);
    world.server.publish("t", 100);
    world.subscribe(1, 1, "t", Open::Start, Begin::Stream);
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(8));
    world.input(agentwire::proto::Input::Unsubscribe { consumer: agentwire::proto::ConsumerId(2) });
    world.run_for(3 * SECOND);
    assert_eq!(world.receiver(1).offsets(), upto(100));
    assert_eq!(world.positions.values().next(), Some(&("e1".into(), 100)));
}

#[test]
fn a_consumer_that_attaches_twice_is_handed_everything_once() {
    let mut world = connected("t", 3);
    world.input(agentwire::proto::Input::Subscribe {
        stream: agentwire::proto::StreamId(1),
        consumer: agentwire::proto::ConsumerId(1),
        name: "t".into(),
        open: Open::Start,
        begin: Begin::After(0),
    });
    world.server.publish("t", 2);
    world.settle();
    assert_eq!(world.receiver(1).offsets(), upto(5));
}

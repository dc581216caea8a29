//! The connection under everything that a browser, a network and a server do: it comes back, and it never hammers (I7, I14).

mod support;

use agentwire::proto::{
    Begin, ClientError, Config, Duration, Event, Input, SocketId, State, Text, wire::Open,
};
use agentwire_sim::Loop;
use support::{SECOND, World, connected, following, pulling};

/// Lets time pass up to `limit` until the client is connected; returns how long it took.
fn connected_within(world: &mut World, limit: Duration) -> Duration {
    let begin = world.now;
    while world.state() != State::Connected {
        assert!(world.now.since(begin) < limit, "still {:?} after {limit:?}", world.state());
        world.run_for(Duration::from_millis(10));
    }
    world.now.since(begin)
}

/// The delays and attempts of the waits, in order.
fn waits(world: &World) -> Vec<(Duration, u32)> {
    let facts = world.facts.iter().filter_map(|fact| match fact {
        Event::StateChanged { state: State::Waiting, retry_in, attempt, .. } => {
            Some((retry_in.unwrap_or_default(), *attempt))
        }
        _ => None,
    });
    facts.collect()
}

/// The time passes while the page sleeps: nothing runs, and the network is gone.
fn sleep(world: &mut World, time: Duration) {
    world.half_open();
    world.now = world.now + time;
}

// --- Waking up ---

#[test]
fn after_ten_minutes_of_sleep_the_socket_is_replaced_within_three_seconds() {
    // PROTOCOL: HBT-5; I7. Nobody hears of the end of the socket.
    for signal in [Input::Wake, Input::Online(true), Input::Online(false), Input::Timeout] {
        let mut world = following(3);
        world.run_for(30 * SECOND);
        let is_offline = matches!(signal, Input::Online(false));
        sleep(&mut world, 600 * SECOND);
        let woke = world.now;
        world.input(signal.clone());
        if is_offline {
            world.input(Input::Online(true));
        }
        while world.client.stats().connects < 2 {
            world.run_for(Duration::from_millis(10));
            assert!(world.now.since(woke) < 3 * SECOND, "{signal:?}: {:?}", world.state());
        }
    }
}

#[test]
fn a_short_sleep_asks_the_socket_and_keeps_it_if_it_answers() {
    // PROTOCOL: HBT-5, HBT-3
    let mut world = following(3);
    world.run_for(5 * SECOND);
    world.input(Input::Wake);
    assert_eq!(world.sent_of("ping").len(), 1);
    world.input(Input::Wake);
    assert_eq!(world.sent_of("ping").len(), 1, "one question at a time");
    world.run_for(10 * SECOND);
    assert_eq!(world.client.stats().connects, 1);
    assert_eq!(world.client.stats().round_trip_ms, 40);
}

#[test]
fn a_socket_that_has_just_said_something_is_not_asked() {
    // PROTOCOL: HBT-5
    let mut world = following(3);
    world.server.publish("t", 1);
    world.run_for(Duration::from_millis(100));
    world.input(Input::Wake);
    assert!(world.sent_of("ping").is_empty());
}

#[test]
fn a_dead_connection_is_noticed_within_25_seconds() {
    // PROTOCOL: HBT-2
    let mut world = following(3);
    world.run_for(40 * SECOND);
    world.half_open();
    let begin = world.now;
    while world.state() == State::Connected {
        world.run_for(SECOND / 10);
    }
    assert!(world.now.since(begin) <= 25 * SECOND, "{:?}", world.now.since(begin));
}

// --- Hints ---

#[test]
fn a_hint_ends_a_long_wait_and_the_steps_begin_anew() {
    // PROTOCOL: CLS-4
    for hint in [Input::Online(true), Input::Wake] {
        let mut world = World::new();
        world.refusing = true;
        world.connect();
        world.run_for(120 * SECOND);
        while world.state() != State::Waiting {
            world.run_for(SECOND / 10);
        }
        world.facts.clear();
        let attempts = world.client.stats().attempts;
        world.input(hint.clone());
        assert_eq!(world.client.stats().attempts, attempts + 1, "{hint:?}");
        world.run_for(SECOND / 10);
        assert_eq!(waits(&world)[0].1, 1, "{hint:?}");
        assert!(waits(&world)[0].0 <= SECOND / 2, "{hint:?}");
        world.refusing = false;
        connected_within(&mut world, 2 * SECOND);
    }
}

#[test]
fn a_hint_does_not_outweigh_the_time_that_the_server_named() {
    // PROTOCOL: CLS-4
    let mut world = connected();
    world.inject(
        r#"{"type":"error","code":"overloaded","message":"full","retryable":true,"retryAfterMs":60000}"#,
    );
    world.settle();
    world.close_by_server(4455);
    world.run_for(SECOND);
    for _ in 0..20 {
        world.input(Input::Wake);
        world.input(Input::Online(true));
        world.run_for(SECOND);
    }
    assert_eq!(world.client.stats().attempts, 1);
    world.run_for(60 * SECOND);
    assert_eq!(world.state(), State::Connected);
}

#[test]
fn a_time_that_the_server_named_is_over_with_the_next_welcome() {
    // PROTOCOL: CLS-4
    let mut world = World::new();
    world.server.mute = true;
    world.connect();
    world.run_for(SECOND / 10);
    world.inject(
        r#"{"type":"error","code":"overloaded","message":"full","retryable":true,"retryAfterMs":3600000}"#,
    );
    world.inject(
        r#"{"type":"welcome","session":"s","subject":"ada","heartbeatMs":15000,"maxFrameBytes":1048576,"maxStreams":64,"sendHorizonMs":60000}"#,
    );
    world.settle();
    assert_eq!(world.state(), State::Connected);
    world.server.mute = false;
    world.cut();
    connected_within(&mut world, SECOND);
}

#[test]
fn any_number_of_hints_makes_no_more_attempts_than_the_bucket_holds() {
    // PROTOCOL: CLS-5; I14
    let mut world = World::new();
    world.refusing = true;
    world.connect();
    for _ in 0..600 {
        world.input(Input::Wake);
        world.run_for(SECOND / 10);
    }
    // Six at once and one per ten seconds.
    let attempts = world.client.stats().attempts;
    assert!((6..=12).contains(&attempts), "{attempts} attempts in a minute");
}

// --- Servers that loop ---

#[test]
fn a_server_that_succeeds_and_fails_in_turn_is_called_ever_more_rarely() {
    // PROTOCOL: CLS-4, CLS-5; I14
    for way in Loop::ALL {
        let mut world = World::new();
        world.server.publish("t", 5);
        world.follow("t");
        world.send("m1", "t", "x");
        world.server.looping = Some(way);
        world.connect();
        world.run_for(600 * SECOND);
        let stats = world.client.stats();
        // Six at once, one per 10 s.
        assert!(stats.attempts <= 6 + 60, "{way:?}: {} attempts in ten minutes", stats.attempts);
        let hellos = world.sent_of("hello").len() as u64;
        assert!(hellos <= stats.attempts, "{way:?}: {hellos} tokens");
        let sends = world.sent_of("send").len();
        assert!(sends <= 5, "{way:?}: the message went out {sends} times");
    }
}

#[test]
fn only_a_connection_that_lasted_starts_the_steps_anew() {
    // PROTOCOL: CLS-4
    let mut world = following(3);
    for round in 1..=4 {
        world.run_for(3 * SECOND);
        world.facts.clear();
        world.cut();
        assert_eq!(waits(&world)[0].1, round, "after {round} short connections");
        connected_within(&mut world, 20 * SECOND);
    }
    world.run_for(11 * SECOND);
    world.facts.clear();
    world.cut();
    assert_eq!(waits(&world)[0].1, 1);
}

#[test]
fn a_head_that_is_always_one_too_high_makes_no_loop() {
    // PROTOCOL: RPL-5, CLS-4: each socket is caught up for a few seconds, then dropped.
    let mut world = following(3);
    for _ in 0..300 {
        world.run_for(2 * SECOND);
        if world.state() == State::Connected && world.has_socket() {
            world.inject(r#"{"type":"heartbeat","heads":{"1":4}}"#);
        }
    }
    let attempts = world.client.stats().attempts;
    assert!(attempts <= 6 + 60, "{attempts} attempts in ten minutes");
}

#[test]
fn a_close_with_4400_leads_to_a_long_wait_and_the_third_in_a_row_is_final() {
    // PROTOCOL: CLS-1, CLS-2
    for (code, reason) in [(4400, "bad_frame"), (4402, "frame_too_large")] {
        let mut world = connected();
        for round in 1..=2 {
            world.facts.clear();
            world.close_by_server(code);
            world.run_for(SECOND);
            let reported = Event::Error(ClientError::Rejected(reason.into()));
            assert!(world.facts.contains(&reported), "{code}: {:?}", world.facts);
            assert!(waits(&world)[0].0 >= 10 * SECOND, "{code}, {round}: {:?}", waits(&world));
            connected_within(&mut world, 21 * SECOND);
        }
        world.close_by_server(code);
        world.run_for(SECOND);
        assert_eq!(world.state(), State::Failed, "{code}");
    }
}

#[test]
fn a_connection_that_lasts_forgives_a_close_with_4400() {
    // PROTOCOL: CLS-1
    let mut world = connected();
    for _ in 0..5 {
        world.run_for(11 * SECOND);
        world.close_by_server(4400);
        world.run_for(SECOND);
        connected_within(&mut world, 21 * SECOND);
    }
}

// --- Moving ---

#[test]
fn a_goaway_moves_the_page_at_its_time_without_a_delay_of_the_backoff() {
    // PROTOCOL: NTC-2, CLS-2
    let mut world = following(3);
    world.inject(r#"{"type":"goaway","reason":"deploy","reconnectAfterMs":1000,"spreadMs":0}"#);
    world.run_for(Duration::from_millis(1_000));
    assert_eq!((world.client.stats().connects, world.state()), (1, State::Connected));
    // The goaway travels 20 ms; the hello and the welcome take four ways.
    world.run_for(Duration::from_millis(120));
    assert_eq!((world.client.stats().connects, world.state()), (2, State::Connected));
    assert!(waits(&world).is_empty());
}

#[test]
fn a_server_that_says_goaway_at_once_each_time_is_called_no_more_often_than_the_bucket_allows() {
    // PROTOCOL: NTC-2, CLS-5; I14
    let mut world = following(3);
    for _ in 0..1_200 {
        world.run_for(SECOND / 2);
        if world.state() == State::Connected && world.has_socket() {
            world.inject(r#"{"type":"goaway","reason":"deploy","reconnectAfterMs":0,"spreadMs":0}"#);
        }
    }
    let attempts = world.client.stats().attempts;
    assert!(attempts <= 6 + 60, "{attempts} attempts in ten minutes");
}

// --- Requests that are not answered ---

/// The page has asked for one stream more, under this number, and the server answered that it has `head` events. From now on the
/// server says nothing by itself.
fn catching_up(mut world: World, number: u32, name: &str, head: u64) -> World {
    world.server.mute = true;
    world.subscribe(number, number, name, Open::Start, Begin::Stream);
    world.run_for(SECOND / 10);
    world.inject(format!(
        r#"{{"type":"subscribed","ch":{number},"name":"{name}","epoch":"e1","oldest":1,"head":{head},"next":1,"recovered":true}}"#
    ));
    world
}

/// Lets seconds pass, with a heartbeat that names no stream after each.
fn beat_for(world: &mut World, seconds: u32) {
    for _ in 0..seconds {
        world.run_for(SECOND);
        world.inject(r#"{"type":"heartbeat","heads":{}}"#);
    }
}

#[test]
fn a_subscribe_that_is_not_answered_drops_the_socket_after_ten_seconds() {
    // PROTOCOL: SUB-13; I7
    let mut world = connected();
    world.server.ignores_subscribes = true;
    world.follow("t");
    world.run_for(4 * SECOND);
    assert!(world.facts.contains(&Event::Trouble(Some(Text::UNANSWERED))), "{:?}", world.facts);
    world.run_for(5 * SECOND);
    assert_eq!(world.client.stats().attempts, 1);
    world.server.ignores_subscribes = false;
    world.server.publish("t", 3);
    world.run_for(4 * SECOND);
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3]);
    assert_eq!(world.client.stats().attempts, 2);
    assert_eq!(
        world.facts.iter().rev().find(|fact| matches!(fact, Event::Trouble(_))),
        Some(&Event::Trouble(None))
    );
}

#[test]
fn a_catch_up_that_never_ends_drops_the_socket_after_twenty_seconds() {
    // PROTOCOL: SUB-13; I7
    let mut world = catching_up(connected(), 1, "t", 5);
    beat_for(&mut world, 19);
    assert_eq!(world.client.stats().attempts, 1);
    world.run_for(2 * SECOND);
    assert_eq!(world.client.stats().attempts, 2);
}

#[test]
fn a_busy_line_puts_the_deadline_of_a_subscribe_off_for_two_minutes_and_no_longer() {
    // PROTOCOL: SUB-13
    let mut world = connected();
    world.server.ignores_subscribes = true;
    world.follow("t");
    for second in 0..115 {
        assert_eq!(world.client.stats().attempts, 1, "after {second} s");
        world.run_for(SECOND);
        world.inject(r#"{"type":"signal","stream":"u","signal":{"type":"typing"}}"#);
    }
    world.run_for(8 * SECOND);
    assert_eq!(world.client.stats().attempts, 2);
}

// --- What the application asks for ---

#[test]
fn reconnect_works_while_waiting_offline_and_failed_but_once_per_two_seconds() {
    let refused = || {
        let mut world = World::new();
        world.refusing = true;
        world.connect();
        world.run_for(60 * SECOND);
        while world.state() != State::Waiting {
            world.run_for(SECOND / 10);
        }
        world.refusing = false;
        world
    };
    let mut waiting = refused();
    waiting.input(Input::Reconnect);
    connected_within(&mut waiting, SECOND);

    let mut offline = refused();
    offline.input(Input::Online(false));
    assert_eq!(offline.state(), State::Offline);
    offline.input(Input::Reconnect);
    connected_within(&mut offline, SECOND);

    let mut failed = following(3);
    failed.close_by_server(4403);
    failed.settle();
    assert_eq!(failed.state(), State::Failed);
    failed.server.publish("t", 2);
    failed.input(Input::Reconnect);
    connected_within(&mut failed, SECOND);
    failed.settle();
    assert_eq!(failed.receiver(1).offsets(), [1, 2, 3, 4, 5]);

    let mut impatient = refused();
    impatient.refusing = true;
    let before = impatient.client.stats().attempts;
    for _ in 0..100 {
        impatient.input(Input::Reconnect);
        impatient.run_for(SECOND / 10);
    }
    // One per two seconds, and what the backoff does by itself.
    let made = impatient.client.stats().attempts - before;
    assert!(made <= 5 + 6, "{made} attempts in ten seconds");
}

#[test]
fn the_application_may_choose_the_delay_of_a_wait_but_not_outweigh_the_server() {
    let mut world = connected();
    world.cut();
    world.input(Input::RetryIn(5 * SECOND));
    assert_eq!(waits(&world).last(), Some(&(5 * SECOND, 1)));
    world.run_for(4 * SECOND);
    assert_eq!(world.client.stats().attempts, 1);
    world.run_for(2 * SECOND);
    assert_eq!(world.client.stats().attempts, 2);
    world.inject(r#"{"type":"goaway","reason":"deploy","reconnectAfterMs":60000,"spreadMs":0}"#);
    world.settle();
    world.cut();
    world.input(Input::RetryIn(SECOND));
    world.run_for(50 * SECOND);
    assert_eq!(world.client.stats().attempts, 2);
}

#[test]
fn the_cap_that_the_server_names_bounds_the_delays_and_refills_the_bucket() {
    // PROTOCOL: HEL-4, CLS-4, CLS-5
    let mut world = World::new();
    world.server.backoff_max_ms = Some(1_000);
    world.connect();
    world.settle();
    world.refusing = true;
    world.cut();
    world.run_for(60 * SECOND);
    let delays = waits(&world);
    assert!(delays.iter().all(|(delay, _)| *delay <= SECOND), "{delays:?}");
    // A delay of 750 ms on average, and 40 ms until the refusal is here.
    assert!((60..=100).contains(&delays.len()), "{}", delays.len());
}

// --- Sends that end connections ---

#[test]
fn a_send_that_is_refused_for_its_size_settles_and_what_follows_goes_out() {
    // PROTOCOL: SND-20
    let mut world = connected();
    world.server.refuses_above = Some(200);
    world.send("large", "t", &"x".repeat(500));
    world.run_for(30 * SECOND);
    world.send("small", "t", "y");
    world.run_for(30 * SECOND);
    assert_eq!(world.settled()[0], ("large".into(), r#"Failed("message_too_large")"#.into()));
    assert_eq!(world.server.applied.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>(), ["small"]);
}

#[test]
fn the_send_at_fault_is_found_among_several_and_others_go_on() {
    // PROTOCOL: SND-20, SND-4
    let mut world = connected();
    world.server.refuses_above = Some(200);
    world.send("a1", "a", "x");
    world.send("b1", "b", &"x".repeat(500));
    world.send("b2", "b", "y");
    world.send("c1", "c", "z");
    world.run_for(120 * SECOND);
    let mut ids = world.server.applied.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>();
    ids.sort_unstable();
    assert_eq!(ids, ["a1", "b2", "c1"]);
    assert!(
        world.settled().contains(&("b1".into(), r#"Failed("message_too_large")"#.into())),
        "{:?}",
        world.settled()
    );
    assert_eq!(world.settled().len(), 4);
}

#[test]
fn a_send_that_resets_the_line_is_held_back_and_reported_and_others_go_on() {
    // PROTOCOL: SND-19, SND-20; I14
    let mut world = connected();
    world.server.resets_above = Some(200);
    world.send("b1", "b", &"x".repeat(500));
    world.run_for(60 * SECOND);
    assert!(world.facts.contains(&Event::Error(ClientError::SendHeld("b1".into()))), "{:?}", world.facts);
    world.send("c1", "c", "z");
    world.run_for(20 * SECOND);
    assert_eq!(world.server.applied.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>(), ["c1"]);
    world.run_for(515 * SECOND);
    let uploads = world.sent_of("send").iter().filter(|frame| frame["id"] == "b1").count();
    assert_eq!(uploads, 5, "in ten minutes");
    world.server.resets_above = None;
    world.run_for(600 * SECOND);
    assert!(
        world.settled().iter().any(|(id, how)| id == "b1" && how.starts_with("Receipt")),
        "{:?}",
        world.settled()
    );
}

#[test]
fn a_send_that_may_be_stored_is_not_called_too_large_when_the_limit_falls() {
    // PROTOCOL: SND-20, GEN-7
    let mut world = connected();
    world.server.no_receipts = true;
    world.send("m1", "t", &"x".repeat(5_000));
    world.settle();
    world.cut();
    world.server.max_frame_bytes = 4_096;
    world.server.no_receipts = false;
    world.run_for(5 * SECOND);
    assert_eq!(world.settled(), [("m1".into(), r#"Failed("outcome_unknown")"#.into())]);
}

#[test]
fn a_clock_that_is_set_forward_by_a_day_settles_nothing() {
    // PROTOCOL: SND-5: the server's time decides, and it has not moved.
    let mut world = connected();
    world.server.no_receipts = true;
    world.send("m1", "t", "x");
    world.settle();
    world.cut();
    world.server.no_receipts = false;
    world.server.clock_behind = 25 * 3_600 * SECOND;
    world.now = world.now + 25 * 3_600 * SECOND;
    world.input(Input::Timeout);
    world.run_for(30 * SECOND);
    assert!(world.settled()[0].1.starts_with("Receipt"), "{:?}", world.settled());
    assert_eq!(world.server.applied.len(), 1);
}

#[test]
fn a_refresh_that_is_not_answered_is_made_again() {
    // PROTOCOL: TOK-1; I7
    let mut world = World::new();
    world.server.token_expires_in_ms = Some(120_000);
    world.server.ignores_refreshes = true;
    world.connect();
    world.run_for(100 * SECOND);
    assert_eq!(world.sent_of("refresh").len(), 1);
    world.run_for(30 * SECOND);
    assert_eq!(world.sent_of("refresh").len(), 2);
}

#[test]
fn an_adopted_socket_counts_against_the_bucket() {
    // PROTOCOL: CLS-5
    let mut config = Config::new(7);
    config.attempt_burst = 1;
    let mut world = World::with(config);
    let token = world.keep(serde_json::json!("t"));
    world.input(Input::Adopt { socket: SocketId(0), token });
    world.input(Input::SocketClosed { socket: SocketId(0), code: agentwire::proto::CloseCode::ABNORMAL });
    world.run_for(9 * SECOND);
    assert_eq!(world.client.stats().attempts, 1);
    world.run_for(2 * SECOND);
    assert_eq!(world.client.stats().attempts, 2);
}

#[test]
fn the_delay_that_a_rejection_names_is_used_as_it_is() {
    // PROTOCOL: SND-19
    let mut world = connected();
    world.server.mute = true;
    world.send("m1", "t", "x");
    for round in 1..=4 {
        world.run_for(SECOND / 5);
        assert_eq!(world.sent_of("send").len(), round);
        world.inject(r#"{"type":"receipt","id":"m1","stream":"t","status":"rejected","error":{"code":"unavailable","message":"","retryable":true,"retryAfterMs":5000}}"#);
        world.run_for(49 * SECOND / 10);
        assert_eq!(world.sent_of("send").len(), round);
        world.inject(r#"{"type":"heartbeat","heads":{}}"#);
    }
}

#[test]
fn a_send_that_the_page_finds_too_large_holds_up_no_other_one() {
    // PROTOCOL: SND-20, GEN-7
    let mut world = connected();
    world.server.refuses_above = Some(200);
    world.send("a1", "a", "x");
    world.send("b1", "b", &"x".repeat(500));
    while world.settled().len() < 2 {
        world.run_for(SECOND / 10);
    }
    // From now on one goes at a time.
    world.server.max_frame_bytes = 4_096;
    world.cut();
    connected_within(&mut world, 30 * SECOND);
    world.send("large", "c", &"x".repeat(5_000));
    world.send("last", "d", "y");
    world.run_for(SECOND);
    assert!(
        world.server.applied.iter().any(|(_, id, _)| id == "last"),
        "{:?} of {:?}",
        world.server.applied,
        world.settled()
    );
}

#[test]
fn a_catch_up_stands_still_even_if_live_events_came_before_its_end() {
    // PROTOCOL: SUB-13
    let mut world = catching_up(connected(), 1, "t", 1);
    world.inject(r#"{"type":"events","ch":1,"first":1,"count":2,"events":[{"type":"a"},{"type":"b"}]}"#);
    beat_for(&mut world, 20);
    assert_eq!(world.client.stats().attempts, 1);
    world.run_for(2 * SECOND);
    assert_eq!(world.client.stats().attempts, 2);
}

#[test]
fn a_catch_up_may_wait_for_room_that_another_stream_takes() {
    // PROTOCOL: SUB-13, FLO-1: the iterator over `t` is not pulled, and its events fill the window of all streams.
    let mut world = catching_up(pulling(3), 2, "u", 5);
    beat_for(&mut world, 60);
    assert_eq!(world.client.stats().attempts, 1);
}

#[test]
fn a_send_that_crashes_the_server_is_held_back_whatever_it_closes_with() {
    // PROTOCOL: SND-20; I14
    for (code, is_suspect) in
        [(1005, true), (1011, true), (4456, true), (1001, false), (1012, false), (4455, false)]
    {
        let mut world = connected();
        world.server.no_receipts = true;
        world.send("m1", "t", "x");
        for _ in 0..3 {
            world.run_for(SECOND);
            if world.state() == State::Connected {
                world.close_by_server(code);
            }
            world.run_for(SECOND);
        }
        let held = world.facts.contains(&Event::Error(ClientError::SendHeld("m1".into())));
        assert_eq!(held, is_suspect, "{code}: {:?}", world.facts);
    }
}

#[test]
fn sends_go_out_together_again_once_a_connection_has_lasted() {
    // PROTOCOL: SND-20
    let mut world = connected();
    world.server.no_receipts = true;
    world.send("a1", "a", "x");
    world.send("b1", "b", "y");
    for _ in 0..2 {
        world.run_for(SECOND / 10);
        world.cut();
        connected_within(&mut world, 5 * SECOND);
    }
    let on_way = |world: &World| world.sent_of("send").len();
    let before = on_way(&world);
    world.run_for(5 * SECOND);
    assert_eq!(on_way(&world), before, "one at a time");
    world.run_for(20 * SECOND);
    assert_eq!(on_way(&world), before + 1, "both");
}

#[test]
fn rejections_that_one_send_explains_do_not_end_the_client() {
    // PROTOCOL: CLS-1, SND-20
    let mut world = connected();
    world.server.no_receipts = true;
    for id in ["a", "b", "c", "d"] {
        world.send(id, id, "x");
        world.run_for(SECOND / 10);
        world.close_by_server(4402);
        world.run_for(SECOND / 10);
        connected_within(&mut world, 21 * SECOND);
    }
    assert_eq!(world.state(), State::Connected);
    assert_eq!(world.settled().len(), 4, "{:?}", world.settled());
}

#[test]
fn a_slow_connection_is_measured_again() {
    // PROTOCOL: HBT-3
    let mut world = following(3);
    world.run_for(5 * SECOND);
    let sent = world.now.as_millis() - 3_000;
    world.inject(format!(r#"{{"type":"pong","n":{sent}}}"#));
    let troubles = |world: &World| {
        let troubles = world.facts.iter().filter(|fact| matches!(fact, Event::Trouble(_)));
        troubles.cloned().collect::<Vec<_>>()
    };
    world.settle();
    assert_eq!(troubles(&world), [Event::Trouble(Some(Text::SLOW))]);
    world.run_for(30 * SECOND);
    assert_eq!(troubles(&world), [Event::Trouble(Some(Text::SLOW)), Event::Trouble(None)]);
}

#[test]
fn a_question_that_was_asked_before_a_sleep_is_asked_again_after_it() {
    // PROTOCOL: HBT-5
    for signal in [Input::Wake, Input::Timeout, Input::Online(true)] {
        let mut world = following(3);
        world.server.mute = true;
        while world.sent_of("ping").is_empty() {
            world.run_for(SECOND);
        }
        world.now = world.now + 60 * SECOND;
        world.server.mute = false;
        world.input(signal.clone());
        world.run_for(30 * SECOND);
        assert_eq!(world.client.stats().connects, 1, "{signal:?}");
    }
}

#[test]
fn reconnect_never_makes_an_attempt_later_than_it_was() {
    let mut world = World::new();
    world.refusing = true;
    world.connect();
    world.run_for(60 * SECOND);
    world.input(Input::Reconnect);
    while world.state() != State::Waiting {
        world.run_for(Duration::from_millis(10));
    }
    let made = world.client.stats().attempts;
    world.input(Input::Reconnect);
    world.run_for(Duration::from_millis(600));
    assert!(world.client.stats().attempts > made);
}

//! Connecting, losing, waiting, ending.

mod support;

use agentwire::proto::Duration;

use agentwire::proto::{Begin, ClientError, Event, Input, Output, SocketId, State, Text, config, wire::Open};
use support::{SECOND, World, connected};

/// For a server that says nothing by itself.
const WELCOME: &str = r#"{"type":"welcome","session":"s","subject":"ada","heartbeatMs":15000,"maxFrameBytes":1048576,"maxStreams":64,"sendHorizonMs":60000}"#;

/// Lets the time pass until the next hello is sent.
fn run_until_greeting(world: &mut World) {
    let before = world.sent_of("hello").len();
    for _ in 0..25_000 {
        if world.sent_of("hello").len() > before {
            return;
        }
        world.run_for(Duration::from_millis(1));
    }
    panic!("no attempt within 25 s");
}

fn reasons(world: &World) -> Vec<(&'static str, &'static str)> {
    world
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Event::StateChanged { state, reason, .. } => {
                Some((state.as_str(), Text::WORDS[reason.0 as usize]))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn hello_is_the_first_frame_and_a_welcome_connects() {
    // PROTOCOL: HEL-1, HEL-2, HEL-3
    let mut world = World::new();
    world.follow("thread-1");
    world.connect();
    world.settle();
    assert_eq!(world.state(), State::Connected);
    let hello = &world.sent[0].1;
    assert_eq!(hello["type"], "hello");
    assert_eq!(hello["token"], "token-of-ada");
    let window = serde_json::json!({"events": 32_768, "bytes": 8_388_608, "totalBytes": 16_777_216});
    assert_eq!(hello["window"], window);
    assert_eq!(hello["streams"][0]["open"]["from"], "start");
    assert_eq!(reasons(&world), [("connecting", "connect"), ("connected", "welcome")]);
    assert_eq!(world.slots_held(), 0, "token and frames are released");
}

#[test]
fn a_second_connect_changes_nothing() {
    // I8
    let mut world = World::new();
    world.connect();
    world.connect();
    world.settle();
    world.connect();
    world.settle();
    assert_eq!(world.sent_of("hello").len(), 1);
    assert_eq!(world.client.stats().attempts, 1);
}

#[test]
fn an_adopted_socket_says_hello_with_the_token_it_came_with() {
    let mut world = World::new();
    let token = world.keep(serde_json::json!("early"));
    world.input(Input::Adopt { socket: SocketId(0), token });
    world.server.connect(SocketId(0), world.now);
    world.input(Input::SocketOpened { socket: SocketId(0), subprotocol: true });
    world.settle();
    assert_eq!(world.sent_of("hello")[0]["token"], "early");
    assert_eq!(world.state(), State::Connected);
    assert_eq!(world.client.stats().attempts, 1, "it counts as an attempt");
}

#[test]
fn the_socket_after_an_adopted_one_has_another_number() {
    // I8
    let mut world = World::new();
    let token = world.keep(serde_json::json!("t"));
    world.input(Input::Adopt { socket: SocketId(0), token });
    world.run_for(12 * SECOND);
    assert_eq!(world.state(), State::Connected);
    let code = agentwire::proto::CloseCode(4400);
    world.input(Input::SocketClosed { socket: SocketId(0), code });
    assert_eq!(world.state(), State::Connected, "the end of the first one is no news");
}

#[test]
fn a_server_without_our_subprotocol_ends_the_client() {
    // PROTOCOL: GEN-1
    let mut world = World::new();
    let token = world.keep(serde_json::json!("t"));
    world.input(Input::Adopt { socket: SocketId(0), token });
    world.input(Input::SocketOpened { socket: SocketId(0), subprotocol: false });
    world.settle();
    assert_eq!(world.state(), State::Failed);
    assert_eq!(reasons(&world).last(), Some(&("failed", "unsupported_protocol")));
}

#[test]
fn a_refused_connection_is_tried_until_it_succeeds_within_the_bounds_of_the_backoff() {
    // PROTOCOL: CLS-4
    let mut world = World::new();
    world.follow("thread-1");
    world.refusing = true;
    world.connect();
    world.run_for(120 * SECOND);
    let attempts = world.client.stats().attempts;
    assert!((10..60).contains(&attempts), "{attempts} attempts in two minutes");
    world.refusing = false;
    world.run_for(21 * SECOND);
    assert_eq!(world.state(), State::Connected);
    for fact in &world.facts {
        if let Event::StateChanged { retry_in: Some(delay), attempt, .. } = fact {
            assert!(*delay <= Duration::from_millis(500 * (1 << (attempt - 1).min(10))).min(20 * SECOND));
        }
    }
}

#[test]
fn the_backoff_starts_again_once_every_stream_has_caught_up() {
    // PROTOCOL: CLS-4
    let mut world = World::new();
    world.follow("thread-1");
    world.refusing = true;
    world.connect();
    world.run_for(60 * SECOND);
    world.refusing = false;
    world.run_for(21 * SECOND);
    world.facts.clear();
    world.cut();
    assert!(
        world.facts.iter().any(
            |fact| matches!(fact, Event::StateChanged { retry_in: Some(delay), .. } if *delay <= SECOND / 2)
        ),
        "{:?}",
        world.facts
    );
}

#[test]
fn the_backoff_grows_while_no_stream_catches_up() {
    // PROTOCOL: CLS-4: a server that greets and then fails is no reason to call it more often.
    let mut world = World::new();
    world.follow("thread-1");
    world.server.mute = true;
    world.connect();
    for attempt in 1..=6 {
        world.run_for(Duration::from_millis(50));
        world.inject(WELCOME);
        world.run_for(Duration::from_millis(50));
        assert_eq!(world.state(), State::Connected);
        world.cut();
        let told = world.facts.iter().rev().find_map(|fact| match fact {
            Event::StateChanged { state: State::Waiting, attempt, .. } => Some(*attempt),
            _ => None,
        });
        assert_eq!(told, Some(attempt));
        run_until_greeting(&mut world);
    }
}

#[test]
fn a_time_named_by_an_error_is_the_least_that_is_waited() {
    // PROTOCOL: CLS-4, ERR-1
    let mut world = connected();
    world.inject(
        r#"{"type":"error","code":"overloaded","message":"full","retryable":true,"retryAfterMs":5000}"#,
    );
    world.run_for(SECOND / 10);
    assert_eq!(world.state(), State::Connected, "an error alone ends nothing");
    let told = world
        .facts
        .iter()
        .any(|fact| matches!(fact, Event::Error(ClientError::Server { code, .. }) if code == "overloaded"));
    assert!(told, "{:?}", world.facts);
    world.close_by_server(4455);
    world.run_for(4_800 * SECOND / 1000);
    assert_eq!(world.client.stats().connects, 1);
    world.run_for(SECOND);
    assert_eq!(world.client.stats().connects, 2);
}

#[test]
fn without_a_welcome_the_socket_is_given_up() {
    // PROTOCOL: HEL-7
    let mut world = World::new();
    world.server.mute = true;
    world.connect();
    world.run_for(9 * SECOND);
    assert_eq!(world.client.stats().attempts, 1);
    world.run_for(4 * SECOND);
    assert!(world.client.stats().attempts > 1);
    assert!(reasons(&world).contains(&("waiting", "welcome_timeout")));
}

#[test]
fn a_socket_that_never_opens_is_given_up() {
    let mut world = World::new();
    let token = world.keep(serde_json::json!("t"));
    world.input(Input::Adopt { socket: SocketId(0), token });
    world.run_for(9 * SECOND);
    assert_eq!(world.state(), State::Connecting, "it may take its time");
    assert_eq!(world.client.stats().attempts, 1);
    world.run_for(3 * SECOND);
    assert_eq!(world.state(), State::Connected, "a second socket");
    assert_eq!(world.slots_held(), 0, "the first token is released");
}

#[test]
fn a_silent_server_counts_as_dead_and_any_frame_proves_life() {
    // PROTOCOL: HBT-1, HBT-2
    let mut world = World::new();
    world.follow("thread-1");
    world.connect();
    world.run_for(120 * SECOND);
    assert_eq!(world.client.stats().connects, 1, "heartbeats keep it");
    world.half_open();
    // The last heartbeat came at most 15 s ago; 23 s after it the socket is given up.
    world.run_for(7 * SECOND);
    assert_eq!(world.client.stats().connects, 1);
    world.run_for(17 * SECOND);
    assert_eq!(world.client.stats().connects, 2);
    assert!(reasons(&world).contains(&("waiting", "heartbeat_timeout")));
}

#[test]
fn a_ping_is_answered() {
    // PROTOCOL: HBT-3
    let mut world = connected();
    world.inject(r#"{"type":"ping","n":42}"#);
    world.settle();
    assert_eq!(world.sent_of("pong")[0]["n"], 42);
}

#[test]
fn close_codes_say_whether_to_come_back() {
    // PROTOCOL: CLS-1, CLS-2
    for (code, state) in [
        (4403, State::Failed),
        (4449, State::Failed),
        (4452, State::Connected),
        (4453, State::Connected),
        (4499, State::Connected),
        (1000, State::Connected),
        (1001, State::Connected),
        (1006, State::Connected),
        (1011, State::Connected),
        (1013, State::Connected),
        (4999, State::Connected),
    ] {
        let mut world = connected();
        world.close_by_server(code);
        world.run_for(2 * SECOND);
        assert_eq!(world.state(), state, "{code}");
    }
}

#[test]
fn three_refused_tokens_in_a_row_end_the_client_and_each_attempt_asks_for_a_new_one() {
    // PROTOCOL: CLS-3, HEL-3
    let mut world = World::new();
    world.token = Some("expired".into());
    world.connect();
    world.run_for(30 * SECOND);
    assert_eq!(world.state(), State::Failed);
    assert_eq!(reasons(&world).last(), Some(&("failed", "token_rejected")));
    assert_eq!(world.sent_of("hello").len(), 3);
}

#[test]
fn a_welcome_forgives_earlier_refusals() {
    // PROTOCOL: CLS-3
    let mut world = World::new();
    world.follow("t");
    world.connect();
    for _ in 0..5 {
        world.run_for(21 * SECOND);
        assert_eq!(world.state(), State::Connected);
        world.close_by_server(4451);
        world.run_for(SECOND / 10);
    }
    world.run_for(21 * SECOND);
    assert_eq!(world.state(), State::Connected);
}

#[test]
fn a_token_that_does_not_come_is_asked_for_again_but_not_twice_at_once() {
    let mut world = World::new();
    world.token = None;
    world.connect();
    world.run_for(200 * SECOND);
    while world.state() != State::Connecting {
        world.run_for(SECOND);
    }
    let timeouts = world.facts.iter().filter(|fact| matches!(fact, Event::Error(_))).count();
    assert!(timeouts >= 3, "{timeouts}");
    world.give_token("at-last");
    world.run_for(21 * SECOND);
    // The first token may have come while the client waited; then the next attempt asks again.
    world.token = Some("next".into());
    world.run_for(60 * SECOND);
    assert_eq!(world.state(), State::Connected);
}

#[test]
fn a_token_failure_waits_or_ends_as_the_application_says() {
    let mut world = World::new();
    world.token = None;
    world.connect();
    world.input(Input::TokenFailed { retryable: true });
    assert_eq!(world.state(), State::Waiting);
    world.run_for(2 * SECOND);
    world.input(Input::TokenFailed { retryable: false });
    assert_eq!(world.state(), State::Failed);
}

#[test]
fn a_token_is_refreshed_before_it_expires_on_the_same_socket() {
    // PROTOCOL: TOK-1
    let mut world = World::new();
    world.server.token_expires_in_ms = Some(60_000);
    world.connect();
    world.run_for(29 * SECOND);
    assert_eq!(world.server.refreshed, 0);
    world.run_for(3 * SECOND);
    assert_eq!(world.server.refreshed, 1);
    world.run_for(300 * SECOND);
    assert_eq!(world.client.stats().connects, 1);
    assert!(world.server.refreshed >= 5);
}

#[test]
fn a_token_is_asked_for_a_tenth_of_its_life_before_the_end() {
    // At least 30 s before, and at most half of its life.
    for (life, asked_at) in [(3_600, 3_240), (200, 170), (60, 30), (20, 10)] {
        let mut world = World::new();
        world.server.token_expires_in_ms = Some(life * 1_000);
        world.connect();
        world.run_for(asked_at as u32 * SECOND);
        assert_eq!(world.server.refreshed, 0, "{life} s");
        world.run_for(SECOND);
        assert_eq!(world.server.refreshed, 1, "{life} s");
    }
}

#[test]
fn a_refresh_that_fails_is_tried_again_later_on_the_same_socket() {
    // PROTOCOL: TOK-1
    for refused_by_server in [true, false] {
        let mut world = World::new();
        world.server.token_expires_in_ms = Some(60_000);
        world.connect();
        world.run_for(29 * SECOND);
        world.token = refused_by_server.then(|| "invalid".into());
        world.run_for(2 * SECOND);
        if !refused_by_server {
            world.input(Input::TokenFailed { retryable: true });
        }
        world.token = Some("next".into());
        world.run_for(config::REFRESH_RETRY - 2 * SECOND);
        assert_eq!(world.server.refreshed, 0, "not at once");
        world.run_for(3 * SECOND);
        assert_eq!(world.server.refreshed, 1);
        assert_eq!(world.client.stats().connects, 1);
    }
}

#[test]
fn an_error_that_speaks_of_no_token_asks_for_none() {
    // PROTOCOL: ERR-1
    let mut world = connected();
    world.inject(r#"{"type":"error","code":"internal","message":"","retryable":true}"#);
    world.run_for(2 * config::REFRESH_RETRY);
    assert_eq!(world.sent_of("refresh").len(), 0);
}

#[test]
fn another_subject_ends_the_client_and_sends_nothing_of_the_former() {
    // PROTOCOL: HEL-6
    let mut world = connected();
    world.server.no_receipts = true;
    world.send("m1", "thread-1", "secret");
    world.settle();
    world.cut();
    world.server.subject = "eve".into();
    world.run_for(5 * SECOND);
    assert_eq!(world.state(), State::Failed);
    assert_eq!(world.sent_of("send").len(), 1, "not sent again to the new subject");
    assert_eq!(world.settled(), [("m1".into(), r#"Failed("subject_changed")"#.into())]);
}

#[test]
fn offline_waits_for_the_network_and_online_connects_at_once() {
    // I7
    let mut world = World::new();
    world.follow("thread-1");
    world.connect();
    world.settle();
    world.input(Input::Online(false));
    assert_eq!(world.state(), State::Connected, "a hint does not end a socket that works");
    world.cut();
    assert_eq!(world.state(), State::Offline);
    world.run_for(19 * SECOND);
    assert_eq!(world.client.stats().attempts, 1, "nothing is tried for a while");
    world.input(Input::Online(true));
    world.settle();
    assert_eq!(world.state(), State::Connected);
}

#[test]
fn without_an_online_event_the_page_tries_every_20_to_30_seconds() {
    // A browser that says `offline` once and never `online` again may be wrong.
    let mut world = World::new();
    world.follow("thread-1");
    world.connect();
    world.settle();
    world.input(Input::Online(false));
    world.refusing = true;
    world.cut();
    world.run_for(300 * SECOND);
    let attempts = world.client.stats().attempts - 1;
    assert!((9..=15).contains(&attempts), "{attempts} attempts in 300 s");
    world.refusing = false;
    world.run_for(31 * SECOND);
    assert_eq!(world.state(), State::Connected);
    world.cut();
    world.run_for(SECOND);
    assert_eq!(world.state(), State::Connected, "a welcome proves that there is a network");
}

#[test]
fn a_server_that_needs_no_network_is_tried_whatever_the_browser_says() {
    let mut config = agentwire::proto::Config::new(7);
    config.is_local = true;
    let mut world = World::with(config);
    world.input(Input::Online(false));
    world.connect();
    world.settle();
    assert_eq!(world.state(), State::Connected);
}

#[test]
fn a_wait_ends_in_offline_as_soon_as_the_network_is_gone() {
    // I7
    let mut world = World::new();
    world.refusing = true;
    world.connect();
    world.run_for(20 * SECOND);
    while world.state() != State::Waiting {
        world.run_for(SECOND / 20);
    }
    world.input(Input::Online(false));
    assert_eq!(world.state(), State::Offline);
    assert_eq!(reasons(&world).last(), Some(&("offline", "offline")));
}

#[test]
fn goaway_reconnects_after_the_time_named_and_not_before() {
    // PROTOCOL: NTC-2
    let mut world = World::new();
    world.follow("thread-1");
    world.connect();
    world.settle();
    world.inject(r#"{"type":"goaway","reason":"deploy","reconnectAfterMs":3000,"spreadMs":1000}"#);
    world.run_for(SECOND / 10);
    world.close_by_server(4453);
    world.run_for(2_800 * SECOND / 1000);
    assert_eq!(world.client.stats().connects, 1);
    world.run_for(2 * SECOND);
    assert_eq!(world.client.stats().connects, 2);
}

#[test]
fn goaway_leaves_a_socket_that_stays_open() {
    // PROTOCOL: NTC-2
    let mut world = connected();
    world.inject(r#"{"type":"goaway","reason":"deploy","reconnectAfterMs":1000,"spreadMs":0}"#);
    world.run_for(4 * SECOND);
    assert_eq!(world.client.stats().connects, 2);
}

#[test]
fn a_goaway_concerns_the_socket_it_came_on() {
    // PROTOCOL: NTC-2
    let mut world = connected();
    world.inject(r#"{"type":"goaway","reason":"deploy","reconnectAfterMs":3000,"spreadMs":0}"#);
    world.run_for(SECOND / 10);
    world.input(Input::Away(true));
    world.input(Input::Away(false));
    world.run_for(10 * SECOND);
    assert_eq!(world.client.stats().connects, 2, "the next socket stays");
}

#[test]
fn a_goaway_before_the_welcome_sets_the_time_to_come_back() {
    // PROTOCOL: NTC-2, HEL-3; D1
    let mut world = World::new();
    world.server.mute = true;
    world.connect();
    world.settle();
    assert_eq!(world.sent_of("hello").len(), 1);
    world.inject(r#"{"type":"goaway","reason":"shutdown","reconnectAfterMs":3000,"spreadMs":1000}"#);
    world.close_by_server(4453);
    world.server.mute = false;
    world.run_for(SECOND * 29 / 10);
    assert_eq!(world.sent_of("hello").len(), 1, "not before the time that it named");
    world.run_for(SECOND * 12 / 10);
    assert_eq!(world.client.stats().connects, 1);
    assert_eq!(world.client.stats().malformed_frames, 0);
}

#[test]
fn a_client_that_has_ended_has_no_deadline() {
    // I7: nothing wakes it for nothing.
    let mut world = World::new();
    world.follow("thread-1");
    world.connect();
    world.settle();
    world.server.no_receipts = true;
    world.send("m1", "thread-1", "x");
    world.input(Input::Close);
    let rest = world.client.poll_output();
    assert!(matches!(rest, Output::Timeout(None)), "{rest:?}");
}

#[test]
fn closing_is_final_and_later_inputs_are_harmless() {
    let mut world = World::new();
    world.follow("thread-1");
    world.connect();
    world.settle();
    world.input(Input::Close);
    world.server.publish("thread-1", 3);
    world.connect();
    world.input(Input::Online(true));
    world.subscribe(2, 2, "thread-2", Open::Live, Begin::Stream);
    world.subscribe(1, 3, "thread-1", Open::Live, Begin::Stream);
    world.send("late", "thread-1", "x");
    world.run_for(60 * SECOND);
    assert_eq!(world.state(), State::Closed);
    assert_eq!(world.receiver(1).offsets(), [] as [u64; 0]);
    assert_eq!(world.settled().len(), 1);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn inputs_of_an_older_socket_are_harmless() {
    // I8
    let mut world = World::new();
    world.follow("thread-1");
    world.connect();
    world.settle();
    world.cut();
    world.run_for(2 * SECOND);
    assert_eq!(world.state(), State::Connected);
    let before = world.client.stats().stale_events;
    let code = agentwire::proto::CloseCode(4400);
    world.input(Input::SocketClosed { socket: SocketId(0), code });
    world.input(Input::SocketOpened { socket: SocketId(0), subprotocol: false });
    assert_eq!(world.state(), State::Connected);
    assert_eq!(world.client.stats().stale_events, before + 2);
}

#[test]
fn a_socket_that_is_not_the_one_that_opens_says_no_hello() {
    // I8
    let mut world = World::new();
    world.connect();
    world.input(Input::SocketOpened { socket: SocketId(9), subprotocol: true });
    assert_eq!(world.sent_of("hello").len(), 0);
    assert_eq!(world.client.stats().stale_events, 1);
    world.settle();
    assert_eq!(world.state(), State::Connected);
}

#[test]
fn a_malformed_frame_ends_the_socket_and_the_stream_resumes() {
    // PROTOCOL: GEN-4
    for text in [
        r#"{"type":"events","ch":1,"first":1,"count":2,"events":[{"type":"a"}]}"#,
        "not json",
        "[]",
        r#"{"type":"welcome"}"#,
    ] {
        let mut world = World::new();
        world.follow("thread-1");
        world.connect();
        world.settle();
        world.inject(text);
        world.server.publish("thread-1", 3);
        world.run_for(3 * SECOND);
        assert_eq!(world.client.stats().malformed_frames, 1, "{text}");
        assert_eq!(world.client.stats().connects, 2, "{text}");
        assert_eq!(world.receiver(1).offsets(), [1, 2, 3], "{text}");
    }
}

#[test]
fn unknown_frames_are_ignored_and_counted() {
    // PROTOCOL: GEN-3
    let mut world = connected();
    world.inject(r#"{"type":"confetti"}"#);
    world.inject(r#"{"type":"events","ch":77,"first":1,"count":1,"events":[{"type":"a"}]}"#);
    world.settle();
    assert_eq!(world.client.stats().frames_ignored, 2);
    assert_eq!(world.client.stats().connects, 1);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn an_unknown_frame_before_the_welcome_is_ignored_and_counted() {
    // PROTOCOL: GEN-3
    let mut world = World::new();
    world.server.mute = true;
    world.connect();
    world.settle();
    world.inject(r#"{"type":"confetti"}"#);
    world.inject(WELCOME);
    world.settle();
    assert_eq!(world.state(), State::Connected);
    assert_eq!(world.client.stats().frames_ignored, 1);
    assert_eq!(world.client.stats().frames_received, 2);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn every_waiting_state_has_a_deadline_or_a_named_wait() {
    // I7: whatever is lost, time alone brings the client back.
    let mut world = World::new();
    world.follow("thread-1");
    world.connect();
    for round in 0..40 {
        match round % 4 {
            0 => world.cut(),
            1 => world.half_open(),
            2 => world.close_by_server(1012),
            _ => world.server.restart(),
        }
        world.run_for(Duration::from_millis(137 * (round + 1)));
    }
    world.run_for(60 * SECOND);
    assert_eq!(world.state(), State::Connected);
    assert!(config::MIN_SILENCE + config::PROBE_TIMEOUT <= 15 * SECOND);
}

#[test]
fn a_page_that_leaves_closes_its_socket_and_resumes_when_it_is_back() {
    // I7, I8
    let mut world = World::new();
    world.follow("thread-1");
    world.connect();
    world.settle();
    world.server.publish("thread-1", 3);
    world.settle();
    world.input(Input::Away(true));
    assert_eq!(world.state(), State::Offline);
    assert_eq!(reasons(&world).last(), Some(&("offline", "page_left")));
    world.server.publish("thread-1", 4);
    world.input(Input::Online(true));
    world.run_for(600 * SECOND);
    assert_eq!(world.client.stats().attempts, 1, "nothing is tried while it is away");
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3], "nothing is handed to a page that is away");
    world.input(Input::Away(false));
    world.settle();
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_page_that_leaves_while_it_connects_goes_on_when_it_is_back() {
    let mut world = World::new();
    world.token = None;
    world.connect();
    world.input(Input::Away(true));
    world.give_token("late");
    world.run_for(60 * SECOND);
    assert_eq!(world.state(), State::Offline);
    assert_eq!(world.slots_held(), 0);
    world.token = Some("next".into());
    world.input(Input::Away(false));
    world.settle();
    assert_eq!(world.state(), State::Connected);
}

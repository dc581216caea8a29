//! Stories of what happens seldom, and must not be lost then either.

mod support;

use agentwire::proto::{
    Begin, ClientError, ConsumerId, Event, Input, Outcome, State, Text,
    config::{MAX_HELLO_BYTES, MAX_IDLE_STREAMS},
    wire::Open,
};
use support::{SECOND, World, at, connected, following};

fn attempts(world: &World) -> Vec<u32> {
    let waits = world.facts.iter().filter_map(|fact| match fact {
        Event::StateChanged { state: State::Waiting, attempt, .. } => Some(*attempt),
        _ => None,
    });
    waits.collect()
}

// --- Tokens ---

#[test]
fn a_token_that_never_comes_is_asked_for_again() {
    // PROTOCOL: CLS-3
    // I7: the application's promise hangs for ever; the next one may not.
    let mut world = World::new();
    world.token = None;
    world.follow("t");
    world.connect();
    world.run_for(29 * SECOND);
    world.token = Some("token-of-ada".into());
    world.run_for(3 * SECOND);
    assert_eq!(world.state(), State::Connected);
}

#[test]
fn a_refresh_that_never_comes_is_asked_for_again() {
    // PROTOCOL: TOK-1
    let mut world = World::new();
    world.server.token_expires_in_ms = Some(600_000);
    world.follow("t");
    world.connect();
    world.settle();
    world.token = None;
    world.run_for(545 * SECOND);
    assert_eq!(world.server.refreshed, 0);
    world.token = Some("token-of-ada".into());
    world.run_for(35 * SECOND);
    assert_eq!(world.server.refreshed, 1);
}

#[test]
fn a_token_that_lives_for_milliseconds_is_not_asked_for_all_the_time() {
    // TOK-1: a server that means seconds.
    let mut world = World::new();
    world.server.token_expires_in_ms = Some(60);
    world.follow("t");
    world.connect();
    world.run_for(10 * SECOND);
    assert!((8..=10).contains(&world.server.refreshed), "{} refreshes in 10 s", world.server.refreshed);
}

#[test]
fn an_application_that_gave_up_on_tokens_is_not_asked_again() {
    let mut world = World::new();
    world.server.token_expires_in_ms = Some(60_000);
    world.follow("t");
    world.connect();
    world.settle();
    world.token = None;
    world.run_for(31 * SECOND);
    world.input(Input::TokenFailed { retryable: false });
    let told = |world: &World| {
        let of_token = |fact: &&Event| matches!(fact, Event::Error(ClientError::Token(Text::TOKEN_FAILED)));
        world.facts.iter().filter(of_token).count()
    };
    assert_eq!(told(&world), 1);
    world.token = Some("token-of-ada".into());
    world.run_for(25 * SECOND);
    assert_eq!(world.server.refreshed, 0, "the socket lasts as long as its token");
}

#[test]
fn what_is_unavailable_elsewhere_asks_for_no_token() {
    // PROTOCOL: ERR-2
    let mut world = following(0);
    world.inject(r#"{"type":"error","code":"unavailable","message":"","retryable":true,"stream":"t"}"#);
    world.run_for(60 * SECOND);
    assert_eq!(world.server.refreshed, 0);
}

// --- Backoff ---

#[test]
fn a_server_that_cannot_bring_an_offset_is_not_called_all_the_time() {
    // PROTOCOL: CLS-4
    let mut world = World::new();
    world.server.publish("t", 10);
    world.server.forgets = vec![5];
    world.server.ignores_replay = true;
    world.follow("t");
    world.connect();
    world.run_for(60 * SECOND);
    let attempts = attempts(&world);
    assert_eq!(
        attempts,
        (1..=attempts.len() as u32).collect::<Vec<_>>(),
        "the backoff starts again without a catch-up"
    );
}

#[test]
fn a_connection_without_streams_counts_once_it_has_lasted() {
    // PROTOCOL: CLS-4
    let mut world = World::new();
    world.connect();
    for _ in 0..3 {
        world.run_for(4 * SECOND);
        world.close_by_server(4455);
    }
    world.run_for(20 * SECOND);
    world.cut();
    assert_eq!(attempts(&world), [1, 2, 3, 1]);
}

#[test]
fn what_the_server_says_of_one_stream_does_not_keep_the_page_away() {
    // PROTOCOL: CLS-4
    let mut world = following(0);
    world.inject(r#"{"type":"error","code":"overloaded","message":"busy","retryable":true,"retryAfterMs":600000,"stream":"t"}"#);
    world.settle();
    world.cut();
    world.run_for(SECOND);
    assert_eq!(world.state(), State::Connected);
}

#[test]
fn neither_a_hint_nor_the_page_s_return_outweighs_what_the_server_asked_for() {
    // PROTOCOL: CLS-4
    let mut world = following(0);
    world.inject(
        r#"{"type":"error","code":"overloaded","message":"busy","retryable":true,"retryAfterMs":9000}"#,
    );
    world.settle();
    world.cut();
    world.run_for(8 * SECOND);
    assert_eq!(world.state(), State::Waiting);
    world.run_for(2 * SECOND);
    assert_eq!(world.state(), State::Connected);
    world.inject(
        r#"{"type":"error","code":"overloaded","message":"busy","retryable":true,"retryAfterMs":600000}"#,
    );
    world.settle();
    world.cut();
    for _ in 0..3 {
        world.input(Input::Online(true));
        world.input(Input::Online(false));
        world.input(Input::Online(true));
        world.input(Input::Away(true));
        world.input(Input::Away(false));
        world.settle();
        assert_eq!(world.state(), State::Waiting);
    }
    world.run_for(600 * SECOND);
    assert_eq!(world.state(), State::Connected);
}

#[test]
fn a_refusal_of_something_else_ends_no_socket() {
    // PROTOCOL: ERR-1
    let mut world = following(0);
    world.inject(r#"{"type":"error","code":"unsupported","message":"no history","retryable":false,"req":3}"#);
    world.run_for(SECOND);
    assert_eq!(world.client.stats().connects, 1);
}

// --- Many streams ---

#[test]
fn more_streams_than_fit_into_a_hello_are_asked_for_after_the_welcome() {
    // PROTOCOL: GEN-7
    let mut world = World::new();
    let name = |stream: u32| format!("{stream:03}-{}", "n".repeat(200));
    for stream in 1..=400 {
        world.subscribe(stream, stream, &name(stream), Open::Start, Begin::Stream);
    }
    world.connect();
    world.settle();
    world.cut();
    world.run_for(2 * SECOND);
    for stream in 1..=400 {
        world.server.publish(&name(stream), 1);
    }
    world.settle();
    for frame in world.sent_of("hello") {
        assert!(
            (frame.to_string().len() as u64) < MAX_HELLO_BYTES,
            "a hello of {} bytes",
            frame.to_string().len()
        );
    }
    for stream in 1..=400 {
        assert_eq!(world.receiver(stream).offsets(), [1]);
    }
}

#[test]
fn streams_that_nobody_follows_any_more_are_forgotten_the_first_left_first() {
    // I9
    let mut world = connected();
    let count = MAX_IDLE_STREAMS as u32 + 1;
    for stream in 1..=count {
        let name = format!("t{stream}");
        world.server.publish(&name, 3);
        world.subscribe(stream, stream, &name, Open::Start, Begin::Stream);
    }
    world.settle();
    for stream in (2..=count).chain([1]) {
        world.input(Input::Unsubscribe { consumer: ConsumerId(stream) });
        world.settle();
    }
    for stream in [1, 2, 3] {
        world.subscribe(stream, 1_000 + stream, &format!("t{stream}"), Open::Start, Begin::Stream);
    }
    world.settle();
    assert_eq!(world.receiver(1_001).offsets(), [0; 0], "the last one that was left goes on where it was");
    assert_eq!(world.receiver(1_002).offsets(), [1, 2, 3], "the first one begins anew");
    assert_eq!(world.receiver(1_003).offsets(), [0; 0]);
}

#[test]
fn a_stream_that_never_began_can_begin_elsewhere() {
    let mut world = World::new();
    world.server.publish("t", 10);
    world.subscribe(1, 1, "t", Open::Live, Begin::Stream);
    world.input(Input::Unsubscribe { consumer: ConsumerId(1) });
    world.subscribe(1, 2, "t", Open::Last(5), Begin::Stream);
    world.connect();
    world.settle();
    assert_eq!(world.receiver(2).offsets(), (6..=10).collect::<Vec<_>>());
}

#[test]
fn a_stream_that_is_asked_for_can_still_begin_elsewhere() {
    // SUB-1: the answer that is under way begins where nobody wants to any more.
    let mut world = World::new();
    world.server.publish("t", 100);
    world.connect();
    world.settle();
    world.subscribe(1, 1, "t", Open::Last(1), Begin::Stream);
    world.input(Input::Unsubscribe { consumer: ConsumerId(1) });
    world.subscribe(1, 2, "t", Open::Last(50), Begin::Stream);
    world.settle();
    assert_eq!(world.receiver(2).offsets(), (51..=100).collect::<Vec<_>>());
}

#[test]
fn a_stream_that_is_opened_again_begins_as_it_says_in_another_epoch() {
    // PROTOCOL: SUB-7
    let mut world = World::new();
    world.server.publish("t", 100);
    world.subscribe(1, 1, "t", Open::Live, Begin::Stream);
    world.connect();
    world.settle();
    world.input(Input::Unsubscribe { consumer: ConsumerId(1) });
    world.settle();
    world.server.new_epoch("t", "e2", 50);
    world.subscribe(1, 2, "t", Open::Start, Begin::After(0));
    world.settle();
    assert_eq!(world.receiver(2).offsets(), (1..=50).collect::<Vec<_>>());
}

#[test]
fn a_stream_under_another_number_goes_on_where_it_was_left() {
    let mut world = following(3);
    world.input(Input::Unsubscribe { consumer: ConsumerId(1) });
    world.settle();
    world.server.publish("t", 2);
    world.subscribe(2, 2, "t", Open::Start, Begin::Stream);
    world.run_for(3 * SECOND);
    assert_eq!(world.receiver(2).offsets(), [4, 5]);
    assert_eq!(world.client.stats().connects, 1);
}

#[test]
fn every_consumer_without_a_position_hears_where_it_is_placed() {
    // I4
    let mut world = World::new();
    world.server.publish("t", 10);
    world.subscribe(1, 1, "t", Open::Last(4), Begin::Stream);
    world.subscribe(1, 2, "t", Open::Last(4), Begin::After(2));
    world.connect();
    world.settle();
    world.subscribe(1, 3, "t", Open::Last(4), Begin::Stream);
    world.subscribe(1, 4, "t", Open::Last(4), at("e1", 8));
    world.settle();
    let placed = world.facts.iter().filter_map(|fact| match fact {
        Event::Placed { consumer, offset, .. } => Some((consumer.0, *offset)),
        _ => None,
    });
    assert_eq!(placed.collect::<Vec<_>>(), [(1, 6), (2, 2), (3, 10)]);
}

// --- Epochs ---

#[test]
fn a_consumer_of_a_former_epoch_is_owed_the_new_one_from_its_beginning() {
    // PROTOCOL: GAP-5
    let mut world = World::new();
    world.server.new_epoch("t", "e2", 20);
    world.follow("t");
    world.connect();
    world.settle();
    world.subscribe(1, 2, "t", Open::Start, at("e1", 7));
    world.settle();
    assert_eq!(world.receiver(2).gaps(), [(8, None, "epoch")]);
    assert_eq!(world.receiver(2).offsets(), (1..=20).collect::<Vec<_>>());
    assert_eq!(world.receiver(1).offsets(), (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_stream_that_nobody_follows_goes_on_where_the_next_one_says() {
    // GAP-1: that an epoch is over is for the server to say.
    let mut world = following(10);
    world.input(Input::Unsubscribe { consumer: ConsumerId(1) });
    world.settle();
    world.server.new_epoch("t", "e2", 50);
    world.subscribe(1, 2, "t", Open::Start, at("e2", 40));
    world.settle();
    assert_eq!(world.receiver(2).gaps(), []);
    assert_eq!(world.receiver(2).offsets(), (41..=50).collect::<Vec<_>>());
}

// --- Trimming ---

#[test]
fn what_is_trimmed_for_a_late_consumer_concerns_it_alone() {
    // PROTOCOL: RPL-3
    let mut world = following(10);
    world.server.ignores_replay = true;
    world.subscribe(1, 2, "t", Open::Start, Begin::After(0));
    world.subscribe(1, 3, "t", Open::Start, Begin::After(0));
    world.settle();
    // The log is trimmed beyond what flows, and the request is answered before the flow gets there.
    world.inject(r#"{"type":"replayEnd","req":1,"to":0,"oldest":15}"#);
    world.settle();
    assert_eq!(world.receiver(2).gaps(), [(1, Some(10), "trimmed")]);
    assert_eq!(world.receiver(3).gaps(), [], "its own request is still open");
    world.server.publish("t", 10);
    world.settle();
    assert_eq!(world.receiver(1).gaps(), [], "what is under way is not lost");
    assert_eq!(world.receiver(1).offsets(), (1..=20).collect::<Vec<_>>());
    assert_eq!(world.receiver(2).offsets(), (11..=20).collect::<Vec<_>>());
}

// --- Rights ---

#[test]
fn a_part_that_may_not_be_read_any_more_is_a_gap_also_in_a_replay() {
    // PROTOCOL: RPL-1, GAP-3
    let mut world = following(10);
    world.server.withhold("t", "ada", 4, 6);
    world.subscribe(1, 2, "t", Open::Start, Begin::After(0));
    world.settle();
    assert_eq!(world.receiver(2).gaps(), [(4, Some(6), "forbidden")]);
    assert_eq!(world.receiver(2).offsets(), [1, 2, 3, 7, 8, 9, 10]);
    assert_eq!(world.receiver(1).gaps(), [], "it has them already");
}

#[test]
fn an_ended_stream_leaves_no_request_behind() {
    // PROTOCOL: SUB-11
    let mut world = following(10);
    world.server.ignores_replay = true;
    world.subscribe(1, 2, "t", Open::Start, Begin::After(0));
    world.settle();
    world.server.refuse("t", "deleted");
    world.run_for(8 * SECOND);
    assert_eq!(attempts(&world), [0; 0], "nobody waits for an answer any more");
}

// --- Traps ---

#[test]
fn after_a_trap_every_consumer_goes_on_where_it_was() {
    // I1
    let mut world = World::new();
    world.server.publish("t", 10);
    world.follow("t");
    world.subscribe_pulling(1, 2, "t", Open::Start, Begin::Stream);
    world.connect();
    world.settle();
    world.pull(2, 4);
    world.server.new_epoch("t", "e2", 3);
    world.settle();
    world.trap();
    world.run_for(2 * SECOND);
    world.pull(2, 100);
    assert_eq!(world.receiver(1).offsets(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3]);
    assert_eq!(world.receiver(1).gaps(), [(11, None, "epoch")]);
    assert_eq!(world.receiver(2).offsets(), [1, 2, 3, 4, 1, 2, 3]);
    assert_eq!(world.receiver(2).gaps(), [(5, None, "epoch")]);
}

#[test]
fn after_a_trap_another_user_gets_nothing_of_the_former() {
    // PROTOCOL: HEL-6
    // I11
    let mut world = connected();
    world.server.no_receipts = true;
    world.send("m1", "t", "hello");
    world.settle();
    world.server.subject = "eve".into();
    world.trap();
    world.run_for(2 * SECOND);
    assert_eq!(world.state(), State::Failed);
    let of_eve = world.server.applied.iter().filter(|(.., subject)| subject == "eve").count();
    assert_eq!(of_eve, 0);
    assert_eq!(world.settled().len(), 1);
}

#[test]
fn a_trap_does_not_make_the_horizon_of_a_send_begin_again() {
    // PROTOCOL: SND-5
    let mut world = World::new();
    world.server.send_horizon_ms = 60_000;
    world.connect();
    world.settle();
    world.server.no_receipts = true;
    world.send("m1", "t", "hello");
    world.settle();
    world.refusing = true;
    world.cut();
    world.run_for(50 * SECOND);
    world.trap();
    world.run_for(20 * SECOND);
    world.refusing = false;
    world.run_for(30 * SECOND);
    let unknown =
        |fact: &Event| matches!(fact, Event::Settled { outcome: Outcome::Failed(Text::OUTCOME_UNKNOWN), .. });
    assert!(world.facts.iter().any(unknown), "{:?}", world.settled());
    assert_eq!(world.server.applied.len(), 1);
}

// --- Order of messages ---

#[test]
fn a_message_that_is_put_off_is_not_overtaken() {
    // PROTOCOL: SND-4, SND-9
    let mut world = connected();
    world.server.overloaded = 1;
    world.send("m1", "t", "first");
    world.send("m2", "t", "second");
    world.send("m3", "u", "elsewhere");
    world.run_for(5 * SECOND);
    let applied = world.server.applied.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>();
    assert_eq!(applied, ["m3", "m1", "m2"]);
}

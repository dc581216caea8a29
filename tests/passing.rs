//! What a cancel or an approval has to wait for, and what it does not: large messages, held messages, one at a time (SND-4, SND-22).

mod support;

use agentwire::proto::{ClientError, Event, SendKind, State};
use serde_json::json;
use support::{SECOND, World, connected};

/// More than a page writes into a socket that is not empty.
const LARGE: usize = 5_000;

/// The keys of what went out, in its order.
fn keys(world: &World) -> Vec<&str> {
    let keyed = |kind: &str| matches!(kind, "send" | "cancel" | "approve" | "withdraw" | "edit");
    let frames = world.sent.iter().map(|(_, frame)| frame);
    frames
        .filter(|frame| frame["type"].as_str().is_some_and(keyed))
        .filter_map(|frame| frame["id"].as_str())
        .collect()
}

/// Lets time pass until something holds, for a minute at the most.
fn until(world: &mut World, holds: impl Fn(&World) -> bool) {
    for _ in 0..600 {
        if holds(world) {
            return;
        }
        world.run_for(SECOND / 10);
    }
    panic!("it did not come about within a minute: {:?}", world.state());
}

fn cancel(world: &mut World, id: &str, stream: &str) {
    world.send_kind(SendKind::Cancel, id, stream, json!({ "runId": "r1" }));
}

fn approve(world: &mut World, id: &str, stream: &str) {
    let body = json!({ "runId": "r1", "approvalId": "a1", "decision": "approved" });
    world.send_kind(SendKind::Approve, id, stream, body);
}

/// A connected page whose socket takes nothing, with two large messages of one stream: the first is written.
fn held_up() -> World {
    let mut world = connected();
    world.hold_up(100_000);
    world.send("m1", "t", &"x".repeat(100_000));
    world.send("m2", "t", &"x".repeat(LARGE));
    world
}

#[test]
fn a_large_message_is_written_when_the_socket_has_room() {
    // PROTOCOL: SND-22
    let mut world = held_up();
    world.run_for(5 * SECOND);
    assert_eq!(keys(&world), ["m1"]);
    world.hold_up(65_536);
    world.run_for(SECOND);
    assert_eq!(keys(&world), ["m1"]);
    world.hold_up(65_535);
    world.run_for(SECOND / 10);
    assert_eq!(keys(&world), ["m1", "m2"]);
    world.settle();
    assert_eq!(world.settled().len(), 2);
}

#[test]
fn what_is_small_is_written_whatever_waits_in_the_socket_but_not_before_its_stream() {
    // PROTOCOL: SND-22, SND-4
    let mut world = held_up();
    world.send("after", "t", "x");
    world.send("other", "u", "x");
    world.run_for(SECOND);
    assert_eq!(keys(&world), ["m1", "other"]);
    world.hold_up(0);
    world.run_for(SECOND);
    assert_eq!(keys(&world), ["m1", "other", "m2", "after"]);
}

#[test]
fn a_cancel_and_an_approval_go_out_before_a_large_message_that_waits() {
    // PROTOCOL: SND-4, SND-22
    let mut world = held_up();
    world.send("other", "u", "x");
    cancel(&mut world, "c1", "t");
    approve(&mut world, "a1", "t");
    assert_eq!(keys(&world), ["m1", "other", "c1", "a1"], "at once");
    world.hold_up(0);
    world.run_for(SECOND);
    assert_eq!(keys(&world), ["m1", "other", "c1", "a1", "m2"]);
    assert_eq!(world.settled().len(), 5);
}

#[test]
fn what_is_about_a_message_that_waits_goes_out_behind_it() {
    // PROTOCOL: SND-4
    let about = json!({ "sendId": "m2" });
    for kind in [SendKind::Cancel, SendKind::Withdraw] {
        let mut world = held_up();
        world.send_kind(kind, "c1", "t", about.clone());
        // Nor before another text for it.
        let edit =
            json!({ "sendId": "m1", "message": { "type": "user_message", "content": "y".repeat(LARGE) } });
        world.send_kind(SendKind::Edit, "e1", "t", edit);
        world.send_kind(kind, "c2", "t", json!({ "sendId": "m1" }));
        // The same key in another stream is another message.
        world.send_kind(kind, "c3", "u", about.clone());
        world.run_for(SECOND);
        assert_eq!(keys(&world), ["m1", "c3"], "{kind:?}");
        world.hold_up(0);
        world.run_for(SECOND);
        assert_eq!(keys(&world), ["m1", "c3", "m2", "c1", "e1", "c2"], "{kind:?}");
    }
}

#[test]
fn nothing_goes_out_before_a_message_that_acts_on_runs() {
    // PROTOCOL: SND-4, SND-18
    for mode in ["interrupt", "steer"] {
        let mut world = held_up();
        let message = json!({ "type": "user_message", "content": "z".repeat(LARGE) });
        world.send_kind(SendKind::Message, "i1", "t", json!({ "message": message, "mode": mode }));
        approve(&mut world, "a1", "t");
        world.run_for(SECOND);
        assert_eq!(keys(&world), ["m1"], "{mode}");
        world.hold_up(0);
        world.run_for(SECOND);
        assert_eq!(keys(&world), ["m1", "m2", "i1", "a1"], "{mode}");
    }
}

#[test]
fn an_approval_waits_for_what_was_rejected_on_this_socket() {
    // PROTOCOL: SND-9
    let mut world = connected();
    world.server.overloaded = 1;
    world.send("m1", "t", "x");
    world.run_for(SECOND / 10);
    approve(&mut world, "a1", "t");
    world.run_for(SECOND / 10);
    assert_eq!(keys(&world), ["m1"]);
    // On another socket the server refuses nothing for it any more.
    world.cut();
    world.run_for(SECOND);
    assert_eq!(keys(&world)[1], "a1");
    world.run_for(SECOND);
    assert_eq!(world.settled().len(), 2);
}

#[test]
fn an_approval_does_not_wait_for_a_message_that_is_held_back() {
    // PROTOCOL: SND-4, SND-20
    let mut world = connected();
    world.server.resets_above = Some(200);
    world.send("m1", "t", &"x".repeat(500));
    let held = Event::Error(ClientError::SendHeld("m1".into()));
    until(&mut world, |world| world.facts.contains(&held));
    until(&mut world, |world| world.state() == State::Connected);
    approve(&mut world, "a1", "t");
    world.settle();
    assert_eq!(keys(&world).last(), Some(&"a1"));
    assert_eq!(world.settled().len(), 1);
}

#[test]
fn a_cancel_goes_out_beside_the_one_send_that_is_on_its_way() {
    // PROTOCOL: SND-20
    let mut world = connected();
    world.server.no_receipts = true;
    for id in ["m1", "m2"] {
        world.send(id, id, "x");
    }
    for _ in 0..2 {
        world.run_for(SECOND / 10);
        world.cut();
        until(&mut world, |world| world.state() == State::Connected);
    }
    let before = keys(&world).len();
    cancel(&mut world, "c1", "m2");
    world.run_for(SECOND / 10);
    assert_eq!(keys(&world)[before..], ["c1"]);
    // It was on a lost socket now, as the others: one of them goes.
    let before = keys(&world).len();
    world.cut();
    until(&mut world, |world| world.state() == State::Connected);
    world.settle();
    assert_eq!(keys(&world)[before..].len(), 1, "{:?}", keys(&world));
}

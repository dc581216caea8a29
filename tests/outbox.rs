//! Sends settle exactly once and apply at most once (I6).

mod support;

use agentwire::proto::{ClientError, Config, Event, FirstSent, Input, SendKind, wire::Contradiction};
use support::{SECOND, World, connected};

fn receipt(id: &str) -> (String, String) {
    (id.into(), "Receipt".into())
}

/// A receipt of a message that is stored.
fn accepted(id: &str, stream: &str) -> String {
    let position = serde_json::json!({"epoch": "e1", "offset": 1});
    serde_json::json!({"type": "receipt", "id": id, "stream": stream, "status": "accepted", "position": position})
        .to_string()
}

fn settled(world: &World) -> Vec<(String, String)> {
    world
        .settled()
        .into_iter()
        .map(|(id, outcome)| (id, outcome.split_whitespace().next().unwrap_or_default().into()))
        .collect()
}

#[test]
fn a_send_settles_by_its_receipt() {
    // PROTOCOL: SND-1
    let mut world = connected();
    world.send("m1", "t", "hello");
    world.settle();
    assert_eq!(settled(&world), [receipt("m1")]);
    let frame = world.sent_of("send")[0];
    assert_eq!((frame["id"].as_str(), frame["stream"].as_str()), (Some("m1"), Some("t")));
    assert_eq!(frame["message"]["content"], "hello");
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn sends_made_offline_go_out_in_order_when_connected() {
    // PROTOCOL: SND-4
    let mut world = World::new();
    for index in 0..5 {
        world.send(&format!("m{index}"), "t", "x");
    }
    world.connect();
    world.settle();
    let ids = world.server.applied.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids, ["m0", "m1", "m2", "m3", "m4"]);
    assert_eq!(world.settled().len(), 5);
}

#[test]
fn a_send_without_a_receipt_is_sent_again_and_applied_once() {
    // PROTOCOL: SND-1, SND-4
    let mut world = connected();
    world.server.no_receipts = true;
    world.send("m1", "t", "x");
    world.settle();
    world.cut();
    world.server.no_receipts = false;
    world.run_for(2 * SECOND);
    assert_eq!(world.sent_of("send").len(), 2);
    assert_eq!(world.server.applied.len(), 1);
    assert_eq!(settled(&world), [receipt("m1")]);
}

#[test]
fn a_send_older_than_the_horizon_is_not_sent_again() {
    // PROTOCOL: SND-5
    let mut world = World::new();
    world.server.send_horizon_ms = 60_000;
    world.connect();
    world.settle();
    world.server.no_receipts = true;
    world.send("m1", "t", "x");
    world.settle();
    world.refusing = true;
    world.cut();
    world.run_for(120 * SECOND);
    world.send("m2", "t", "never sent before");
    world.refusing = false;
    world.server.no_receipts = false;
    world.run_for(30 * SECOND);
    assert_eq!(world.settled()[0], ("m1".into(), r#"Failed("outcome_unknown")"#.into()));
    assert_eq!(settled(&world)[1], receipt("m2"));
    assert_eq!(world.sent_of("send").iter().filter(|frame| frame["id"] == "m1").count(), 1);
}

#[test]
fn what_the_server_cannot_take_now_waits_and_holds_back_the_later_ones_of_its_stream() {
    // PROTOCOL: SND-9, SND-4, ERR-2
    let mut world = connected();
    world.server.overloaded = 1;
    world.send("m1", "t", "x");
    world.run_for(SECOND / 10);
    world.send("m2", "t", "y");
    world.send("m3", "u", "z");
    world.settle();
    let ids = world.server.applied.iter().map(|(_, id, _)| id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids, ["m3", "m1", "m2"]);
    assert_eq!(world.settled().len(), 3);
}

#[test]
fn the_outbox_is_bounded_and_says_so() {
    // I9
    let mut config = Config::new(1);
    config.max_pending = 3;
    let mut world = World::with(config);
    for index in 0..5 {
        world.send(&format!("m{index}"), "t", "x");
    }
    let full = r#"Failed("outbox_full")"#.to_owned();
    assert_eq!(world.settled(), [("m3".into(), full.clone()), ("m4".into(), full)]);
    assert_eq!(world.slots_held(), 3);
    world.connect();
    world.settle();
    assert_eq!(world.settled().len(), 5);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn closing_settles_what_is_left_exactly_once() {
    // I6
    let mut world = connected();
    world.server.no_receipts = true;
    world.send("m1", "t", "x");
    world.settle();
    world.input(Input::Close);
    world.run_for(SECOND);
    assert_eq!(world.settled(), [("m1".into(), r#"Failed("closed")"#.into())]);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn a_second_receipt_changes_nothing() {
    // I6
    let mut world = connected();
    world.send("m1", "t", "x");
    world.settle();
    world.inject(accepted("m1", "t"));
    world.inject(accepted("unknown", "t"));
    world.settle();
    assert_eq!(settled(&world), [receipt("m1")]);
}

#[test]
fn receipts_settle_the_send_they_name_in_any_order() {
    // PROTOCOL: SND-1; I6
    let mut world = connected();
    world.server.no_receipts = true;
    for id in ["m1", "m2", "m3"] {
        world.send(id, "t", "x");
    }
    world.settle();
    for id in ["m3", "m1", "m2"] {
        world.inject(accepted(id, "t"));
    }
    world.settle();
    assert_eq!(settled(&world), [receipt("m3"), receipt("m1"), receipt("m2")]);
    assert_eq!(world.slots_held(), 0);
}

// One id is used in two streams.
#[test]
fn a_receipt_settles_the_send_of_its_stream() {
    // PROTOCOL: SND-1, SND-11; I6
    let mut world = connected();
    world.server.no_receipts = true;
    world.send("m1", "t", "x");
    world.send("m1", "u", "y");
    world.settle();
    for stream in ["u", "t"] {
        world.inject(accepted("m1", stream));
        world.inject(accepted("m1", stream));
    }
    world.settle();
    let streams = |fact: &Event| match fact {
        Event::Settled { stream, .. } => Some(stream.to_string()),
        _ => None,
    };
    assert_eq!(world.facts.iter().filter_map(streams).collect::<Vec<_>>(), ["u", "t"]);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn a_receipt_whose_status_does_not_fit_is_malformed_and_the_send_goes_again() {
    // PROTOCOL: SND-11, GEN-4
    for (kind, status) in [
        (SendKind::Message, "unknown_run"),
        (SendKind::Message, "cancelled"),
        (SendKind::Message, "stored"),
        (SendKind::Cancel, "accepted"),
        (SendKind::Cancel, "already_resolved"),
        (SendKind::Cancel, "withdrawn"),
        (SendKind::Approve, "already_finished"),
        (SendKind::Withdraw, "accepted"),
        (SendKind::Withdraw, "cancelled"),
        (SendKind::Edit, "already_finished"),
    ] {
        let mut world = connected();
        world.server.no_receipts = true;
        let body = world.keep(serde_json::json!({"message": {"type": "x"}}));
        world.input(Input::Send {
            kind,
            id: "m1".into(),
            stream: "t".into(),
            body,
            bytes: 100,
            about: None,
            first_sent: FirstSent::default(),
        });
        world.settle();
        let position = serde_json::json!({"epoch": "e1", "offset": 1});
        let receipt = serde_json::json!({"type": "receipt", "id": "m1", "stream": "t", "status": status, "position": position});
        world.inject(receipt.to_string());
        world.settle();
        let refused = Event::Error(ClientError::Contradiction(Contradiction::StatusOfAnother));
        assert!(world.facts.contains(&refused), "{kind:?} {status}");
        assert_eq!(world.settled(), [], "{kind:?} {status}");
        world.run_for(2 * SECOND);
        assert_eq!(world.client.stats().connects, 2, "{kind:?} {status}");
    }
}

// The page learns what counts.
#[test]
fn a_receipt_of_an_approval_without_its_decision_is_malformed() {
    // PROTOCOL: SND-8, SND-11, GEN-4
    for (status, decision, is_refused) in [
        ("accepted", None, true),
        ("already_resolved", None, true),
        ("accepted", Some("approved"), false),
        ("already_resolved", Some("expired"), false),
        ("run_over", None, false),
        ("unknown_approval", None, false),
    ] {
        let mut world = connected();
        world.server.no_receipts = true;
        let body = world.keep(serde_json::json!({"runId": "r", "approvalId": "a", "decision": "denied"}));
        let (id, stream) = ("m1".into(), "t".into());
        world.input(Input::Send {
            kind: SendKind::Approve,
            id,
            stream,
            body,
            bytes: 100,
            about: None,
            first_sent: FirstSent::default(),
        });
        world.settle();
        let mut receipt: serde_json::Value = serde_json::from_str(&accepted("m1", "t")).expect("JSON");
        receipt["status"] = status.into();
        if let Some(decision) = decision {
            receipt["decision"] = decision.into();
        }
        world.inject(receipt.to_string());
        world.settle();
        let refused = Event::Error(ClientError::Contradiction(Contradiction::DecisionMissing));
        assert_eq!(world.facts.contains(&refused), is_refused, "{status} {decision:?}");
        assert_eq!(world.settled().is_empty(), is_refused, "{status} {decision:?}");
    }
}

#[test]
fn a_key_in_use_is_not_queued_twice() {
    // PROTOCOL: SND-1
    let mut world = World::new();
    world.send("m1", "t", "x");
    world.send("m1", "t", "x");
    world.connect();
    world.settle();
    assert_eq!(settled(&world), [receipt("m1")]);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn a_signal_is_sent_now_or_never() {
    // PROTOCOL: SIG-1
    let mut world = World::new();
    let signal = world.keep(serde_json::json!({"type": "typing"}));
    world.input(Input::Signal { stream: "t".into(), signal });
    world.connect();
    world.settle();
    assert_eq!(world.sent_of("signal").len(), 0);
    let signal = world.keep(serde_json::json!({"type": "typing"}));
    world.input(Input::Signal { stream: "t".into(), signal });
    world.settle();
    assert_eq!(world.sent_of("signal")[0]["signal"]["type"], "typing");
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn a_receipt_that_does_not_come_is_asked_for_on_another_socket() {
    // PROTOCOL: SND-10; I6
    let mut world = connected();
    world.server.no_receipts = true;
    world.send("m1", "t", "x");
    world.run_for(29 * SECOND);
    assert_eq!(world.client.stats().connects, 1);
    world.server.no_receipts = false;
    world.run_for(4 * SECOND);
    assert_eq!(world.client.stats().connects, 2);
    assert_eq!(world.server.applied.len(), 1);
    assert_eq!(settled(&world), [receipt("m1")]);
    world.run_for(120 * SECOND);
    assert_eq!(world.client.stats().connects, 2, "nothing is waited for");
}

#[test]
fn a_send_that_never_went_out_is_taken_back_and_one_that_may_have_gone_out_is_not() {
    let mut world = World::new();
    for id in ["m1", "m2", "m3"] {
        world.send(id, "t", "x");
    }
    let withdraw = |id: &str| Input::TakeBack { id: id.into(), reason: "aborted".into() };
    world.input(withdraw("m2"));
    assert_eq!(world.settled(), [("m2".into(), r#"Failed("aborted")"#.into())]);
    world.server.no_receipts = true;
    world.connect();
    world.settle();
    world.input(withdraw("m1"));
    world.server.no_receipts = false;
    world.cut();
    world.input(withdraw("m3"));
    world.run_for(30 * SECOND);
    assert_eq!(settled(&world)[1..], [receipt("m1"), receipt("m3")]);
    assert_eq!(world.server.applied.len(), 2);
    assert_eq!(world.slots_held(), 0);
}

#[test]
fn a_send_that_is_too_large_settles_and_the_others_go_on() {
    // PROTOCOL: GEN-7
    let mut world = connected();
    assert_eq!(world.client.max_frame_bytes(), 1_048_576);
    world.server.no_receipts = true;
    world.send("m1", "t", "large");
    world.send("m1", "u", "small");
    world.input(Input::SendTooLarge { id: "m1".into(), stream: "t".into() });
    assert_eq!(world.settled().len(), 1, "the other stream's message of this id is not too large");
    world.server.no_receipts = false;
    world.send("m2", "t", "small");
    world.settle();
    assert_eq!(world.settled()[0], ("m1".into(), r#"Failed("message_too_large")"#.into()));
    assert_eq!(settled(&world)[1..], [receipt("m1"), receipt("m2")]);
    assert_eq!(world.slots_held(), 0);
}

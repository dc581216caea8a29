//! What a frame of events costs in allocations.
#![cfg(not(target_arch = "wasm32"))]

use agentwire::proto::{
    Begin, Client, Config, ConsumerId, Input, Instant, Output, Slot, SocketId, StreamId,
    wire::{Open, ServerFrame, decode},
};
use serde_json::json;

const FRAMES: u64 = 1_000;

/// A client that follows a stream from its beginning, connected and caught up, with so many handlers.
fn live(handlers: u32) -> (Client, SocketId) {
    let mut client = Client::new(Config::new(1));
    let now = Instant::ZERO;
    for number in 1..=handlers {
        let (stream, consumer) = (StreamId(1), ConsumerId(number));
        let (name, open, begin) = ("t".into(), Open::Start, Begin::Stream);
        client.handle_input(
            Input::Subscribe { stream, consumer, name, name_bytes: 1, open, begin, max_queued: None },
            now,
        );
    }
    client.handle_input(Input::Connect, now);
    client.handle_input(Input::TokenReady { token: Slot(0) }, now);
    let socket = SocketId(0);
    client.handle_input(Input::SocketOpened { socket, subprotocol: true }, now);
    for frame in [
        json!({"type": "welcome", "session": "s", "subject": "ada", "heartbeatMs": 15_000, "maxFrameBytes": 1_048_576, "maxStreams": 64, "sendHorizonMs": 86_400_000, "features": []}),
        json!({"type": "subscribed", "ch": 1, "name": "t", "epoch": "e1", "oldest": 1, "head": 0, "next": 1, "recovered": true}),
        json!({"type": "caughtUp", "ch": 1, "offset": 0, "openRuns": []}),
    ] {
        let frame = decode(&frame).expect("a frame");
        client.handle_input(Input::Frame { socket, frame, slot: Slot(1), bytes: 0 }, now);
    }
    drain(&mut client, now);
    (client, socket)
}

/// Does what the client says, as a driver that delivers everything at once; returns how many events went to consumers.
fn drain(client: &mut Client, now: Instant) -> u64 {
    let mut delivered = 0;
    loop {
        match client.poll_output() {
            Output::Timeout(_) => return delivered,
            Output::Deliver { consumer, life, take, offset, .. } => {
                delivered += u64::from(take);
                let through = offset + u64::from(take) - 1;
                client.handle_input(Input::Delivered { consumer, life, through }, now);
            }
            _ => {}
        }
    }
}

fn receive(client: &mut Client, socket: SocketId, first: u64) -> u64 {
    let now = Instant::ZERO;
    let frame = ServerFrame::Events { ch: 1, first, count: 1 };
    client.handle_input(Input::Frame { socket, frame, slot: Slot(2), bytes: 100 }, now);
    drain(client, now)
}

#[test]
fn a_frame_of_events_allocates_nothing() {
    for handlers in [1, 3] {
        let (mut client, socket) = live(handlers);
        // Queues grow to their size.
        assert_eq!(receive(&mut client, socket, 1), u64::from(handlers));
        let mut delivered = 0;
        let counted = allocation_counter::measure(|| {
            for first in 2..2 + FRAMES {
                delivered += receive(&mut client, socket, first);
            }
        });
        assert_eq!(delivered, FRAMES * u64::from(handlers));
        assert_eq!(counted.count_total, 0, "{counted:?}");
    }
}

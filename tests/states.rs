//! Every state of the connection with every input: what follows, and why. `docs/STATES.md` is made from the table here.

mod support;

use std::{fmt::Write as _, fs, path::Path};

use agentwire::proto::{CloseCode, Config, Event, Input, SocketId, State, Text};
use support::{SECOND, World};

/// The inputs, each with what it is.
const INPUTS: [(&str, &str); 22] = [
    ("connect", "the application calls `connect()`"),
    ("adopt", "the package gives the socket that it opened while the module was loading"),
    ("close", "the application calls `close()`"),
    ("reconnect", "the application calls `reconnect()`"),
    ("retry in", "the application's backoff function has chosen a delay"),
    ("online", "the browser says that there is a network"),
    ("offline", "the browser says that there is none"),
    ("page left", "`pagehide`"),
    ("page back", "`pageshow`"),
    ("wake", "the page became visible or focused, was resumed, or a timer fired late"),
    ("token", "the `token` function has resolved"),
    ("no token", "it has failed, and asking again can help"),
    ("no token ever", "it has failed for good"),
    ("opened", "the socket is open"),
    ("other protocol", "the socket is open, and the server chose another subprotocol"),
    ("welcome", "the server has accepted the token"),
    ("bad frame", "a frame of the server is malformed"),
    ("goaway now", "a `goaway` with `reconnectAfterMs` 0, and its time"),
    ("lost", "the socket closed with 1006, or never opened"),
    ("rejected", "the server closed with 4400"),
    ("refused", "the server closed with 4403"),
    ("deadline", "the next deadline has passed, and nothing came"),
];

/// What follows: the new state and its reason; `.` if neither changes.
const CELLS: [(&str, [&str; 22]); 10] = include!("states/cells.rs");

const REASONS: &str = include_str!("states/reasons.md");

/// Brings a client into a state.
fn reached(state: &str) -> World {
    let mut config = Config::new(7);
    config.backoff_base = SECOND;
    let mut world = World::with(config);
    world.server.publish("t", 3);
    world.follow("t");
    match state {
        "idle" => {}
        "connecting: token" => {
            world.token = None;
            world.connect();
        }
        "connecting: socket" => {
            world.server.mute = true;
            world.connect();
        }
        "connecting: welcome" => {
            world.server.mute = true;
            world.connect();
            world.run_for(SECOND / 10);
        }
        "connected" => {
            world.connect();
            world.run_for(5 * SECOND);
        }
        "waiting" => {
            world.connect();
            world.run_for(5 * SECOND);
            world.cut();
        }
        "offline" => {
            world.input(Input::Online(false));
            world.connect();
        }
        "page left" => {
            world.connect();
            world.run_for(5 * SECOND);
            world.input(Input::Away(true));
        }
        "failed" => {
            world.connect();
            world.run_for(5 * SECOND);
            world.close_by_server(4403);
            world.run_for(SECOND / 10);
        }
        _ => {
            world.connect();
            world.input(Input::Close);
        }
    }
    world
}

fn apply(world: &mut World, input: &str) {
    let socket = SocketId(0);
    match input {
        "connect" => world.input(Input::Connect),
        "adopt" => {
            let token = world.keep(serde_json::json!("t"));
            world.input(Input::Adopt { socket: SocketId(9), token });
        }
        "close" => world.input(Input::Close),
        "reconnect" => world.input(Input::Reconnect),
        "retry in" => world.input(Input::RetryIn(3 * SECOND)),
        "online" => world.input(Input::Online(true)),
        "offline" => world.input(Input::Online(false)),
        "page left" => world.input(Input::Away(true)),
        "page back" => world.input(Input::Away(false)),
        "wake" => world.input(Input::Wake),
        "token" => world.give_token("t"),
        "no token" => world.input(Input::TokenFailed { retryable: true }),
        "no token ever" => world.input(Input::TokenFailed { retryable: false }),
        "opened" => world.input(Input::SocketOpened { socket, subprotocol: true }),
        "other protocol" => world.input(Input::SocketOpened { socket, subprotocol: false }),
        "welcome" => world.hear(socket, r#"{"type":"welcome","session":"s","subject":"ada","heartbeatMs":15000,"maxFrameBytes":1048576,"maxStreams":64,"sendHorizonMs":60000}"#),
        "bad frame" => {
            let slot = world.keep(serde_json::json!("malformed"));
            world.input(Input::BadFrame { socket, slot });
        }
        "goaway now" => {
            world.hear(socket, r#"{"type":"goaway","reason":"deploy","reconnectAfterMs":0,"spreadMs":0}"#);
        }
        "lost" => world.input(Input::SocketClosed { socket, code: CloseCode::ABNORMAL }),
        "rejected" => world.input(Input::SocketClosed { socket, code: CloseCode::BAD_FRAME }),
        "refused" => world.input(Input::SocketClosed { socket, code: CloseCode::FORBIDDEN }),
        _ => {
            // The other end is dead: what comes due is the client's alone.
            world.half_open();
            world.server.mute = true;
            world.refusing = true;
            let begin = world.facts.len();
            for _ in 0..400 {
                world.run_for(SECOND / 10);
                if changes(world, begin).is_some() {
                    return;
                }
            }
        }
    }
}

/// The first change of state since a fact: an attempt that fails at once is a cell of another row.
fn changes(world: &World, begin: usize) -> Option<String> {
    let mut changes = world.facts[begin..].iter().filter_map(|fact| match fact {
        Event::StateChanged { state, reason, .. } => {
            Some(format!("{}, {}", state.as_str(), Text::WORDS[reason.0 as usize]))
        }
        _ => None,
    });
    changes.next()
}

fn follows(state: &str, input: &str) -> String {
    let mut world = reached(state);
    let begin = world.facts.len();
    apply(&mut world, input);
    let change = changes(&world, begin);
    assert!(!matches!(world.state(), State::Closed) || state == "closed" || input == "close");
    change.unwrap_or_else(|| ".".to_owned())
}

#[test]
fn every_state_and_input_has_the_outcome_of_the_table() {
    // I7
    let mut wrong = String::new();
    for (state, outcomes) in CELLS {
        for ((input, _), expected) in INPUTS.iter().zip(outcomes) {
            let seen = follows(state, input);
            if seen != expected {
                let _ = writeln!(wrong, "{state} × {input}: the table says {expected:?}, seen {seen:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_documentation_is_made_from_the_table() {
    let mut text = REASONS.to_owned();
    text.push_str("\n## Inputs\n\n| input | what it is |\n|---|---|\n");
    for (input, what) in INPUTS {
        let _ = writeln!(text, "| {input} | {what} |");
    }
    text.push_str(
        "\n## Every state with every input\n\nThe new state and its reason; a dot if neither changes.\n",
    );
    for (state, outcomes) in CELLS {
        let _ = write!(text, "\n### {state}\n\n| input | outcome |\n|---|---|\n");
        for ((input, _), outcome) in INPUTS.iter().zip(outcomes) {
            let outcome = outcome
                .split_once(", ")
                .map_or_else(|| "·".to_owned(), |(state, reason)| format!("**{state}** (`{reason}`)"));
            let _ = writeln!(text, "| {input} | {outcome} |");
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/STATES.md");
    if std::env::var_os("AGENTWIRE_WRITE").is_some() {
        fs::write(&file, &text).expect("docs/STATES.md can be written");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        written, text,
        "run `AGENTWIRE_WRITE=1 cargo test --features json --test states` and look at the change"
    );
}

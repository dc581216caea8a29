//! Seeds made from the protocol's vectors: for the readers the frames themselves, for the core scripts that lead to them.

use serde_json::Value;

use crate::client::script::code;

/// A seed: the folder and the name of its file, and its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// Makes the seeds from the text of `tests/vectors/protocol.json`.
///
/// # Panics
///
/// When the text is not what that file is.
pub fn from_vectors(text: &str) -> Vec<Seed> {
    let vectors: Value = serde_json::from_str(text).expect("the vectors are JSON");
    let frames = |list: &str| -> Vec<(String, String)> {
        let cases = vectors[list].as_array().expect("a list of frames");
        cases
            .iter()
            .map(|case| {
                let text =
                    |field: &str| case[field].as_str().expect("each frame has a name and a text").to_owned();
                (slug(&text("name")), text("text"))
            })
            .collect()
    };
    let mut seeds = Vec::new();
    for (name, text) in frames("client_frames") {
        seeds.push(("bridge_frames", name, text.into_bytes()));
    }
    for (name, text) in frames("server_frames") {
        seeds.push(("client", name.clone(), after_subscribing(&text)));
        seeds.push(("decode", name, text.into_bytes()));
    }
    seeds.push(("client", "two-sockets-and-three-epochs".into(), two_sockets_and_three_epochs()));
    for case in vectors["order"].as_array().expect("a list of orders") {
        let name = format!("order-{}", slug(case["name"].as_str().expect("a name")));
        seeds.push(("client", name, in_order(&case["feed"])));
    }
    seeds
}

const WELCOME: &str = r#"{"type":"welcome","session":"s","subject":"ada","heartbeatMs":15000,"maxFrameBytes":1048576,"maxStreams":64,"sendHorizonMs":86400000}"#;
const SUBSCRIBED: &str =
    r#"{"type":"subscribed","ch":3,"name":"s0","epoch":"e1","oldest":1,"head":9,"next":1,"recovered":true}"#;

/// A consumer that begins where the stream is, and is not asked for before the next flush.
const LATER: u8 = 64;
/// A report names the life in which each consumer begins.
const FIRST_LIFE: u8 = 128;

/// Connects, subscribes a stream and sends a message; then the frame comes, its events are taken, and time passes. A late
/// consumer of the stream and another stream are asked for meanwhile.
fn after_subscribing(frame: &str) -> Vec<u8> {
    let mut script = subscribed();
    script.extend([code::SEND, 0, 0, 0]);
    script.extend([code::SUBSCRIBE, 0, 0, LATER, 0, code::SUBSCRIBE, 1, 0, LATER, 0, code::FLUSH]);
    say(&mut script, frame);
    script.extend([code::DELIVER, 0, 1, code::WAIT, 13, 1]);
    script
}

/// Connects and subscribes a stream; then frames of events come, as an `order` vector has them.
fn in_order(frames: &Value) -> Vec<u8> {
    let mut script = subscribed();
    for frame in frames.as_array().expect("a list of [first, count]") {
        let (first, count) = (frame[0].as_u64().expect("a number"), frame[1].as_u64().expect("a number"));
        say(&mut script, &events(3, first, count));
    }
    script.extend([code::DELIVER, 0, 1, code::WAIT, 13, 1]);
    script
}

/// A catch-up on each of two sockets, the second one in another epoch, which ends on its socket.
fn two_sockets_and_three_epochs() -> Vec<u8> {
    let mut script = subscribed();
    catch_up(&mut script, 3, 9);
    script.extend([code::SUBSCRIBE, 0, 0, LATER, 0, code::FLUSH]);
    script.extend([code::SOCKET_CLOSED, 0, 255, code::WAIT, 13, 1]);
    script.extend([code::TOKEN_READY, code::SOCKET_OPENED, 0, 0]);
    say(&mut script, WELCOME);
    say(&mut script, &in_epoch("e2", 4, 5));
    catch_up(&mut script, 4, 5);
    // One takes note of its gap, the other reports late what it pulled of the first epoch.
    script.extend([code::DELIVER, 1, 0, code::DELIVERED, 0, FIRST_LIFE, 7]);
    say(&mut script, r#"{"type":"unsubscribed","ch":4,"name":"s0","reason":"epoch"}"#);
    say(&mut script, &in_epoch("e3", 5, 2));
    // The end of the catch-up is in the middle of what comes after it was said.
    say(&mut script, &caught_up(5, 2));
    say(&mut script, &events(5, 1, 3));
    script.extend([code::DELIVER, 0, 1, code::DELIVER, 1, 1, code::WAIT, 13, 1]);
    script
}

/// The answer that a stream is in another epoch.
fn in_epoch(epoch: &str, ch: u32, head: u64) -> String {
    format!(
        r#"{{"type":"subscribed","ch":{ch},"name":"s0","epoch":"{epoch}","oldest":1,"head":{head},"next":1,"recovered":false,"reason":"epoch"}}"#
    )
}

/// All that there is, with one live event more.
fn catch_up(script: &mut Vec<u8>, ch: u32, head: u64) {
    say(script, &events(ch, 1, head));
    say(script, &caught_up(ch, head));
    say(script, &events(ch, head + 1, 1));
}

fn caught_up(ch: u32, head: u64) -> String {
    format!(r#"{{"type":"caughtUp","ch":{ch},"offset":{head},"openRuns":[]}}"#)
}

fn events(ch: u32, first: u64, count: u64) -> String {
    let events = vec![r#"{"type":"a"}"#; count as usize].join(",");
    format!(r#"{{"type":"events","ch":{ch},"first":{first},"count":{count},"events":[{events}]}}"#)
}

fn subscribed() -> Vec<u8> {
    let mut script =
        vec![code::SUBSCRIBE, 0, 0, 0, 0, code::CONNECT, code::TOKEN_READY, code::SOCKET_OPENED, 0, 0];
    say(&mut script, WELCOME);
    say(&mut script, SUBSCRIBED);
    script
}

/// Lets a text come on the socket in use.
fn say(script: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).expect("the vectors of servers are short");
    script.extend([code::TEXT, 0]);
    script.extend(len.to_le_bytes());
    script.extend(text.as_bytes());
}

/// A file name: letters and digits of `name`, the rest as single dashes.
fn slug(name: &str) -> String {
    let words = name.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

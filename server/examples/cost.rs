//! What publishing over HTTP costs the server, beside the library: processor time per event, in batches of 10.
//!
//! ```sh
//! cargo run --release --package agentwire-server --example cost
//! ```
//!
//! Both write the same batches to a SQLite file, from 8 writers that wait for each commit. They take turns; the ratio of
//! each turn is printed, and the median at the end. Needs Linux, which says what a process has used.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends where something fails")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agentwire_bridge::{Batch, Bridge, Hs256, Producer, SqliteLog, StreamKey};
use agentwire_server::Server;
use agentwire_server::config::Config;
use serde_json::{Value, json};

/// Turns of each; the first one of both is not counted.
const TURNS: usize = 7;

const WRITERS: u64 = 8;

/// Batches of each writer in a turn.
const BATCHES: u64 = 400;

const EVENTS: u64 = 10;

/// A tick of the processor times of Linux, in microseconds.
const TICK_MICROS: f64 = 10_000.0;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match std::env::args().nth(1).as_deref() {
        Some("library") => runtime.block_on(library()),
        Some("server") => runtime.block_on(server()),
        _ => runtime.block_on(compare()),
    }
}

fn batch(writer: u64, turn: u64, n: u64) -> (String, u64, Vec<Value>) {
    let event = |at: u64| {
        let text = format!("word {at} of a sentence that is as long as a token of a model ");
        json!({ "type": "message_delta", "runId": format!("run-{writer}"), "messageId": "m", "text": text })
    };
    (format!("p-{writer}-{turn}"), n * EVENTS + 1, (0..EVENTS).map(event).collect())
}

/// Publishes what is asked for, a turn per line of the standard input.
async fn library() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.sqlite")).unwrap();
    let bridge =
        Bridge::builder().log(log).authenticator(Hs256::new([7; 32]).unwrap()).build().await.unwrap();
    say("ready");
    for (turn, _) in std::io::stdin().lines().enumerate() {
        let writers = (0..WRITERS).map(|writer| {
            let bridge = bridge.clone();
            tokio::spawn(async move {
                let stream = StreamKey::new("ada", &format!("t{writer}")).unwrap();
                for n in 0..BATCHES {
                    let (id, seq, events) = batch(writer, turn as u64, n);
                    let producer = Some(Producer { id, seq });
                    let lease = Some(Duration::from_secs(30));
                    bridge.publish(&stream, Batch { producer, lease, ..Batch::new(events) }).await.unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        say("done");
    }
}

/// Serves, and publishes nothing itself.
async fn server() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\norigins = [\"*\"]\n[log]\npath = {:?}\n[auth]\nsecrets = [\"{}\"]\n\
         [[keys]]\nname = \"all\"\nkey = \"{KEY}\"\nrights = [\"publish\"]",
        folder.path().join("log.sqlite"),
        "s".repeat(32),
    );
    let server = Server::start(&toml::from_str::<Config>(&text).unwrap()).await.unwrap();
    say(&server.address().unwrap().to_string());
    server.run(std::future::pending()).await.unwrap();
}

const KEY: &str = "a-key-of-32-bytes-or-more-for-this-measurement";

async fn compare() {
    let (mut library, _) = start("library");
    let (server, address) = start("server");
    let client = reqwest::Client::new();
    let mut input = library.0.stdin.take().unwrap();
    let mut ratios = Vec::new();
    for turn in 0..TURNS as u64 {
        let before = used(&library.0);
        writeln!(input, "go").unwrap();
        assert_eq!(library.line(), "done");
        let of_library = used(&library.0) - before;
        let before = used(&server.0);
        let writers = (0..WRITERS).map(|writer| {
            let (client, url) =
                (client.clone(), format!("http://{address}/v1/threads/ada%2Ft{writer}/events"));
            tokio::spawn(async move {
                for n in 0..BATCHES {
                    let (id, seq, events) = batch(writer, turn, n);
                    let body = json!({ "producer": { "id": id, "seq": seq }, "events": events });
                    let sent = client.post(&url).bearer_auth(KEY).json(&body).send().await.unwrap();
                    assert_eq!(sent.status(), 200);
                    sent.bytes().await.unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let of_server = used(&server.0) - before;
        #[expect(clippy::cast_precision_loss, reason = "a few thousand events")]
        let events = (WRITERS * BATCHES * EVENTS) as f64;
        println!(
            "library {:.1} µs, server {:.1} µs per event: {:.2}",
            of_library / events,
            of_server / events,
            of_server / of_library
        );
        if turn > 0 {
            ratios.push(of_server / of_library);
        }
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "cost: {:.2} times the library's processor time, in batches of {EVENTS}",
        ratios[ratios.len() / 2]
    );
}

/// A program that is ended when this one is.
struct Part(Child, BufReader<std::process::ChildStdout>);

impl Part {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(mode: &str) -> (Part, String) {
    let program = std::env::current_exe().unwrap();
    let mut child =
        Command::new(program).arg(mode).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut part = Part(child, output);
    let first = part.line();
    (part, first)
}

/// The processor time that a process has used, in microseconds.
fn used(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks: f64 = [11, 12].iter().map(|at| fields[*at].parse::<f64>().unwrap()).sum();
    ticks * TICK_MICROS
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

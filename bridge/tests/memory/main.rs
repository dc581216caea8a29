//! `Limits::memory` is true: sockets that do their worst make the bridge hold no more.
//!
//! An allocator counts the bytes that are in use. There is one test, as it counts those of the whole process. The pages
//! are plain sockets, whose bytes lie in the buffers of the system.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds something else")]
#![expect(clippy::print_stdout, reason = "what was measured")]

mod counting;
mod page;

use std::time::Duration;

use agentwire_bridge::{Bridge, Hs256, Limits, Memory, SqliteLog};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::counting::Since;
use self::page::{Page, SECRET, hello};

/// Sockets of each case.
const SOCKETS: usize = 32;

/// Bytes of a message that is as large as one may be without room of its own.
const SMALL: usize = 65_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_do_their_worst_cost_what_the_limits_say() {
    let limits = Limits {
        // A small machine: each bound is reached within a second.
        max_buffered_bytes: 65_536,
        max_connections_per_user: 64,
        max_bytes_per_second: 1 << 30,
        max_frames_per_second: 1_000_000,
        max_sends_per_minute: 1_000_000,
        max_pending_sends: 8,
        max_streams: 1,
        max_frame_bytes: 65_536,
        max_large_bytes_in_total: 1 << 20,
        cache_bytes_in_total: 1 << 20,
        heartbeat: Duration::from_secs(300),
        ..Limits::default()
    };
    let memory = limits.memory();
    idle(&limits).await;
    half_a_hello(&limits, memory).await;
    half_a_message(&limits, memory).await;
    #[cfg(target_os = "linux")]
    half_a_large_message(&Limits { max_frame_bytes: 1 << 20, ..limits.clone() }).await;
    nobody_reads(&limits, memory).await;
    the_log_hangs(&limits, memory).await;
}

/// A bridge of its own for each case.
struct Server {
    bridge: Bridge,
    address: std::net::SocketAddr,
    folder: tempfile::TempDir,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(limits: &Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(folder.path().join("log.sqlite")).unwrap();
        let builder = Bridge::builder().log(log).authenticator(Hs256::new(SECRET).unwrap());
        let bridge = builder.limits(limits.clone()).build().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = bridge.clone();
        let task = tokio::spawn(async move {
            let router = served.router();
            served.serve(listener, router).await.unwrap();
        });
        let server = Self { bridge, address, folder, task };
        // What the first of anything makes is not of the sockets.
        let mut page = server.page("warm").await;
        page.send(&json!({"type": "ping", "n": 1})).await;
        page.until("pong").await;
        server.bridge.emitter("warm", "t").publish(json!({"type": "note"})).await.unwrap();
        page.until("events").await;
        server
    }

    /// A page that was welcomed, with its own thread `t`.
    async fn page(&self, user: &str) -> Page {
        let mut page = Page::connect(self.address).await;
        page.send(&hello(user)).await;
        page.until("caughtUp").await;
        page
    }

    async fn pages(&self, count: usize) -> Vec<Page> {
        let mut pages = Vec::new();
        for number in 0..count {
            pages.push(self.page(&format!("user-{number}")).await);
        }
        pages
    }

    async fn stop(self) {
        self.bridge.shutdown().await;
        self.task.await.unwrap();
    }
}

/// Fails if more is held than `most`, or so little that the case has not happened: the least is waited for.
async fn holds(case: &str, since: &Since, least: usize, most: usize) {
    since.until(case, least).await;
    let peak = since.peak();
    println!("{case}: {} of {} kB", peak / 1_024, most / 1_024);
    assert!(peak <= most, "{case}: {peak} bytes are held, but the limits say {most}");
}

async fn idle(limits: &Limits) {
    let server = Server::start(limits).await;
    let since = Since::now();
    let pages = server.pages(SOCKETS).await;
    // 24 kB, and 4 kB of its user.
    holds("idle", &since, SOCKETS * 1_024, SOCKETS * 28 * 1_024).await;
    drop(pages);
    server.stop().await;
}

async fn half_a_hello(limits: &Limits, memory: Memory) {
    let server = Server::start(limits).await;
    let since = Since::now();
    let mut pages = Vec::new();
    for _ in 0..SOCKETS {
        let mut page = Page::connect(server.address).await;
        page.begin(SMALL + 500, SMALL).await;
        pages.push(page);
    }
    holds("half a hello", &since, SOCKETS * SMALL, SOCKETS * memory.opening).await;
    drop(pages);
    server.stop().await;
}

async fn half_a_message(limits: &Limits, memory: Memory) {
    let server = Server::start(limits).await;
    let since = Since::now();
    let mut pages = server.pages(SOCKETS).await;
    for page in &mut pages {
        page.begin(SMALL + 500, SMALL).await;
    }
    holds("half a message", &since, SOCKETS * SMALL, SOCKETS * memory.reading).await;
    drop(pages);
    server.stop().await;
}

/// Each sends all but the end of the largest message, and few of them have room.
///
/// The transport reserves the bytes that the head of a message names. Until they are there, they are addresses and no
/// memory: so this case looks at what is resident.
#[cfg(target_os = "linux")]
async fn half_a_large_message(limits: &Limits) {
    let memory = limits.memory();
    let server = Server::start(limits).await;
    let before = counting::resident();
    let mut pages = server.pages(SOCKETS).await;
    for page in &mut pages {
        page.begin(limits.max_frame_bytes, limits.max_frame_bytes - 500).await;
    }
    // The bridge has read what it reads: it answers another page.
    let mut other = server.page("other").await;
    for _ in 0..3 {
        other.send(&json!({"type": "ping", "n": 1})).await;
        other.until("pong").await;
    }
    let resident = counting::resident().saturating_sub(before);
    let most = SOCKETS * memory.reading + 2 * limits.max_large_bytes_in_total;
    println!("half a large message: {} of {} kB", resident / 1_024, most / 1_024);
    assert!(resident >= limits.max_large_bytes_in_total / 2, "{resident} bytes: nothing was read");
    assert!(resident <= most, "half a large message: {resident} bytes are resident, not {most}");
    drop(pages);
    server.stop().await;
}

/// Events, and for one page answers, for pages that read nothing.
async fn nobody_reads(limits: &Limits, memory: Memory) {
    let server = Server::start(limits).await;
    // The system takes more than a megabyte for each.
    let few = 8;
    let since = Since::now();
    let mut pages = server.pages(few).await;
    let text = "x".repeat(60_000);
    for (number, page) in pages.iter_mut().enumerate() {
        let emitter = server.bridge.emitter(&format!("user-{number}"), "t");
        // More than the window and the buffers of the system take.
        emitter.publish_all(vec![json!({"type": "note", "text": text}); 60]).await.unwrap();
        // The system takes many answers before one waits: it takes time.
        if number == 0 {
            page.flood_requests().await;
        }
    }
    let most = few * memory.connection + limits.cache_bytes_in_total;
    since.until("nobody reads", few * 60_000).await;
    // The thread of the log gives back what it was given after it has answered.
    let held = since.until_at_most("nobody reads", most).await;
    println!("nobody reads: {} of {} kB", held / 1_024, most / 1_024);
    drop(pages);
    server.stop().await;
}

/// More sends than may wait, for a log that does not write.
async fn the_log_hangs(limits: &Limits, memory: Memory) {
    let server = Server::start(limits).await;
    let since = Since::now();
    let mut pages = server.pages(SOCKETS).await;
    let other = rusqlite::Connection::open(server.folder.path().join("log.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let content = "x".repeat(30_000);
    for page in &mut pages {
        for id in 0..400 {
            let message = json!({"type": "user_message", "content": content});
            let send = json!({"type": "send", "id": id.to_string(), "stream": "t", "message": message});
            if !page.is_read(&send).await {
                break;
            }
        }
    }
    let queued = 64 << 20;
    holds(
        "the log hangs",
        &since,
        SOCKETS * limits.max_pending_sends * 30_000 / 2,
        SOCKETS * memory.connection + queued,
    )
    .await;
    other.execute_batch("ROLLBACK").unwrap();
    drop(pages);
    server.stop().await;
}

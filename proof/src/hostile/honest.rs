//! The honest user: works beside an attack in a thread of its own, and checks that nothing is lost.

mod ledger;

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, client_async};

use self::ledger::Ledger;
use super::tokens;

/// Whom the honest user is known as.
pub(super) const NAME: &str = "honest";

/// Where the honest user works.
pub(super) const THREAD: &str = "work";

/// Time between two messages.
const PACE: Duration = Duration::from_millis(50);

/// How long everything may take that was begun when the attack ended.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long to wait before the next try to connect.
const AGAIN: Duration = Duration::from_millis(100);

/// Messages that are answered before the attack begins.
const FIRST: usize = 3;

type Socket = WebSocketStream<TcpStream>;

/// The honest user at work.
#[derive(Debug)]
pub(super) struct Honest {
    stop: watch::Sender<bool>,
    thread: JoinHandle<Tally>,
}

/// What the honest user has seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// From a message to its receipt, in milliseconds; of those that were accepted at once.
    pub(super) waits: Vec<f64>,
    /// Messages with a receipt and a whole run.
    pub(super) receipts: usize,
    /// Messages without a receipt, and those whose run is not whole.
    pub(super) lost: usize,
    /// What was not as it must be: events out of order, or twice, a receipt for another offset.
    pub(super) troubles: Vec<String>,
    /// Messages that the server asked to send again.
    pub(super) put_off: usize,
    /// Connections that were lost.
    pub(super) drops: usize,
}

impl Honest {
    /// Starts to work, and waits until the first messages are answered.
    pub(super) fn start(address: SocketAddr) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("honest".to_owned())
            .spawn(move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(work(address, stopped, ready)),
                Err(error) => Tally { troubles: vec![error.to_string()], ..Tally::default() },
            })
            .context("the honest user can't start")?;
        let honest = Self { stop, thread };
        match is_ready.recv_timeout(PATIENCE) {
            Ok(()) => Ok(honest),
            Err(_) => {
                let tally = honest.stop();
                Err(anyhow!("the honest user got no answers before the attack: {:?}", tally.troubles))
            }
        }
    }

    /// Sends no more, waits for what is under way, and says what came of all.
    pub(super) fn stop(self) -> Tally {
        let _gone = self.stop.send(true);
        let panicked =
            |_| Tally { troubles: vec!["the honest user panicked".to_owned()], ..Tally::default() };
        self.thread.join().unwrap_or_else(panicked)
    }
}

/// Works until it is stopped and everything is answered, or patience ends.
async fn work(address: SocketAddr, stopped: watch::Receiver<bool>, ready: mpsc::Sender<()>) -> Tally {
    let mut ledger = Ledger::default();
    let all = async {
        loop {
            match connection(address, &mut ledger, &stopped, &ready).await {
                Ok(()) => return,
                Err(error) => ledger.dropped(&format!("{error:#}")),
            }
            sleep(AGAIN).await;
        }
    };
    let mut asked = stopped.clone();
    let patience = async {
        // A sender that is gone stops it, too.
        drop(asked.wait_for(|stopped| *stopped).await);
        sleep(PATIENCE).await;
    };
    tokio::select! {
        () = all => {}
        () = patience => {}
    }
    ledger.tally()
}

/// Works on one connection. `Ok` when there is nothing left to do.
async fn connection(
    address: SocketAddr,
    ledger: &mut Ledger,
    stopped: &watch::Receiver<bool>,
    ready: &mpsc::Sender<()>,
) -> Result<()> {
    let mut socket = timeout(PATIENCE, open(address, ledger)).await.context("no welcome in time")??;
    for message in ledger.again() {
        say(&mut socket, message).await?;
    }
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_ready = false;
    loop {
        if !is_ready && ledger.answered() >= FIRST {
            is_ready = true;
            // Nobody listens for a second connection.
            let _first = ready.send(());
        }
        let is_stopped = *stopped.borrow();
        if is_stopped && ledger.is_done() {
            // The server answers the close, or is gone.
            let _closed = timeout(AGAIN, socket.close(None)).await;
            return Ok(());
        }
        tokio::select! {
            biased;
            message = socket.next() => match message.context("the connection ended")?? {
                Message::Text(text) => {
                    if let Some(answer) = ledger.frame(&serde_json::from_str(&text)?)? {
                        say(&mut socket, answer).await?;
                    }
                }
                Message::Close(close) => bail!("closed with {close:?}"),
                _ => {}
            },
            _ = pace.tick() => {
                let due = match ledger.held_until() {
                    Some(until) if until > Instant::now() => Vec::new(),
                    Some(_) => ledger.again(),
                    None if is_stopped => Vec::new(),
                    None => vec![ledger.message()],
                };
                for message in due {
                    say(&mut socket, message).await?;
                }
            }
        }
    }
}

async fn open(address: SocketAddr, ledger: &mut Ledger) -> Result<Socket> {
    let mut request = format!("ws://{address}/ws").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("agentwire.v1"));
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = client_async(request, stream).await?;
    let hello = json!({
        "type": "hello",
        "token": tokens::of(NAME),
        "client": { "name": "honest", "version": "1" },
        "window": { "events": 4096, "bytes": 8_388_608 },
        "streams": [ledger.request()],
    });
    say(&mut socket, hello).await?;
    loop {
        let Message::Text(text) =
            socket.next().await.context("the connection ended before the welcome")??
        else {
            continue;
        };
        let frame: Value = serde_json::from_str(&text)?;
        match frame["type"].as_str() {
            Some("welcome") => {}
            Some("subscribed") => {
                ledger.subscribed(&frame)?;
                return Ok(socket);
            }
            _ => ensure!(frame["type"] == "heartbeat", "got {frame} instead of a welcome"),
        }
    }
}

async fn say(socket: &mut Socket, frame: Value) -> Result<()> {
    Ok(socket.send(Message::Text(frame.to_string().into())).await?)
}

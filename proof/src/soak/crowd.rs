//! Pages that come, work, drop, resume and go.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::pages::{Forgery, Got, Page, Place, Tokens};

/// Users whose pages there are. Each has one thread, which all pages of the user follow.
const USERS: u64 = 12;

/// The thread of each user.
const THREAD: &str = "soak";

/// Words of a message, and so events of its answer. Few messages with long answers: the server has to remember ids of
/// sends for a day, and its memory may grow with them.
const WORDS: usize = 150;

/// Of so many lives, one sends a message.
const SENDS: u64 = 40;

/// Requests that read at once, and how many each of them makes.
const READERS: u64 = 36;
const READS: usize = 10;

/// How long a life is at the most, in milliseconds.
const LIFE_MS: u64 = 3_000;

/// All pages.
#[derive(Debug)]
pub(super) struct Crowd {
    url: String,
    tokens: Tokens,
    events: AtomicU64,
    lives: AtomicU64,
    sends: AtomicU64,
}

impl Crowd {
    pub(super) fn new(url: String, tokens: Tokens) -> Self {
        Self { url, tokens, events: AtomicU64::new(0), lives: AtomicU64::new(0), sends: AtomicU64::new(0) }
    }

    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// What was done, in words.
    pub(super) fn so_far(&self) -> String {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (events, lives, sends) = (read(&self.events), read(&self.lives), read(&self.sends));
        format!("{events} events, {lives} connections, {sends} messages")
    }

    /// One page has one message answered.
    pub(super) async fn warm_up(&self) -> Result<()> {
        let mut page = Page::open(&self.url, &self.tokens.of("u-0"), json!([{ "name": THREAD }])).await?;
        page.send(&message("warm-up", WORDS)).await?;
        loop {
            match page.next().await? {
                Got::Frame(frame, _) if has_end(&frame) => break,
                Got::Frame(..) => {}
                Got::Closed(code) => bail!("the server closed the first page ({code:?})"),
            }
        }
        page.close().await;
        Ok(())
    }

    /// Reads the log from many requests at once: as many connections to it are open then as there can be, and each has read
    /// what there is.
    pub(super) async fn read_at_once(&self, address: &str) -> Result<()> {
        let url = format!("{address}/v1/threads/{THREAD}/events?limit=1000");
        let agent = ureq::Agent::new_with_defaults();
        let mut reads = JoinSet::new();
        for n in 0..READERS {
            let (agent, url) = (agent.clone(), url.clone());
            let token = format!("Bearer {}", self.tokens.of(&format!("u-{}", n % USERS)));
            reads.spawn_blocking(move || {
                for _ in 0..READS {
                    let mut answer = agent.get(&url).header("authorization", &token).call()?;
                    answer.body_mut().read_to_vec()?;
                }
                Ok::<_, ureq::Error>(())
            });
        }
        while let Some(read) = reads.join_next().await {
            read.context("a task that reads died")?.context("the log can't be read")?;
        }
        Ok(())
    }

    /// Lets pages live, one life after the other, until `end`.
    pub(super) fn start(self: &Arc<Self>, pages: u64, end: Instant) -> JoinSet<Result<()>> {
        let mut lives = JoinSet::new();
        for n in 0..pages {
            let crowd = Arc::clone(self);
            lives.spawn(async move {
                let mut page = Life {
                    user: format!("u-{}", n % USERS),
                    n,
                    rng: Rng::with_seed(n),
                    places: HashMap::new(),
                    epochs: HashMap::new(),
                };
                while Instant::now() < end {
                    crowd.lives.fetch_add(1, Ordering::Relaxed);
                    page.live(&crowd, end).await.with_context(|| format!("page {n} of {}", page.user))?;
                }
                Ok(())
            });
        }
        lives
    }
}

/// One page and what it remembers from one socket to the next.
#[derive(Debug)]
struct Life {
    user: String,
    n: u64,
    rng: Rng,
    places: HashMap<String, Place>,
    /// The epoch of each stream, which never ends here.
    epochs: HashMap<String, String>,
}

impl Life {
    /// One socket, of one of the kinds that there are.
    async fn live(&mut self, crowd: &Crowd, end: Instant) -> Result<()> {
        match self.rng.u8(..20) {
            // It goes before it has said anything.
            0 => drop(Page::connect(&crowd.url).await?),
            1 => self.be_refused(crowd).await?,
            _ => self.work(crowd, end).await?,
        }
        Ok(())
    }

    async fn be_refused(&self, crowd: &Crowd) -> Result<()> {
        let mut page = Page::connect(&crowd.url).await?;
        let forged = crowd.tokens.forged(Forgery::OtherSecret, &self.user, &self.user);
        page.hello(&forged, json!([{ "name": THREAD }])).await?;
        loop {
            match page.next().await? {
                Got::Frame(frame, _) => ensure!(frame["type"] == "error", "a forged token got {frame}"),
                Got::Closed(_) => return Ok(()),
            }
        }
    }

    /// Follows the streams, from where it was or anew; sends now and then; leaves in order, or drops the socket.
    async fn work(&mut self, crowd: &Crowd, end: Instant) -> Result<()> {
        if self.rng.u8(..4) == 0 {
            self.places.clear();
        }
        let streams: Vec<Value> = [THREAD, "inbox"].map(|name| self.request(name)).into();
        let until = end.min(Instant::now() + Duration::from_millis(self.rng.u64(20..LIFE_MS)));
        let mut page = Page::open(&crowd.url, &crowd.tokens.of(&self.user), json!(streams)).await?;
        if self.rng.u64(..SENDS) == 0 {
            let sent = crowd.sends.fetch_add(1, Ordering::Relaxed);
            page.send(&message(&format!("{}-{sent}", self.n), WORDS)).await?;
        }
        if self.rng.u8(..4) == 0 {
            page.send(&json!({ "type": "replay", "req": 1, "ch": 1, "from": 1, "to": 400 })).await?;
        }
        if self.rng.u8(..8) == 0 {
            page.send(&json!({ "type": "unsubscribe", "ch": 2 })).await?;
        }
        loop {
            // A page that is dropped in the middle of a frame is one of the things that happen.
            match timeout_at(until, page.next()).await {
                Err(_) => break,
                Ok(Ok(Got::Frame(frame, name))) => self.take(crowd, &frame, name.as_deref())?,
                Ok(Ok(Got::Closed(code))) => bail!("the server closed the socket ({code:?})"),
                Ok(Err(error)) => return Err(error),
            }
        }
        self.places = page.places.clone();
        if self.rng.bool() {
            page.close().await
        } else {
            drop(page)
        }
        Ok(())
    }

    fn request(&mut self, name: &str) -> Value {
        match self.places.get(name) {
            Some(place) => place.request(name),
            None => {
                let open = [json!({ "from": "start" }), json!({ "from": "live" }), json!({ "last": 50 })];
                json!({ "name": name, "open": open[self.rng.usize(..3)] })
            }
        }
    }

    fn take(&mut self, crowd: &Crowd, frame: &Value, name: Option<&str>) -> Result<()> {
        match (frame["type"].as_str().unwrap_or_default(), name) {
            ("events", _) => {
                crowd.events.fetch_add(frame["count"].as_u64().unwrap_or_default(), Ordering::Relaxed);
            }
            ("subscribed", Some(name)) => {
                let epoch = frame["epoch"].as_str().unwrap_or_default();
                let former = self.epochs.entry(name.to_owned()).or_insert_with(|| epoch.to_owned());
                ensure!(former == epoch, "{name} has another epoch: {former} became {epoch}");
                ensure!(
                    frame["recovered"] == true || frame["reason"] == "trimmed",
                    "{name} could not be resumed: {frame}"
                );
            }
            ("receipt", _) => ensure!(frame["status"] == "accepted", "a message got {frame}"),
            ("error", _) => bail!("the server answered {frame}"),
            _ => {}
        }
        Ok(())
    }
}

fn message(id: &str, words: usize) -> Value {
    let content = vec!["word"; words].join(" ");
    json!({
        "type": "send", "id": id, "stream": THREAD,
        "message": { "type": "user_message", "content": content },
    })
}

fn has_end(frame: &Value) -> bool {
    let mut events = frame["events"].as_array().into_iter().flatten();
    events.any(|event| event["type"] == "agent_completed")
}

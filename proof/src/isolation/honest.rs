//! What each user does who only wants to work: send, follow, decide, come back.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash as _, Hasher as _};
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::Arena;
use super::board::Target;
use super::world::{World, message};
use crate::pages::{Got, Page, Place};

/// One user at work.
#[derive(Debug)]
pub(crate) struct Honest<'a> {
    arena: &'a Arena,
    n: usize,
    user: String,
    page: Page,
    seen: Seen,
    sent: u64,
    /// What the user asked, and what waits behind it: in the own thread and in the shared one.
    asked: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    name: String,
    answered: String,
    waiting: String,
}

/// What came, as far as the user waits for it.
#[derive(Debug, Default)]
struct Seen {
    caught_up: HashSet<String>,
    receipts: HashMap<String, Value>,
    /// The message that a run answers.
    runs: HashMap<String, String>,
    /// Messages whose run has completed.
    answered: HashSet<String>,
    /// Messages that wait behind others.
    queued: HashSet<String>,
    /// Questions by the message that they are about: run and approval.
    questions: HashMap<String, (String, String)>,
    /// A hash of each event, by stream.
    events: HashMap<String, Vec<u64>>,
}

impl<'a> Honest<'a> {
    /// Connects, and follows the own threads, the inbox and the shared thread, as far as that may be read.
    pub(crate) async fn come(arena: &'a Arena, n: usize) -> Result<Self> {
        let user = World::user(n);
        let mut names = vec![own(n), notes(n), "inbox".to_owned()];
        names.extend(Some(World::shared(n)).filter(|name| arena.world.may("read", &user, name)));
        let streams: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        let page = {
            let _turn = arena.connecting.acquire().await?;
            Page::open(&arena.url, &arena.tokens.of(&user), json!(streams)).await?
        };
        let mut honest = Self { arena, n, user, page, seen: Seen::default(), sent: 0, asked: Vec::new() };
        honest.until("caughtUp", |seen| names.iter().all(|name| seen.caught_up.contains(name))).await?;
        Ok(honest)
    }

    /// Where the user is in each stream.
    pub(crate) fn places(&self) -> HashMap<String, Place> {
        self.page.places.clone()
    }

    /// Sends to the own thread and the shared one, and waits for the answers.
    pub(crate) async fn work(&mut self) -> Result<()> {
        let mut messages =
            vec![self.send(&own(self.n), json!({})).await?, self.send(&own(self.n), json!({})).await?];
        let shared = World::shared(self.n);
        if self.arena.world.may("write", &self.user, &shared) {
            let sent = self.send(&shared, json!({})).await?;
            if self.arena.world.may("read", &self.user, &shared) {
                messages.push(sent);
            }
        }
        self.answered(messages).await
    }

    /// Starts a run that waits for a decision, and has a message wait behind it.
    pub(crate) async fn ask(&mut self) -> Result<()> {
        let mut names = vec![own(self.n)];
        names.extend(World::asks(self.n).then(|| World::shared(self.n)));
        for name in names {
            let answered = self.send(&name, json!({ "ask": true })).await?;
            self.until("a question", |seen| seen.questions.contains_key(&answered)).await?;
            let waiting = self.send(&name, json!({})).await?;
            self.until("a message that waits", |seen| seen.queued.contains(&waiting)).await?;
            let place = self.page.places.get(&name).context("the stream is not subscribed")?.clone();
            let (run, approval) = self.seen.questions[&answered].clone();
            let target = Target {
                user: self.user.clone(),
                name: name.clone(),
                epoch: place.epoch,
                head: place.offset,
                seal: place.seal,
                run,
                approval,
                answered: answered.clone(),
                waiting: waiting.clone(),
            };
            if name == own(self.n) {
                self.arena.board.post(self.n, target);
            } else {
                self.arena.board.post_shared(target);
            }
            self.asked.push(Asked { name, answered, waiting });
        }
        Ok(())
    }

    /// Works on in another thread while everybody attacks.
    pub(crate) async fn go_on(&mut self) -> Result<()> {
        for _ in 0..2 {
            let sent = self.send(&notes(self.n), json!({})).await?;
            self.answered(vec![sent]).await?;
        }
        Ok(())
    }

    /// Steers, edits and approves what is the user's own: nobody else may have done so.
    pub(crate) async fn decide(&mut self) -> Result<()> {
        for Asked { name, answered, waiting } in std::mem::take(&mut self.asked) {
            let (run, approval) = self.seen.questions[&answered].clone();
            let hint = message(&self.arena.world, &self.user, &name, json!({}));
            let steer =
                json!({ "type": "send", "stream": name, "mode": "steer", "runId": run, "message": hint });
            let edited = message(&self.arena.world, &self.user, &name, json!({ "edited": true }));
            let edit = json!({ "type": "edit", "stream": name, "sendId": waiting, "message": edited });
            let approve = json!({
                "type": "approve", "stream": name, "runId": run, "approvalId": approval, "decision": "approved",
            });
            for mut frame in [steer, edit, approve] {
                let id = self.next_id(&name);
                frame["id"] = id.as_str().into();
                self.page.send(&frame).await?;
                self.until("a receipt", |seen| seen.receipts.contains_key(&id)).await?;
                let receipt = &self.seen.receipts[&id];
                if receipt["status"] != "accepted" {
                    let what = &frame["type"];
                    self.arena
                        .watch
                        .effect(format!("somebody was faster than {}: {what} got {receipt}", self.user));
                }
            }
            self.answered(vec![answered, waiting]).await?;
        }
        Ok(())
    }

    /// Drops the socket and resumes on another one: nothing may be missing, and the epochs are as they were.
    pub(crate) async fn come_back(self) -> Result<Self> {
        let Self { arena, n, user, page, mut seen, sent, asked } = self;
        let places = page.places.clone();
        page.close().await;
        seen.caught_up.clear();
        let streams: Vec<_> = places.iter().map(|(name, place)| place.request(name)).collect();
        let page = {
            let _turn = arena.connecting.acquire().await?;
            Page::open(&arena.url, &arena.tokens.of(&user), json!(streams)).await?
        };
        let mut back = Self { arena, n, user, page, seen, sent, asked };
        back.until("caughtUp", |seen| places.keys().all(|name| seen.caught_up.contains(name))).await?;
        Ok(back)
    }

    /// Compares what came over sockets with what the server reads from its log.
    pub(crate) async fn compare(mut self) -> Result<()> {
        for name in [own(self.n), notes(self.n)] {
            let url = format!("{}/v1/threads/{name}/events?limit=1000", self.arena.address);
            let (status, answer) = get(self.arena, url, &self.arena.tokens.of(&self.user)).await?;
            if status != 200 {
                bail!("{name} can't be read: {status} {answer}");
            }
            let events = answer["events"].as_array().context("the answer has no events")?;
            for event in events {
                self.arena.watch.event(&self.user, &name, event);
            }
            let logged: Vec<u64> = events.iter().map(hash).collect();
            let came = self.seen.events.remove(&name).unwrap_or_default();
            if came != logged {
                bail!("{name}: {} events came, and {} are in the log, or others", came.len(), logged.len());
            }
        }
        self.page.close().await;
        Ok(())
    }

    async fn answered(&mut self, messages: Vec<String>) -> Result<()> {
        self.until("an answer", |seen| messages.iter().all(|id| seen.answered.contains(id))).await?;
        self.arena.messages.fetch_add(messages.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Sends a message, and waits for its receipt.
    async fn send(&mut self, name: &str, more: Value) -> Result<String> {
        let id = self.next_id(name);
        let message = message(&self.arena.world, &self.user, name, more);
        self.page.send(&json!({ "type": "send", "id": id, "stream": name, "message": message })).await?;
        self.until("a receipt", |seen| seen.receipts.contains_key(&id)).await?;
        match &self.seen.receipts[&id] {
            receipt if receipt["status"] == "accepted" => Ok(id),
            receipt => bail!("a message to {name} was not accepted: {receipt}"),
        }
    }

    /// An id that carries the mark, so that each event that names it shows whose it is.
    fn next_id(&mut self, name: &str) -> String {
        self.sent += 1;
        format!("{}-{}", self.arena.world.mark(&self.user, name), self.sent)
    }

    async fn until(&mut self, what: &str, is_there: impl Fn(&Seen) -> bool) -> Result<()> {
        while !is_there(&self.seen) {
            self.step().await.with_context(|| format!("while waiting for {what}"))?;
        }
        Ok(())
    }

    /// Takes frames until something else is done.
    pub(crate) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> Result<T> {
        tokio::pin!(other);
        loop {
            tokio::select! {
                done = &mut other => return Ok(done),
                read = self.step() => read?,
            }
        }
    }

    /// Takes one frame.
    async fn step(&mut self) -> Result<()> {
        match self.page.next().await? {
            Got::Frame(frame, name) => {
                self.arena.watch.frame(&self.user, &frame, name.as_deref());
                self.seen.take(&frame, name)
            }
            Got::Closed(code) => bail!("the server closed the socket ({code:?})"),
        }
    }
}

impl Seen {
    fn take(&mut self, frame: &Value, name: Option<String>) -> Result<()> {
        match (frame["type"].as_str().unwrap_or_default(), name) {
            ("caughtUp", Some(name)) => drop(self.caught_up.insert(name)),
            ("receipt", _) => {
                let id = text(frame, "id")?;
                self.receipts.insert(id, frame.clone());
            }
            ("events", Some(name)) => {
                let hashes = self.events.entry(name).or_default();
                for event in frame["events"].as_array().into_iter().flatten() {
                    hashes.push(hash(event));
                    match event["type"].as_str().unwrap_or_default() {
                        "agent_started" => {
                            self.runs.insert(text(event, "runId")?, text(event, "sendId")?);
                        }
                        "agent_completed" => {
                            self.answered.extend(self.runs.remove(&text(event, "runId")?));
                        }
                        "message_queued" => drop(self.queued.insert(text(event, "sendId")?)),
                        "approval_requested" => {
                            let run = text(event, "runId")?;
                            if let Some(message) = self.runs.get(&run) {
                                self.questions.insert(message.clone(), (run, text(event, "approvalId")?));
                            }
                        }
                        _ => {}
                    }
                }
            }
            ("error" | "unsubscribed" | "gap", _) => bail!("an honest user got {frame}"),
            _ => {}
        }
        Ok(())
    }
}

/// Reads over HTTP: the status, and the JSON of the answer.
pub(crate) async fn get(arena: &Arena, url: String, token: &str) -> Result<(u16, Value)> {
    let (agent, token) = (arena.http.clone(), format!("Bearer {token}"));
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = agent.get(&url).header("authorization", token).call()?;
        Ok::<_, ureq::Error>((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    });
    let (status, body) = asked.await?.context("the server can't be asked")?;
    Ok((status, serde_json::from_str(&body).unwrap_or(Value::String(body))))
}

/// The thread of user number `n`.
pub(crate) fn own(n: usize) -> String {
    format!("plan-{}", World::user(n))
}

/// Another thread of user number `n`.
pub(crate) fn notes(n: usize) -> String {
    format!("notes-{}", World::user(n))
}

fn text(value: &Value, field: &str) -> Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("`{field}` is missing: {value:.200}"))
}

fn hash(event: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    event.to_string().hash(&mut hasher);
    hasher.finish()
}

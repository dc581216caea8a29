//! What each user does to the others. The attacker knows every name, position, seal and id, and has a token of their own.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::Arena;
use super::board::Target;
use super::honest::{get, own};
use super::world::{World, message};
use crate::pages::{Forgery, Got, Page, Place};

/// Users that each one attacks, beside those of two shared threads.
const VICTIMS: usize = 1;

/// Close codes for a token that is not accepted.
const REFUSED: [u16; 2] = [4450, 4451];

/// Statuses of receipts that say that nothing happened, and nothing about anybody else.
const NOTHING: [&str; 3] = ["unknown_run", "unknown_send", "unknown_approval"];

/// Codes of rejections that say the same.
const NOT_ALLOWED: [&str; 4] = ["forbidden", "unknown_run", "ambiguous_run", "unknown_stream"];

/// Attacks others with everything there is. `places` are those of the honest page of the same user.
pub(crate) async fn attack(arena: &Arena, n: usize, places: &HashMap<String, Place>) -> Result<()> {
    let user = World::user(n);
    let others = (1..=VICTIMS).map(|k| (n + k * k * 7 + k) % arena.world.users).filter(|other| *other != n);
    let mut targets: Vec<Target> = others.filter_map(|other| arena.board.of(other).cloned()).collect();
    // The own group's thread, and one of another group.
    let shared = arena.board.shared();
    targets.extend(shared.iter().find(|target| target.name == World::shared(n)).cloned());
    targets
        .extend(shared.get((n + 1) % shared.len()).filter(|other| other.name != World::shared(n)).cloned());
    targets.retain(|target| target.user != user);
    let mut attacker = Attacker::come(arena, user, n, places, &targets).await?;
    for (round, target) in targets.iter().enumerate() {
        attacker.act(target, round).await?;
        attacker.replay().await?;
        attacker.refresh(target).await?;
    }
    attacker.page.close().await;
    if let Some(target) = targets.first() {
        forge(arena, n, target).await?;
    }
    for target in &targets {
        read(arena, n, target).await?;
    }
    pose(arena, &targets).await
}

/// One hostile socket.
#[derive(Debug)]
struct Attacker<'a> {
    arena: &'a Arena,
    user: String,
    n: usize,
    page: Page,
    sent: u64,
}

impl<'a> Attacker<'a> {
    /// Connects, and resumes streams of others: under their names, with their epochs, offsets and seals.
    async fn come(
        arena: &'a Arena,
        user: String,
        n: usize,
        places: &HashMap<String, Place>,
        targets: &[Target],
    ) -> Result<Self> {
        let page = {
            let _turn = arena.connecting.acquire().await?;
            Page::open(&arena.url, &arena.tokens.of(&user), json!([])).await?
        };
        let mut attacker = Self { arena, user, n, page, sent: 0 };
        let mut requests: Vec<Value> = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            let claimed = [target.head, target.head + 1_000, 0];
            let names = [
                target.name.clone(),
                format!("{}/{}", target.user, target.name),
                format!("{}%2F{}", target.user, target.name),
                format!("../{}/{}", target.user, target.name),
            ];
            for (name, offset) in names.into_iter().zip(claimed.into_iter().cycle().skip(at)) {
                let place = Place { epoch: target.epoch.clone(), offset, seal: target.seal.clone() };
                let mut request = place.request(&name);
                request["open"] = [json!({ "from": "start" }), json!({ "last": 50 })][at % 2].clone();
                requests.push(request);
            }
        }
        if let Some(target) = targets.first() {
            // The own thread as if it were theirs, and their seal as if it were of an own one.
            let theirs =
                Place { epoch: target.epoch.clone(), offset: target.head, seal: target.seal.clone() };
            requests.push(theirs.request(&own(n)));
            if let Some(inbox) = places.get("inbox") {
                let sealed =
                    Place { offset: inbox.offset + 1_000, seal: target.seal.clone(), ..inbox.clone() };
                requests.push(sealed.request("inbox"));
            }
        }
        requests.dedup_by(|one, other| one["name"] == other["name"]);
        attacker.subscribe(requests).await?;
        Ok(attacker)
    }

    /// Asks for streams; what is granted has to catch up.
    async fn subscribe(&mut self, requests: Vec<Value>) -> Result<()> {
        self.count(requests.len());
        let mut open = requests.len();
        self.page.send(&json!({ "type": "subscribe", "streams": requests })).await?;
        while open > 0 {
            let frame = self.next().await?;
            open -= usize::from(["unsubscribed", "caughtUp"].iter().any(|kind| frame["type"] == *kind));
        }
        Ok(())
    }

    /// Cancels, approves, withdraws, edits, steers, signals and sends: on the stream of the target, on streams that are
    /// named like it, and on own ones.
    async fn act(&mut self, target: &Target, round: usize) -> Result<()> {
        let mut names = vec![
            target.name.clone(),
            format!("{}/{}", target.user, target.name),
            own(self.n),
            "inbox".to_owned(),
        ];
        names.rotate_left(round % 4);
        let mut waves: Vec<_> = names.iter().map(|name| self.acts(target, name).into_iter()).collect();
        loop {
            // One at a time on each stream: the server may hold back what follows a send that it refuses.
            let wave: Vec<Value> = waves.iter_mut().filter_map(Iterator::next).collect();
            if wave.is_empty() {
                break;
            }
            self.wave(wave).await?;
        }
        for name in &names {
            if !self.arena.world.may("write", &self.user, name) {
                let signal = json!({ "type": "typing", "mark": self.arena.world.mark(&self.user, name) });
                self.page.send(&json!({ "type": "signal", "stream": name, "signal": signal })).await?;
                self.count(1);
            }
        }
        for name in names {
            self.send_as(target, &name).await?;
        }
        Ok(())
    }

    /// Sends what has to be refused, and waits for the answers.
    async fn wave(&mut self, acts: Vec<Value>) -> Result<()> {
        self.count(acts.len());
        let mut open = Vec::new();
        for mut act in acts {
            self.sent += 1;
            let id = format!("a{}-{}", self.n, self.sent);
            act["id"] = id.as_str().into();
            self.page.send(&act).await?;
            open.push((id, act));
        }
        while !open.is_empty() {
            let frame = self.next().await?;
            if frame["type"] != "receipt" {
                continue;
            }
            let Some(at) = open.iter().position(|(id, _)| frame["id"] == id.as_str()) else { continue };
            let (_, act) = open.swap_remove(at);
            if !is_refused(&frame)? {
                self.arena.watch.effect(format!("{} did {act} and got {frame}", self.user));
            }
        }
        Ok(())
    }

    /// What the user has no right to do with what belongs to the target, on the stream of a name.
    fn acts(&self, target: &Target, name: &str) -> Vec<Value> {
        let (world, user) = (&self.arena.world, self.user.as_str());
        let is_theirs = world.stream(user, name) == world.stream(&target.user, &target.name);
        let stolen = message(world, user, name, json!({ "stolen": true }));
        let mut acts = Vec::new();
        if !(is_theirs && world.may("manage", user, name)) {
            acts.extend([
                json!({ "type": "cancel", "stream": name, "runId": target.run }),
                json!({ "type": "cancel", "stream": name, "sendId": target.answered }),
                json!({ "type": "cancel", "stream": name, "sendId": target.waiting }),
                json!({ "type": "withdraw", "stream": name, "sendId": target.waiting }),
                json!({ "type": "edit", "stream": name, "sendId": target.waiting, "message": stolen }),
                json!({ "type": "send", "stream": name, "mode": "steer", "runId": target.run, "message": stolen }),
            ]);
        }
        if !(is_theirs && world.may("approve", user, name)) {
            acts.extend(["approved", "denied"].map(|decision| {
                json!({
                    "type": "approve", "stream": name, "runId": target.run, "approvalId": target.approval,
                    "decision": decision,
                })
            }));
        }
        acts
    }

    /// Sends under an id that the target has used. The key of a send has its user in it, so this is a message of its own,
    /// where the user may write at all. It interrupts nobody else's run.
    async fn send_as(&mut self, target: &Target, name: &str) -> Result<()> {
        let (world, user) = (&self.arena.world, self.user.as_str());
        // What waits for an agent in the own thread belongs to the honest page.
        if name == own(self.n) {
            return Ok(());
        }
        let may_write = world.may("write", user, name);
        world.borrow(user, name, &target.answered);
        let message = message(world, user, name, json!({ "borrowed": true }));
        let send = json!({
            "type": "send", "id": target.answered, "stream": name, "mode": "interrupt", "message": message,
        });
        self.count(1);
        self.page.send(&send).await?;
        loop {
            let frame = self.next().await?;
            if frame["type"] != "receipt"
                || frame["id"] != target.answered.as_str()
                || frame["stream"] != name
            {
                continue;
            }
            let is_right = if may_write { frame["status"] == "accepted" } else { is_refused(&frame)? };
            if !is_right {
                self.arena.watch.effect(format!("{} sent {send} and got {frame}", self.user));
            }
            return Ok(());
        }
    }

    /// Asks for events again, on channels of this socket and of others.
    async fn replay(&mut self) -> Result<()> {
        let channels = [1, 2, 3, 77, 4_096, 2_147_483_647_u64];
        self.count(channels.len());
        let first = self.sent + 1;
        for ch in channels {
            self.sent += 1;
            self.page
                .send(&json!({ "type": "replay", "req": self.sent, "ch": ch, "from": 1, "to": 400 }))
                .await?;
        }
        let mut open = channels.len();
        while open > 0 {
            let frame = self.next().await?;
            let is_answer = frame["req"].as_u64().is_some_and(|req| (first..=self.sent).contains(&req));
            open -= usize::from(is_answer);
        }
        Ok(())
    }

    /// Takes over somebody else's name on a socket that is open.
    async fn refresh(&mut self, target: &Target) -> Result<()> {
        let tokens = &self.arena.tokens;
        // The second one is a valid token of another account.
        let forged = [tokens.forged(Forgery::Changed, &self.user, &target.user), tokens.of("u-of-nobody")];
        self.count(forged.len());
        for token in forged {
            self.page.send(&json!({ "type": "refresh", "token": token })).await?;
            loop {
                let frame = self.next().await?;
                if frame["type"] == "refreshed" {
                    self.arena.watch.effect(format!("{} became somebody else: {frame}", self.user));
                    break;
                }
                if frame["type"] == "error" && frame["code"] == "token_invalid" {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Value> {
        match self.page.next().await? {
            Got::Frame(frame, name) => {
                self.arena.watch.frame(&self.user, &frame, name.as_deref());
                Ok(frame)
            }
            Got::Closed(code) => bail!("the server closed the hostile socket ({code:?})"),
        }
    }

    fn count(&self, attacks: usize) {
        self.arena.attacks.fetch_add(attacks as u64, Ordering::Relaxed);
    }
}

/// Whether a receipt says that nothing happened.
fn is_refused(receipt: &Value) -> Result<bool> {
    let status = receipt["status"].as_str().context("a receipt has no status")?;
    if status != "rejected" {
        return Ok(NOTHING.contains(&status));
    }
    let error = &receipt["error"];
    if error["retryable"] == true {
        bail!("the server is too busy to refuse: {error}");
    }
    Ok(error["code"].as_str().is_some_and(|code| NOT_ALLOWED.contains(&code)))
}

/// Connects, and reads, with tokens that claim to be the target.
async fn forge(arena: &Arena, n: usize, target: &Target) -> Result<()> {
    let user = World::user(n);
    for how in Forgery::ALL {
        let token = arena.tokens.forged(how, &user, &target.user);
        arena.attacks.fetch_add(2, Ordering::Relaxed);
        let mut page = {
            let _turn = arena.connecting.acquire().await?;
            Page::connect(&arena.url).await?
        };
        page.hello(&token, json!([{ "name": target.name }])).await?;
        loop {
            match page.next().await? {
                Got::Frame(frame, name) => {
                    arena.watch.frame(&user, &frame, name.as_deref());
                    if frame["type"] == "welcome" {
                        arena.watch.effect(format!("{user} was welcomed as {} ({how:?})", target.user));
                        break;
                    }
                }
                Got::Closed(Some(code)) if REFUSED.contains(&code) => break,
                Got::Closed(code) => bail!("a forged token ({how:?}) was answered with {code:?}"),
            }
        }
        let url = format!("{}/v1/threads/{}/events", arena.address, target.name);
        let (status, answer) = get(arena, url, &token).await?;
        if status != 401 {
            arena.watch.effect(format!("{user} read as {} ({how:?}): {status} {answer:.200}", target.user));
        }
    }
    Ok(())
}

/// Reads streams of the target over HTTP with the own token, under each name that could lead there.
async fn read(arena: &Arena, n: usize, target: &Target) -> Result<()> {
    let (user, token) = (World::user(n), arena.tokens.of(&World::user(n)));
    let plain = target.name.clone();
    // As it stands in the request, and as the server reads it.
    let names = [
        (plain.clone(), plain.clone()),
        (format!("{}%2F{plain}", target.user), format!("{}/{plain}", target.user)),
        (format!("{}%252F{plain}", target.user), format!("{}%2F{plain}", target.user)),
        (format!("..%2F{}%2F{plain}", target.user), format!("../{}/{plain}", target.user)),
    ];
    for (path, name) in names {
        arena.attacks.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}/v1/threads/{path}/events?limit=1000", arena.address);
        let (status, answer) = get(arena, url, &token).await?;
        match (status, arena.world.may("read", &user, &name)) {
            (200, true) => {
                for event in answer["events"].as_array().into_iter().flatten() {
                    arena.watch.event(&user, &name, event);
                }
            }
            (403 | 404, false) => {}
            _ => arena.watch.effect(format!("{user} read {path} and got {status}: {answer:.200}")),
        }
    }
    Ok(())
}

/// Follows streams as users whose valid names look like streams of others.
async fn pose(arena: &Arena, targets: &[Target]) -> Result<()> {
    let Some(target) = targets.first() else { return Ok(()) };
    for user in [format!("{}/{}", target.user, target.name), format!("{}%2F", target.user), World::shared(0)]
    {
        arena.attacks.fetch_add(1, Ordering::Relaxed);
        let mut names =
            vec![target.name.clone(), format!("{}/{}", target.user, target.name), World::shared(0)];
        names.dedup();
        let streams: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        let mut page = {
            let _turn = arena.connecting.acquire().await?;
            Page::open(&arena.url, &arena.tokens.of(&user), json!(streams)).await?
        };
        let mut open = names.len();
        while open > 0 {
            match page.next().await? {
                Got::Frame(frame, name) => {
                    arena.watch.frame(&user, &frame, name.as_deref());
                    open -=
                        usize::from(["unsubscribed", "caughtUp"].iter().any(|kind| frame["type"] == *kind));
                }
                Got::Closed(code) => bail!("the server closed the socket of {user} ({code:?})"),
            }
        }
        page.close().await;
    }
    Ok(())
}

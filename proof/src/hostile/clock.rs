//! A clock of the server that is set forward and back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::attack::{Attack, Lift, Stage, hello, send};
use super::second::{USER, beside};
use super::tokens::{SECRET, made};

/// Where Debian has the library that changes what a process sees as the time.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

const DAY: i64 = 25 * 3_600;

pub(super) fn attacks() -> Vec<Attack> {
    let clock = |attack: Attack| {
        let limits = r#"{"heartbeat":300,"idle_timeout":2000}"#;
        attack.held("deadlines follow the monotonic clock", limits, Lift::Own)
    };
    vec![
        clock(Attack::new("clock-forward", "sets the clock of the server forward by 25 hours", |stage| {
            Box::pin(async move { step(&stage, DAY).await })
        })),
        clock(Attack::new("clock-back", "sets the clock of the server back by 25 hours", |stage| {
            Box::pin(async move { step(&stage, -DAY).await })
        })),
    ]
}

fn library() -> Result<&'static str> {
    LIBRARIES
        .into_iter()
        .find(|path| Path::new(path).is_file())
        .context("libfaketime is not installed; run `apt-get install faketime`")
}

/// Steps the clock while an honest user works, and a page is open.
async fn step(stage: &Stage, seconds: i64) -> Result<()> {
    let mut order = stage.second("clock")?;
    let offset: PathBuf = order.folder.join("offset");
    fs::write(&offset, "+0\n")?;
    let mut set = |name: &str, value: &str| order.environment.push((name.to_owned(), value.to_owned()));
    set("LD_PRELOAD", library()?);
    set("FAKETIME_TIMESTAMP_FILE", offset.to_str().context("the folder has no name")?);
    set("FAKETIME_NO_CACHE", "1");
    if !stage.is_lifted {
        set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    let stand = order.start()?;
    let second = stage.at(&stand);
    beside(stand.address, async {
        let mut page = second.page(USER).await?;
        page.json(&send("before", "t", "x")).await?;
        let first = page.until("receipt").await?;
        // Written beside and renamed: the server reads it at any time.
        let new = order.folder.join("offset.new");
        fs::write(&new, format!("{seconds:+}\n"))?;
        fs::rename(&new, &offset)?;
        for _ in 0..5 {
            page.until("heartbeat").await?;
        }
        page.json(&send("after", "t", "x")).await?;
        ensure!(page.until("receipt").await?["status"] == "accepted", "a message is refused after the step");
        if seconds < 0 {
            // The key is remembered: it is younger than ever.
            page.json(&send("before", "t", "x")).await?;
            let again = page.until("receipt").await?;
            ensure!(again["position"] == first["position"], "applied twice: {first} and {again}");
        }
        expiry(&second, seconds).await?;
        sleep(Duration::from_secs(1)).await;
        second.serves("friend").await
    })
    .await
}

/// A token expires by the clock of the server.
async fn expiry(stage: &Stage, seconds: i64) -> Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let token = |exp: i64| made(&json!({ "alg": "HS256" }), &json!({ "sub": USER, "exp": exp }), SECRET);
    let server = i64::try_from(now)? + seconds;
    let mut old = stage.socket().await?;
    old.json(&hello(&token(server - 600), json!([]))).await?;
    old.refused(Duration::from_secs(3), "token_expired", 4451).await?;
    let mut new = stage.socket().await?;
    new.json(&hello(&token(server + 600), json!([]))).await?;
    new.until("welcome").await.map(drop)
}

//! Disks that are full or read-only.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Resource;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::attack::{Attack, Lift, Stage, send};
use super::honest;
use super::second::{STREAM, USER};
use super::stand::limit;

/// How long the health check may take to find out.
const NOTICED: Duration = Duration::from_secs(10);

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("no-more-bytes", "no file of the server may grow, for 3 s", |stage| {
            Box::pin(async move { no_more_bytes(&stage).await })
        })
        .held("a health check that writes; messages are put off and come again", "{}", Lift::Option("health"))
        .outage()
        .quick(),
        Attack::new(
            "full-disk",
            "fills the disk of a second server with messages, and makes room again",
            |stage| Box::pin(async move { full_disk(&stage).await }),
        )
        .held(
            "a health check that writes; what is not durable gets no receipt",
            "{}",
            Lift::Option("health"),
        ),
        Attack::new("read-only-disk", "starts a server whose disk is read-only", |stage| {
            Box::pin(async move {
                let mut order = stage.past("read-only", false).await?;
                order.mounts =
                    r#"mount --bind "$DISK" "$DISK" && mount -o remount,bind,ro "$DISK" &&"#.to_owned();
                order.environment.push(("DISK".to_owned(), disk(&order.log())?));
                let Err(error) = order.start() else { bail!("the server starts") };
                let text = format!("{error:#}");
                ensure!(text.contains("log.sqlite"), "it does not say why: {text}");
                Ok(())
            })
        })
        .held("what is checked when a log is opened", "{}", Lift::Option("open")),
    ]
}

/// The folder of a log, for the shell that starts the server.
fn disk(log: &Path) -> Result<String> {
    let folder = log.parent().and_then(Path::to_str).context("the folder of the log has no name")?;
    Ok(folder.to_owned())
}

/// Waits until the health check answers so.
async fn healthy(stage: &Stage, status: u16) -> Result<()> {
    let until = Instant::now() + NOTICED;
    while let Err(error) = stage.health(status).await {
        ensure!(Instant::now() < until, "{error:#}");
        sleep(NOTICED / 100).await;
    }
    Ok(())
}

async fn no_more_bytes(stage: &Stage) -> Result<()> {
    limit(stage.pid, Resource::Fsize, Some(4_096))?;
    let unhealthy = async {
        healthy(stage, 503).await?;
        sleep(Duration::from_secs(2)).await;
        // What is there can be read.
        let path = format!("/v1/threads/{}/events", honest::THREAD);
        let answer = stage.get(&path, honest::NAME).await?;
        ensure!(answer.status == 200, "a full disk can't be read: {} {}", answer.status, answer.body);
        stage.health(503).await
    };
    let seen = unhealthy.await;
    limit(stage.pid, Resource::Fsize, None)?;
    seen?;
    healthy(stage, 200).await
}

async fn full_disk(stage: &Stage) -> Result<()> {
    let mut order = stage.second("full")?;
    fs::create_dir_all(order.folder.join("log"))?;
    order.mounts =
        r#"mount -t tmpfs -o size=2m tmpfs "$DISK" && head -c 500000 /dev/zero > "$DISK/ballast" &&"#
            .to_owned();
    let folder = disk(&order.log())?;
    order.environment.push(("DISK".to_owned(), folder.clone()));
    let stand = order.start()?;
    let second = stage.at(&stand);
    let mut page = second.page(USER).await?;
    let (mut accepted, mut refused) = (0, false);
    for n in 0..200 {
        let mut message = send(&format!("full-{n}"), STREAM, &"x".repeat(30_000));
        message["message"]["type"] = json!("note");
        page.json(&message).await?;
        let receipt = page.until("receipt").await?;
        if receipt["status"] == "accepted" {
            accepted += 1;
        } else {
            ensure!(receipt["error"]["code"] == "unavailable", "a full disk got {receipt}");
            refused = true;
            break;
        }
    }
    ensure!(refused, "{accepted} messages fit into a disk of 2 MB");
    healthy(&second, 503).await?;
    let head = second.contents_of_http(STREAM).await?.len();
    ensure!(head == accepted, "{accepted} messages have receipts, but {head} are stored");
    // The disk is in the name space of the server alone.
    fs::remove_file(format!("/proc/{}/root{folder}/ballast", stand.pid())).context("no room can be made")?;
    healthy(&second, 200).await?;
    second.serves("friend").await
}

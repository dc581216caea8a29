//! Many connections at once, and connections that come and go.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::Instant;

use super::attack::{Attack, FLOOD, Lift, Stage, hello, send};
use super::peer::{Ended, Peer, SOON};
use super::tokens;

/// How long a socket may wait for a place that it does not get.
const AT_ONCE: Duration = Duration::from_secs(5);

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new("storm", "1,000 pages of 100 users connect at once", |stage| {
            Box::pin(async move { storm(&stage, 1_000, 200).await })
        })
        .held(
            "max_connections",
            r#"{"max_connections":200,"max_connections_per_user":1000}"#,
            Lift::Limits(r#"{"max_connections":1000000,"max_connections_per_user":1000000}"#),
        ),
        Attack::new("silent-sockets", "300 WebSockets say nothing", |stage| {
            Box::pin(async move { silent(&stage).await })
        })
        .held(
            "max_opening: a new one takes the place of the one that is silent for longest",
            r#"{"max_opening":50,"hello_timeout":60000}"#,
            Lift::Limits(r#"{"max_opening":1000000,"hello_timeout":60000}"#),
        )
        .quick(),
        Attack::new("reconnects", "connects, is welcomed and closes, again and again", |stage| {
            Box::pin(async move { come_and_go(&stage, false).await })
        })
        .held("connections per address and minute", "{}", Lift::Option("hoard")),
        Attack::new("resets", "connects, sends and resets the connection, again and again", |stage| {
            Box::pin(async move { come_and_go(&stage, true).await })
        })
        .held("nothing of a connection stays", "{}", Lift::Option("hoard")),
    ]
}

/// All connect at once; no more than `most`, with the honest user, may be welcomed, and the others must be told why.
async fn storm(stage: &Stage, pages: usize, most: usize) -> Result<()> {
    let tasks: Vec<_> = (0..pages)
        .map(|page| {
            let stage = stage.clone();
            tokio::spawn(async move {
                let mut socket = stage.socket().await?;
                let user = format!("user-{}", page % 100);
                socket.json(&hello(&tokens::of(&user), json!([{ "name": "t" }]))).await?;
                let is_welcome = socket.until("welcome").await.is_ok();
                Ok::<_, anyhow::Error>((socket, is_welcome))
            })
        })
        .collect();
    let (mut open, mut refused) = (Vec::new(), 0);
    for task in tasks {
        match task.await? {
            Ok((socket, true)) => open.push(socket),
            _ => refused += 1,
        }
    }
    ensure!(open.len() < most, "{} of {pages} pages were welcomed, not {most} at the most", open.len());
    ensure!(open.len() > most / 2, "only {} of {pages} pages were welcomed; {refused} refused", open.len());
    drop(open);
    // The places are free again.
    let until = Instant::now() + SOON;
    while stage.serves("friend").await.is_err() {
        ensure!(Instant::now() < until, "nobody new is served after the storm");
    }
    Ok(())
}

async fn silent(stage: &Stage) -> Result<()> {
    let mut sockets: Vec<Peer> = Vec::new();
    for _ in 0..300 {
        sockets.push(stage.socket().await?);
    }
    stage.serves("friend").await?;
    let mut displaced = 0;
    // The last ones may stay.
    for socket in &mut sockets[..240] {
        let ended: Ended = socket.refused(AT_ONCE, "overloaded", 4455).await?;
        displaced += usize::from(ended.close.is_some());
    }
    ensure!(displaced == 240, "{displaced} of 240 silent sockets gave way");
    Ok(())
}

/// Eight loops of a user's page that comes and goes.
async fn come_and_go(stage: &Stage, resets: bool) -> Result<()> {
    let until = Instant::now() + FLOOD;
    let loops: Vec<_> = (0..8)
        .map(|number| {
            let stage = stage.clone();
            tokio::spawn(async move {
                let user = format!("user-{number}");
                while Instant::now() < until {
                    // One that is refused tries again, as such pages do.
                    let Ok(mut page) = stage.page_with(&user, json!([{ "name": "t" }])).await else {
                        continue;
                    };
                    if resets {
                        let _gone = page.json(&send("again", "t", "x")).await;
                        page.reset();
                    } else {
                        let _gone = page.frame(super::peer::CLOSE, &[3, 232]).await;
                        let _ended = page.end(SOON).await;
                    }
                }
            })
        })
        .collect();
    for one in loops {
        one.await?;
    }
    // What is left of them is gone soon.
    let until = Instant::now() + SOON;
    loop {
        let open = super::stand::descriptors(stage.pid)?;
        if open < 60 {
            break;
        }
        ensure!(Instant::now() < until, "{open} descriptors are open after all have left");
        tokio::time::sleep(SOON / 100).await;
    }
    stage.serves("friend").await
}

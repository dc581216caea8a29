//! More connections than the system has descriptors for.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep, timeout};

use super::attack::{Attack, Lift, Stage};
use super::peer::Peer;
use super::second::beside;

/// Descriptors of the server: what its log needs, and those of about a hundred connections.
const DESCRIPTORS: u64 = 200;

/// How long it may take until somebody new is served.
const SOON: Duration = Duration::from_secs(8);

const LIMITS: &str = r#"{"header_timeout":1000,"hello_timeout":1000}"#;

const LIFTED: &str = r#"{"header_timeout":300000,"hello_timeout":60000,"max_opening":1000000}"#;

pub(super) fn attacks() -> Vec<Attack> {
    let held = |attack: Attack| {
        attack.held("a reserve of descriptors, and deadlines", LIMITS, Lift::Both(LIFTED, "serve"))
    };
    vec![
        held(Attack::new(
            "descriptors-of-tcp",
            "holds more connections than there are descriptors, and says nothing",
            |stage| Box::pin(async move { exhaust(&stage, false).await }),
        )),
        held(Attack::new(
            "descriptors-of-sockets",
            "holds more WebSockets than there are descriptors, and says nothing",
            |stage| Box::pin(async move { exhaust(&stage, true).await }),
        )),
    ]
}

/// Holds connections until there are no descriptors left, and goes on. Those who are connected are served as ever, and
/// somebody new is served soon.
async fn exhaust(stage: &Stage, is_upgraded: bool) -> Result<()> {
    let mut order = stage.second("few")?;
    order.descriptors = Some(DESCRIPTORS);
    let stand = order.start()?;
    let second = stage.at(&stand);
    beside(stand.address, async {
        let mut held: Vec<Peer> = Vec::new();
        let until = Instant::now() + SOON / 4;
        let attack = async {
            while Instant::now() < until {
                let next = async { if is_upgraded { second.socket().await } else { second.peer().await } };
                // One that gets no place tries again; one that was closed stays in the list.
                held.extend(timeout(SOON / 40, next).await.ok().and_then(Result::ok));
                sleep(SOON / 4_000).await;
            }
        };
        let served = async {
            // When the attack is at its height.
            sleep(SOON / 8).await;
            let until = Instant::now() + SOON;
            while timeout(SOON, second.serves("friend")).await.map_or(true, |served| served.is_err()) {
                ensure!(Instant::now() < until, "nobody new is served within {} s", SOON.as_secs());
                sleep(SOON / 100).await;
            }
            Ok(())
        };
        let (served, ()) = tokio::join!(served, attack);
        served?;
        drop(held);
        let until = Instant::now() + SOON;
        while let Err(error) = second.health(200).await {
            ensure!(Instant::now() < until, "{error:#}");
            sleep(SOON / 100).await;
        }
        Ok(())
    })
    .await
}

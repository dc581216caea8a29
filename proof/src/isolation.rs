//! `cargo xtask isolation`: many users at once, each of them hostile, and not one event that belongs to somebody else.
//!
//! Each user works, and meanwhile attacks: with names, positions, seals, ids and tokens of others. The attackers know
//! everything but the secret of the tokens. Everything that a user writes carries a mark that nobody else was given, and
//! each frame that any socket gets is searched for marks.

mod attacks;
mod board;
mod honest;
mod watch;
mod world;

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use agentwire_faults::interrupt::interrupted;
use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;
use xtask::context::Context;

use crate::pages::{Stand, StandPlan, Tokens};
use board::Board;
use honest::Honest;
use watch::Watch;
use world::World;

/// Users who attack at once: each of them has work under way all the time.
const ATTACKING: usize = 48;

/// Users with whom the attacks take so long that it is said how far they are.
const MANY: usize = 200;

/// Sockets that are opened at once: more would only wait for each other.
const CONNECTING: usize = 64;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many users there are.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(2..=10_000))]
    users: u64,
    /// Makes the server break the promise, which the check has to notice.
    #[arg(long, value_enum)]
    sabotage: Option<Sabotage>,
}

/// How the promise is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sabotage {
    /// Now and then a read returns the events of another stream.
    Leak,
}

/// What all users share.
#[derive(Debug)]
pub(crate) struct Arena {
    /// Where sockets connect to.
    url: String,
    /// Where requests go.
    http: ureq::Agent,
    address: String,
    tokens: Tokens,
    world: Arc<World>,
    watch: Watch,
    board: Board,
    connecting: Semaphore,
    attacking: Semaphore,
    /// All users meet between two parts of their work.
    together: Barrier,
    attacks: AtomicU64,
    /// Users who have attacked.
    attacked: AtomicUsize,
    messages: AtomicU64,
}

impl Arena {
    /// Says after each tenth how many users have attacked.
    fn say_attacked(&self) {
        let attacked = self.attacked.fetch_add(1, Ordering::Relaxed) + 1;
        let tenths = |attacked: usize| attacked * 10 / self.world.users;
        if self.world.users >= MANY && tenths(attacked) > tenths(attacked - 1) {
            let attacks = self.attacks.load(Ordering::Relaxed);
            println!("  {attacked} of {} users have made their attacks, {attacks} so far", self.world.users);
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When anything foreign was seen, an attack came to something, or the honest work did not go on.
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let world = Arc::new(World::new(usize::try_from(args.users)?));
    let shares = folder.path().join("shares.json");
    std::fs::write(&shares, world.shares().to_string()).context("the rights can't be written")?;
    let tokens = Tokens::new();
    let mut options: Vec<OsString> = vec!["--shares".into(), shares.into()];
    if args.sabotage == Some(Sabotage::Leak) {
        options.extend(["--sabotage".into(), "leak".into()]);
    }
    let stand = Stand::start(
        &StandPlan {
            name: "isolation-stand",
            folder: folder.path(),
            secret: tokens.secret(),
            // Slow machines are not what this is about.
            limits: json!({
                "max_connections_per_user": 10_000, "max_opening": 1_000, "max_connections": 40_000, "hello_timeout": 60_000,
                "heartbeat": 60_000, "idle_timeout": 600_000, "auth_timeout": 60_000, "log_timeout": 120_000,
                "write_timeout": 300_000,
            }),
            options,
            faults: args.sabotage.is_some(),
        },
        ctx,
    )?;
    let arena = Arc::new(Arena {
        url: stand.websocket(),
        http: ureq::Agent::config_builder().http_status_as_error(false).build().into(),
        address: stand.address.clone(),
        tokens,
        watch: Watch::new(Arc::clone(&world)),
        board: Board::new(world.users),
        connecting: Semaphore::new(CONNECTING),
        attacking: Semaphore::new(ATTACKING),
        together: Barrier::new(world.users),
        attacks: AtomicU64::new(0),
        attacked: AtomicUsize::new(0),
        messages: AtomicU64::new(0),
        world,
    });
    let runtime = tokio::runtime::Runtime::new().context("no runtime can be made")?;
    let lived = runtime.block_on(live(&arena));
    drop(runtime);
    let account = arena.watch.account();
    for finding in &account.findings {
        println!("  {finding}");
    }
    println!(
        "  {} honest messages answered, {} attacks, {} of them with an effect",
        arena.messages.load(Ordering::Relaxed),
        arena.attacks.load(Ordering::Relaxed),
        account.effects
    );
    println!(
        "isolation: {} users, {} events, {} foreign",
        arena.world.users, account.events, account.foreign
    );
    if account.foreign > 0 || account.effects > 0 {
        bail!("{} foreign, {} attacks with an effect", account.foreign, account.effects);
    }
    lived?;
    stand.stop()
}

/// Runs all users to their end, or until something is found.
async fn live(arena: &Arc<Arena>) -> Result<()> {
    let mut users = JoinSet::new();
    for n in 0..arena.world.users {
        users.spawn(user(Arc::clone(arena), n));
    }
    let all = async {
        while let Some(ended) = users.join_next().await {
            ended.context("a user's task died")??;
        }
        Ok(())
    };
    tokio::select! {
        ended = all => ended,
        () = arena.watch.found.cancelled() => Ok(()),
        interrupted = interrupted() => Err(interrupted.into()),
    }
}

/// One user from beginning to end.
async fn user(arena: Arc<Arena>, n: usize) -> Result<()> {
    let name = World::user(n);
    let live = async {
        let mut honest = Honest::come(&arena, n).await?;
        honest.work().await?;
        let started = part(&arena, n, &mut honest, "everybody has worked", None).await?;
        honest.ask().await?;
        let started = part(&arena, n, &mut honest, "everybody has a run that waits", Some(started)).await?;
        {
            let _turn = honest.beside(arena.attacking.acquire()).await??;
            let places = honest.places();
            let (attacked, worked) = tokio::join!(attacks::attack(&arena, n, &places), honest.go_on());
            attacked.context("as an attacker")?;
            worked?;
        }
        arena.say_attacked();
        let started =
            part(&arena, n, &mut honest, "everybody has attacked, and worked meanwhile", Some(started))
                .await?;
        honest.decide().await?;
        let started = part(&arena, n, &mut honest, "everybody has decided", Some(started)).await?;
        let honest = honest.come_back().await?;
        honest.compare().await?;
        if n == 0 {
            println!("  everybody came back and compared ({} s)", started.elapsed().as_secs());
        }
        Ok(())
    };
    live.await.map_err(|error: anyhow::Error| error.context(name))
}

/// Waits for all others, and says what was done.
async fn part(
    arena: &Arena,
    n: usize,
    honest: &mut Honest<'_>,
    done: &str,
    started: Option<Instant>,
) -> Result<Instant> {
    honest.beside(arena.together.wait()).await?;
    if n == 0 {
        let took = started.map_or(0, |started| started.elapsed().as_secs());
        println!("  {done} ({took} s)");
    }
    Ok(Instant::now())
}

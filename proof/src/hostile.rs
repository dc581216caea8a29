//! `cargo xtask hostile`: attacks on a server, and an honest user who works beside each of them.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::runtime::Runtime;
use xtask::context::Context;
use xtask::run::step;
use xtask::test::report::Report;

use self::attack::{Attack, Lift, MEMORY, Stage};
use self::honest::{Honest, Tally};
use self::stand::Order;
use crate::interrupts::isolate;

mod attack;
mod clock;
mod credentials;
mod descriptors;
mod disk;
mod figures;
mod files;
mod floods;
mod honest;
mod http;
mod malformed;
mod peer;
mod second;
mod slow;
mod stalls;
mod stand;
mod storms;
mod streams;
mod tokens;

use figures::Figures;

/// How long the honest user works undisturbed.
const CALM: Duration = Duration::from_secs(5);

/// How long an attack may take.
const ATTACK: Duration = Duration::from_secs(90);

/// How long the slice may take, with the time to compile the server.
const SLICE: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs only these attacks.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Lists the attacks, and what holds each of them.
    #[arg(long)]
    list: bool,
    /// Runs the slice of the tests, with bounds that do not depend on an idle machine.
    #[arg(long)]
    quick: bool,
    /// Runs each attack again without what holds it; each must be noticed.
    #[arg(long, conflicts_with = "quick")]
    sabotage: bool,
    /// Attacks this server, which is built already, in place of the one of this checkout.
    #[arg(long, value_name = "PROGRAM")]
    server: Option<PathBuf>,
}

/// What came of one attack.
#[derive(Debug)]
struct Outcome {
    failures: Vec<String>,
    tally: Tally,
    /// Growth of the memory of the server, in MiB.
    growth: f64,
}

/// Everything that an attack is run with.
struct Suite {
    program: PathBuf,
    folder: PathBuf,
    runtime: Runtime,
    is_quick: bool,
}

/// All attacks.
fn attacks() -> Vec<Attack> {
    let groups = [
        floods::attacks(),
        slow::attacks(),
        stalls::attacks(),
        malformed::attacks(),
        http::attacks(),
        credentials::attacks(),
        storms::attacks(),
        streams::attacks(),
        disk::attacks(),
        files::attacks(),
        descriptors::attacks(),
        clock::attacks(),
    ];
    groups.into_iter().flatten().collect()
}

/// Runs the command.
///
/// # Errors
/// When something could not be built or started.
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<ExitCode> {
    let mut attacks = attacks();
    if let Some(unknown) = args.only.iter().find(|name| attacks.iter().all(|attack| attack.name != **name)) {
        bail!("there is no attack called {unknown:?}; `cargo xtask hostile --list` names them");
    }
    attacks.retain(|attack| args.only.is_empty() || args.only.iter().any(|name| name == attack.name));
    attacks.retain(|attack| attack.is_quick || !args.quick);
    if args.list {
        for attack in &attacks {
            println!("{}\n    {}\n    held by: {}", attack.name, attack.about, attack.held_by);
        }
        return Ok(ExitCode::SUCCESS);
    }
    isolate()?;
    let suite = Suite::new(args, ctx)?;
    let all_well = if args.sabotage { suite.sabotage(&attacks)? } else { suite.judge(&attacks)? };
    if all_well {
        // What the servers have said and stored is of use only when something failed.
        fs::remove_dir_all(&suite.folder).context("the folder of the attacks can't be removed")?;
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The slice of the tests, by this same program so that its time limit ends all that it started.
///
/// # Errors
/// When it can't be run.
pub(crate) fn slice(ctx: &Context) -> Result<Report> {
    let tool = ctx.tool(&ctx.program, "test-hostile").args(["hostile", "--quick"]);
    let outcome = tool.time_limit(SLICE).run()?;
    let mut report = Report::default();
    for line in outcome.output.lines() {
        report.counts.passed += u64::from(line.contains(": ok ("));
        report.counts.failed += u64::from(line.contains(": FAILED "));
        if let Some((_, figures)) = line.split_once("honest receipts: ") {
            report.note = format!("an honest user beside them: {figures}");
        }
    }
    if !outcome.success {
        report.failures.push(outcome.error("an attack was not held").to_string());
    }
    Ok(report)
}

/// Builds the server under attack.
fn build(args: &Args, ctx: &Context) -> Result<PathBuf> {
    let mut build = ctx.cargo("hostile-build").args(["build", "--locked", "--package", "agentwire-stand"]);
    // The tests have compiled the bridge without optimisation already.
    let profile = if args.quick { "debug" } else { "release" };
    if !args.quick {
        build = build.arg("--release");
    }
    if args.sabotage {
        build = build.args(["--features", "faults"]);
    }
    step("building the server under attack", || build.check("the server can't be built"))?;
    let program = format!("agentwire-stand{}", std::env::consts::EXE_SUFFIX);
    Ok(ctx.target.join(profile).join(program))
}

impl Suite {
    fn new(args: &Args, ctx: &Context) -> Result<Self> {
        let program = match &args.server {
            Some(program) => program.clone(),
            None => build(args, ctx)?,
        };
        let folder = ctx.state.join("hostile");
        if folder.is_dir() {
            fs::remove_dir_all(&folder).with_context(|| format!("{} can't be emptied", folder.display()))?;
        }
        // One thread for attackers: the server, and the honest user, have a core to run on.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { program, folder, runtime, is_quick: args.quick })
    }

    /// Runs the attacks; says whether everything holds.
    fn judge(&self, attacks: &[Attack]) -> Result<bool> {
        let mut figures = Figures::new(self.calm()?, self.is_quick);
        println!("  undisturbed: {}", figures.calm());
        for attack in attacks {
            let mut outcome = self.attack(attack, false)?;
            outcome.failures.extend(figures.add(attack, &outcome.tally, outcome.growth));
            let seen = figures::seen(&outcome.tally, outcome.growth);
            match outcome.failures.as_slice() {
                [] => println!("  {}: ok ({seen})", attack.name),
                failures => println!("  {}: FAILED {} ({seen})", attack.name, failures.join("; ")),
            }
            figures.failed += usize::from(!outcome.failures.is_empty());
        }
        println!("{}", figures.line());
        Ok(figures.hold())
    }

    /// Runs each attack without what holds it; says whether each was noticed.
    fn sabotage(&self, attacks: &[Attack]) -> Result<bool> {
        let mut figures = Figures::new(self.calm()?, self.is_quick);
        let mut noticed = 0;
        for attack in attacks {
            let mut outcome = self.attack(attack, true)?;
            outcome.failures.extend(figures.add(attack, &outcome.tally, outcome.growth));
            match outcome.failures.first() {
                Some(failure) => println!("  {}: noticed, {failure}", attack.name),
                None => println!("  {}: NOT NOTICED without {}", attack.name, attack.held_by),
            }
            noticed += usize::from(!outcome.failures.is_empty());
        }
        println!("hostile --sabotage: {noticed} of {} attacks noticed", attacks.len());
        Ok(noticed == attacks.len())
    }

    /// Lets the honest user work alone.
    fn calm(&self) -> Result<Tally> {
        let stand = self.order("calm", "{}", &[])?.start()?;
        let honest = Honest::start(stand.address)?;
        std::thread::sleep(if self.is_quick { CALM / 5 } else { CALM });
        let tally = honest.stop();
        if tally.lost > 0 || tally.drops > 0 {
            bail!("the honest user can't work even undisturbed: {:?}", tally.troubles);
        }
        Ok(tally)
    }

    fn order(&self, name: &str, limits: &str, options: &[&str]) -> Result<Order> {
        Ok(Order {
            program: self.program.clone(),
            folder: self.folder.join(name),
            limits: serde_json::from_str(limits)
                .with_context(|| format!("the limits of {name} are no JSON"))?,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            environment: Vec::new(),
            mounts: String::new(),
            descriptors: None,
        })
    }

    /// Runs one attack on a server of its own.
    fn attack(&self, attack: &Attack, is_lifted: bool) -> Result<Outcome> {
        let (limits, options): (_, &[&str]) = match attack.lift {
            _ if !is_lifted => (attack.limits, &[]),
            Lift::Own => (attack.limits, &[]),
            Lift::Limits(limits) => (limits, &[]),
            Lift::Option(option) => (attack.limits, &["--lift", option]),
            Lift::Both(limits, option) => (limits, &["--lift", option]),
        };
        let order = self.order(attack.name, limits, options)?;
        let mut stand = order.start()?;
        let honest = Honest::start(stand.address)?;
        let memory = stand.watch();
        let stage = Stage { address: stand.address, pid: stand.pid(), order, is_lifted };
        let attacked = self.runtime.block_on(async {
            match tokio::time::timeout(ATTACK, (attack.run)(stage.clone())).await {
                Ok(Ok(())) if stand.ended().is_none() => stage.health(200).await,
                Ok(result) => result,
                Err(_) => bail!("the attack takes longer than {} s", ATTACK.as_secs()),
            }
        });
        let tally = honest.stop();
        let growth = memory.growth();
        let mut failures: Vec<String> =
            attacked.err().map(|error| format!("{error:#}")).into_iter().collect();
        if let Some(status) = stand.ended() {
            failures.push(format!("the server ended ({status})"));
        }
        failures.extend(stand.slips());
        failures.extend(complaints(attack, &tally));
        if growth > MEMORY {
            failures.push(format!("memory grew by {growth:.0} MB, not {MEMORY:.0} at the most"));
        }
        drop(stand);
        Ok(Outcome { failures, tally, growth })
    }
}

/// What the honest user complains about.
fn complaints(attack: &Attack, tally: &Tally) -> Vec<String> {
    let mut complaints = Vec::new();
    let troubles = tally.troubles.join(", ");
    if tally.lost > 0 {
        complaints.push(format!(
            "the honest user lost {} of {}: {troubles}",
            tally.lost,
            tally.receipts + tally.lost
        ));
    } else if (tally.drops > 0 || tally.put_off > 0) && !attack.is_outage {
        let (drops, put_off) = (tally.drops, tally.put_off);
        complaints
            .push(format!("the honest user lost {drops} connections, {put_off} sends put off: {troubles}"));
    } else if !tally.troubles.is_empty() && !attack.is_outage {
        complaints.push(format!("the honest user: {troubles}"));
    }
    complaints
}

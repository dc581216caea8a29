//! `cargo xtask engines`: the binding and the vectors in every engine, in windows and in workers.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use xtask::context::Context;
use xtask::run::{Tool, step};
use xtask::setup::{self, Needs, Tools};
use xtask::test::counts;
use xtask::test::report::{Report, counted};

use crate::browser::{Display, Engine};
use crate::interrupts::isolate;
use crate::server::Server;

/// The user of these tests.
const USER: &str = "web-test";

/// How long the tests in a browser may take once they are compiled.
const BROWSER_LIMIT: Duration = Duration::from_secs(4 * 60);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The engines to run in.
    #[arg(long = "engine", value_enum, value_delimiter = ',', default_value = "chromium,firefox,webkit")]
    engines: Vec<Engine>,
    /// The kinds of context to run in.
    #[arg(long = "context", value_enum, value_delimiter = ',', default_value = "window,worker")]
    scopes: Vec<Scope>,
}

/// Where in a browser a client runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    Window,
    /// A dedicated worker.
    Worker,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Worker => "worker",
        }
    }

    /// What tells the test runner.
    fn variable(self) -> &'static str {
        match self {
            Self::Window => "WASM_BINDGEN_USE_BROWSER",
            Self::Worker => "WASM_BINDGEN_USE_DEDICATED_WORKER",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When something is missing, does not compile, or any test fails anywhere.
pub(crate) fn run(args: &Args, ctx: &Context) -> Result<()> {
    setup::ensure(
        ctx,
        &Needs { target: true, tools: Some(Tools::Both), browsers: args.engines.clone(), ..Needs::default() },
    )?;
    isolate()?;
    let tests = step("starting the example server and compiling the tests", || Tests::compile(ctx))?;
    let (mut runs, mut passed, mut failures) = (0, 0, Vec::new());
    for engine in &args.engines {
        for scope in &args.scopes {
            let (engine, scope) = (*engine, *scope);
            let started = Instant::now();
            let report = tests.run_in(engine, scope)?;
            let place = format!("{}, {}", engine.name(), scope.name());
            println!(
                "  {place:<18} {:3} passed, {:2} failed in {:.1} s",
                report.counts.passed,
                report.counts.failed.max(u64::from(!report.failures.is_empty())),
                started.elapsed().as_secs_f64()
            );
            runs += 1;
            passed += report.counts.passed;
            failures.extend(report.failures.into_iter().map(|failure| format!("{place}: {failure}")));
        }
    }
    tests.server.stop()?;
    println!("engines: {runs} runs, {passed} tests passed, {} runs failed", failures.len());
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{}", failures.join("\n"))
}

/// Runs the tests in one engine and one kind of context, against a server of their own.
///
/// # Errors
/// When something is missing or does not compile; a test that fails is in the report.
pub(crate) fn wasm_in(ctx: &Context, engine: Engine, scope: Scope) -> Result<Report> {
    let tests = Tests::compile(ctx)?;
    let report = tests.run_in(engine, scope)?;
    tests.server.stop()?;
    Ok(report)
}

/// The tests, compiled to talk to a server that runs.
struct Tests<'a> {
    ctx: &'a Context,
    server: Server,
    token: String,
}

impl<'a> Tests<'a> {
    fn compile(ctx: &'a Context) -> Result<Self> {
        let server = Server::start(ctx)?;
        let token = server.token(USER)?;
        let tests = Self { ctx, server, token };
        tests
            .cargo("test-wasm-build")
            .arg("--no-run")
            .check("the tests for the browser can't be compiled")?;
        Ok(tests)
    }

    /// No `--quiet`: the runner can't take it. The address goes in when the test is compiled, as a page has no environment.
    fn cargo(&self, log: &str) -> Tool {
        self.ctx
            .cargo(log)
            .args(["test", "--locked", "--package", "agentwire", "--target", setup::rust::TARGET])
            .args(["--lib", "--test", "web"])
            .env("AGENTWIRE_TEST_WS", self.server.websocket())
            .env("AGENTWIRE_TEST_TOKEN", &self.token)
    }

    fn run_in(&self, engine: Engine, scope: Scope) -> Result<Report> {
        let Some(driver) = engine.driver(self.ctx) else {
            bail!("the driver of {} is gone since the set-up; run `cargo xtask setup` again", engine.name());
        };
        let variable = match engine {
            Engine::Chromium => "CHROMEDRIVER",
            Engine::Firefox => "GECKODRIVER",
            Engine::Webkit => "SAFARIDRIVER",
        };
        let runner = setup::bindgen_tool(self.ctx, setup::TEST_RUNNER)?;
        let tool = self
            .cargo(&format!("test-wasm-{}-{}", engine.name(), scope.name()))
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner)
            .env(scope.variable(), "1")
            // Seconds for the whole binary; the runner's own default of 20 is short for reconnects.
            .env("WASM_BINDGEN_TEST_TIMEOUT", "120")
            .env(variable, driver)
            // The runner's own limit does not end a page that is busy for ever.
            .time_limit(BROWSER_LIMIT);
        if engine != Engine::Webkit {
            return counted(tool, counts::cargo);
        }
        // WebKitGTK has no headless mode.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("no runtime can be made")?;
        let display = runtime.block_on(Display::start())?;
        let report = counted(tool.env("DISPLAY", display.name()), counts::cargo);
        runtime.block_on(display.close());
        report
    }
}

//! The program `agentwire-bridge`.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use agentwire_server::auth;
use agentwire_server::config::{Config, Flags};
use agentwire_server::dev::{self, DevFlags};
use agentwire_server::{ReloadHandle, Server, start_logging};
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "agentwire-bridge", version, args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    special: Option<Special>,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Special {
    /// Starts a server for development, without a configuration file, and prints what to paste.
    Dev(DevFlags),
}

fn main() -> ExitCode {
    let Command { special, flags } = Command::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    runtime.block_on(async {
        match special {
            Some(Special::Dev(options)) => develop(&options).await,
            None => serve(&flags).await,
        }
    })
}

async fn develop(options: &DevFlags) -> ExitCode {
    let (config, secret) = match options.config() {
        Ok(config) => config,
        Err(error) => return fail(error),
    };
    let server = match begin(&config).await {
        Ok(server) => server.with_routes(dev::routes(secret)),
        Err(code) => return code,
    };
    let address = server.address().unwrap_or(options.listen);
    say(options.guide(address));
    end(server.run(stopped()).await)
}

async fn serve(flags: &Flags) -> ExitCode {
    let config = match auth::load(flags, std::env::vars()) {
        Ok(config) => config,
        Err(problems) => return fail(problems),
    };
    if flags.check_config {
        say("the configuration is correct\n");
        return ExitCode::SUCCESS;
    }
    let server = match begin(&config).await {
        Ok(server) => server,
        Err(code) => return code,
    };
    let address = server.address().unwrap_or(config.server.listen);
    say(format!("agentwire-bridge listens on http://{address}\n"));
    tokio::spawn(reload_on_signal(server.reload_handle(), flags.clone()));
    end(server.run(stopped()).await)
}

async fn begin(config: &Config) -> Result<Server, ExitCode> {
    start_logging(&config.server).map_err(|error| fail(format!("`server.log_level`: {error}")))?;
    Server::start(config).await.map_err(fail)
}

fn end(served: std::io::Result<()>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

/// Reads the configuration again at each SIGHUP. What cannot be changed without a restart stays as it is.
#[cfg(unix)]
async fn reload_on_signal(handle: ReloadHandle, flags: Flags) {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut hangups) = signal(SignalKind::hangup()) else { return };
    while hangups.recv().await.is_some() {
        let config = match auth::load(&flags, std::env::vars()) {
            Ok(config) => config,
            Err(problems) => {
                tracing::error!(%problems, "the configuration was not reloaded");
                continue;
            }
        };
        match handle.reload(&config).await {
            Ok(()) => tracing::info!("keys, secrets and rights were reloaded; the rest needs a restart"),
            Err(error) => tracing::error!(%error, "the configuration was not reloaded"),
        }
    }
}

#[cfg(not(unix))]
async fn reload_on_signal(_: ReloadHandle, _: Flags) {}

/// Resolves at Ctrl-C or SIGTERM.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

fn say(text: impl Display) {
    // Nobody may read it.
    let _ = write!(std::io::stdout(), "{text}");
    let _ = std::io::stdout().flush();
}

fn fail(error: impl Display) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "agentwire-bridge: {error}");
    ExitCode::FAILURE
}

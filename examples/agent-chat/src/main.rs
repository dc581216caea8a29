//! A chat server with a working local agent, built on the bridge.
//!
//! The agent answers questions about a folder of text files. It has real tools and no model: the same question about
//! the same files gives the same answer, and everything it says can be checked.

mod agent;
mod args;
mod plan;
mod secret;
mod server;
mod site;
mod text;
mod token;
mod tools;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime does not start: {error}")),
    };
    match runtime.block_on(server::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

/// Says why the program ends, in one line.
fn fail(reason: &str) -> ExitCode {
    eprintln!("agent-chat: {reason}");
    ExitCode::FAILURE
}

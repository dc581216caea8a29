//! Writes the types of an application's events from their schema.
#![allow(clippy::print_stdout, reason = "a command line tells its user what it does")]

use std::process::ExitCode;

use agentwire_events_generate::Application;
use clap::Parser;

/// Writes the types of an application's events, in TypeScript and Python, from a JSON Schema.
#[derive(Debug, Parser)]
#[command(name = "agentwire-events", max_term_width = 110)]
struct Cli {
    #[command(flatten)]
    application: Application,
}

fn main() -> ExitCode {
    match Cli::parse().application.write() {
        Ok(count) => {
            println!("events: wrote {count} types");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Serves a chat page and an agent that answers questions about a folder of text files.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
pub(crate) struct Args {
    /// Address to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    pub(crate) listen: SocketAddr,

    /// SQLite file that keeps every event; created when it is missing
    #[arg(long, value_name = "FILE", default_value = "agent-chat.sqlite")]
    pub(crate) log: PathBuf,

    /// Folder whose text files the agent may read
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,

    /// Folder with the page, served at `/`: files of the kinds a page has, and no hidden ones; without it only the
    /// agent is served
    #[arg(long, value_name = "DIR")]
    pub(crate) page: Option<PathBuf>,

    /// Pause between the words of an answer, in milliseconds; 0 means none
    #[arg(long, value_name = "MS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub(crate) pace_ms: u64,

    /// Listen on an address that others can reach, although everybody gets a token for any user
    #[arg(long)]
    pub(crate) i_know_this_is_a_demo: bool,

    /// Break the promise in one way, to see that checks notice
    #[cfg(feature = "faults")]
    #[arg(long, value_enum, value_name = "FAULT")]
    pub(crate) sabotage: Option<Fault>,
}

/// How to break the promise.
#[cfg(feature = "faults")]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Fault {
    /// Send the body of the following event in the place of some
    Skip,
    /// Send the body of the previous event in the place of some
    Repeat,
    /// Exchange the bodies of some neighbours
    Swap,
    /// Show events before they are durable
    Early,
}

#[cfg(feature = "faults")]
impl From<Fault> for agentwire_bridge::Sabotage {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Skip => Self::Skip,
            Fault::Repeat => Self::Repeat,
            Fault::Swap => Self::Swap,
            Fault::Early => Self::Early,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}

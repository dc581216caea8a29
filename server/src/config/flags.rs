//! The flags of the program.

use std::path::PathBuf;

use clap::Parser;

/// Keeps chat pages attached to AI agents: sockets for pages, and an HTTP API for backends.
///
/// Each key of the configuration can also be set by a variable AGENTWIRE__SECTION__KEY, or by --set section.key=value. A
/// flag goes before a variable, and a variable before the file.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "agentwire-bridge", version)]
pub struct Flags {
    /// The configuration file (TOML).
    #[arg(long, short, env = "AGENTWIRE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Prints what is wrong with the configuration, and ends.
    #[arg(long)]
    pub check_config: bool,
    /// Allows what only development may do: all origins, and a log in memory. Never use it in production.
    #[arg(long)]
    pub dev: bool,
    /// The address to listen on: server.listen.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// The file of events: log.path.
    #[arg(long, value_name = "FILE")]
    pub log: Option<String>,
    /// How logs are written, text or json: server.log_format.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// What is logged, such as info or agentwire_bridge=debug: server.log_level.
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Sets any key: --set limits.heartbeat_ms=10000. A list is written as in TOML. Others can see flags: keep secrets out.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub sets: Vec<String>,
}

impl Flags {
    /// The keys that the flags set, and their texts; none for a `--set` that has no `=`.
    pub(super) fn values(&self) -> Vec<(String, Option<String>)> {
        let mut values = Vec::new();
        if self.dev {
            values.push(("server.dev".to_owned(), Some("true".to_owned())));
        }
        let named = [
            ("server.listen", &self.listen),
            ("log.path", &self.log),
            ("server.log_format", &self.log_format),
            ("server.log_level", &self.log_level),
        ];
        for (key, value) in named {
            values.extend(value.clone().map(|value| (key.to_owned(), Some(value))));
        }
        for set in &self.sets {
            values.push(match set.split_once('=') {
                Some((key, value)) => (key.trim().to_owned(), Some(value.to_owned())),
                None => (String::new(), None),
            });
        }
        values
    }
}

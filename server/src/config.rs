//! The configuration: a TOML file, then variables of the environment, then flags. Each goes before the one before it.
//!
//! `docs/SERVER.md` lists the keys. Every time is in whole milliseconds, and its key ends with `_ms`.

mod check;
mod flags;
mod layers;
mod limits;
mod problem;
mod read;
mod reading;
mod secret;
mod secrets;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

pub use flags::Flags;
pub use limits::LimitsSection;
pub use problem::{Problem, Problems};
pub use reading::Reading;
pub use secret::{Endpoint, Secret};

/// The whole configuration. Its debug output has no secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[server]`: where the server listens, and who may connect.
    pub server: ServerSection,
    /// `[log]`: where events are kept.
    pub log: LogSection,
    /// `[threads]`: where threads and their members are kept.
    pub threads: ThreadsSection,
    /// `[limits]`: what is bounded, and how.
    pub limits: LimitsSection,
    /// `[runs]`: the leases of runs.
    pub runs: RunsSection,
    /// `[retention]`: what is forgotten.
    pub retention: RetentionSection,
    /// `[auth]`: how tokens of users are checked.
    pub auth: AuthSection,
    /// `[[keys]]`: the keys of backends.
    pub keys: Vec<KeySection>,
    /// `[rights]`: who may use which thread.
    pub rights: RightsSection,
    /// `[deliver]`: how backends get what users do.
    pub deliver: DeliverSection,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSection {
    /// Allows what only development may do: all origins without naming them, and a log in memory.
    pub dev: bool,
    /// The address that pages and backends connect to. Defaults to 127.0.0.1:8080.
    #[serde(deserialize_with = "read::address")]
    pub listen: SocketAddr,
    /// An address of its own for `/metrics`.
    #[serde(deserialize_with = "read::optional_address")]
    pub metrics_listen: Option<SocketAddr>,
    /// A path that stands before all others, such as `/agents`.
    pub path_prefix: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "read::networks")]
    pub trusted_proxies: Vec<IpNet>,
    /// Origins of the pages that may connect; `["*"]` is all of them.
    pub origins: Option<Vec<String>>,
    /// How log lines are written. Defaults to text.
    pub log_format: LogFormat,
    /// What is logged: a filter of `tracing`. Defaults to info.
    pub log_level: String,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            dev: false,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            metrics_listen: None,
            path_prefix: None,
            trusted_proxies: Vec::new(),
            origins: None,
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
        }
    }
}

impl ServerSection {
    /// The origins that may connect; `None` if all may.
    pub fn allowed_origins(&self) -> Option<&[String]> {
        self.origins.as_deref().filter(|origins| !matches!(origins, [all] if all == "*"))
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// The SQLite file of events. Defaults to agentwire.sqlite.
    pub path: PathBuf,
    /// Keeps events in memory alone, for development and tests.
    pub memory: bool,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { path: PathBuf::from("agentwire.sqlite"), memory: false }
    }
}

/// `[threads]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThreadsSection {
    /// The SQLite file of threads, members, producers and deliveries; [`Config::threads_path`] has its default.
    pub path: Option<PathBuf>,
}

/// `[runs]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunsSection {
    /// The lease of a run whose batch names none. Defaults to 30,000.
    pub lease_ms: u64,
    /// The longest lease that a batch may name. Defaults to 86,400,000, a day.
    pub max_lease_ms: u64,
}

impl Default for RunsSection {
    fn default() -> Self {
        Self { lease_ms: 30_000, max_lease_ms: 86_400_000 }
    }
}

impl RunsSection {
    /// The lease of a run whose batch names none.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }
}

/// `[retention]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSection {
    /// The newest events of a thread that are kept.
    pub max_events: Option<u64>,
    /// How old an event of a thread may become.
    pub max_age_ms: Option<u64>,
    /// How often all threads are looked through. Defaults to 3,600,000, an hour.
    pub every_ms: u64,
}

impl Default for RetentionSection {
    fn default() -> Self {
        Self { max_events: None, max_age_ms: None, every_ms: 3_600_000 }
    }
}

/// `[auth]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSection {
    /// Secrets of HS256, of 32 bytes or more. Two while the old one is replaced.
    pub secrets: Vec<Secret>,
    /// Files of one such secret each.
    pub secret_files: Vec<PathBuf>,
    /// PEM files of one public key each: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.
    pub public_keys: Vec<PathBuf>,
    /// A file with a JSON Web Key Set. It is read again when it changes.
    pub jwks_file: Option<PathBuf>,
    /// Where a JSON Web Key Set is fetched from.
    #[serde(deserialize_with = "read::endpoint")]
    pub jwks_url: Option<Endpoint>,
    /// How old a fetched key set may become before it is fetched again. Defaults to 300,000.
    pub jwks_refresh_ms: u64,
    /// Lets `jwks_url` be at a private or loopback address.
    pub allow_private: bool,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be or contain.
    pub audience: Option<String>,
    /// How far clocks may be apart. Defaults to 5,000.
    pub leeway_ms: u64,
    /// The claim that names the user. Defaults to sub.
    pub user_claim: String,
    /// Refuses tokens without `exp`. Defaults to true.
    pub require_exp: bool,
    /// How long a revocation is remembered: at least as long as a token is valid. Defaults to 3,600,000, an hour.
    pub revoke_ms: u64,
}

impl Default for AuthSection {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            secret_files: Vec::new(),
            public_keys: Vec::new(),
            jwks_file: None,
            jwks_url: None,
            jwks_refresh_ms: 300_000,
            allow_private: false,
            issuer: None,
            audience: None,
            leeway_ms: 5_000,
            user_claim: "sub".to_owned(),
            require_exp: true,
            revoke_ms: 3_600_000,
        }
    }
}

/// `[[keys]]`: a key of a backend.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeySection {
    /// What logs call the key.
    pub name: String,
    /// The key itself. One of `key`, `key_file` and `key_sha256` must be there.
    pub key: Option<Secret>,
    /// A file with the key.
    pub key_file: Option<PathBuf>,
    /// The SHA-256 of the key, in hexadecimal: then the file holds no secret.
    pub key_sha256: Option<String>,
    /// What the key may do.
    pub rights: Vec<KeyRight>,
    /// The threads that it may use: those whose key begins with one of these texts. All, if it is missing.
    pub threads: Option<Vec<String>>,
}

/// What a service key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyRight {
    /// Publish events and keep runs.
    Publish,
    /// Get deliveries.
    Deliver,
    /// Read threads and their events.
    Read,
    /// Change members, delete threads and events, revoke users.
    Admin,
}

impl KeyRight {
    /// What the configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Deliver => "deliver",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// `[rights]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RightsSection {
    /// Who decides. Defaults to own.
    pub mode: RightsMode,
    /// Whom to ask, in mode `ask`.
    #[serde(deserialize_with = "read::endpoint")]
    pub ask_url: Option<Endpoint>,
    /// Secrets that questions are signed with, as [Standard Webhooks](https://www.standardwebhooks.com) says.
    pub ask_secrets: Vec<Secret>,
    /// Files of one such secret each.
    pub ask_secret_files: Vec<PathBuf>,
    /// How long an answer holds. Defaults to 10,000.
    pub ask_cache_ms: u64,
    /// How long an answer may take. Defaults to 3,000.
    pub ask_timeout_ms: u64,
    /// Lets `ask_url` be at a private or loopback address.
    pub allow_private: bool,
}

impl Default for RightsSection {
    fn default() -> Self {
        Self {
            mode: RightsMode::Own,
            ask_url: None,
            ask_secrets: Vec::new(),
            ask_secret_files: Vec::new(),
            ask_cache_ms: 10_000,
            ask_timeout_ms: 3_000,
            allow_private: false,
        }
    }
}

/// Who decides which threads a user may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RightsMode {
    /// Each user has threads of their own.
    #[default]
    Own,
    /// The members that a backend put.
    Members,
    /// The backend, for each user and thread.
    Ask,
}

/// `[deliver]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliverSection {
    /// How backends get deliveries. Defaults to none.
    pub mode: DeliverMode,
    /// The URL of the webhook.
    #[serde(deserialize_with = "read::endpoint")]
    pub url: Option<Endpoint>,
    /// Secrets that deliveries are signed with: `whsec_` and base64. Two while the old one is replaced.
    pub secrets: Vec<Secret>,
    /// Files of one such secret each.
    pub secret_files: Vec<PathBuf>,
    /// How long a delivery is tried. Defaults to 600,000.
    pub give_up_after_ms: u64,
    /// How long an answer may take. Defaults to 10,000.
    pub timeout_ms: u64,
    /// Lets `url` be at a private or loopback address.
    pub allow_private: bool,
    /// How long a run may take to claim a message. Defaults to 30,000.
    pub lease_ms: u64,
    /// Deliveries that are under way at once. Defaults to 64.
    pub max_in_flight: u64,
}

impl Default for DeliverSection {
    fn default() -> Self {
        Self {
            mode: DeliverMode::None,
            url: None,
            secrets: Vec::new(),
            secret_files: Vec::new(),
            give_up_after_ms: 600_000,
            timeout_ms: 10_000,
            allow_private: false,
            lease_ms: 30_000,
            max_in_flight: 64,
        }
    }
}

/// How backends get what users do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliverMode {
    /// They don't.
    #[default]
    None,
    /// The server posts to a URL.
    Webhook,
    /// Workers hold a connection.
    Worker,
}

impl Config {
    /// Reads the file, the variables and the flags, and checks all of it.
    pub fn read(flags: &Flags, variables: impl IntoIterator<Item = (String, String)>) -> Reading {
        layers::read(flags, variables)
    }

    /// The file of threads and members: beside the log, unless it is named.
    pub fn threads_path(&self) -> PathBuf {
        let beside = || {
            let stem = self.log.path.file_stem();
            let mut name = stem.map_or_else(|| OsString::from("agentwire"), OsString::from);
            name.push("-threads.sqlite");
            self.log.path.with_file_name(name)
        };
        self.threads.path.clone().unwrap_or_else(beside)
    }

    /// All that is wrong, each with its key. Reads the files of secrets, but no others.
    pub fn check(&self) -> Vec<Problem> {
        check::check(self)
    }
}

//! Who may use the server: users with tokens, and backends with service keys.
//!
//! All of it can be replaced while the server runs ([`Auth::reload`]).

pub mod jwks;
pub mod keys;
mod keyset;
pub mod revoked;
pub mod rights;
pub mod tokens;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::config::{AuthSection, Config, Flags, Problem, Problems, RightsMode, RightsSection};
use crate::outbound::Outbound;
use jwks::{Jwks, JwksSource, JwksTimes};
use keys::{ServiceKey, ServiceKeys};
use keyset::VerifyingKey;
use revoked::Revoked;
use rights::{Asker, Membership, Mode, Rights};
use tokens::{Rules, Tokens};

/// Bytes of the largest file of a key or a key set.
const MAX_FILE_BYTES: u64 = 262_144;

/// Reads the configuration, and checks all of it: with the files of keys that it names.
pub fn load(
    flags: &Flags,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, Problems> {
    let mut reading = Config::read(flags, variables);
    let problems = check(&reading.config);
    reading.add(problems);
    reading.finish()
}

/// What is wrong with the files of keys that the configuration names. [`Config::check`] finds the rest.
pub fn check(config: &Config) -> Vec<Problem> {
    let mut problems = public_keys(&config.auth).1;
    if let Some(path) = &config.auth.jwks_file {
        let read = read_file(path).and_then(|text| keyset::read_set(&text).map(drop));
        problems.extend(read.err().map(|message| Problem::new("auth.jwks_file", message)));
    }
    problems
}

/// Who may use the server.
#[derive(Debug)]
pub struct Auth {
    tokens: Tokens,
    rights: Rights,
    keys: ArcSwap<ServiceKeys>,
    revoked: Arc<Revoked>,
    members: Arc<dyn Membership>,
}

impl std::fmt::Debug for dyn Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Membership")
    }
}

impl Auth {
    /// Reads all keys. A key set at a URL that cannot be fetched now is tried again: until then tokens of its keys are
    /// refused as `unavailable`.
    pub async fn start(config: &Config, members: Arc<dyn Membership>) -> Result<Arc<Self>, Problems> {
        let revoked = Arc::new(Revoked::new(config.auth.revoke_ms));
        let parts = Parts::read(config, &members, &[]).await?;
        let tokens = Tokens::new(parts.rules, Arc::clone(&revoked));
        let rights = Rights::new(parts.mode);
        let keys = ArcSwap::from_pointee(parts.keys);
        Ok(Arc::new(Self { tokens, rights, keys, revoked, members }))
    }

    /// Takes keys, rules and rights from another configuration, or none of them. What was revoked stays revoked. Key sets
    /// are read again, and kept if their place is the same.
    pub async fn reload(&self, config: &Config) -> Result<(), Problems> {
        let old = self.tokens.rules();
        let parts = Parts::read(config, &self.members, &old.sets).await?;
        self.tokens.replace(parts.rules);
        self.rights.replace(parts.mode);
        self.keys.store(Arc::new(parts.keys));
        self.revoked.keep(config.auth.revoke_ms);
        Ok(())
    }

    /// Says whom tokens name: for the builder of the bridge.
    pub fn tokens(&self) -> Tokens {
        self.tokens.clone()
    }

    /// Says who may use which thread: for the builder of the bridge.
    pub fn rights(&self) -> Rights {
        self.rights.clone()
    }

    /// The service key that a request has sent.
    pub fn service_key(&self, sent: &str) -> Option<Arc<ServiceKey>> {
        self.keys.load().find(sent)
    }

    /// Refuses the tokens of a user that were issued up to now, and forgets what the backend has said about the user.
    /// Returns this time, in milliseconds since the Unix epoch.
    pub fn revoke(&self, user: &str) -> u64 {
        self.rights.forget_user(user);
        self.revoked.revoke(user)
    }

    /// Takes in revocations from before the start: users, and the times that [`Auth::revoke`] has returned.
    pub fn restore(&self, revoked: impl IntoIterator<Item = (String, u64)>) {
        self.revoked.restore(revoked);
    }
}

/// What a configuration says.
struct Parts {
    rules: Rules,
    mode: Mode,
    keys: ServiceKeys,
}

impl Parts {
    async fn read(
        config: &Config,
        members: &Arc<dyn Membership>,
        old: &[Arc<Jwks>],
    ) -> Result<Self, Problems> {
        let mut problems = check(config);
        let (mut fixed, _) = public_keys(&config.auth);
        let (secrets, wrong) = config.auth.all_secrets();
        problems.extend(wrong);
        fixed.extend(secrets.iter().map(|secret| VerifyingKey::from_secret(secret.expose().as_bytes())));
        let keys =
            ServiceKeys::new(&config.keys).map_err(|problem| problems.push(problem)).unwrap_or_default();
        let mode = mode(&config.rights, members).map_err(|wrong| problems.extend(wrong)).unwrap_or(Mode::Own);
        let places = places(&config.auth).map_err(|problem| problems.push(problem)).unwrap_or_default();
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        let mut sets = Vec::new();
        for (source, times) in places {
            let kept = old.iter().find(|set| set.is_of(&source, times));
            sets.push(match kept {
                Some(set) => {
                    set.refresh().await;
                    Arc::clone(set)
                }
                None => Jwks::start(source, times).await,
            });
        }
        let auth = &config.auth;
        let rules = Rules {
            fixed,
            sets,
            issuer: auth.issuer.clone(),
            audience: auth.audience.clone(),
            leeway_ms: auth.leeway_ms,
            user_claim: auth.user_claim.clone(),
            require_exp: auth.require_exp,
        };
        Ok(Self { rules, mode, keys })
    }
}

/// The public keys of PEM files, and what is wrong with others.
fn public_keys(auth: &AuthSection) -> (Vec<VerifyingKey>, Vec<Problem>) {
    let mut keys = Vec::new();
    let mut problems = Vec::new();
    for (index, path) in auth.public_keys.iter().enumerate() {
        let read = read_file(path).and_then(|pem| VerifyingKey::from_pem(&pem));
        match read {
            Ok(key) => keys.push(key),
            Err(message) => {
                let message = format!("{} {message}", path.display());
                problems.push(Problem::new(format!("auth.public_keys[{index}]"), message));
            }
        }
    }
    (keys, problems)
}

/// Where key sets are.
fn places(auth: &AuthSection) -> Result<Vec<(JwksSource, JwksTimes)>, Problem> {
    let mut places = Vec::new();
    if let Some(path) = &auth.jwks_file {
        places.push((JwksSource::File(path.clone()), JwksTimes::of_file()));
    }
    if let Some(url) = &auth.jwks_url {
        let client = client("auth.jwks_url", auth.allow_private)?;
        let times = JwksTimes::of_url(Duration::from_millis(auth.jwks_refresh_ms));
        places.push((JwksSource::Url(url.clone(), client), times));
    }
    Ok(places)
}

fn mode(rights: &RightsSection, members: &Arc<dyn Membership>) -> Result<Mode, Vec<Problem>> {
    match rights.mode {
        RightsMode::Own => Ok(Mode::Own),
        RightsMode::Members => Ok(Mode::Members(Arc::clone(members))),
        RightsMode::Ask => {
            let (keys, problems) = rights.signing_keys();
            let (Some(url), Some(keys)) = (rights.ask_url.clone(), keys) else {
                let missing = || vec![Problem::new("rights", "mode `ask` needs ask_url and ask_secrets")];
                return Err(if problems.is_empty() { missing() } else { problems });
            };
            let client = client("rights.ask_url", rights.allow_private).map_err(|problem| vec![problem])?;
            let times = [rights.ask_timeout_ms, rights.ask_cache_ms].map(Duration::from_millis);
            Ok(Mode::Ask(Asker::new(url, keys, &client, times[0], times[1])))
        }
    }
}

fn client(key: &str, allow_private: bool) -> Result<Outbound, Problem> {
    Outbound::new(allow_private).map_err(|error| Problem::new(key, error.to_string()))
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, String> {
    let size = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("has {size} bytes; the most are {MAX_FILE_BYTES}"));
    }
    fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

//! What a value must be, beyond its type.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use url::Url;

use super::{Config, DeliverMode, Endpoint, Problem, RightsMode};
use crate::outbound::{is_loopback_host, is_private_host};

/// A day, in milliseconds.
const DAY: u64 = 86_400_000;

/// All that is wrong with `config`.
pub(super) fn check(config: &Config) -> Vec<Problem> {
    let mut check = Check { config, problems: Vec::new() };
    check.server();
    check.files();
    config.limits.check(&mut check.problems);
    check.runs();
    check.retention();
    check.auth();
    check.keys();
    check.rights();
    check.deliver();
    check.problems
}

struct Check<'a> {
    config: &'a Config,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn wrong(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(key, message));
    }

    fn within(&mut self, key: &str, unit: &str, value: u64, range: RangeInclusive<u64>) {
        if !range.contains(&value) {
            let (min, max) = range.into_inner();
            self.wrong(key, format!("is {value} {unit}; it must be {min} to {max}"));
        }
    }

    fn server(&mut self) {
        let server = &self.config.server;
        match server.origins.as_deref() {
            None if !server.dev => self.wrong(
                "server.origins",
                "is missing: name the origins of the pages that may connect, such as [\"https://chat.example.com\"], \
                 or allow all of them with [\"*\"]",
            ),
            None => {}
            Some([]) => self.wrong("server.origins", "is empty: no page could connect"),
            Some(origins) if origins.len() > 1 && origins.iter().any(|origin| origin == "*") => {
                self.wrong("server.origins", "has `*` beside others: write it alone, or leave it out");
            }
            Some(_) => {
                for (index, origin) in server.allowed_origins().unwrap_or_default().iter().enumerate() {
                    if !is_origin(origin) {
                        let message = "is no origin: write scheme, host and port without a path, such as \
                                       https://chat.example.com";
                        self.wrong(format!("server.origins[{index}]"), message);
                    }
                }
            }
        }
        if server.path_prefix.as_deref().is_some_and(|prefix| !is_prefix(prefix)) {
            self.wrong(
                "server.path_prefix",
                "must begin with `/`, not end with it, and be a plain path, such as /agents",
            );
        }
        if server.metrics_listen == Some(server.listen) {
            self.wrong(
                "server.metrics_listen",
                "is `server.listen`: leave it out, or give metrics another port",
            );
        }
        if server.log_level.trim().is_empty() {
            self.wrong("server.log_level", "is empty: write error, warn, info, debug or trace");
        }
    }

    fn files(&mut self) {
        let config = self.config;
        if config.log.memory && !config.server.dev {
            self.wrong("log.memory", "loses all events when the process ends: it is for `server.dev = true`");
        }
        if !config.log.memory && config.threads_path() == config.log.path {
            self.wrong("threads.path", "is `log.path`: it must be a file of its own");
        }
    }

    fn runs(&mut self) {
        let runs = &self.config.runs;
        self.within("runs.lease_ms", "milliseconds", runs.lease_ms, 1_000..=DAY);
        self.within("runs.max_lease_ms", "milliseconds", runs.max_lease_ms, 1_000..=DAY);
        if runs.lease_ms > runs.max_lease_ms {
            self.wrong("runs.max_lease_ms", "is below `runs.lease_ms`");
        }
    }

    fn retention(&mut self) {
        let retention = &self.config.retention;
        self.within("retention.every_ms", "milliseconds", retention.every_ms, 1_000..=DAY);
        if let Some(events) = retention.max_events {
            self.within("retention.max_events", "events", events, 1..=1_000_000_000);
        }
        if let Some(age_ms) = retention.max_age_ms {
            self.within("retention.max_age_ms", "milliseconds", age_ms, 1_000..=20 * 365 * DAY);
        }
    }

    fn auth(&mut self) {
        let auth = &self.config.auth;
        let is_empty = auth.secrets.is_empty() && auth.secret_files.is_empty() && auth.public_keys.is_empty();
        if is_empty && auth.jwks_file.is_none() && auth.jwks_url.is_none() {
            let message = "says nothing about how tokens of users are checked: set secrets, secret_files, \
                           public_keys, jwks_file or jwks_url";
            self.wrong("auth", message);
        }
        self.problems.extend(auth.all_secrets().1);
        self.within("auth.leeway_ms", "milliseconds", auth.leeway_ms, 0..=300_000);
        self.within("auth.jwks_refresh_ms", "milliseconds", auth.jwks_refresh_ms, 10_000..=DAY);
        self.within("auth.revoke_ms", "milliseconds", auth.revoke_ms, 1_000..=365 * DAY);
        if let Some(url) = &auth.jwks_url {
            self.endpoint("auth", "jwks_url", url, auth.allow_private, is_loopback_host(url.url()));
        }
        let texts = [
            ("auth.user_claim", Some(&auth.user_claim)),
            ("auth.issuer", auth.issuer.as_ref()),
            ("auth.audience", auth.audience.as_ref()),
        ];
        for (key, _) in texts.into_iter().filter(|(_, text)| text.is_some_and(String::is_empty)) {
            self.wrong(key, "is empty: leave it out, or write what tokens have");
        }
    }

    fn keys(&mut self) {
        let config = self.config;
        if config.keys.is_empty() && !config.server.dev {
            self.wrong(
                "keys",
                "is missing: no backend could publish; add a section [[keys]] with name, key_file and rights",
            );
        }
        let mut names = HashSet::new();
        let mut digests = HashSet::new();
        for (index, key) in config.keys.iter().enumerate() {
            let at = |field: &str| format!("keys[{index}].{field}");
            if key.name.is_empty() || key.name.len() > 64 || key.name.chars().any(char::is_control) {
                self.wrong(
                    at("name"),
                    "must be 1 to 64 bytes without control characters: logs call the key so",
                );
            } else if !names.insert(&key.name) {
                self.wrong(at("name"), "is the name of another key, too");
            }
            match key.digest(index) {
                Err(problem) => self.problems.push(problem),
                Ok(digest) if !digests.insert(digest) => {
                    self.wrong(
                        format!("keys[{index}]"),
                        "is the same key as another one: each needs its own",
                    );
                }
                Ok(_) => {}
            }
            if key.rights.is_empty() {
                self.wrong(at("rights"), "is empty or missing: name publish, deliver, read or admin");
            }
            let threads = key.threads.as_deref();
            if threads.is_some_and(|threads| threads.is_empty() || threads.iter().any(String::is_empty)) {
                self.wrong(at("threads"), "must name beginnings of thread keys, such as [\"team-7/\"]; leave it out for all threads");
            }
        }
    }

    fn rights(&mut self) {
        let rights = &self.config.rights;
        let (keys, problems) = rights.signing_keys();
        let has_problems = !problems.is_empty();
        self.problems.extend(problems);
        self.within("rights.ask_cache_ms", "milliseconds", rights.ask_cache_ms, 0..=3_600_000);
        let longest = u64::try_from(self.config.limits.limits().auth_timeout.as_millis()).unwrap_or(u64::MAX);
        // With the range of `limits.auth_timeout_ms` itself, this message would be the second one about it.
        self.within(
            "rights.ask_timeout_ms",
            "milliseconds",
            rights.ask_timeout_ms,
            10..=longest.clamp(10, 60_000),
        );
        match (rights.mode, &rights.ask_url) {
            (RightsMode::Ask, None) => {
                self.wrong("rights.ask_url", "is missing: mode `ask` needs to know whom to ask")
            }
            (RightsMode::Ask, Some(url)) => {
                self.endpoint("rights", "ask_url", url, rights.allow_private, rights.allow_private);
                if keys.is_none() && !has_problems {
                    self.wrong(
                        "rights.ask_secrets",
                        "is missing: questions are signed; set it, or rights.ask_secret_files",
                    );
                }
            }
            (RightsMode::Own | RightsMode::Members, Some(_)) => {
                self.wrong("rights.ask_url", "is only asked with rights.mode = \"ask\"");
            }
            (RightsMode::Own | RightsMode::Members, None) => {}
        }
    }

    fn deliver(&mut self) {
        let deliver = &self.config.deliver;
        let (keys, problems) = deliver.signing_keys();
        let has_problems = !problems.is_empty();
        self.problems.extend(problems);
        self.within("deliver.give_up_after_ms", "milliseconds", deliver.give_up_after_ms, 1_000..=DAY);
        self.within("deliver.timeout_ms", "milliseconds", deliver.timeout_ms, 100..=300_000);
        self.within("deliver.lease_ms", "milliseconds", deliver.lease_ms, 1_000..=3_600_000);
        self.within("deliver.max_in_flight", "deliveries", deliver.max_in_flight, 1..=10_000);
        match (deliver.mode, &deliver.url) {
            (DeliverMode::Webhook, None) => {
                self.wrong("deliver.url", "is missing: mode `webhook` needs to know where to post")
            }
            (DeliverMode::Webhook, Some(url)) => {
                self.endpoint("deliver", "url", url, deliver.allow_private, deliver.allow_private);
                if keys.is_none() && !has_problems {
                    self.wrong(
                        "deliver.secrets",
                        "is missing: deliveries are signed; set it, or deliver.secret_files",
                    );
                }
            }
            (DeliverMode::None | DeliverMode::Worker, Some(_)) => {
                self.wrong("deliver.url", "is only posted to with deliver.mode = \"webhook\"");
            }
            (DeliverMode::None | DeliverMode::Worker, None) => {}
        }
    }

    /// Checks a URL that the server calls. `plain` allows it to be without TLS.
    fn endpoint(&mut self, section: &str, key: &str, endpoint: &Endpoint, allow_private: bool, plain: bool) {
        let url = endpoint.url();
        let at = format!("{section}.{key}");
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
            return self.wrong(at, "must begin with https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            self.wrong(
                at.as_str(),
                "must not hold a user and a password: they would be seen in logs of others",
            );
        }
        let is_private = is_private_host(url);
        if is_private && !allow_private {
            let message =
                format!("is at a private address; set {section}.allow_private = true if it is yours");
            self.wrong(at, message);
        } else if url.scheme() == "http" && !plain {
            self.wrong(at, "must begin with https://: others could read and change what is sent");
        }
    }
}

fn is_origin(text: &str) -> bool {
    let host = text.split_once("://").map(|(_, host)| host);
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', '\\']))
        && Url::parse(text).is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()))
}

fn is_prefix(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.starts_with('/') && !text.ends_with('/') && !text.contains("//") && text.bytes().all(is_plain)
}

//! Where values come from.

use std::path::PathBuf;

use agentwire_bridge::Limits;
use agentwire_server::auth;
use agentwire_server::config::{DeliverMode, Flags, KeyRight, LogFormat, RightsMode};

use super::support::{least, read, wrong};

#[test]
fn the_least_configuration_has_the_defaults_for_the_rest() {
    let config = read(&least(), &[], &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.allowed_origins(), Some(&["https://chat.example.com".to_owned()][..]));
    assert_eq!((config.rights.mode, config.deliver.mode), (RightsMode::Own, DeliverMode::None));
    assert_eq!(config.limits.limits(), Limits::default());
    assert_eq!(config.limits.max_body_bytes(), 1 << 20);
    assert_eq!(config.threads_path(), PathBuf::from("agentwire-threads.sqlite"));
}

#[test]
fn a_flag_goes_before_a_variable_and_a_variable_before_the_file() {
    let text = least() + "[limits]\nheartbeat_ms = 1000\nmax_streams = 1\npage_events = 1\n";
    let variables =
        [("AGENTWIRE__LIMITS__MAX_STREAMS", "2"), ("AGENTWIRE__LIMITS__PAGE_EVENTS", "2"), ("PATH", "/bin")];
    let config = read(&text, &variables, &["--set", "limits.page_events=3"]).unwrap();
    let Limits { heartbeat, max_streams, page_events, .. } = config.limits.limits();
    assert_eq!((heartbeat.as_millis(), max_streams, page_events), (1000, 2, 3));
}

#[test]
fn texts_of_variables_are_read_as_their_key_wants_them() {
    let variables = [
        ("AGENTWIRE__SERVER__LISTEN", "[::1]:9000"),
        ("AGENTWIRE__SERVER__DEV", "true"),
        ("AGENTWIRE__SERVER__LOG_FORMAT", "json"),
        ("AGENTWIRE__SERVER__TRUSTED_PROXIES", "['10.0.0.0/8', '192.168.1.2']"),
        ("AGENTWIRE__AUTH__ISSUER", "12345"),
        ("AGENTWIRE__AUTH__SECRETS", "['another-secret-with-32-bytes-and-more']"),
        (
            "AGENTWIRE__KEYS",
            "[{ name = 'v', key = 'the-key-of-a-variable-with-32-bytes', rights = ['admin', 'read'] }]",
        ),
        ("AGENTWIRE__LOG__PATH", "/var/lib/agentwire/events.sqlite"),
    ];
    let config = read(&least(), &variables, &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "[::1]:9000");
    assert!(config.server.dev && config.server.log_format == LogFormat::Json);
    let networks: Vec<_> = config.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.168.1.2/32"]);
    assert_eq!(config.auth.issuer.as_deref(), Some("12345"), "a text that looks like a number");
    assert_eq!(config.auth.secrets[0].expose(), "another-secret-with-32-bytes-and-more");
    assert_eq!(
        (config.keys[0].name.as_str(), &config.keys[0].rights[..]),
        ("v", &[KeyRight::Admin, KeyRight::Read][..])
    );
    assert_eq!(config.threads_path(), PathBuf::from("/var/lib/agentwire/events-threads.sqlite"));
}

#[test]
fn flags_have_names_of_their_own_for_what_is_set_often() {
    let flags = [
        "--dev",
        "--listen",
        "0.0.0.0:80",
        "--log",
        "here.sqlite",
        "--log-level",
        "debug",
        "--log-format",
        "json",
    ];
    let config = read(&least(), &[], &flags).unwrap();
    assert_eq!((config.server.listen.port(), config.server.log_level.as_str()), (80, "debug"));
    assert_eq!((config.log.path.to_str(), config.server.dev), (Some("here.sqlite"), true));
    let Err(problems) = read(&least(), &[], &["--set", "limits.heartbeat_ms"]) else { panic!("accepted") };
    assert_eq!(problems[0].to_string(), "--set: has no `=`: write --set section.key=value");
}

#[test]
fn variables_and_flags_are_checked_as_the_file_is() {
    let variables = [
        ("AGENTWIRE__LIMITS__HEARTBEAT_MS", "15s"),
        ("AGENTWIRE__LIMITS__HEARTBEAT", "15"),
        ("AGENTWIRE__RUNS__LEASE_MS", "5000\nmax_lease_ms = 1"),
        ("AGENTWIRE__", "1"),
        ("AGENTWIRE__LOG__PATH__DEEP", "1"),
    ];
    let text = least() + "[log]\npath = 'a.sqlite'\n";
    let found = wrong(&text, &variables, &["--set", "limits.nothing=1"]);
    for start in [
        "limits.heartbeat_ms: must be a whole number",
        "limits.heartbeat: is no key",
        "runs.lease_ms: must be a whole number",
        "AGENTWIRE__: names no key",
        "AGENTWIRE__LOG__PATH__DEEP: `path` has no keys",
        "limits.nothing: is no key",
    ] {
        assert!(found.iter().any(|text| text.starts_with(start)), "{start}\n{found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_its_line() {
    let found = wrong("[server]\norigins = ['*']\nlisten =\n", &[], &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("line 3 is no TOML"), "{found:?}");
    let flags = Flags { config: Some(PathBuf::from("/no/such/file.toml")), ..Flags::default() };
    let problems = auth::load(&flags, []).unwrap_err().to_string();
    assert!(problems.starts_with("/no/such/file.toml: cannot be read"), "{problems}");
}

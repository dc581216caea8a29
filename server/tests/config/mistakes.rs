//! What is said about mistakes.

use super::support::{least, read, wrong, wrong_with};

#[test]
fn an_unknown_key_is_named_with_the_one_that_was_meant() {
    let found = wrong_with("[limits]\nheartbeat = 1000\nmax_conections = 5\nfoo = 1\n[liimits]\na = 1\n");
    assert_eq!(found.len(), 4, "{found:#?}");
    let has = |start: &str| {
        found.iter().find(|text| text.starts_with(start)).unwrap_or_else(|| panic!("{start}: {found:#?}"))
    };
    assert!(has("limits.heartbeat: ").contains("did you mean `heartbeat_ms`?"));
    assert!(has("limits.max_conections: ").contains("did you mean `max_connections`?"));
    assert!(!has("limits.foo: ").contains("did you mean"));
    assert!(has("liimits: ").contains("did you mean `limits`?"));
}

#[test]
fn a_wrong_type_or_unit_is_named_with_what_is_right() {
    let text = least()
        + "[limits]\nheartbeat_ms = '15s'\nmax_streams = 1.5\npage_events = -1\nlive_batch_ms = '4'\n\
           [runs]\nlease_ms = true\n[log]\nmemory = 'yes'\n[deliver]\nmode = 'push'\nmax_in_flight = []\n";
    let text =
        text.replace("[server]\n", "[server]\nlisten = 'localhost'\ntrusted_proxies = ['10.0.0.0/99']\n");
    let found = wrong(&text, &[], &[]);
    let number = "must be a whole number of 0 or more, without quotes";
    let expected = [
        "server.listen: must be an IP address with a port, such as 127.0.0.1:8080",
        "server.trusted_proxies: must be networks or addresses, such as 10.0.0.0/8 or 192.168.1.2",
        "log.memory: must be true or false, without quotes",
        &format!("limits.heartbeat_ms: {number}"),
        &format!("limits.max_streams: {number}"),
        &format!("limits.page_events: {number}"),
        &format!("limits.live_batch_ms: {number}"),
        &format!("runs.lease_ms: {number}"),
        "deliver.mode: must be \"none\" or \"webhook\" or \"worker\"",
        &format!("deliver.max_in_flight: {number}"),
    ];
    for expected in expected {
        assert!(found.iter().any(|text| text == expected), "{expected}\n{found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn values_out_of_their_range_are_all_found_at_once() {
    let more = "[limits]\nheartbeat_ms = 1\nmax_streams = 0\nmax_body_bytes = 5\n[runs]\nlease_ms = 5\nmax_lease_ms = 100000000\n\
                [rights]\nmode = 'ask'\nask_timeout_ms = 60000\n[deliver]\nmode = 'webhook'\nurl = 'http://93.184.216.34/'\n";
    let found = wrong_with(more);
    for expected in [
        "limits.heartbeat_ms: is 1 milliseconds; it must be 100 to 300000",
        "limits.max_streams: is 0 streams; it must be 1 to 10000",
        "limits.max_body_bytes: is 5 bytes; it must be 1024 to 67108864",
        "runs.lease_ms: is 5 milliseconds; it must be 1000 to 86400000",
        "runs.max_lease_ms: is 100000000 milliseconds; it must be 1000 to 86400000",
        "rights.ask_url: is missing: mode `ask` needs to know whom to ask",
        "rights.ask_timeout_ms: is 60000 milliseconds; it must be 10 to 5000",
        "deliver.url: must begin with https://: others could read and change what is sent",
        "deliver.secrets: is missing: deliveries are signed; set it, or deliver.secret_files",
    ] {
        assert!(found.iter().any(|text| text == expected), "{expected}\n{found:#?}");
    }
    assert_eq!(found.len(), 9, "{found:#?}");
}

#[test]
fn what_must_be_there_is_named_when_it_is_missing() {
    let found = wrong("", &[], &[]);
    let keys: Vec<_> = found.iter().map(|text| text.split(": ").next().unwrap()).collect();
    assert_eq!(keys, ["server.origins", "auth", "keys"], "{found:#?}");
    // Development needs no origins and no keys, but it needs to know whom tokens name.
    let found = wrong("[log]\nmemory = true", &[], &["--dev"]);
    assert!(matches!(&found[..], [only] if only.starts_with("auth: ")), "{found:#?}");
    let found = wrong_with("[log]\nmemory = true");
    assert!(matches!(&found[..], [only] if only.starts_with("log.memory: ")), "{found:#?}");
}

#[test]
fn no_secret_is_in_any_error_or_debug_output() {
    const HIDDEN: &str = "hidden-hidden-hidden-hidden-hidden";
    let signing = "whsec_aGlkZGVuaGlkZGVuaGlkZGVuaGlkZGVu";
    let good = format!(
        "[server]\norigins = ['*']\n[auth]\nsecrets = ['{HIDDEN}']\njwks_url = 'https://id.test/hidden?hidden'\n\
         [[keys]]\nname = 'b'\nkey = '{HIDDEN}'\nrights = ['read']\n\
         [deliver]\nmode = 'webhook'\nurl = 'https://b.test/hidden'\nsecrets = ['{signing}']\n"
    );
    let config = read(&good, &[], &[]).unwrap();
    let shown = format!("{config:?} {config:#?} {:?}", config.deliver.signing_keys());
    assert!(!shown.contains("hidden") && !shown.contains("aGlkZGVu"), "{shown}");
    assert!(shown.contains("https://id.test"));
    // Each kind of mistake around a secret.
    let cases = [
        format!("auth = '{HIDDEN}'"),
        format!("[auth]\nsecrets = '{HIDDEN}'"),
        format!("[auth]\nsecrets = [['{HIDDEN}']]"),
        format!("[auth]\nsecrets = {HIDDEN}"),
        format!("[auth]\nsecrets = ['{HIDDEN}"),
        format!("[auth]\nsecrets '{HIDDEN}'"),
        format!("[auth]\njwks_url = 'hidden://{HIDDEN}'"),
        format!("[auth]\njwks_url = 'https://{HIDDEN}:{HIDDEN}@{HIDDEN}'"),
        format!("[auth]\nleeway_ms = '{HIDDEN}'"),
        format!("keys = '{HIDDEN}'"),
        format!("[[keys]]\nname = 'a'\nkey = '{HIDDEN} with space'\nrights = ['{HIDDEN}']"),
        format!("[deliver]\nmode = '{HIDDEN}'\nsecrets = ['{HIDDEN}']"),
        format!("[server]\nlisten = '{HIDDEN}'\norigins = ['{HIDDEN}']\nlog_format = '{HIDDEN}'"),
        format!("[log]\nmemory = '{HIDDEN}, expected {HIDDEN}'"),
    ];
    for case in cases {
        let found = wrong(
            &case,
            &[("AGENTWIRE__AUTH__SECRETS", HIDDEN), ("AGENTWIRE__RUNS", HIDDEN)],
            &["--set", HIDDEN],
        );
        let text = found.join("\n");
        assert!(!text.contains("hidden"), "{case}\n{text}");
    }
}

//! What each section needs.

use super::support::{SECRET, file, least, read, wrong, wrong_with};

#[test]
fn origins_paths_and_addresses_are_checked() {
    let server =
        |lines: &str| wrong(&least().replace("origins = ['https://chat.example.com']", lines), &[], &[]);
    assert!(server("origins = []")[0].starts_with("server.origins: is empty"));
    assert!(server("origins = ['*', 'https://a.test']")[0].contains("has `*` beside others"));
    for origin in
        ["chat.example.com", "https://a.test/", "https://", "https://*.a.test", "https://a@b", "null", ""]
    {
        let found = server(&format!("origins = ['http://localhost:5173', '{origin}']"));
        assert!(
            matches!(&found[..], [only] if only.starts_with("server.origins[1]: is no origin")),
            "{origin} {found:?}"
        );
    }
    let all = read(&least().replace("'https://chat.example.com'", "'*'"), &[], &[]).unwrap();
    assert_eq!(all.server.allowed_origins(), None);
    for prefix in ["agents", "/agents/", "/", "/a//b", "/a?b", "/a b"] {
        let found = wrong(&least(), &[("AGENTWIRE__SERVER__PATH_PREFIX", prefix)], &[]);
        assert!(found[0].starts_with("server.path_prefix: must begin"), "{prefix}");
    }
    assert!(read(&least(), &[("AGENTWIRE__SERVER__PATH_PREFIX", "/agents/v2")], &[]).is_ok());
    let found = wrong(&least(), &[("AGENTWIRE__SERVER__METRICS_LISTEN", "127.0.0.1:8080")], &[]);
    assert!(found[0].starts_with("server.metrics_listen: is `server.listen`"));
    let found = wrong(&least(), &[("AGENTWIRE__THREADS__PATH", "agentwire.sqlite")], &[]);
    assert!(found[0].starts_with("threads.path: is `log.path`"));
}

#[test]
fn urls_that_are_called_are_safe_or_allowed() {
    let jwks = |url: &str, more: &str| {
        let auth = format!("[auth]\njwks_url = '{url}'\n{more}\n");
        read(&least().replace("[auth]\n", &auth), &[], &[]).map(drop).map_err(|found| found[0].to_string())
    };
    assert_eq!(jwks("https://id.example.com/keys", ""), Ok(()));
    assert_eq!(jwks("http://127.0.0.1:8000/keys", "allow_private = true"), Ok(()));
    for (url, more, why) in [
        ("http://id.example.com/keys", "", "must begin with https://"),
        ("http://10.0.0.1/keys", "allow_private = true", "must begin with https://"),
        ("http://127.0.0.1/keys", "", "set auth.allow_private = true"),
        ("https://localhost/keys", "", "set auth.allow_private = true"),
        ("https://[::1]/keys", "", "set auth.allow_private = true"),
        ("ftp://id.example.com/keys", "", "must begin with https://"),
        ("https://me:password@id.example.com/", "", "must not hold a user and a password"),
        ("id.example.com", "", "is no URL"),
    ] {
        let found = jwks(url, more).unwrap_err();
        assert!(found.starts_with("auth.jwks_url: ") && found.contains(why), "{url}: {found}");
        assert!(!found.contains("password@"), "{found}");
    }
}

#[test]
fn service_keys_are_checked() {
    let key = |lines: &str| wrong_with(&format!("[[keys]]\n{lines}"));
    let good = "name = 'two'\nkey = 'the-second-key-of-the-tests-with-32-bytes'\nrights = ['read']";
    assert!(read(&(least() + "[[keys]]\n" + good), &[], &[]).is_ok());
    for (lines, expected) in [
        (
            "name = 'two'\nrights = ['read']".to_owned(),
            "keys[1]: needs one of `key`, `key_file` and `key_sha256`",
        ),
        (format!("{good}\nkey_sha256 = ''"), "keys[1]: needs one of `key`, `key_file` and `key_sha256`"),
        (good.replace("two", "backend"), "keys[1].name: is the name of another key, too"),
        (good.replace("'read'", ""), "keys[1].rights: is empty or missing"),
        (
            good.replace("'read'", "'all'"),
            "keys[1].rights[0]: must be \"publish\" or \"deliver\" or \"read\" or \"admin\"",
        ),
        (format!("{good}\nthreads = []"), "keys[1].threads: must name beginnings"),
        (
            format!("{good}\nthread = 'a'"),
            "keys[1].thread: is no key of the configuration; did you mean `threads`?",
        ),
        (
            format!("name = 'two'\nkey = 'key-{SECRET}'\nrights = ['read']"),
            "keys[1]: is the same key as another one",
        ),
        (
            "name = 'two'\nkey = 'short'\nrights = ['read']".to_owned(),
            "keys[1].key: has 5 bytes, but needs 32 or more",
        ),
        ("name = 'two'\nkey_sha256 = 'abc'\nrights = ['read']".to_owned(), "keys[1].key_sha256: must be 64"),
        (
            "name = 'two'\nkey_file = '/no/such/file'\nrights = ['read']".to_owned(),
            "keys[1].key_file: cannot read",
        ),
    ] {
        let found = key(&lines);
        assert!(matches!(&found[..], [only] if only.starts_with(expected)), "{expected}\n{found:#?}");
    }
}

#[test]
fn secrets_come_from_files_too() {
    let secret = file("the secret of a file, with 32 bytes and more\n");
    let short = file("short\n");
    let auth = format!("[auth]\nsecret_files = [{:?}]\n", secret.path());
    let config = read(&least().replace("[auth]\n", &auth), &[], &[]).unwrap();
    let (secrets, problems) = config.auth.all_secrets();
    let texts: Vec<_> = secrets.iter().map(|secret| secret.expose()).collect();
    assert_eq!((texts, problems), (vec![SECRET, "the secret of a file, with 32 bytes and more"], vec![]));
    let auth = format!("[auth]\nsecret_files = [{:?}, '/no/such/file']\n", short.path());
    let found = wrong(&least().replace("[auth]\n", &auth), &[], &[]);
    assert!(found[0].starts_with("auth.secret_files[0]: has 5 bytes"), "{found:#?}");
    assert!(found[1].starts_with("auth.secret_files[1]: cannot read /no/such/file"), "{found:#?}");
}

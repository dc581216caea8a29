//! What is served, to whom, and when nothing is.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use crate::page::{Page, THREAD};
use crate::server::{Server, command};
use crate::{fixtures, within};

#[tokio::test]
async fn users_do_not_see_each_other() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("chat.sqlite"), &fixtures(), &["--pace-ms", "0"]).await;
    let mut ada = Page::open(&server, "ada").await;
    ada.answer("m1", "Hello!").await;
    let mut bob = Page::open(&server, "bob").await;
    assert_eq!(bob.events.len(), 0, "{THREAD} of bob is another one");
    let events = bob.answer("m1", "Hello!").await;
    assert!(!events.is_empty());
}

#[tokio::test]
async fn tokens_and_the_page_are_served() {
    let dir = TempDir::new().unwrap();
    let page = dir.path().join("page");
    fs::create_dir_all(page.join("sub")).unwrap();
    for name in ["index.html", "a.js", "b.css", "c.wasm", "d.json", "e.svg", "f.png", "sub/g.mjs"] {
        fs::write(page.join(name), "x").unwrap();
    }
    fs::write(dir.path().join("outside.txt"), "x").unwrap();
    let log = dir.path().join("chat.sqlite");
    let server = Server::start(&log, &fixtures(), &["--page", page.to_str().unwrap()]).await;

    let kinds = [
        ("/", "text/html"),
        ("/a.js", "text/javascript"),
        ("/b.css", "text/css"),
        ("/c.wasm", "application/wasm"),
        ("/d.json", "application/json"),
        ("/e.svg", "image/svg+xml"),
        ("/f.png", "image/png"),
        ("/sub/g.mjs", "application/javascript"),
    ];
    for (path, kind) in kinds {
        let (status, got, _) = server.get(path).await;
        assert_eq!((status, got.split(';').next().unwrap()), (200, kind), "{path}");
    }
    for path in ["/missing.js", "/../outside.txt", "/%2e%2e/outside.txt"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
    assert_eq!(server.get("/healthz").await.0, 200);

    let (status, body) = server.post_token(&json!({ "user": "ada" }), &server.address).await;
    assert_eq!(status, 200);
    let expires = body["expiresInMs"].as_u64().unwrap();
    assert!((3_600_000..3_601_000).contains(&expires), "{expires}");
    let (_, body) = server.post_token(&json!({ "user": "ada", "ttlMs": 2000 }), &server.address).await;
    assert!((2_000..3_000).contains(&body["expiresInMs"].as_u64().unwrap()), "{body}");
    for bad in [json!({ "user": "" }), json!({ "user": "a\nb" }), json!({ "user": "ada", "ttlMs": 0 })] {
        assert_eq!(server.post_token(&bad, &server.address).await.0, 400, "{bad}");
    }
    assert_eq!(server.post_token(&json!({ "user": "ada" }), "evil.example").await.0, 403);
}

// I11
#[cfg(unix)]
#[tokio::test]
async fn at_its_most_verbose_the_server_writes_no_token_and_no_secret() {
    let dir = TempDir::new().unwrap();
    let (log, said) = (dir.path().join("chat.sqlite"), dir.path().join("said.txt"));
    let mut verbose = command(&["--listen", "127.0.0.1:0", "--log"]);
    verbose.arg(&log).arg("--folder").arg(fixtures());
    verbose.env("RUST_LOG", "trace").stderr(fs::File::create(&said).unwrap());
    let server = Server::spawn(verbose).await;
    let mut page = Page::open(&server, "ada").await;
    page.answer("m1", "Hello!").await;
    let tokens = [page.token.clone(), server.token("eve").await];
    let read = server.get_with(&format!("/v1/threads/{THREAD}/events?limit=1000"), &tokens[0]).await;
    assert!(read.contains("agent_completed"), "{read}");
    let (code, out) = server.terminate().await;
    assert_eq!(code, Some(0));
    let said = fs::read_to_string(said).unwrap() + &out.join("\n");
    assert!(
        said.contains("DEBUG") && said.contains("page connected"),
        "all that it writes is looked at: {said}"
    );
    let secret = fs::read_to_string(dir.path().join("chat.sqlite.secret")).unwrap();
    // The first part of a token is the same for all, and says nothing.
    let parts = tokens.iter().flat_map(|token| token.split('.').skip(1));
    for part in parts.chain([secret.trim()]) {
        assert!(!said.contains(part), "{part} is in {said}");
    }
}

#[tokio::test]
async fn a_start_that_fails_prints_one_line() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("text.sqlite"), "this is not a database, and long enough to be read as one".repeat(20))
        .unwrap();
    fs::write(path("file"), "x").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let fixtures = fixtures().to_str().unwrap().to_owned();
    let table = [
        (vec!["--listen", &taken], "is in use; name another with --listen"),
        (vec!["--listen", "0.0.0.0:0"], "--i-know-this-is-a-demo"),
        (vec!["--folder", "no/such/folder"], "name another with --folder"),
        (vec!["--page", "no/such/page"], "name another with --page"),
    ];
    let good_log = path("chat.sqlite");
    for (args, part) in table {
        let mut args = args.clone();
        args.extend(["--log", &good_log]);
        if !args.contains(&"--listen") {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        if !args.contains(&"--folder") {
            args.extend(["--folder", &fixtures]);
        }
        assert_refused(&args, part).await;
    }
    for log in ["text.sqlite", "no-such-folder/chat.sqlite", "file/chat.sqlite"] {
        let log = path(log);
        assert_refused(
            &["--listen", "127.0.0.1:0", "--folder", &fixtures, "--log", &log],
            "name another with --log",
        )
        .await;
    }
}

async fn assert_refused(args: &[&str], part: &str) {
    let output = within(command(args).output()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert!(said.starts_with("agent-chat: ") && said.trim_end().lines().count() == 1, "{args:?}: {said}");
    assert!(said.contains(part), "{args:?}\n  lacks {part:?}\n  in {said}");
}

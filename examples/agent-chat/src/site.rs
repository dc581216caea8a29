//! The page: what a browser needs of its folder, and nothing else.
//!
//! The log and the secret that signs tokens may lie in the same folder. So files are served by what they are, and
//! everything else is as if it were not there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use tower_http::services::ServeDir;

/// Kinds of files that are served, by the ends of their names.
const KINDS: [&str; 22] = [
    "html",
    "css",
    "js",
    "mjs",
    "map",
    "json",
    "webmanifest",
    "wasm",
    "svg",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "webp",
    "avif",
    "ico",
    "woff",
    "woff2",
    "ttf",
    "txt",
    "mp3",
    "mp4",
];

/// Serves the files of `folder` that belong to a page.
pub(crate) fn router(folder: &Path) -> Router {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Router::new()
        .fallback_service(ServeDir::new(folder))
        .layer(middleware::from_fn_with_state(real, only_of_a_page))
}

/// Whether `file` would be served although it is no part of a page: it lies in `folder` under a name of a known kind.
pub(crate) fn shows(folder: &Path, file: &Path) -> bool {
    let parent =
        file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let lies_in = || Some(parent.canonicalize().ok()?.starts_with(folder.canonicalize().ok()?));
    file.extension().and_then(OsStr::to_str).is_some_and(is_kind) && lies_in().unwrap_or(false)
}

async fn only_of_a_page(State(folder): State<PathBuf>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // A folder stands for its index; as a file of that name, nothing is served.
    let file = if path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
    match file.parse::<Uri>() {
        Ok(uri) if is_of_a_page(&file) && lies_in(&folder, &file).await => {
            *request.uri_mut() = uri;
            next.run(request).await
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Whether the file of a path lies in the folder. A link can lead out of it, to the secret for instance.
async fn lies_in(folder: &Path, path: &str) -> bool {
    let Ok(name) = percent_decode_str(path.trim_start_matches('/')).decode_utf8() else { return false };
    let Ok(file) = tokio::fs::canonicalize(folder.join(&*name)).await else { return false };
    let kind = file.extension().and_then(OsStr::to_str);
    file.starts_with(folder) && kind.is_some_and(is_kind)
}

/// Whether a path, as it stands in a request, is one of a file of a page.
fn is_of_a_page(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    // Nobody has to escape these, unless to hide what a path is.
    let is_plain = ["%2e", "%2f", "%5c", "%00", "\\"].iter().all(|escape| !lower.contains(escape));
    let is_hidden = lower.split('/').any(|part| part.starts_with('.'));
    let name = lower.rsplit('/').next().unwrap_or_default();
    is_plain && !is_hidden && name.rsplit_once('.').is_some_and(|(_, kind)| is_kind(kind))
}

fn is_kind(kind: &str) -> bool {
    KINDS.iter().any(|known| known.eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn paths_are_taken_as_they_stand() {
        for path in ["/index.html", "/a/b.JS", "/a%20b.png", "/a.b.c.wasm"] {
            assert!(is_of_a_page(path), "{path}");
        }
        for path in [
            "/",
            "/a",
            "/chat.sqlite",
            "/chat.sqlite.secret",
            "/chat.sqlite-wal",
            "/.env",
            "/.hidden.json",
            "/.git/x.json",
            "/a/../b.js",
            "/a%2fb.js",
            "/%2Ehidden.json",
            "/a%5Cb.js",
            "/a%00.js",
            "/a.js%2e",
        ] {
            assert!(!is_of_a_page(path), "{path}");
        }
    }

    #[tokio::test]
    async fn the_log_and_the_secret_of_the_server_are_not_served() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        for name in [
            "index.html",
            "a.js",
            "sub/index.html",
            "chat.sqlite",
            "chat.sqlite.secret",
            "chat.sqlite-wal",
            ".env",
            ".git/a.json",
            "secret",
        ] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        // Faults D21.
        #[cfg(unix)]
        for (target, link) in [("secret", "linked.txt"), ("a.js", "linked.js"), ("/etc/hostname", "out.txt")]
        {
            std::os::unix::fs::symlink(dir.path().join(target), dir.path().join(link)).unwrap();
        }
        let long = format!("/{}.js", "x".repeat(253));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(axum::serve(listener, router(dir.path())).into_future());
        for (path, expected) in [
            (long.as_str(), "404"),
            ("/linked.js", "200"),
            ("/linked.txt", "404"),
            ("/out.txt", "404"),
            ("/", "200"),
            ("/index.html?v=1", "200"),
            ("/a.js", "200"),
            ("/sub/", "200"),
            ("/missing.js", "404"),
            ("/chat.sqlite", "404"),
            ("/chat.sqlite/", "404"),
            ("/chat%2Esqlite", "404"),
            ("/chat.sqlite.secret", "404"),
            ("/chat.sqlite.secret/", "404"),
            ("/chat.sqlite-wal", "404"),
            ("/.env", "404"),
            ("/.env/", "404"),
            ("/.git/a.json", "404"),
            ("/secret", "404"),
            ("/secret/", "404"),
        ] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer.split(' ').nth(1), Some(expected), "{path}");
        }
        server.abort();
    }

    #[test]
    fn a_log_that_looks_like_a_part_of_the_page_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (page, sub) = (dir.path().join("page"), dir.path().join("page/sub"));
        fs::create_dir_all(&sub).unwrap();
        assert!(shows(&page, &page.join("log.json")));
        assert!(shows(&page, &sub.join("../sub/log.TXT")));
        assert!(!shows(&page, &page.join("log.sqlite")));
        assert!(!shows(&page, &dir.path().join("log.json")));
    }
}

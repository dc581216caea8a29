//! The real binary as a child process.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use crate::within;

/// A server that is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
}

/// Returns the command with what every test needs; nothing of the environment changes it.
pub(crate) fn command<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agent-chat"));
    command
        .args(args)
        .env_remove("AGENT_CHAT_SECRET")
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

impl Server {
    /// Starts a server on a free port and waits until it serves.
    pub(crate) async fn start(log: &Path, folder: &Path, more: &[&str]) -> Self {
        let mut command = command(&["--listen", "127.0.0.1:0", "--log"]);
        command.arg(log).arg("--folder").arg(folder).args(more);
        Self::spawn(command).await
    }

    /// Starts a server by its command and waits until it serves.
    pub(crate) async fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = within(out.next_line()).await.unwrap().expect("the server says where it is");
        let address = line.strip_prefix("listening on http://").expect("the line has the address").to_owned();
        Self { child, out, address }
    }

    /// Asks for a token.
    pub(crate) async fn token(&self, user: &str) -> String {
        let (status, body) = self.post_token(&json!({ "user": user }), &self.address).await;
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().unwrap().to_owned()
    }

    /// Posts to `/demo/token` under the name `host`.
    pub(crate) async fn post_token(&self, body: &Value, host: &str) -> (u16, Value) {
        let body = body.to_string();
        let request = format!(
            "POST /demo/token HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let (status, _, body) = self.http(&request).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// Gets a path; returns status, content type and body.
    pub(crate) async fn get(&self, path: &str) -> (u16, String, String) {
        self.http(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.address))
            .await
    }

    /// Gets a path with a token; returns the body.
    pub(crate) async fn get_with(&self, path: &str, token: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n",
            self.address
        );
        self.http(&request).await.2
    }

    async fn http(&self, request: &str) -> (u16, String, String) {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        within(socket.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        (status, kind.to_owned(), body.to_owned())
    }

    /// Kills the process as a crash would, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks the process to stop; returns its exit code and what it wrote to standard output after the first line.
    #[cfg(unix)]
    pub(crate) async fn terminate(mut self) -> (Option<i32>, Vec<String>) {
        let pid = self.child.id().expect("the process runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        let mut more = Vec::new();
        while let Some(line) = within(self.out.next_line()).await.unwrap() {
            more.push(line);
        }
        (within(self.child.wait()).await.unwrap().code(), more)
    }
}

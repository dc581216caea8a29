//! One nginx for a test, with the example of `server/deploy` on a port of this machine.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use super::support::within;

const EXAMPLE: &str = include_str!("../../deploy/nginx.conf");

/// The example for this server and this port, without TLS.
pub(crate) fn config(server: SocketAddr, port: u16) -> String {
    let replace = |text: String, from: &str, to: String| {
        assert!(text.contains(from), "the example has no `{from}`");
        text.replace(from, &to)
    };
    let text = replace(EXAMPLE.to_owned(), "server 127.0.0.1:8080;", format!("server {server};"));
    let text = replace(text, "listen 443 ssl;", format!("listen 127.0.0.1:{port};"));
    text.lines().filter(|line| !line.contains("ssl_certificate")).collect::<Vec<_>>().join("\n")
}

/// Takes the comment marks from the variant with a prefix.
pub(crate) fn with_prefix(config: String) -> String {
    let (before, variant) = config.split_once("    # location ").unwrap();
    let variant = format!("    # location {variant}").replace("    # ", "    ");
    format!("{before}{variant}")
}

/// A running nginx. It ends with the value.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    folder: TempDir,
    _child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Proxy {
    /// Starts nginx, and waits until it serves. `None` if it is not there.
    pub(crate) async fn start(sites: impl Fn(u16) -> String) -> Option<Self> {
        if program().arg("-v").stderr(Stdio::null()).status().is_err() {
            let _ = writeln!(
                std::io::stderr(),
                "skipped: install nginx (apt-get install nginx-light) to test it"
            );
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let at = folder.path().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let text = format!(
            "worker_processes 1;\npid {at}/pid;\nerror_log stderr notice;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{}\n}}\n",
            sites(address.port())
        );
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let mut command = tokio::process::Command::from(nginx(&folder));
        let mut child = command.args(["-g", "daemon off;"]).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut proxy = Self { address, folder, _child: child, log };
        proxy.logged("start worker process ").await;
        Some(proxy)
    }

    /// Reloads the configuration, and waits until the new worker serves and the old one takes no more connections.
    pub(crate) async fn reload(&mut self) {
        assert!(nginx(&self.folder).args(["-s", "reload"]).stderr(Stdio::null()).status().unwrap().success());
        self.logged("gracefully shutting down").await;
    }

    async fn logged(&mut self, text: &str) {
        within(async {
            loop {
                let line = self.log.next_line().await.unwrap().expect("nginx has ended");
                assert!(!line.contains("[emerg]"), "{line}");
                if line.contains(text) {
                    return;
                }
            }
        })
        .await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Its workers end with it; a kill would leave them.
        let _ = nginx(&self.folder).args(["-s", "stop"]).stderr(Stdio::null()).status();
    }
}

fn nginx(folder: &TempDir) -> Command {
    let mut command = program();
    command
        .args(["-e", "stderr"])
        .arg("-p")
        .arg(folder.path())
        .arg("-c")
        .arg(folder.path().join("nginx.conf"));
    command
}

fn program() -> Command {
    // Debian has it where only the administrator looks.
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("nginx");
    command.env("PATH", format!("{path}:/usr/sbin:/usr/local/sbin"));
    command
}

//! `agentwire-bridge dev`: a server for development. It needs no file, gives a token to every page of this machine, and
//! shows what to paste.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use clap::Args;
use jsonwebtoken::{EncodingKey, Header};
use serde::Deserialize;
use serde_json::json;
use url::{Host, Url};

use crate::clock::now_ms;
use crate::config::{Config, DeliverMode, KeyRight, KeySection, Secret};

/// The service key of a development server. It is no secret: the server listens on loopback alone.
pub const KEY: &str = "dev";

/// The SHA-256 of [`KEY`].
const KEY_SHA256: &str = "ef260e9aa3c673af240d17a2660480361a8e081d1ffeca2a5ed0e3219fc18567";

/// The secret that webhooks are signed with: base64 of "a secret for development alone".
pub const WEBHOOK_SECRET: &str = "whsec_YSBzZWNyZXQgZm9yIGRldmVsb3BtZW50IGFsb25l";

/// How long a token is valid, in seconds: short enough that a page renews it while you look.
const TOKEN_SECONDS: u64 = 600;

/// The options of `dev`.
#[derive(Clone, Debug, Args)]
pub struct DevFlags {
    /// The address to listen on: one of this machine alone.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where messages are posted to. Without it they go to workers.
    #[arg(long, value_name = "URL")]
    pub webhook: Option<Url>,
    /// The file of events.
    #[arg(long, value_name = "FILE", default_value = "agentwire-dev.sqlite")]
    pub log: PathBuf,
    /// What is logged, such as info or agentwire_bridge=debug.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub log_level: String,
}

impl DevFlags {
    /// The configuration, with the secret of its tokens. The error says what is wrong with the options.
    pub fn config(&self) -> Result<(Config, Secret), String> {
        if !self.listen.ip().is_loopback() {
            let listen = self.listen;
            return Err(format!(
                "`dev` gives a token to everyone, so it listens on loopback alone, and not on {listen}; use a configuration file instead"
            ));
        }
        let secret = Secret::new(format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..)));
        let mut config = Config::default();
        config.server.dev = true;
        config.server.listen = self.listen;
        config.server.log_level.clone_from(&self.log_level);
        config.log.path.clone_from(&self.log);
        config.auth.secrets = vec![secret.clone()];
        config.keys = vec![KeySection {
            name: "dev".to_owned(),
            // Its digest: a key of a configuration is longer.
            key_sha256: Some(KEY_SHA256.to_owned()),
            rights: vec![KeyRight::Publish, KeyRight::Deliver, KeyRight::Read, KeyRight::Admin],
            ..KeySection::default()
        }];
        config.deliver.mode = DeliverMode::Worker;
        if let Some(url) = &self.webhook {
            config.deliver.mode = DeliverMode::Webhook;
            config.deliver.url = Some(url.clone().into());
            config.deliver.secrets = vec![Secret::new(WEBHOOK_SECRET)];
            config.deliver.allow_private = true;
        }
        Ok((config, secret))
    }

    /// What to paste.
    pub fn guide(&self, address: SocketAddr) -> String {
        let mut text = String::new();
        let log = self.log.display();
        let _ = writeln!(
            text,
            "agentwire-bridge listens on http://{address}\nEvents are kept in {log}. This is for development: every page of this machine gets a token.\n"
        );
        let _ = writeln!(text, "{}", page(address));
        let _ = writeln!(text, "{}", if self.webhook.is_some() { webhook(address) } else { worker(address) });
        text
    }
}

fn page(address: SocketAddr) -> String {
    format!(
        r#"In the page (npm install agentwire):

    import {{ createClient }} from "agentwire";

    const token = async () => (await fetch("http://{address}/dev/token?user=ada", {{ method: "POST" }})).text();
    const client = createClient({{ url: "ws://{address}/ws", token }});
    const thread = client.thread("hello");
    thread.on("message_delta", (event) => document.body.append(event.text));
    thread.send({{ content: "Hello?" }});
"#
    )
}

fn worker(address: SocketAddr) -> String {
    format!(
        r#"In the backend (pip install agentwire):

    import asyncio
    from agentwire import Bridge

    bridge = Bridge("http://{address}", key="{KEY}")

    @bridge.on_message
    async def answer(message):
        async with bridge.run(message, agent="echo") as run:
            await run.respond(f"You said: {{message.content}}")

    asyncio.run(bridge.work())
"#
    )
}

fn webhook(address: SocketAddr) -> String {
    format!(
        r#"In the backend (pip install "agentwire[fastapi]" uvicorn):

    from fastapi import FastAPI
    from agentwire import Bridge
    from agentwire.fastapi import router

    bridge = Bridge("http://{address}", key="{KEY}")

    @bridge.on_message
    async def answer(message):
        async with bridge.run(message, agent="echo") as run:
            await run.respond(f"You said: {{message.content}}")

    app = FastAPI()
    app.include_router(router(bridge, secret="{WEBHOOK_SECRET}"))
"#
    )
}

/// The routes that only a development server has: `POST /dev/token?user=`.
pub fn routes(secret: Secret) -> Router {
    Router::new().route("/dev/token", post(token)).with_state(secret)
}

#[derive(Deserialize)]
struct Wanted {
    user: Option<String>,
}

/// Gives a token for a user to a page of this machine.
async fn token(State(secret): State<Secret>, Query(wanted): Query<Wanted>, headers: HeaderMap) -> Response {
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default().to_owned());
    if origin.as_deref().is_some_and(|origin| !is_local(origin)) {
        return (StatusCode::FORBIDDEN, "only pages of this machine get a token\n").into_response();
    }
    let user = wanted.user.unwrap_or_else(|| "dev".to_owned());
    let now = now_ms() / 1_000;
    let claims = json!({ "sub": user, "iat": now, "exp": now + TOKEN_SECONDS });
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    match jsonwebtoken::encode(&Header::default(), &claims, &key) {
        Ok(token) => {
            let allowed = origin.unwrap_or_else(|| "null".to_owned());
            let headers = [
                ("access-control-allow-origin", allowed),
                ("cache-control", "no-store".to_owned()),
                ("vary", "origin".to_owned()),
            ];
            (headers, token).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whether a page of this origin is of this machine.
fn is_local(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_machine_are_local() {
        for origin in
            ["http://localhost:5173", "http://127.0.0.1:8000", "http://[::1]:3000", "https://a.localhost"]
        {
            assert!(is_local(origin), "{origin}");
        }
        for origin in ["http://localhost.example.com", "null", "https://example.com", "http://10.0.0.1", ""] {
            assert!(!is_local(origin), "{origin}");
        }
    }
}
